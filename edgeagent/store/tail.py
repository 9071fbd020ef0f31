"""The newest events of the journal in memory, so that a live reader never waits for the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

from edgeagent.model.events import StoredEvent

_MOST_EVENTS = 1024
_MOST_BYTES = 1 << 20


class Tail:
    """At most 1024 events and 1 MiB of bodies, without a hole; `first_sequence` is the first it can answer for."""

    def __init__(self) -> None:
        self.first_sequence = 1 << 62
        self._events: deque[StoredEvent] = deque()
        self._sizes: deque[int] = deque()  # beside them: the writer's thread had the events, and they are far from here
        self._bytes = 0

    def extend(self, events: Sequence[StoredEvent], sizes: Sequence[int]) -> None:
        """Take one or more events just committed; `sizes` are the bytes of their bodies."""
        first, last = events[0].sequence, events[-1].sequence
        if first != self.first_sequence + len(self._events):
            self.forget(first)
        self._events.extend(events)
        self._sizes.extend(sizes)
        self._bytes += sum(sizes)
        while len(self._events) > _MOST_EVENTS or self._bytes > _MOST_BYTES:
            self._events.popleft()
            self._bytes -= self._sizes.popleft()
        self.first_sequence = last + 1 - len(self._events)

    def forget(self, following: int) -> None:
        """Forget all where numbers were lost or deleted; `following` is the number after these."""
        self._events.clear()
        self._sizes.clear()
        self._bytes = 0
        self.first_sequence = following

    def all(self) -> list[StoredEvent]:
        """All of them, oldest first."""
        return list(self._events)

    def read(self, first: int, wanted: Collection[tuple[str, str]], limit: int) -> tuple[list[StoredEvent], int]:
        """Find at most `limit` events of the wanted machines and topics, and the number to go on from."""
        found: list[StoredEvent] = []
        for place in range(first - self.first_sequence, len(self._events)):
            event = self._events[place]
            if len(found) == limit:
                return found, event.sequence
            if (event.machine, event.topic) in wanted:
                found.append(event)
        return found, self.first_sequence + len(self._events)
