"""One subscription: what it wants, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgeagent.model.events import matches
from edgeagent.publish.cursors import Cursor
from edgeagent.publish.notices import TELEMETRY

BATCH = 32
"""Events that a session holds at once for a peer that does not read."""


@dataclass(slots=True)
class Flow:
    """The next sequence to look at, the last one told, when it last told something.

    Attributes:
        cursor: of a consumer; None for a subscription that nobody acknowledges.
        opening: a message that goes before its first event.
        farewell: the last message, where it ends without being asked to.
        ended: nothing but that is told any more.
    """

    topics: tuple[str, ...]
    machines: tuple[str, ...] | None
    next: int
    previous: int
    told_at: float
    cursor: Cursor | None = None
    opening: bytes | None = None
    farewell: bytes | None = None
    ended: bool = False
    _hears: bool = field(init=False)

    def __post_init__(self) -> None:
        self._hears = any(matches(pattern, TELEMETRY) for pattern in self.topics)  # asked for at every beat

    @property
    def room(self) -> int:
        """Events that may be told now."""
        if self.ended:
            return 0
        return BATCH if self.cursor is None else min(BATCH, self.cursor.room)

    def hears(self, machine: str) -> bool:
        """Whether a machine's telemetry is wanted."""
        return self._hears and not self.ended and (self.machines is None or machine in self.machines)

    def tell(self, sequence: int, now: float, is_event: bool = True) -> None:
        """Go on beyond an event, or a gap up to a number, that is about to be told."""
        self.previous, self.next = sequence, sequence + 1
        self.told_at = now
        if self.cursor is not None:
            self.cursor.tell(sequence, is_event)

    def stand_at(self, place: Flow) -> None:
        """Go on from where another one, which wants the same, has come to."""
        self.next, self.previous, self.told_at = place.next, place.previous, max(self.told_at, place.told_at)

    def end(self) -> None:
        """Tell nothing more."""
        self.ended = True
        if self.cursor is not None:
            self.cursor.leave()
