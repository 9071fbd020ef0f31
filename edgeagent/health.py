"""Whether the agent lives and is ready: named checks, asked by the watchdog, by /healthz and /readyz."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Check = Callable[[], str | None]
"""Says in words what is wrong now, or None; never waits. Called on the event loop."""


class _Part(NamedTuple):
    check: Check
    is_vital: bool


class Health:
    """The checks of all parts of the agent, in the order in which they were added."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}

    def add(self, part: str, check: Check, *, is_vital: bool = False) -> None:
        """Add a part; one that is vital and not well is helped by starting the agent anew, and by nothing else."""
        self._parts[part] = _Part(check, is_vital)

    def faults(self) -> dict[str, str]:
        """What is wrong with each part that is not well."""
        return {name: fault for name, part in self._parts.items() if (fault := part.check())}

    def dead(self) -> dict[str, str]:
        """What is wrong with the vital parts that are not well: the watchdog is fed while this is empty."""
        return {name: fault for name, part in self._parts.items() if part.is_vital and (fault := part.check())}
