"""Answers about consumers: take one up, acknowledge what it was told, list and forget them."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import structs

from edgeagent.clock import Clock, iso
from edgeagent.errors import CommandRefused
from edgeagent.model.callers import Caller
from edgeagent.model.events import EventGap
from edgeagent.model.functions import Nothing
from edgeagent.model.functions.events import (
    Acknowledge,
    Acknowledged,
    ConsumersFound,
    ConsumerStanding,
    OfConsumer,
    Subscribe,
)
from edgeagent.publish.access import Handler
from edgeagent.publish.cursors import Cursor, Cursors
from edgeagent.publish.outlet import Subscriptions
from edgeagent.store import Archive, Consumer

MOST_CONSUMERS = 256
"""Of all callers."""

_IN_FLIGHT = 100


class _Place(NamedTuple):
    """Where a consumer begins: its stream, the first sequence, what is told of a stream that ended."""

    stream: str
    first: int
    lost: EventGap | None = None


class ConsumerAnswers:
    """Event.Acknowledge, Event.Consumers, Event.DeleteConsumer, and the consumer of a subscription."""

    def __init__(self, archive: Archive, cursors: Cursors, clock: Clock) -> None:
        self._journal = archive.journal
        self._consumers = archive.consumers
        self._cursors = cursors
        self._clock = clock

    def handlers(self) -> dict[str, Handler]:
        """The functions answered here."""
        return {
            "Event.Acknowledge": self.acknowledge,
            "Event.Consumers": self.consumers,
            "Event.DeleteConsumer": self.delete,
        }

    async def subscribe(
        self, name: str, wanted: Subscribe, first: int | None, session: Subscriptions, caller: Caller
    ) -> tuple[str, int]:
        """Take up a consumer on the caller's connection, away from any other one.

        Args:
            name: of the consumer. first: where to begin; its cursor if None.

        Returns:
            The subscription and its first sequence, once the consumer is on disk.
        """
        place = self._place(self._admitted(name, caller)) if first is None else _Place(self._journal.stream, first)
        cursor = Cursor(name, place.first - 1, place.first - 1, wanted.max_in_flight or _IN_FLIGHT)
        subscription = await session.subscribe(wanted.topics, wanted.machines, place.first, cursor, place.lost)
        try:
            found, now_ns = self._admitted(name, caller), self._clock.wall_ns()
            acknowledged = max(place.first - 1, found.acknowledged if found and first is None else 0)
            owner, made_ns = (found.owner, found.made_ns) if found else (caller.name, now_ns)
            await self._consumers.put(Consumer(
                name, owner, wanted.topics, wanted.machines, place.stream, acknowledged, made_ns, now_ns
            ))  # fmt: skip
            if (kept := self._consumers.get(name)) is None:
                raise CommandRefused("busy", f"The consumer {name!r} was deleted at this moment; subscribe again.")
        except BaseException:
            session.unsubscribe(subscription)
            raise
        if first is None and (before := self._cursors.get(name)):
            cursor.told = max(cursor.told, before.told)
        cursor.acknowledge(kept.acknowledged)
        self._cursors.take(cursor)
        return subscription, place.first

    async def acknowledge(self, done: Acknowledge, caller: Caller) -> Acknowledged:
        """Move a cursor, never back; answer when it is on disk."""
        consumer = self._own(done.consumer, caller)
        cursor = self._cursors.get(consumer.name)
        stream = self._journal.stream
        if done.stream != stream:
            raise CommandRefused("notFound", f"The stream is {stream} now, not {done.stream}.", stream=stream)
        if done.sequence > (cursor.told if cursor else consumer.acknowledged):
            reason = f"Event {done.sequence} was not told to {consumer.name} yet; acknowledge what comes."
            raise CommandRefused("outOfRange", reason)
        moved = structs.replace(
            consumer, stream=stream if cursor else consumer.stream,
            acknowledged=max(consumer.acknowledged, done.sequence), seen_ns=self._clock.wall_ns(),
        )  # fmt: skip
        await self._consumers.put(moved)
        if cursor is not None:
            cursor.acknowledge(moved.acknowledged)
        return Acknowledged(moved.name, moved.stream, moved.acknowledged)

    async def consumers(self, _: Nothing, caller: Caller) -> ConsumersFound:
        """Tell the caller's consumers; all of them to an administrator."""
        return ConsumersFound(tuple([
            await self._standing(consumer) for consumer in self._consumers.all() if _is_owner(consumer, caller)
        ]))  # fmt: skip

    async def delete(self, wanted: OfConsumer, caller: Caller) -> Acknowledged:
        """Forget a consumer; answer when that is on disk."""
        consumer = self._own(wanted.consumer, caller)
        self._cursors.drop(consumer.name, "the consumer was deleted")
        await self._consumers.delete(consumer.name)
        return Acknowledged(consumer.name, consumer.stream, consumer.acknowledged)

    async def _standing(self, it: Consumer) -> ConsumerStanding:
        connected = self._cursors.listens(it.name)
        lag = await self._journal.count(it.acknowledged, it.topics, it.machines)
        seen = iso(self._clock.wall_ns() if connected else it.seen_ns)
        return ConsumerStanding(
            it.name, it.owner, it.topics, it.machines, it.stream, it.acknowledged, lag, connected, seen
        )

    def _admitted(self, name: str, caller: Caller) -> Consumer | None:
        """Find a consumer that a caller may take up; None where it is new and there is room for it."""
        found = self._consumers.get(name)
        if found is not None:
            _require_owner(found, caller)
        elif len(self._consumers.all()) >= MOST_CONSUMERS:
            reason = f"There are {MOST_CONSUMERS} consumers already; delete one that nobody needs."
            raise CommandRefused("tooMany", reason)
        return found

    def _place(self, found: Consumer | None) -> _Place:
        """Find a consumer's cursor; of a new one it is the oldest event, so that it misses nothing."""
        journal = self._journal
        if found is None:
            return _Place(journal.stream, journal.first_sequence)
        first = min(found.acknowledged, journal.last_sequence) + 1
        lost = None if found.stream == journal.stream else EventGap(found.stream, (), found.acknowledged)
        return _Place(found.stream, first, lost)

    def _own(self, name: str, caller: Caller) -> Consumer:
        consumer = self._consumers.get(name)
        if consumer is None:
            raise CommandRefused("notFound", f"There is no consumer {name!r}; Event.Subscribe makes one.")
        _require_owner(consumer, caller)
        return consumer


def _is_owner(consumer: Consumer, caller: Caller) -> bool:
    return consumer.owner == caller.name or caller.role == "administrator"


def _require_owner(consumer: Consumer, caller: Caller) -> None:
    if not _is_owner(consumer, caller):
        raise CommandRefused("forbidden", f"The consumer {consumer.name!r} belongs to another user; take another name.")
