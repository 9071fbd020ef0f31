"""What goes into one POST: events in order, read from the journal as they are wanted, never more than one batch."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from edgeagent.errors import StoreError
from edgeagent.model.aside import SetAside
from edgeagent.model.events import EventGap, GapRange, StoredEvent
from edgeagent.publish.notices import Notices, in_order
from edgeagent.store.journal import Journal

_STEP = 16
"""Events read from the journal at once."""


class _Parameters(msgspec.Struct):
    time: str
    machine: str | None


class _Notification(msgspec.Struct):
    params: _Parameters


class Item(NamedTuple):
    """One notification.

    Attributes:
        sequence: of the event; of a gap, its last. done: when it is taken, nothing up to this number is owed.
        topic: of the event; empty for a heartbeat.
        aside: where it comes from, when it was set aside and is sent once more.
    """

    sequence: int
    done: int
    topic: str
    message: bytes
    aside: SetAside | None = None

    @property
    def happened(self) -> str:
        """When, RFC 3339."""
        return msgspec.json.decode(self.message, type=_Notification).params.time

    @property
    def machine(self) -> str | None:
        """Where; None for what concerns no machine."""
        return msgspec.json.decode(self.message, type=_Notification).params.machine


class Batch(tuple[Item, ...]):
    """Items that are sent together."""

    __slots__ = ()

    @property
    def body(self) -> bytes:
        """A JSON-RPC batch."""
        return b"[%b]" % b",".join(item.message for item in self)

    @property
    def halves(self) -> tuple[Batch, Batch]:
        """The first half and the second, of two items or more."""
        middle = len(self) // 2
        return Batch(self[:middle]), Batch(self[middle:])

    def key(self, stream: str) -> str | None:
        """The same for the same events: what an MES may tell a repetition by; None for what repeats nothing."""
        if not self[0].topic:
            return None
        aside = self[0].aside
        return f"{aside.stream if aside else stream}/{self[0].sequence}-{self[-1].sequence}"


class Reading:
    """Reads batches from a place on.

    Args:
        first: the first wanted sequence. previous: the wanted one before it, 0 if there is none.
        most_events, most_bytes: of a batch; one item may be larger.

    Attributes:
        next: where it goes on.
        is_behind: the last batch was as full as it may be.
    """

    def __init__(
        self, journal: Journal, notices: Notices, topics: tuple[str, ...], machines: tuple[str, ...] | None,
        first: int, previous: int, most_events: int, most_bytes: int,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._notices = notices
        self._topics = topics
        self._machines = machines
        self._previous = previous
        self._most_events = most_events
        self._most_bytes = most_bytes
        self.next = first
        self.is_behind = False

    def narrow(self, size: int) -> None:
        """Make no more batches of so many bytes: the MES does not take them."""
        self._most_bytes = max(1, min(self._most_bytes, size // 2))

    async def batch(self) -> Batch:
        """Read the next batch; an empty one where nothing is owed now. Raises StoreError."""
        items: list[Item] = []
        size = 2
        while len(items) < self._most_events and self.next <= self._journal.committed_sequence:
            step = min(_STEP, self._most_events - len(items))
            try:
                events, following, gaps = await self._journal.read(self.next, self._topics, self._machines, step)
            except StoreError:
                if not items:
                    raise
                break  # what was read is owed; the next batch meets the fault again
            for found in in_order(events, gaps):
                item = self._item(found)
                if items and size + len(item.message) + 1 > self._most_bytes:
                    self.next = found.from_ if isinstance(found, GapRange) else found.sequence
                    self.is_behind = True
                    return Batch(items)
                size += len(item.message) + 1
                items.append(item)
                self._previous = item.sequence
            self.next = following
        self.is_behind = self.next <= self._journal.committed_sequence
        if items:
            items[-1] = items[-1]._replace(done=self.next - 1)
        return Batch(items)

    def _item(self, found: StoredEvent | GapRange) -> Item:
        if isinstance(found, GapRange):
            self._notices.tally.lost += found.count
            message = self._notices.passing("Event.Gap", EventGap(self._journal.stream, (found,)))
            return Item(found.to, found.to, "Event.Gap", message)
        return Item(found.sequence, found.sequence, found.topic, self._notices.durable(found, self._previous))
