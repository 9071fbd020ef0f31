"""JSON-RPC over WebSocket: one message per text frame; events are pushed on the same connection."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import WSCloseCode, WSMsgType, web

from edgeagent.errors import DeliveryError
from edgeagent.logs import Detail
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.jsonrpc import Dispatcher, refusal
from edgeagent.publish.outlet import Caller
from edgeagent.publish.session import Session

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
        self._open: dict[web.WebSocketResponse, Session] = {}

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        socket = web.WebSocketResponse(timeout=2.0, heartbeat=_PING_S, compress=False, max_msg_size=self._limit + 1)
        await socket.prepare(request)
        peer = request.remote or "unknown"
        transport = request.transport

        async def send(message: bytes) -> None:
            await socket.send_frame(message, WSMsgType.TEXT)

        def hang_up(reason: str) -> None:
            log.warning("WebSocket of %s ended: %s", Detail(peer), reason)
            self._delivery.notices.tally.cut["websocket"] += 1
            if transport is not None:
                transport.abort()

        session = self._delivery.session(send, hang_up)
        caller = Caller(peer, self._role, "websocket", peer, session)
        self._open[socket] = session
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
            self._open.pop(socket, None)
            session.close()
        return socket

    def load(self) -> tuple[int, int]:
        """How many connections and subscriptions there are."""
        return len(self._open), sum(session.subscriptions for session in self._open.values())

    async def close(self) -> None:
        """End all connections with code 1001."""
        farewells = (socket.close(code=WSCloseCode.GOING_AWAY, message=b"the agent stops") for socket in self._open)
        await asyncio.gather(*farewells, return_exceptions=True)
