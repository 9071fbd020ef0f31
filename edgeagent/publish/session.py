"""What one connection is told: it pulls from the journal at the pace at which its peer reads."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edgeagent.errors import CommandRefused, DeliveryError, StoreError
from edgeagent.model.events import EventGap, GapRange, Heartbeat, matches
from edgeagent.publish.notices import TELEMETRY, Notices, Telemetry, in_order
from edgeagent.store.journal import Journal

log = logging.getLogger(__name__)

MOST_SUBSCRIPTIONS = 32
"""Of one connection."""

_BATCH = 32
"""Events that a session holds at once for a peer that does not read."""


@dataclass(frozen=True, slots=True)
class Wire:
    """The connection of a session.

    Attributes:
        send: writes one message; what it returns, if anything, ends when the peer can take more.
        hang_up: ends the connection at once, for the reason given.
    """

    send: Callable[[bytes], Awaitable[object] | None]
    hang_up: Callable[[str], object]


@dataclass(slots=True)
class _Flow:
    """One subscription: what it wants, the next sequence to look at, the last one told, when it last told something."""

    topics: tuple[str, ...]
    machines: tuple[str, ...] | None
    next: int
    previous: int
    told_at: float
    ended: bool = False

    def wants(self, topic: str, machine: str) -> bool:
        return (self.machines is None or machine in self.machines) and any(matches(p, topic) for p in self.topics)


class Session:
    """All that one connection is sent; holds one batch of events and the newest telemetry at most."""

    def __init__(
        self, wire: Wire, journal: Journal, notices: Notices, heartbeat_s: float, patience_s: float,
        forget: Callable[[Session], None],
    ) -> None:  # fmt: skip
        self._wire = wire
        self._journal = journal
        self._notices = notices
        self._heartbeat_s = heartbeat_s
        self._patience_s = patience_s
        self._forget = forget
        self._names = itertools.count(1)
        self._new: dict[str, _Flow] = {}
        self._flows: dict[str, _Flow] = {}
        self._telemetry: dict[str, Telemetry] = {}
        self._wake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None

    async def subscribe(self, topics: tuple[str, ...], machines: tuple[str, ...] | None, first: int) -> str:
        """Make a subscription that begins at sequence `first`, after the next `answer`; see `Subscriptions`."""
        if len(self._flows) + len(self._new) >= MOST_SUBSCRIPTIONS:
            raise CommandRefused("tooMany", f"A connection has at most {MOST_SUBSCRIPTIONS} subscriptions.")
        await self._journal.settled(first - 1)
        previous = await self._journal.previous(first, topics, machines)
        name = str(next(self._names))
        self._new[name] = _Flow(topics, machines, first, previous, asyncio.get_running_loop().time())
        return name

    def unsubscribe(self, subscription: str) -> bool:
        """End a subscription; nothing of it is sent after this."""
        flow = self._flows.pop(subscription, None) or self._new.pop(subscription, None)
        if flow is not None:
            flow.ended = True
        return flow is not None

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
            self._wake.set()
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
        """There is something new in the journal."""
        self._wake.set()

    def hears(self, machine: str) -> bool:
        """Whether telemetry of a machine is to be told."""
        return any(flow.wants(TELEMETRY, machine) for flow in self._flows.values())

    def offer(self, told: Telemetry) -> None:
        """Keep the newest values until the peer can take them."""
        if self.hears(told.machine):
            waiting = self._telemetry.get(told.machine)
            self._telemetry[told.machine] = told if waiting is None else waiting.before(told)
            self._wake.set()

    def close(self) -> asyncio.Task[None] | None:
        """End the session; the connection is gone. Return the task that ends with it."""
        self._forget(self)
        if self._pump is not None:
            self._pump.cancel()
        if self._alarm is not None:
            self._alarm.cancel()
        return self._pump

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
        for flow in tuple(self._flows.values()):
            if flow.next <= self._journal.committed_sequence:
                await self._advance(flow)
                behind |= flow.next <= self._journal.committed_sequence
        for machine in tuple(self._telemetry):
            told = self._telemetry.pop(machine)
            if self.hears(machine):
                await self.send(told.message(self._notices))
        await self._beat()
        if behind:
            await asyncio.sleep(0)  # a long history shares the loop with everybody else
        else:
            await self._rest()

    async def _advance(self, flow: _Flow) -> None:
        events, following, gaps = await self._journal.read(flow.next, flow.topics, flow.machines, _BATCH)
        for found in in_order(events, gaps):
            if flow.ended:
                return
            if isinstance(found, GapRange):
                last = found.to
                message = self._notices.passing("Event.Gap", EventGap(self._journal.stream, (found,)))
            else:
                last = found.sequence
                message = self._notices.durable(found, flow.previous)
            await self.send(message)
            flow.previous, flow.next = last, last + 1
            flow.told_at = asyncio.get_running_loop().time()
        flow.next = following

    async def _beat(self) -> None:
        if self._alarm is not None:
            return  # it rings before any silence can be too long
        now = asyncio.get_running_loop().time()
        if self._flows and min(flow.told_at for flow in self._flows.values()) + self._heartbeat_s <= now:
            seen = min(flow.next for flow in self._flows.values()) - 1
            await self.send(self._notices.passing("Event.Heartbeat", Heartbeat(self._journal.stream, seen)))
            for flow in self._flows.values():
                flow.told_at = now

    async def _rest(self) -> None:
        """Wait for news, or for the moment at which a silence would be too long: one alarm serves many messages."""
        if self._flows and self._alarm is None:
            due = min(flow.told_at for flow in self._flows.values()) + self._heartbeat_s
            self._alarm = asyncio.get_running_loop().call_at(due, self._ring)
        await self._wake.wait()

    def _ring(self) -> None:
        self._alarm = None
        self._wake.set()
