"""Answers about consumers: take one up, acknowledge what it was told, list and forget them."""

from __future__ import annotations

from msgspec import structs

from edgeagent.clock import Clock, iso
from edgeagent.errors import CommandRefused
from edgeagent.model.callers import Caller
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
from edgeagent.publish.places import Place, place_of
from edgeagent.store import Archive, Consumer
from edgeagent.store.consumers import PUSH, PUSHED
from edgeagent.store.had import Had

MOST_CONSUMERS = 256
"""Of all callers."""

_IN_FLIGHT = 100


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
        admitted = self._admitted(name, caller)
        place = place_of(admitted, self._journal) if first is None else Place(self._journal.stream, first)
        most, before_first = wanted.max_in_flight or _IN_FLIGHT, place.first - 1
        cursor = Cursor(name, before_first, before_first, most, wanted.topics, wanted.machines)
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
        if first is None and (before := self._cursors.get(name)) and before.tells_as(cursor):
            cursor.told = max(cursor.told, before.told)
        cursor.move(kept.acknowledged)
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
        had = [Had(cursor.topics, cursor.machines, cursor.acknowledged, moved.acknowledged)] if cursor else []
        await self._consumers.put(moved, *had)
        if cursor is not None:
            cursor.move(moved.acknowledged)
        return Acknowledged(moved.name, moved.stream, moved.acknowledged)

    async def consumers(self, _: Nothing, caller: Caller) -> ConsumersFound:
        """Tell the caller's consumers; all of them to an administrator."""
        return ConsumersFound(tuple([
            await self._standing(consumer) for consumer in self._consumers.all() if _is_owner(consumer, caller)
        ]))  # fmt: skip

    async def delete(self, wanted: OfConsumer, caller: Caller) -> Acknowledged:
        """Forget a consumer; answer when that is on disk."""
        consumer = self._existing(wanted.consumer)
        if consumer.owner == PUSHED and consumer.name in self._consumers.present:
            raise _pushed(consumer.name, "take the target out of the configuration to end it.")
        _require_owner(consumer, caller)
        self._cursors.drop(consumer.name, "the consumer was deleted")
        await self._consumers.delete(consumer.name)
        return Acknowledged(consumer.name, consumer.stream, consumer.acknowledged)

    async def _standing(self, it: Consumer) -> ConsumerStanding:
        connected = self._cursors.listens(it.name) or it.name in self._consumers.present
        lag = await self._journal.count(it.acknowledged, it.topics, it.machines)
        seen = iso(self._clock.wall_ns() if connected else it.seen_ns)
        return ConsumerStanding(
            it.name, it.owner, it.topics, it.machines, it.stream, it.acknowledged, lag, connected, seen
        )

    def _admitted(self, name: str, caller: Caller) -> Consumer | None:
        """Find a consumer that a caller may take up; None where it is new and there is room for it."""
        if name.startswith(PUSH):
            raise _pushed(name, "take another name.")
        found = self._consumers.get(name)
        if found is not None:
            _require_owner(found, caller)
        elif sum(consumer.owner != PUSHED for consumer in self._consumers.all()) >= MOST_CONSUMERS:
            reason = f"There are {MOST_CONSUMERS} consumers already; delete one that nobody needs."
            raise CommandRefused("tooMany", reason)
        return found

    def _own(self, name: str, caller: Caller) -> Consumer:
        consumer = self._existing(name)
        if consumer.owner == PUSHED:
            raise _pushed(name, "the agent moves it, as the MES answers.")
        _require_owner(consumer, caller)
        return consumer

    def _existing(self, name: str) -> Consumer:
        consumer = self._consumers.get(name)
        if consumer is None:
            raise CommandRefused("notFound", f"There is no consumer {name!r}; Event.Subscribe makes one.")
        return consumer


def _is_owner(consumer: Consumer, caller: Caller) -> bool:
    return consumer.owner == caller.name or caller.role == "administrator"


def _require_owner(consumer: Consumer, caller: Caller) -> None:
    if not _is_owner(consumer, caller):
        raise CommandRefused("forbidden", f"The consumer {consumer.name!r} belongs to another user; take another name.")


def _pushed(name: str, hint: str) -> CommandRefused:
    return CommandRefused("forbidden", f"The consumer {name!r} is of a push target: {hint}")
