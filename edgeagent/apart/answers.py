"""What the OPC UA process asks and tells, and what the agent answers and pushes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from edgeagent.apart.guests import TRANSPORT, Guests
from edgeagent.apart.served import ITSELF
from edgeagent.errors import CommandRefused, StoreError
from edgeagent.model.events import TOPICS
from edgeagent.publish.opcua.frames import Channel
from edgeagent.publish.opcua.port import HistoricRow, Identity, Load

if TYPE_CHECKING:
    from edgeagent.apart.feed import Feed
    from edgeagent.publish.authentication import Authentication
    from edgeagent.publish.delivery import Delivery
    from edgeagent.publish.jsonrpc import Dispatcher
    from edgeagent.publish.session import Session

_DURABLE = tuple(name for name, topic in TOPICS.items() if topic.durable)
_LOOK_S = 0.5
"""How often it is looked whether values grew stale, and whether clients may see what they see."""

_MOST_LOGGED = 2000
"""Characters of one message."""

_MOST_NAME = 100

_log = logging.getLogger(__name__)


class Answers:
    """The agent's end, for one life of the process.

    Args:
        feeds: machine id → its values.
        heard: called whenever the process says how it is.

    Attributes:
        failure: why it gave up, in its own words; empty where it did not say.
        over: why the process cannot be spoken with any more, once it is so.
        endpoint: where it listens, once it does.
    """

    channel: Channel

    def __init__(
        self, dispatcher: Dispatcher, delivery: Delivery, authentication: Authentication, guests: Guests,
        feeds: Mapping[str, Feed], heard: Callable[[Load], None],
    ) -> None:  # fmt: skip
        loop = asyncio.get_running_loop()
        self._dispatcher = dispatcher
        self._delivery = delivery
        self._authentication = authentication
        self._guests = guests
        self._feeds = feeds
        self._heard = heard
        self._tasks: list[asyncio.Task[None]] = []
        self._session: Session | None = None
        self._is_due = False
        self._is_held_back = False
        self._is_followed = False
        self.failure = ""
        self.over: asyncio.Future[str] = loop.create_future()
        self.endpoint: asyncio.Future[str] = loop.create_future()

    async def asked(self, name: str, arguments: list[Any]) -> Any:
        """Answer a call; see `AgentPort`."""
        if name == "rpc":
            return await self._rpc(*arguments)
        if name == "open":
            return self._open(*arguments)
        if name == "history":
            return self._history(*arguments)
        raise CommandRefused("methodNotFound", f"The agent does not know {name!r}.")

    def told(self, name: str, arguments: list[Any]) -> None:
        """Take a notice."""
        if name == "close":
            self._guests.close(*arguments)
        elif name == "load":
            self._heard(msgspec.convert(arguments[0], Load))
        elif name == "turned away":
            address, reason = arguments
            self._authentication.turned_away(TRANSPORT, address, reason)
        elif name == "follow":
            self._tasks.append(asyncio.create_task(self._follow(*arguments), name="OPC UA: values and events"))
        elif name == "listening" and not self.endpoint.done():
            self.endpoint.set_result(*arguments)
        elif name == "failed":
            [self.failure] = arguments
        elif name == "log":
            _logged(*arguments)
        else:
            raise ValueError(f"the agent does not know {name!r}")

    def gone(self, reason: str) -> None:
        """The process is gone, or talks nonsense."""
        if not self.over.done():
            self.over.set_result(reason)

    async def close(self) -> None:
        """End what is fed to it, and all sessions."""
        self._guests.clear()
        pump = self._session.close() if self._session else None
        tasks = [*self._tasks, *((pump,) if pump else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.channel.close()

    def changed(self) -> None:
        """Send what waits of all machines, once in a turn of the loop; later where the process does not keep up."""
        if self._is_followed and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._send_values)

    def _send_values(self) -> None:
        self._is_due = False
        for machine, feed in self._feeds.items():
            if self.channel.keeps_up and (changes := feed.take()):
                self.channel.tell("values", machine, changes)
        self._is_held_back = not self.channel.keeps_up

    def _send_values_first(self) -> None:
        """Let no long line of events keep back values that are shown as good meanwhile."""
        if self._is_held_back:
            self._send_values()

    async def _rpc(self, message: bytes, session: int | None) -> bytes | None:
        caller = ITSELF if session is None else self._guests.caller(session)
        return await self._dispatcher.answer(message, caller)

    def _open(
        self, address: str, token: str | None, fingerprint: str | None, expires_s: float | None, user: str | None
    ) -> Identity:  # fmt: skip
        return self._guests.open(address, token, fingerprint, expires_s, user)

    def _history(
        self, machine: str, columns: list[int], since_ns: int, until_ns: int, limit: int
    ) -> list[HistoricRow]:
        if machine not in self._feeds:
            raise CommandRefused("notFound", f"There is no machine {machine!r}.")
        return self._feeds[machine].history(columns, since_ns, until_ns, limit)

    async def _follow(self, after: int) -> None:
        """Feed it for as long as it can be fed: a process that is not told what changes would show what was."""
        try:
            await self._feed(after)
        except Exception:  # noqa: BLE001  supervised: logged, and the process begins anew
            _log.exception("the OPC UA process could not be fed")
            self.channel.end("it could not be fed")

    async def _feed(self, after: int) -> None:
        """Feed it: all values at once, then what changes; every durable event beyond a sequence."""
        self._is_followed = True
        for feed in self._feeds.values():
            feed.begin_anew()
        self.changed()
        self._session = self._delivery.session(self._push, self.channel.end, send_at_once=self._push_at_once)
        try:
            await self._session.subscribe(_DURABLE, None, after + 1)
        except (StoreError, ValueError) as error:
            self.channel.end(f"the events after {after} cannot be followed: {error}")
            return
        await self._session.answer(None)
        while True:
            await asyncio.sleep(_LOOK_S)
            self._guests.look()
            for feed in self._feeds.values():
                feed.look_at_all()
            self.changed()

    def _push(self, notification: bytes) -> Awaitable[object] | None:
        if self.channel.is_gone:
            raise ConnectionResetError("the OPC UA process is gone")
        self._send_values_first()
        self.channel.tell("event", notification)
        return None if self.channel.keeps_up else self.channel.drained()

    def _push_at_once(self, notification: bytes) -> bool:
        self._send_values_first()
        keeps_up = self.channel.keeps_up
        if keeps_up:
            self.channel.tell("event", notification)
        return keeps_up


def _logged(level: int, logger: str, message: str) -> None:
    """Log it in the process's words, under its name; no logger is made, for there may be any number of names."""
    if logging.root.isEnabledFor(level):
        record = logging.LogRecord(logger[:_MOST_NAME], level, "", 0, "%s", (message[:_MOST_LOGGED],), None)
        logging.root.handle(record)
