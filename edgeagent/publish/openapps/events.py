"""Answers about the stream of events: subscribe, read from a place, and where everything stands."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import cast

from msgspec import Raw

from edgeagent.clock import Clock, iso
from edgeagent.errors import CommandRefused
from edgeagent.model.callers import Caller
from edgeagent.model.events import GapRange, StoredEvent
from edgeagent.model.functions import FUNCTIONS, OfMachine
from edgeagent.model.functions.events import (
    EventsRead,
    MachineSnapshot,
    Place,
    ReadEvents,
    Snapshot,
    Subscribe,
    Subscribed,
    Told,
    Unsubscribe,
)
from edgeagent.model.functions.rights import entitled
from edgeagent.publish.access import Handler
from edgeagent.publish.authentication import Authentication
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.notices import in_order
from edgeagent.publish.openapps.consumers import ConsumerAnswers
from edgeagent.publish.openapps.machines import Machines
from edgeagent.publish.outlet import Subscriptions
from edgeagent.store.journal import Journal

MOST_WAITING = 256
"""Reads that wait for an event at the same time, of all callers."""

MOST_BYTES = 256 << 10
"""An answer ends with the step that goes over this: so much is built, or turned into MessagePack, in a few ms."""

_LOOK_S = 1.0
"""How often it is looked whether a caller who waits still may."""

_STEP = 16
"""Events read from the journal at once."""

_MOST_COLLECTING = 8
"""Reads that hold events at the same time; the others wait for their turn."""

_Page = tuple[list[StoredEvent], int, list[GapRange]]
"""Events, where to go on, what is gone."""


class EventAnswers:
    """Event.*, but for what is about consumers only."""

    def __init__(
        self, machines: Machines, journal: Journal, delivery: Delivery, consumers: ConsumerAnswers, clock: Clock,
        authentication: Authentication,
    ) -> None:  # fmt: skip
        self._machines = machines
        self._journal = journal
        self._delivery = delivery
        self._consumers = consumers
        self._clock = clock
        self._authentication = authentication
        self._waiting = 0
        self._turns = asyncio.Semaphore(_MOST_COLLECTING)

    def handlers(self) -> dict[str, Handler]:
        """The functions answered here."""
        return {
            "Event.Subscribe": self.subscribe,
            "Event.Unsubscribe": self.unsubscribe,
            "Event.Read": self.read,
            "Event.Snapshot": self.snapshot,
        }

    async def subscribe(self, wanted: Subscribe, caller: Caller) -> Subscribed:
        """Push events on the caller's connection."""
        session = _session(caller)
        self._require(wanted.machines)
        place = wanted.from_ or ("cursor" if wanted.consumer else "now")
        first = None if place == "cursor" else self._first(place)
        if wanted.consumer is not None:
            name, first = await self._consumers.subscribe(wanted.consumer, wanted, first, session, caller)
        elif first is None or wanted.max_in_flight is not None:
            reason = 'Event.Subscribe: from "cursor" and maxInFlight are for a consumer; name one.'
            raise CommandRefused("invalidParameters", reason)
        else:
            name = await session.subscribe(wanted.topics, wanted.machines, first)
        return Subscribed(name, self._journal.stream, first)

    async def unsubscribe(self, wanted: Unsubscribe, caller: Caller) -> Subscribed:
        """End a subscription of the caller's connection."""
        following = _session(caller).unsubscribe(wanted.subscription)
        if following is None:
            raise CommandRefused("notFound", f"This connection has no subscription {wanted.subscription!r}.")
        return Subscribed(wanted.subscription, self._journal.stream, following)

    async def snapshot(self, wanted: OfMachine, _: Caller) -> Snapshot:
        """Take the state and its sequence at one moment; answer when that sequence is on disk."""
        now_ns = self._clock.wall_ns()
        machines = tuple(
            MachineSnapshot(live.status(), live.values(None), live.alarms(), live.boards())
            for live in self._machines.some(wanted.machine)
        )
        sequence = self._journal.last_sequence
        await self._journal.settled(sequence)
        clock = "trusted" if self._clock.trusted else "untrusted"
        return Snapshot(self._journal.stream, sequence, iso(now_ns), clock, machines)

    async def read(self, wanted: ReadEvents, caller: Caller) -> EventsRead:
        """Read from a place on; wait for the first event if asked, for as long as the caller may read at all."""
        self._require(wanted.machines)
        first = self._first(wanted.from_)
        await self._journal.settled(first - 1)
        previous = await self._journal.previous(first, wanted.topics, wanted.machines)
        events, following, gaps = await self._collect(wanted, first)
        if not events and not gaps and wanted.wait_ms:
            events, following, gaps = await self._wait(wanted, following, caller)
        return EventsRead(
            self._journal.stream, self._journal.first_sequence, following,
            cast("tuple[Told, ...]", self._told(events, gaps, previous)), tuple(gaps),
        )  # fmt: skip

    async def _wait(self, wanted: ReadEvents, first: int, caller: Caller) -> _Page:
        if self._waiting >= MOST_WAITING:
            raise CommandRefused("tooMany", f"{MOST_WAITING} reads wait for events already; ask again.")
        page: _Page = [], first, []
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(wanted.wait_ms / 1000):
                    while not page[0] and not page[2]:
                        if page[1] > self._journal.committed_sequence:
                            await self._committed(caller)
                        page = await self._collect(wanted, page[1])
        finally:
            self._waiting -= 1
        self._require_entitled(caller)
        return page

    async def _committed(self, caller: Caller) -> None:
        """Wait a while for the next commit; raises CommandRefused where the caller may read no more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._delivery.next_commit()
        self._require_entitled(caller)

    def _require_entitled(self, caller: Caller) -> None:
        if refused := entitled(FUNCTIONS["Event.Read"], self._authentication.as_now(caller)):
            raise refused

    async def _collect(self, wanted: ReadEvents, first: int) -> _Page:
        """Read until the limit, the bound in bytes or the end; in steps, so that little is held at once."""
        events: list[StoredEvent] = []
        gaps: list[GapRange] = []
        size = 0
        async with self._turns:
            while len(events) < wanted.limit and size < MOST_BYTES and first <= self._journal.committed_sequence:
                step = min(wanted.limit - len(events), _STEP)
                found, first, lost = await self._journal.read(first, wanted.topics, wanted.machines, step)
                events += found
                gaps += lost
                size += sum(len(event.body) for event in found)
        return events, first, gaps

    def _told(self, events: list[StoredEvent], gaps: list[GapRange], previous: int) -> tuple[Raw, ...]:
        told = []
        for found in in_order(events, gaps):
            if isinstance(found, GapRange):
                previous = found.to
                continue
            parameters = self._delivery.notices.parameters(found, previous)
            told.append(Raw(b'{"method":"%b",%b}' % (found.topic.encode(), parameters)))
            previous = found.sequence
        return tuple(told)

    def _first(self, place: str | Place) -> int:
        """The sequence where a caller wants to begin.

        Raises:
            CommandRefused: notFound for another stream, outOfRange for a number that is not given yet.
        """
        journal = self._journal
        if place == "now":
            return journal.committed_sequence + 1
        if not isinstance(place, Place):
            return journal.first_sequence
        if place.stream != journal.stream:
            raise CommandRefused(
                "notFound", f'The stream is {journal.stream} now, not {place.stream}; begin with from "beginning".',
                stream=journal.stream,
            )  # fmt: skip
        if place.sequence > journal.last_sequence + 1:
            reason = f"The next event will have sequence {journal.last_sequence + 1}, not {place.sequence}."
            raise CommandRefused("outOfRange", reason, stream=journal.stream)
        return place.sequence

    def _require(self, machines: tuple[str, ...] | None) -> None:
        for machine in machines or ():
            self._machines.one(machine)


def _session(caller: Caller) -> Subscriptions:
    if caller.session is None:
        reason = "Nothing can be pushed over this connection: use WebSocket or TCP, or ask with Event.Read."
        raise CommandRefused("invalidRequest", reason)
    return cast("Subscriptions", caller.session)
