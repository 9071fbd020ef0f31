"""Events on their way to connections: each session pulls from the journal at the pace at which its peer reads."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from edgeagent.clock import Clock, iso
from edgeagent.errors import CommandRefused, DeliveryError, StoreError
from edgeagent.model.events import EventGap, GapRange, Heartbeat, MeasuredValueChanged, StoredEvent, matches
from edgeagent.model.samples import MeasuredValue
from edgeagent.store.journal import Journal

log = logging.getLogger(__name__)

TELEMETRY = "Status.MeasuredValueChanged"

MOST_SUBSCRIPTIONS = 32
"""Of one connection."""

_BATCH = 32
"""Events that a session holds at once for a peer that does not read."""

_KEPT = 64
"""Built notifications kept for the other subscriptions that want the same one."""


class Delivery:
    """Tells every session what was committed, and the newest telemetry; used on the event loop only.

    Args:
        heartbeat_s: longest silence of a subscription, in real seconds.
        patience_s: a message that a peer does not take in this time ends the connection, in real seconds.
    """

    def __init__(self, journal: Journal, clock: Clock, *, heartbeat_s: float = 10.0, patience_s: float = 60.0) -> None:
        self.journal = journal
        self.heartbeat_s = heartbeat_s
        self.patience_s = patience_s
        self._clock = clock
        self._sessions: set[Session] = set()
        self._built: dict[tuple[int, int], bytes] = {}
        self._news = asyncio.Event()
        journal.on_commit.append(self._committed)

    def session(self, send: Callable[[bytes], Awaitable[None]], hang_up: Callable[[str], object]) -> Session:
        """Open a session for a connection.

        Args:
            send: writes one message and returns when the peer can take more.
            hang_up: ends the connection at once, for the reason given.
        """
        session = Session(self, send, hang_up)
        self._sessions.add(session)
        return session

    def forget(self, session: Session) -> None:
        """Tell a closed session nothing more."""
        self._sessions.discard(session)

    async def close(self) -> None:
        """End all sessions and wait until their tasks are gone."""
        self.journal.on_commit.remove(self._committed)
        tasks = [task for session in tuple(self._sessions) if (task := session.close())]
        await asyncio.gather(*tasks, return_exceptions=True)

    def telemetry(self, machine: str, values: tuple[MeasuredValue, ...], time_ns: int) -> None:
        """Tell values that changed at a wall time; a session whose peer is slow gets only the newest of each."""
        told = Telemetry(machine, values, time_ns)
        for session in self._sessions:
            session.offer(told)

    async def next_commit(self) -> None:
        """Wait until more events are on disk."""
        await self._news.wait()

    def notification(self, event: StoredEvent, previous: int) -> bytes:
        """Build the message of a durable event, once for all subscriptions with the same `previous`."""
        key = (event.sequence, previous)
        built = self._built.get(key)
        if built is None:
            built = b'{"jsonrpc":"2.0","method":"%b","params":{%b}}' % (
                event.topic.encode(), self.parameters(event, previous))  # fmt: skip
            if len(self._built) >= _KEPT:
                del self._built[next(iter(self._built))]
            self._built[key] = built
        return built

    def parameters(self, event: StoredEvent, previous: int) -> bytes:
        """The members of a durable event's parameters, without braces."""
        head = b'"stream":"%b","sequence":%d,"previous":%d,' % (self.journal.stream.encode(), event.sequence, previous)
        return head + event.body

    def passing(
        self, topic: str, data: msgspec.Struct, machine: str | None = None, time_ns: int | None = None
    ) -> bytes:
        """Build the message of something that is not kept: it has no sequence."""
        parameters: dict[str, Any] = {
            "stream": self.journal.stream,
            "time": iso(self._clock.wall_ns() if time_ns is None else time_ns),
            "clock": "trusted" if self._clock.trusted else "untrusted",
            "machine": machine,
            "data": data,
        }
        return msgspec.json.encode({"jsonrpc": "2.0", "method": topic, "params": parameters})

    def _committed(self, events: Sequence[StoredEvent]) -> None:
        if events:
            self._news.set()
            self._news = asyncio.Event()
            for session in self._sessions:
                session.wake()


class Telemetry:
    """Values of one machine that are told now; the message is built once for all sessions."""

    __slots__ = ("_message", "_time_ns", "machine", "values")

    def __init__(self, machine: str, values: tuple[MeasuredValue, ...], time_ns: int) -> None:
        self.machine = machine
        self.values = values
        self._time_ns = time_ns
        self._message: bytes | None = None

    def before(self, later: Telemetry) -> Telemetry:
        """Both together, the later value of each object and name."""
        newest = {(value.object, value.name): value for value in itertools.chain(self.values, later.values)}
        return Telemetry(self.machine, tuple(newest.values()), later._time_ns)

    def message(self, delivery: Delivery) -> bytes:
        """The notification."""
        if self._message is None:
            data = MeasuredValueChanged(self.values)
            self._message = delivery.passing(TELEMETRY, data, self.machine, self._time_ns)
        return self._message


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
        self, delivery: Delivery, send: Callable[[bytes], Awaitable[None]], hang_up: Callable[[str], object]
    ) -> None:
        self._delivery = delivery
        self._journal = delivery.journal
        self._send = send
        self._hang_up = hang_up
        self._names = itertools.count(1)
        self._new: dict[str, _Flow] = {}
        self._flows: dict[str, _Flow] = {}
        self._telemetry: dict[str, Telemetry] = {}
        self._wake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

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
        try:
            async with asyncio.timeout(self._delivery.patience_s):
                await self._send(message)
        except TimeoutError:
            reason = f"the peer has read nothing for {self._delivery.patience_s:g} s"
            self._hang_up(reason)
            raise DeliveryError(reason) from None

    def wake(self) -> None:
        """There is something new in the journal."""
        self._wake.set()

    def offer(self, told: Telemetry) -> None:
        """Keep the newest values until the peer can take them."""
        if self._wants_telemetry(told.machine):
            waiting = self._telemetry.get(told.machine)
            self._telemetry[told.machine] = told if waiting is None else waiting.before(told)
            self._wake.set()

    def close(self) -> asyncio.Task[None] | None:
        """End the session; the connection is gone. Return the task that ends with it."""
        self._delivery.forget(self)
        if self._pump is not None:
            self._pump.cancel()
        return self._pump

    def _wants_telemetry(self, machine: str) -> bool:
        return any(flow.wants(TELEMETRY, machine) for flow in self._flows.values())

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
                self._hang_up("delivery failed")
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
            if self._wants_telemetry(machine):
                await self.send(told.message(self._delivery))
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
                message = self._delivery.passing("Event.Gap", EventGap(self._journal.stream, (found,)))
            else:
                last = found.sequence
                message = self._delivery.notification(found, flow.previous)
            await self.send(message)
            flow.previous, flow.next = last, last + 1
            flow.told_at = asyncio.get_running_loop().time()
        flow.next = following

    async def _beat(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._flows and min(flow.told_at for flow in self._flows.values()) + self._delivery.heartbeat_s <= now:
            seen = min(flow.next for flow in self._flows.values()) - 1
            await self.send(self._delivery.passing("Event.Heartbeat", Heartbeat(self._journal.stream, seen)))
            for flow in self._flows.values():
                flow.told_at = now

    async def _rest(self) -> None:
        due = min((flow.told_at for flow in self._flows.values()), default=None)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(None if due is None else due + self._delivery.heartbeat_s):
                await self._wake.wait()


def in_order(events: Sequence[StoredEvent], gaps: Sequence[GapRange]) -> list[StoredEvent | GapRange]:
    """Events and what is missing between them, by sequence."""
    both: list[StoredEvent | GapRange] = [*events, *gaps]
    return sorted(both, key=lambda it: it.from_ if isinstance(it, GapRange) else it.sequence)
