"""JSON-RPC over HTTP: POST /rpc answers one message, GET /rpc becomes a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol, cast

from aiohttp import web

from edgeagent.publish.jsonrpc import Dispatcher, refusal
from edgeagent.publish.outlet import Caller
from edgeagent.publish.transports.listening import listen

_READ_S = 30.0
"""Time for a body to arrive, in seconds."""


class Upgrade(Protocol):
    """What a GET of the path becomes."""

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""

    async def close(self) -> None:
        """End all connections."""


class HttpServer:
    """Serves /rpc on a loopback address.

    Args:
        upgrade: serves WebSocket requests; without it GET is not allowed.
        role: of everybody who asks.
        limit: largest body in bytes.
        most: connections at the same time, WebSockets among them.
        origins: web pages that may ask, as browsers name them ("http://panel:8080"), beside those of this server.
    """

    def __init__(
        self, dispatcher: Dispatcher, upgrade: Upgrade | None = None, *,
        role: str = "viewer", limit: int = 1 << 20, most: int = 256, origins: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._dispatcher = dispatcher
        self._upgrade = upgrade
        self._role = role
        self._limit = limit
        self._most = most
        self._origins = frozenset(origins)
        self._hosts: frozenset[str] = frozenset()
        self._server: asyncio.Server | None = None
        app = web.Application(client_max_size=limit + 1)
        app.router.add_post("/rpc", self._post)
        if upgrade is not None:
            app.router.add_get("/rpc", self._get, allow_head=False)
        self._runner = web.AppRunner(
            app, handle_signals=False, access_log=None, handler_cancellation=True, shutdown_timeout=1.0,
            keepalive_timeout=75.0, lingering_time=1.0, auto_decompress=False,
        )  # fmt: skip

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port. Raises like `listen`."""
        await self._runner.setup()
        try:
            self._server, port = await listen(self._protocol, host, port)
        except BaseException:
            await self._runner.cleanup()
            raise
        names = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host}
        self._hosts = frozenset(f"{name}:{port}" for name in names) | (names if port == 80 else frozenset())
        return port

    async def stop(self) -> None:
        """End listening and every connection."""
        if self._server is not None:
            self._server.close()
        if self._upgrade is not None:
            await self._upgrade.close()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None
        return server() if len(server.connections) < self._most else _Refused()

    async def _post(self, request: web.Request) -> web.Response:
        if reason := self._unwelcome(request):
            return _error(403, "forbidden", reason)
        if request.content_type != "application/json":
            return _error(415, "invalidRequest", "Send Content-Type: application/json.")
        try:
            if (request.content_length or 0) > self._limit:
                raise web.HTTPRequestEntityTooLarge(self._limit)
            async with asyncio.timeout(_READ_S):
                message = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _error(413, "tooLarge", f"A body holds at most {self._limit} bytes.")
        except TimeoutError:
            return _error(408, "expired", f"The body did not arrive within {_READ_S:g} s.")
        peer = request.remote or "unknown"
        answer = await self._dispatcher.answer(message, Caller(peer, self._role, "http", peer))
        if answer is None:
            return web.Response(status=204)
        return web.Response(body=answer, content_type="application/json")

    async def _get(self, request: web.Request) -> web.StreamResponse:
        assert self._upgrade is not None
        if reason := self._unwelcome(request):
            return _error(403, "forbidden", reason)
        if not web.WebSocketResponse().can_prepare(request):
            return _error(426, "invalidRequest", "GET opens a WebSocket here; send requests with POST.")
        return await self._upgrade(request)

    def _unwelcome(self, request: web.Request) -> str | None:
        """Why a request may come from a web page that means no good: the reason, or None."""
        host = request.headers.get("Host", "").lower()
        if host not in self._hosts:
            return f"This server is not {host[:64] or 'nameless'}; its names are {', '.join(sorted(self._hosts))}."
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() != f"http://{host}" and origin not in self._origins:
            return f"Pages of {origin[:64]} may not ask here."
        return None


class _Refused(asyncio.Protocol):
    """A connection beyond the bound: told so and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        transport.write(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        transport.close()


def _error(status: int, kind: str, reason: str) -> web.Response:
    return web.Response(status=status, body=refusal(kind, reason), content_type="application/json")
