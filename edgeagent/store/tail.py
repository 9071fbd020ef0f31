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
        self._bytes = 0

    def extend(self, events: Sequence[StoredEvent], following: int) -> None:
        """Take the events just committed, or none when numbers were lost; `following` is the number after them."""
        if not events or (self._events and events[0].sequence != self._events[-1].sequence + 1):
            self._events.clear()
            self._bytes = 0
        self._events.extend(events)
        self._bytes += sum(len(event.body) for event in events)
        while len(self._events) > _MOST_EVENTS or self._bytes > _MOST_BYTES:
            self._bytes -= len(self._events.popleft().body)
        self.first_sequence = self._events[0].sequence if self._events else following

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
