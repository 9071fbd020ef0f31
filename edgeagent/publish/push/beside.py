"""Beside the line: events that its target did not take, or that somebody passed over; sent again when somebody asks."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from msgspec.structs import replace

from edgeagent.clock import Clock, iso
from edgeagent.errors import CommandRefused
from edgeagent.logs import Detail
from edgeagent.model.aside import SetAside
from edgeagent.publish.push.batch import Item
from edgeagent.store import Archive, Consumer
from edgeagent.store.aside import AsideNote
from edgeagent.store.had import Had

MES = "mes"
"""Who set an event aside, where that was the target."""
MOST = 1000
"""Events of one target that are set aside; beyond them its line is stopped."""

log = logging.getLogger(__name__)


class Beside:
    """What is set aside of one target.

    Args:
        most_in_a_row: so many events are set aside one after the other; the next stops the line.
    """

    def __init__(self, target: str, archive: Archive, clock: Clock, most_in_a_row: int) -> None:
        self._target = target
        self._asides = archive.asides
        self._consumers = archive.consumers
        self._journal = archive.journal
        self._stream = archive.journal.stream
        self._clock = clock
        self._most_in_a_row = most_in_a_row
        self._in_a_row = 0

    def all(self) -> tuple[SetAside, ...]:
        """Every event, by stream and sequence."""
        return self._asides.of(self._target)

    async def begin(self, place: Consumer) -> None:
        """Count what was set aside after the last event that the target took, before a restart. Raises StoreError."""
        self._in_a_row, following = 0, place.acknowledged + 1
        for event in reversed([event for event in self.all() if event.stream == self._stream]):
            if await self._journal.previous(following, place.topics, place.machines) != event.sequence:
                return
            self._in_a_row += event.by == MES
            following = event.sequence

    def taken(self) -> None:
        """The target took something."""
        self._in_a_row = 0

    def why_not(self) -> str | None:
        """Why no more is set aside because a target rejects it; None where it is."""
        if self._in_a_row >= self._most_in_a_row:
            return f"{self._in_a_row} events in a row are set aside and it rejects the next as well"
        return f"{MOST} events are set aside already" if len(self.all()) >= MOST else None

    async def put(self, item: Item, place: Consumer, by: str, reason: str) -> None:
        """Keep an event, and the place of the line beyond it, in one transaction. Raises StoreError."""
        self._in_a_row += by == MES
        event = SetAside(self._target, self._stream, item.sequence, item.topic, iso(self._clock.wall_ns()), by, reason)
        self._asides.know(event)
        log.error("push %s: event %d is set aside by %s: %s", self._target, item.sequence, by, Detail(reason))
        moved = replace(place, stream=self._stream, acknowledged=item.done)
        await self._consumers.put(moved, AsideNote(event, item.message))

    async def ask_for(self, events: Sequence[SetAside]) -> None:
        """Let events be sent once more; raises StoreError, CommandRefused."""
        for event in events:
            message = await self._asides.message(event)
            if message is None:
                reason = f"Event {event.sequence} is damaged on disk and cannot be sent again."
                raise CommandRefused("notFound", reason)
            self._asides.change(replace(event, again=True), message)

    async def asked_for(self) -> Item | None:
        """Find the first event that is to be sent once more; None where there is none. Raises StoreError."""
        event = next((event for event in self.all() if event.again), None)
        if event is None:
            return None
        message = await self._asides.message(event)
        if message is None:
            self._asides.forget(event)
            return None
        return Item(event.sequence, 0, event.topic, message, event)

    def taken_late(self, item: Item, event: SetAside) -> None:
        """The target took an event when it was sent once more: it had it, as if it had taken it in its turn."""
        machines = (item.machine,) if item.machine else None
        self._asides.forget(event, Had((event.topic,), machines, event.sequence - 1, event.sequence))
        log.info("push %s: event %d was taken late", self._target, event.sequence)

    def stays(self, event: SetAside, message: bytes, by: str, reason: str) -> None:
        """The target did not take it then either, or somebody passed over it again."""
        at = iso(self._clock.wall_ns())
        self._asides.change(replace(event, at=at, by=by, reason=reason, again=False), message)
