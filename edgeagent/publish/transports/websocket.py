"""JSON-RPC over WebSocket, as JSON in text frames or as MessagePack in binary ones; events are pushed as well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Protocol, cast

from edgeagent.errors import DeliveryError
from edgeagent.logs import Detail
from edgeagent.model.users import Identity
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.jsonrpc import Dispatcher, refusal
from edgeagent.publish.session import Session
from edgeagent.publish.straight import Straight
from edgeagent.publish.transports import web
from edgeagent.publish.transports.admission import MOST_OF_UNKNOWN, Admission
from edgeagent.publish.transports.frames import Frames, JsonFrames, UnreadableFrame, framed
from edgeagent.publish.transports.web import WSCloseCode

log = logging.getLogger(__name__)

PACKED = "msgpack"
"""The subprotocol of MessagePack; without one it is JSON."""

_PING_S = 60.0
"""Time between two pings, in seconds; its half is the time for the answer."""

_STOP_S = 2.0
"""Time for the answers to the last frame when the agent stops, in seconds."""

_WAITING = 16 << 10
"""Bytes that may wait for a peer that keeps up: what one turn of the loop writes goes out at its end."""

_MOST_REASON = 123
"""Bytes of a close frame's reason (RFC 6455, section 5.5)."""


class Bounded(Protocol):
    """The connection beneath, as the HTTP server makes it."""

    def bound(self, most: int | None, too_much: Callable[[], None]) -> None:
        """Take at most so many bytes from now on, None for any number; drop what is beyond, and say so."""


class WebSocketRoute:
    """Serves WebSocket requests that a HTTP server hands on.

    Args:
        admission: says who comes in.
        limit: largest frame in bytes; a larger one ends the connection with code 1009.
        farewell_s: time for a peer that does not read to find out why it is cut off, in seconds.
        sign_in_s: time for a peer that may nothing yet to say who it is, in seconds.
    """

    def __init__(
        self, dispatcher: Dispatcher, delivery: Delivery, *,
        admission: Admission | None = None, limit: int = 1 << 20, farewell_s: float = 10.0, sign_in_s: float = 10.0,
    ) -> None:  # fmt: skip
        self.dispatcher = dispatcher
        self.delivery = delivery
        self.admission = admission or Admission()
        self._limit = limit
        self.farewell_s = farewell_s
        self.sign_in_s = sign_in_s
        self._open: dict[web.WebSocketResponse, Session] = {}

    async def __call__(self, request: web.BaseRequest, identity: Identity | None = None) -> web.StreamResponse:
        """Serve one connection until it ends; see `Upgrade`."""
        socket = web.WebSocketResponse(
            timeout=self.farewell_s, heartbeat=_PING_S, compress=False, max_msg_size=self._limit + 1,
            protocols=(PACKED,),
        )  # fmt: skip
        await socket.prepare(request)
        connection = _Connection(self, socket, request, identity)
        self._open[socket] = connection.session
        try:
            await connection.serve()
        finally:
            self._open.pop(socket, None)
        return socket

    def load(self) -> tuple[int, int]:
        """How many connections and subscriptions there are."""
        return len(self._open), sum(session.subscriptions for session in self._open.values())

    async def close(self) -> None:
        """End all connections with code 1001."""
        farewells = [socket.close(code=WSCloseCode.GOING_AWAY, message=b"the agent stops") for socket in self._open]
        tasks = [asyncio.create_task(farewell) for farewell in farewells]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@cache
def _frames(protocol: str | None) -> Frames:
    """Make those of a subprotocol, the same for all its connections."""
    if protocol != PACKED:
        return JsonFrames()
    from edgeagent.publish.transports.packed import PackedFrames  # noqa: PLC0415  only for whom it is

    return PackedFrames()


class _Connection:
    """One peer; its frames are answered in order."""

    def __init__(
        self, route: WebSocketRoute, socket: web.WebSocketResponse, request: web.BaseRequest,
        identity: Identity | None,
    ) -> None:  # fmt: skip
        self._route = route
        self._socket = socket
        self._transport = request.transport
        self._beneath = cast("Bounded", request.protocol)
        self._peer = request.remote or "unknown"
        self._frames = _frames(socket.ws_protocol)
        self._farewell: asyncio.Task[None] | None = None
        straight = Straight(request.transport, self._frames.whole, self._is_over) if request.transport else None
        self.session = route.delivery.session(
            self._send, self._hang_up, self._frames.form, self._send_at_once, straight)
        self._guest = route.admission.admit(self.session, "websocket", self._peer, request.transport, identity)

    async def serve(self) -> None:
        """Answer and push until the connection ends."""
        frames = self._frames
        session = self.session
        unknown = None
        if not self._bound():
            unknown = asyncio.get_running_loop().call_later(self._route.sign_in_s, self._is_unknown)
        try:
            async for message in self._socket:
                try:
                    answer = await self._route.dispatcher.answer(frames.read(message), self._guest.caller())
                except UnreadableFrame as error:
                    answer = refusal(error.kind, error.reason)
                await session.answer(None if answer is None else await frames.write(answer))
                self._bound()
        except (DeliveryError, ConnectionError):
            pass
        except asyncio.CancelledError:  # the connection is gone
            if self._farewell is not None:
                self._farewell.cancel()
            raise
        finally:
            if unknown is not None:
                unknown.cancel()
            session.close()
            await self._farewell_said()

    async def _farewell_said(self) -> None:
        """Wait until the peer knows why it is cut off, or is gone."""
        if self._farewell is not None:
            try:
                await asyncio.wait((self._farewell,))
            except asyncio.CancelledError:
                self._farewell.cancel()
                raise

    def _is_over(self) -> bool:
        return self._socket.closed

    def _send(self, message: bytes) -> Awaitable[object] | None:
        return None if self._send_at_once(message) else self._send_when_there_is_room(message)

    def _send_at_once(self, message: bytes) -> bool:
        transport = self._transport
        if transport is None or transport.is_closing() or self._socket.closed:
            return False
        if transport.get_write_buffer_size() > _WAITING:
            return False
        transport.write(framed(message, self._frames.type))
        return True

    async def _send_when_there_is_room(self, message: bytes) -> None:
        try:
            await self._socket.send_frame(message, self._frames.type)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():  # aiohttp's writers share one future: another gave up
                raise ConnectionResetError(f"{self._peer} takes nothing") from None
            raise

    def _bound(self) -> bool:
        """Bound what the peer may send until its next answer; whether it may anything."""
        is_open = self._route.admission.is_open_to(self._guest.seen)
        self._beneath.bound(None if is_open else MOST_OF_UNKNOWN, self._is_too_much)
        return is_open

    def _is_too_much(self) -> None:
        self._hang_up(f"Say who you are in at most {MOST_OF_UNKNOWN} bytes.", WSCloseCode.MESSAGE_TOO_BIG)

    def _is_unknown(self) -> None:
        if not self._guest.caller().is_authenticated:
            self._hang_up(f"Nobody said within {self._route.sign_in_s:g} s who it is.", WSCloseCode.POLICY_VIOLATION)

    def _hang_up(self, reason: str, code: int = WSCloseCode.TRY_AGAIN_LATER) -> None:
        if self._farewell is None:
            log.warning("WebSocket of %s ends: %s", Detail(self._peer), reason)
            self._route.delivery.notices.tally.cut["websocket"] += 1
            self._farewell = asyncio.create_task(self._end(reason, code))

    async def _end(self, reason: str, code: int) -> None:
        """Send a last frame with the reason, and end the connection when the peer has read it or its time is over."""
        message = reason.encode()[:_MOST_REASON]
        closing = asyncio.create_task(self._socket.close(code=code, message=message))
        try:
            await asyncio.sleep(self._route.farewell_s)
        finally:
            closing.cancel()
            if self._transport is not None:
                self._transport.abort()
