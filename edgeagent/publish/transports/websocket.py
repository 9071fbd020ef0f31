"""JSON-RPC over WebSocket: one message per text frame; events are pushed on the same connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from aiohttp import WSCloseCode, WSMsgType, web

from edgeagent.errors import DeliveryError
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.jsonrpc import Dispatcher, refusal
from edgeagent.publish.outlet import Caller

log = logging.getLogger(__name__)

_PING_S = 60.0
"""Time between two pings, in seconds; its half is the time for the answer."""


class WebSocketRoute:
    """Serves WebSocket requests that a HTTP server hands on.

    Args:
        role: of everybody who connects.
        limit: largest frame in bytes; a larger one ends the connection with code 1009.
    """

    def __init__(
        self, dispatcher: Dispatcher, delivery: Delivery, *, role: str = "viewer", limit: int = 1 << 20
    ) -> None:
        self._dispatcher = dispatcher
        self._delivery = delivery
        self._role = role
        self._limit = limit
        self._open: set[web.WebSocketResponse] = set()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        socket = web.WebSocketResponse(timeout=2.0, heartbeat=_PING_S, compress=False, max_msg_size=self._limit + 1)
        await socket.prepare(request)
        peer = request.remote or "unknown"
        transport = request.transport

        def send(message: bytes) -> Awaitable[object] | None:
            if transport is None or transport.get_write_buffer_size() or transport.is_closing() or socket.closed:
                return socket.send_frame(message, WSMsgType.TEXT)
            transport.write(framed(message))
            return None

        def hang_up(reason: str) -> None:
            log.warning("WebSocket of %s ended: %s", peer, reason)
            if transport is not None:
                transport.abort()

        session = self._delivery.session(send, hang_up)
        caller = Caller(peer, self._role, "websocket", peer, session)
        self._open.add(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    answer = await self._dispatcher.answer(message.data.encode(), caller)
                else:
                    answer = refusal("parse", "Send each message as a text frame.")
                await session.answer(answer)
        except (DeliveryError, ConnectionError):
            pass
        finally:
            self._open.discard(socket)
            session.close()
        return socket

    async def close(self) -> None:
        """End all connections with code 1001."""
        farewells = (socket.close(code=WSCloseCode.GOING_AWAY, message=b"the agent stops") for socket in self._open)
        await asyncio.gather(*farewells, return_exceptions=True)


def framed(message: bytes) -> bytes:
    """A whole text frame as a server sends it (RFC 6455, 5.2): for a peer that is not behind, without a coroutine."""
    size = len(message)
    if size < 126:
        return b"\x81%c%b" % (size, message)
    if size < 1 << 16:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), message)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), message)
