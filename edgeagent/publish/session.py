"""What one connection is told: at once while its peer keeps up, or at the pace at which it reads."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from edgeagent.errors import CommandRefused, DeliveryError, StoreError
from edgeagent.model.events import EventGap, GapRange, Heartbeat, SubscriptionEnded
from edgeagent.model.users import Identity
from edgeagent.publish.authentication import Peer
from edgeagent.publish.circles import Circle, Circles
from edgeagent.publish.cursors import Cursor
from edgeagent.publish.flow import Flow
from edgeagent.publish.fresh import Fresh
from edgeagent.publish.notices import Notices, Telemetry, in_order
from edgeagent.publish.straight import Straight
from edgeagent.store.journal import Journal

log = logging.getLogger(__name__)

MOST_SUBSCRIPTIONS = 32
"""Of one connection."""

_TURN = 32
"""Messages of one session that are sent before the others have their turn: about a millisecond."""
_AT_ONCE = 8
"""Messages that a session sends in one go when something was committed."""


@dataclass(frozen=True, slots=True)
class Wire:
    """The connection of a session.

    Attributes:
        send: writes one message; what it returns, if anything, ends when the peer can take more.
        hang_up: ends the connection, telling the peer the reason if it still reads.
        form: makes of a notification (JSON) what is sent; the same object makes the same object.
        send_at_once: writes one message to a peer that keeps up; False, and nothing is written, where it does not.
        straight: the way past all of this; None where there is none.
    """

    send: Callable[[bytes], Awaitable[object] | None]
    hang_up: Callable[[str], object]
    form: Callable[[bytes], bytes]
    send_at_once: Callable[[bytes], bool]
    straight: Straight | None


class Session:
    """All that one connection is sent; holds one batch of events and the newest telemetry at most.

    Attributes:
        peer: who stands at its other end; its outlet sets it.
        circle: tells it, together with others; None while it is told singly.
    """

    def __init__(
        self, wire: Wire, journal: Journal, notices: Notices, fresh: Fresh, circles: Circles, heartbeat_s: float,
        patience_s: float, forget: Callable[[Session], None],
    ) -> None:  # fmt: skip
        self._wire = wire
        self._journal = journal
        self._notices = notices
        self._fresh = fresh
        self._circles = circles
        self._heartbeat_s = heartbeat_s
        self._patience_s = patience_s
        self._forget = forget
        self._names = itertools.count(1)
        self._new: dict[str, Flow] = {}
        self._flows: dict[str, Flow] = {}
        self._telemetry: dict[str, Telemetry] = {}
        self._pushed = 0
        self._ends = 0
        self._wake = asyncio.Event()
        self._is_resting = False
        self.circle: Circle | None = None
        self._pump: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self.peer: Peer | None = None

    def authenticate(self, token: str) -> Identity:
        """Let the peer say who it is; see `Subscriptions`."""
        if self.peer is None:
            raise CommandRefused("invalidRequest", "Nobody can say here who it is.")
        return self.peer.authenticate(token)

    async def subscribe(
        self, topics: tuple[str, ...], machines: tuple[str, ...] | None, first: int,
        cursor: Cursor | None = None, lost: EventGap | None = None,
    ) -> str:  # fmt: skip
        """Make a subscription that begins at sequence `first`, after the next `answer`; see `Subscriptions`."""
        if len(self._flows) + len(self._new) >= MOST_SUBSCRIPTIONS:
            raise CommandRefused("tooMany", f"A connection has at most {MOST_SUBSCRIPTIONS} subscriptions.")
        ends = self._ends
        await self._journal.settled(first - 1)
        previous = await self._journal.previous(first, topics, machines)
        if ends != self._ends:
            raise CommandRefused("unauthenticated", "The right to subscribe was taken away meanwhile.")
        name = str(next(self._names))
        opening = self._notices.passing("Event.Gap", lost) if lost else None
        self._new[name] = Flow(topics, machines, first, previous, _now(), cursor, opening)
        if cursor is not None:
            cursor.wake = self.wake
            cursor.end = partial(self._end, name)
        return name

    def unsubscribe(self, subscription: str) -> int | None:
        """End a subscription; nothing of it is sent after this; see `Subscriptions`."""
        self.wake()
        flow = self._flows.pop(subscription, None) or self._new.pop(subscription, None)
        if flow is None:
            return None
        flow.end()
        return flow.next

    @property
    def subscriptions(self) -> int:
        """How many there are."""
        return len(self._flows) + len(self._new)

    @property
    def subscribed(self) -> bool:
        """Whether anything is to be told."""
        return bool(self._flows)

    async def answer(self, message: bytes | None) -> None:
        """Send an answer, then begin the subscriptions that were made by its request."""
        if message is not None:
            await self.send(message)
        if self._new:
            self._flows |= self._new
            self._new.clear()
            self.wake()
            if self._pump is None:
                self._pump = asyncio.get_running_loop().create_task(self._run())

    async def send(self, message: bytes) -> None:
        """Send one message.

        Raises:
            DeliveryError: the peer did not take it in time; the connection is ended.
        """
        room = self._wire.send(message)
        if room is None:
            return
        try:
            async with asyncio.timeout(self._patience_s):
                await room
        except TimeoutError:
            reason = f"the peer has read nothing for {self._patience_s:g} s"
            self._wire.hang_up(reason)
            raise DeliveryError(reason) from None

    def wake(self) -> None:
        """There may be something to tell."""
        self.stand_alone()
        self._wake.set()

    def stand_alone(self) -> None:
        """Leave the circle, if it is in one."""
        circle, self.circle = self.circle, None
        if circle is not None:
            circle.leave(self)

    def tell(self, now: float) -> None:
        """There is something new in the journal: send it at once where nothing goes before it, or else in a while."""
        self.stand_alone()
        try:
            is_told = self._is_resting and self._tell_at_once(now)
            if is_told:
                self._join()
        except Exception:  # noqa: BLE001  the pump meets it again, and ends this connection alone
            is_told = False
        if not is_told:
            self.wake()

    def hears(self, machine: str) -> bool:
        """Whether telemetry of a machine is to be told."""
        return any(flow.hears(machine) for flow in self._flows.values())

    def offer(self, told: Telemetry) -> None:
        """Keep the newest values until the peer can take them."""
        if self.hears(told.machine):
            waiting = self._telemetry.get(told.machine)
            self._telemetry[told.machine] = told if waiting is None else waiting.before(told)
            self._notices.tally.coalesced += waiting is not None
            self.wake()

    def close(self) -> asyncio.Task[None] | None:
        """End the session; the connection is gone. Return the task that ends with it."""
        self._forget(self)
        if self.peer is not None:
            self.peer.close()
        for name in (*self._flows, *self._new):
            self.unsubscribe(name)
        if self._pump is not None:
            self._pump.cancel()
        if self._alarm is not None:
            self._alarm.cancel()
        return self._pump

    def end_subscriptions(self, reason: str) -> None:
        """End every subscription; the peer is told why."""
        self._ends += 1
        self._telemetry.clear()
        for name in (*self._flows, *self._new):
            self._end(name, reason)

    def _end(self, subscription: str, reason: str) -> None:
        """End a subscription; the peer is told why, once it knows of it."""
        flow = self._flows.get(subscription) or self._new.get(subscription)
        if flow is None or flow.ended:
            return
        flow.end()
        ended = SubscriptionEnded(subscription, flow.cursor.consumer if flow.cursor else None, reason)
        flow.farewell = self._notices.passing("Event.SubscriptionEnded", ended)
        self.wake()

    async def _run(self) -> None:
        while True:
            try:
                await self._tell()
            except (DeliveryError, ConnectionError):
                return
            except StoreError as error:
                log.warning("events cannot be read, trying again: %s", error)
                await asyncio.sleep(1)
            except Exception:
                log.exception("delivery failed; the connection is ended")
                self._wire.hang_up("delivery failed")
                return

    async def _tell(self) -> None:
        """Tell what is due once; wait where nothing is."""
        self._wake.clear()
        behind = False
        for name, flow in tuple(self._flows.items()):
            if flow.farewell is not None:
                self._flows.pop(name, None)
                await self._push(flow.farewell)
            if flow.opening is not None and not flow.ended:
                await self._push(flow.opening)
                flow.opening = None
            if self._is_due(flow):
                await self._advance(flow)
                behind |= self._is_due(flow)
        for machine in tuple(self._telemetry):
            told = self._telemetry.pop(machine)
            if self.hears(machine):
                await self._push(told.message(self._notices))
        await self._beat()
        if behind:
            await asyncio.sleep(0)  # a long history shares the loop with everybody else
        else:
            await self._rest()

    def _tell_at_once(self, now: float) -> bool:
        """Send what was just committed to a peer that keeps up; False where there is more to do than this."""
        if self._wake.is_set():
            return False
        journal, wire, most = self._journal, self._wire, _AT_ONCE
        for flow in self._flows.values():
            if flow.next > journal.committed_sequence or not (room := flow.room):
                continue
            due = self._fresh.due(flow, min(room, most))
            if due is None:
                return False
            notices, following = due
            for sequence, notice in notices:
                if not wire.send_at_once(wire.form(notice)):
                    return False
                flow.tell(sequence, now)
            flow.next = following
            most -= len(notices)
            if not most or following <= journal.committed_sequence:
                return False
        return True

    def _is_due(self, flow: Flow) -> bool:
        return flow.next <= self._journal.committed_sequence and flow.room > 0 and not flow.ended

    async def _advance(self, flow: Flow) -> None:
        events, following, gaps = await self._journal.read(flow.next, flow.topics, flow.machines, flow.room)
        for found in in_order(events, gaps):
            if flow.ended:
                return
            if isinstance(found, GapRange):
                self._notices.tally.lost += found.count
                message = self._notices.passing("Event.Gap", EventGap(self._journal.stream, (found,)))
                flow.tell(found.to, _now(), is_event=False)
            else:
                message = self._notices.durable(found, flow.previous)
                flow.tell(found.sequence, _now())
            await self._push(message)
        flow.next = following

    async def _push(self, notification: bytes) -> None:
        await self.send(self._wire.form(notification))
        self._pushed += 1
        if self._pushed % _TURN == 0:
            await asyncio.sleep(0)

    async def _beat(self) -> None:
        if self._alarm is not None:
            return  # it rings before any silence can be too long
        now = _now()
        if self._flows and min(flow.told_at for flow in self._flows.values()) + self._heartbeat_s <= now:
            seen = min(flow.next for flow in self._flows.values()) - 1
            await self._push(self._notices.passing("Event.Heartbeat", Heartbeat(self._journal.stream, seen)))
            for flow in self._flows.values():
                flow.told_at = now

    async def _rest(self) -> None:
        """Wait for news, or for the moment at which a silence would be too long: one alarm serves many messages."""
        if self._flows and self._alarm is None:
            due = min(flow.told_at for flow in self._flows.values()) + self._heartbeat_s
            self._alarm = asyncio.get_running_loop().call_at(due, self._ring)
        self._is_resting = True
        self._join()
        await self._wake.wait()
        self._is_resting = False

    def _join(self) -> None:
        """Be told together with others, where one subscription is all there is to tell and nobody counts its room."""
        straight = self._wire.straight
        if straight is None or len(self._flows) != 1 or self._wake.is_set():
            return
        (flow,) = self._flows.values()
        if flow.cursor is None and not flow.ended:
            self.circle = self._circles.join(self, flow, straight)

    def _ring(self) -> None:
        self._alarm = None
        self.wake()


def _now() -> float:
    return asyncio.get_running_loop().time()
