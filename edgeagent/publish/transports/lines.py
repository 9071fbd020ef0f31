"""JSON-RPC over TCP, one message per line; events are pushed on the same connection."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast

from edgeagent.errors import DeliveryError
from edgeagent.logs import Detail
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.jsonrpc import Dispatcher, refusal
from edgeagent.publish.session import Session
from edgeagent.publish.straight import Straight
from edgeagent.publish.transports.admission import MOST_OF_UNKNOWN, Admission
from edgeagent.publish.transports.listening import Listener, Places
from edgeagent.publish.transports.splitting import LineSplitter, LineTooLong

if TYPE_CHECKING:
    from ssl import SSLContext

    from edgeagent.publish.authentication import Peer

log = logging.getLogger(__name__)

_TURN = 16
"""Lines of one connection that are answered before the others have their turn."""

_MOST_TURNED_AWAY = 32
"""Connections beyond the bound that are still being told so."""

_HTTP = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|CONNECT|OPTIONS|TRACE|PRI) ")
"""How a request of a browser begins; no JSON does."""


class LineServer:
    """Serves the line protocol on one address.

    Args:
        admission: says who comes in.
        limit: longest line in bytes.
        places: connections at the same time, shared with other servers.
        farewell_s: time for a peer that does not read to find out why it is cut off, in seconds.
        sign_in_s: time for a peer that may nothing yet to say who it is, in seconds.
        context: of TLS.
    """

    def __init__(
        self, dispatcher: Dispatcher, delivery: Delivery, *,
        admission: Admission | None = None, limit: int = 1 << 20, places: Places | None = None,
        farewell_s: float = 10.0, sign_in_s: float = 10.0, context: SSLContext | None = None,
    ) -> None:  # fmt: skip
        self.dispatcher = dispatcher
        self.delivery = delivery
        self.admission = admission or Admission()
        self.limit = limit
        self.places = places or Places()
        self.farewell_s = farewell_s
        self.sign_in_s = sign_in_s
        self.connections: set[_Connection] = set()
        self.turned_away: set[asyncio.Transport] = set()
        self._listener = Listener(lambda: _Connection(self), context, self._count_handshake)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port. Raises like `Listener.start`."""
        return await self._listener.start(host, port)

    def deaf(self) -> str | None:
        """Why nobody can connect; None while it listens."""
        return self._listener.deaf()

    async def stop(self) -> None:
        """End listening and every connection."""
        self._listener.close()
        for transport in self.turned_away:
            transport.abort()
        tasks = [task for connection in tuple(self.connections) for task in connection.end()]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports are gone after one turn of the loop

    def load(self) -> tuple[int, int]:
        """How many connections and subscriptions there are."""
        return len(self.connections), sum(connection.subscriptions for connection in self.connections)

    def _count_handshake(self) -> None:
        self.delivery.notices.tally.handshakes["lines"] += 1


class _Connection(asyncio.Protocol):
    """One peer; its lines are answered in order by one task, which reads on only as fast as it answers."""

    _transport: asyncio.Transport
    _session: Session
    _guest: Peer
    _work: asyncio.Task[None]

    def __init__(self, server: LineServer) -> None:
        self._server = server
        self._lines = LineSplitter(server.limit)
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._no_more = False
        self._paused = False
        self._placed = False
        self._last: asyncio.TimerHandle | None = None
        self._unknown: asyncio.TimerHandle | None = None
        self._peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        name = transport.get_extra_info("peername")
        self._peer = f"{name[0]}:{name[1]}" if name else "unknown"
        self._placed = self._server.places.take()
        if not self._placed:
            self._turn_away()
            return
        self._server.connections.add(self)
        self._session = self._server.delivery.session(
            self._send, self.hang_up, send_at_once=self._send_at_once, straight=Straight(transport, _line))
        self._guest = self._server.admission.admit(self._session, "lines", self._peer, transport)
        if not self._server.admission.is_open_to(self._guest.caller()):
            self._lines.limit = MOST_OF_UNKNOWN
            self._unknown = asyncio.get_running_loop().call_later(self._server.sign_in_s, self._is_unknown)
        self._work = asyncio.get_running_loop().create_task(self._serve())

    @property
    def subscriptions(self) -> int:
        return self._session.subscriptions

    def _turn_away(self) -> None:
        log.warning("a connection of %s is refused: %s", Detail(self._peer), self._server.places.full)
        self._server.delivery.notices.tally.refused["lines"] += 1
        self._transport.pause_reading()
        self._transport.write(refusal("tooMany", self._server.places.full) + b"\n")
        self._end_writing()
        turned_away = self._server.turned_away
        if len(turned_away) >= _MOST_TURNED_AWAY:
            turned_away.pop().abort()
        turned_away.add(self._transport)
        # Closing with bytes unread would reset the connection before the peer has read why.
        asyncio.get_running_loop().call_later(1.0, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._last is not None:
            return
        self._lines.feed(data)
        if self._lines.full and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._arrived.set()

    def eof_received(self) -> bool:
        self._no_more = True
        self._arrived.set()
        return self._last is None and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.turned_away.discard(self._transport)
        if self._placed:
            self._server.places.give_back()
        if self in self._server.connections:
            self.end()

    def hang_up(self, reason: str, kind: str = "tooMany") -> None:
        """Send a last line with the reason, and end the connection when the peer has read it or its time is over."""
        if self._last is not None or self._transport.is_closing():
            return
        log.warning("connection of %s ends: %s", Detail(self._peer), reason)
        self._server.delivery.notices.tally.cut["lines"] += 1
        self._last = asyncio.get_running_loop().call_later(self._server.farewell_s, self._transport.abort)
        self._stop()
        self._transport.write(refusal(kind, reason) + b"\n")
        self._end_writing()
        if self._paused:  # what it sent and nobody read would reset the connection before it has read why
            self._transport.resume_reading()

    def end(self, reason: str = "") -> list[asyncio.Task[None]]:
        """End the connection at once; return its tasks, which end soon after."""
        if reason:
            log.warning("connection of %s ended: %s", Detail(self._peer), reason)
            self._server.delivery.notices.tally.cut["lines"] += 1
        self._server.connections.discard(self)
        if self._last is not None:
            self._last.cancel()
        self._transport.abort()
        return self._stop()

    def _end_writing(self) -> None:
        """Send nothing more; the peer may still read. TLS has no such half of a connection: it ends as a whole."""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _is_unknown(self) -> None:
        self._unknown = None
        if not self._guest.caller().is_authenticated:
            self.hang_up(f"Nobody said within {self._server.sign_in_s:g} s who it is.", "unauthenticated")

    def _stop(self) -> list[asyncio.Task[None]]:
        if self._unknown is not None:
            self._unknown.cancel()
        self._work.cancel()
        pump = self._session.close()
        return [self._work, pump] if pump else [self._work]

    def _send(self, message: bytes) -> Awaitable[object] | None:
        if self._transport.is_closing():
            raise ConnectionResetError(f"{self._peer} is gone")
        self._transport.write(_line(message))
        return None if self._writable.is_set() else self._writable.wait()

    def _send_at_once(self, message: bytes) -> bool:
        keeps_up = self._writable.is_set() and not self._transport.is_closing()
        if keeps_up:
            self._transport.write(_line(message))
        return keeps_up

    async def _serve(self) -> None:
        answered = 0
        try:
            while True:
                try:
                    line = self._take()
                    if line is None:
                        if self._no_more:
                            break
                        self._arrived.clear()
                        await self._arrived.wait()
                        continue
                    if _HTTP.match(line):
                        self._end_http()
                        return
                    answer = await self._server.dispatcher.answer(line, self._guest.caller())
                except LineTooLong as error:
                    if _HTTP.match(error.start):
                        self._end_http()
                        return
                    answer = refusal("tooLarge", f"A line holds at most {self._lines.limit} bytes.")
                is_open = self._server.admission.is_open_to(self._guest.seen)
                self._lines.limit = self._server.limit if is_open else MOST_OF_UNKNOWN
                await self._session.answer(answer)
                answered += 1
                if answered % _TURN == 0:
                    await asyncio.sleep(0)
        except (DeliveryError, ConnectionError):
            return
        if not self._session.subscribed:
            self._transport.close()

    def _end_http(self) -> None:
        self.end("a browser or another HTTP client; HTTP has a port of its own")

    def _take(self) -> bytes | None:
        try:
            return self._lines.take()
        finally:
            if self._paused and not self._lines.full:
                self._paused = False
                self._transport.resume_reading()


def _line(message: bytes) -> bytes:
    return message + b"\n"
