"""Settings that somebody is about to change over the agent, so that the change is not taken for the machine's own."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from edgeagent.model.samples import is_same, rounded

AT_THE_MACHINE = "machine"
"""Who changed what nobody was expected to change."""

EXPECTED_NS = 60_000_000_000
"""A write is on the wire, and in a read row, well before; a later change is somebody else's."""

MOST = 1000
"""Changes that are awaited; the oldest gives way."""


class Awaited(msgspec.Struct, frozen=True):
    """One change: to what, by whom, and until when (monotonic ns) it is taken for theirs.

    Attributes:
        former: what was awaited before it, and is again where it turns out not to be written; it has no former itself.
    """

    value: float | str
    by: str
    until_ns: int
    former: Awaited | None = None


class Expected:
    """Tells by whom a setting changed.

    Somebody at the machine's panel who sets the same value at the same moment cannot be told apart from the one who
    was expected to; another value is the machine's own.

    Args:
        memory: path → what is awaited, changed in place.
    """

    def __init__(self, memory: dict[str, Awaited]) -> None:
        self._memory = memory

    def add(self, values: Mapping[str, float | str], by: str, now_ns: int) -> None:
        """Await changes from now on."""
        for path, value in values.items():
            former = self._memory.pop(path, None)
            if former is not None:
                is_again = (former.value, former.by) == (value, by)
                former = former.former if is_again else msgspec.structs.replace(former, former=None)
            self._memory[path] = Awaited(value, by, now_ns + EXPECTED_NS, former)
        while len(self._memory) > MOST:
            del self._memory[next(iter(self._memory))]

    def take_back(self, path: str) -> None:
        """Await no more what was added last of a point, but what was awaited before it."""
        awaited = self._memory.pop(path, None)
        if awaited is not None and awaited.former is not None:
            self._memory[path] = awaited.former

    def who(self, path: str, value: float | str | None, now_ns: int, decimals: int | None = None) -> str:
        """Who set a point to a value that is new, as exact as it is told; what was awaited there is not any more."""
        awaited = self.at(path, now_ns)
        if awaited is None or not is_same(_told(awaited.value, decimals), _told(value, decimals)):
            return AT_THE_MACHINE
        del self._memory[path]
        return awaited.by

    def at(self, path: str, now_ns: int) -> Awaited | None:
        """What is awaited of a point; None where nothing is, or its time is over."""
        awaited = self._memory.get(path)
        if awaited and awaited.until_ns < now_ns:
            del self._memory[path]
            return None
        return awaited

    def shift(self, shift_ns: int) -> None:
        """Move all times, after a restart of the computer."""
        for path, awaited in self._memory.items():
            self._memory[path] = _shifted(awaited, shift_ns)


def _shifted(awaited: Awaited, shift_ns: int) -> Awaited:
    former = awaited.former and _shifted(awaited.former, shift_ns)
    return msgspec.structs.replace(awaited, until_ns=awaited.until_ns + shift_ns, former=former)


def _told(value: float | str | None, decimals: int | None) -> float | str | None:
    return value if value is None or isinstance(value, str) else rounded(value, decimals)
