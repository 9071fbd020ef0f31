"""The computer's clock: told when it was set, and when it begins or ceases to be known to be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeagent.clock import iso, set_by
from edgeagent.model.events import ConfigurationChanged

if TYPE_CHECKING:
    from collections.abc import Iterator

_BY = "computer"


class ClockMemory(msgspec.Struct):
    """What survives a restart.

    Attributes:
        ahead_ns: by how much the wall clock was ahead of the monotonic one when last looked at; None before that.
        is_trusted: whether it was known to be synchronised then.
    """

    ahead_ns: int | None = None
    is_trusted: bool = False


class ClockWatch:
    """Tells what happened to the clock; the first look only learns."""

    def __init__(self, memory: ClockMemory) -> None:
        self.memory = memory

    def update(self, now_ns: int, wall_ns: int, is_trusted: bool) -> Iterator[ConfigurationChanged]:
        """Look once.

        Yields:
            `time`, from what the clock would show if nobody had set it; `clock`, as the events' member of that name.
        """
        m, ahead_ns = self.memory, wall_ns - now_ns
        before_ns, was_trusted = m.ahead_ns, m.is_trusted
        m.ahead_ns, m.is_trusted = ahead_ns, is_trusted
        if before_ns is None:
            return
        if set_by(before_ns, ahead_ns):
            yield ConfigurationChanged(what="time", from_=iso(now_ns + before_ns), to=iso(wall_ns), by=_BY)
        if is_trusted != was_trusted:
            yield ConfigurationChanged(what="clock", from_=_term(was_trusted), to=_term(is_trusted), by=_BY)


def _term(is_trusted: bool) -> str:
    return "trusted" if is_trusted else "untrusted"
