"""JSON-RPC over HTTP: POST /rpc answers one message, GET /rpc becomes a WebSocket; pages about the agent beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from aiohttp import web

from edgeagent.config import is_loopback
from edgeagent.errors import CommandRefused
from edgeagent.logs import Detail
from edgeagent.model.callers import Caller
from edgeagent.model.users import Identity
from edgeagent.publish.jsonrpc import MOST_ANSWERS, Dispatcher, refusal
from edgeagent.publish.observe.pages import Show
from edgeagent.publish.tally import Tally
from edgeagent.publish.transports.admission import Admission
from edgeagent.publish.transports.listening import Listener, Places

if TYPE_CHECKING:
    from ssl import SSLContext

_READ_S = 30.0
"""Time for a body to arrive, in seconds."""

MOST_UNSENT = 16 << 20
"""Bytes of answers that are not sent yet, of all connections together; a batch counts from its start."""

_SMALL = 64 << 10
"""Answers up to this many bytes are always sent: what was done is never kept secret for want of room."""

_AT_ONCE = 32 << 10
"""Bytes of a response that a socket's buffer takes without asking its writer to wait; that begins at 64 KiB."""

log = logging.getLogger(__name__)


class Upgrade(Protocol):
    """What a GET of the path becomes."""

    async def __call__(self, request: web.Request, identity: Identity | None) -> web.StreamResponse:
        """Serve one connection until it ends, of the user that its request named."""

    def load(self) -> tuple[int, int]:
        """How many connections and subscriptions there are."""

    async def close(self) -> None:
        """End all connections."""


class HttpServer:
    """Serves /rpc and some pages on one address.

    Args:
        upgrade: serves WebSocket requests; without it GET is not allowed.
        admission: says who comes in.
        limit: largest body in bytes.
        places: connections at the same time, WebSockets among them, shared with other servers.
        header_s: time for the header of a connection's first request, in seconds.
        patience_s: an answer that a peer does not take in this time ends the connection, in seconds.
        origins: web pages that may ask, as browsers name them ("http://panel:8080"), beside those of this server.
        names: how clients call this computer, beside its addresses.
        pages: path → what a GET of it shows, to programs on this computer only.
        tally: takes what was refused and cut.
        context: of TLS.
    """

    def __init__(
        self, dispatcher: Dispatcher, upgrade: Upgrade | None = None, *,
        admission: Admission | None = None, limit: int = 1 << 20, places: Places | None = None,
        origins: Collection[str] = (), names: Collection[str] = (), header_s: float = 10.0, patience_s: float = 60.0,
        pages: Mapping[str, Show] | None = None, tally: Tally | None = None, context: SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._dispatcher = dispatcher
        self._upgrade = upgrade
        self._admission = admission or Admission()
        self._limit = limit
        self._places = places or Places()
        self._origins = frozenset(origins)
        self._header_s = header_s
        self._patience_s = patience_s
        self._tally = tally or Tally()
        self._unsent = 0
        self._names = frozenset(name.lower() for name in names)
        self._hosts: frozenset[str] = frozenset()
        self._scheme, self._usual_port = ("https", 443) if context else ("http", 80)
        self._listener = Listener(self._protocol, context, self._count_handshake)
        app = web.Application(client_max_size=limit + 1)
        app.router.add_post("/rpc", self._post)
        if upgrade is not None:
            app.router.add_get("/rpc", self._get, allow_head=False)
        for path, show in (pages or {}).items():
            app.router.add_get(path, partial(self._page, show))
        self._runner = web.AppRunner(app, handle_signals=False, handler_cancellation=True, shutdown_timeout=1.0)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port. Raises like `Listener.start`."""
        await self._runner.setup()
        try:
            port = await self._listener.start(host, port)
        except BaseException:
            await self._runner.cleanup()
            raise
        names = {"localhost", "127.0.0.1", "[::1]", _in_url(host), *self._names}
        self._hosts = frozenset(f"{name}:{port}" for name in names) | (names if port == self._usual_port else set())
        return port

    def deaf(self) -> str | None:
        """Why nobody can connect; None while it listens."""
        return self._listener.deaf()

    async def stop(self) -> None:
        """End listening and every connection."""
        self._listener.close()
        if self._upgrade is not None:
            await self._upgrade.close()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None
        if self._places.take():
            return _Connection(server, self._header_s, self._places)
        log.warning("a connection is refused: %s", self._places.full)
        self._tally.refused["http"] += 1
        return _Refused()

    def load(self) -> tuple[int, int]:
        """How many connections there are that are no WebSockets; none has subscriptions."""
        server = self._runner.server
        upgraded = self._upgrade.load()[0] if self._upgrade else 0
        return max(0, len(server.connections) - upgraded) if server else 0, 0

    async def _post(self, request: web.Request) -> web.Response:
        if reason := self._unwelcome(request):
            return _error(403, "forbidden", reason)
        try:
            caller = self._caller(request)
        except CommandRefused as refused:
            return self._unauthenticated(request, refused)
        message = await self._body(request)
        return await self._answer(request, message, caller) if isinstance(message, bytes) else message

    async def _body(self, request: web.Request) -> bytes | web.Response:
        """Read the body of a request, or say why it is not taken."""
        if request.content_type != "application/json":
            return _error(415, "invalidRequest", "Send Content-Type: application/json.")
        try:
            if (request.content_length or 0) > self._limit:
                raise web.HTTPRequestEntityTooLarge(self._limit)
            if request.content.is_eof():
                return await request.read()  # all of it has arrived: no clock is needed
            async with asyncio.timeout(_READ_S):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _error(413, "tooLarge", f"A body holds at most {self._limit} bytes.")
        except TimeoutError:
            return _error(408, "expired", f"The body did not arrive within {_READ_S:g} s.")
        except web.RequestPayloadError:
            return _error(400, "invalidRequest", "The body is not what its header announces.")

    def _caller(self, request: web.Request) -> Caller:
        """Who asks; raises CommandRefused, also for one that may nothing here."""
        peer, authorization = request.remote or "unknown", request.headers.get("Authorization")
        caller = self._admission.caller(authorization, "http", peer, request.transport)
        if not self._admission.is_open_to(caller):
            raise CommandRefused("unauthenticated", "Send a token as Authorization: Bearer TOKEN.")
        return caller

    def _unauthenticated(self, request: web.Request, refused: CommandRefused) -> web.Response:
        log.warning("a request over HTTP of %s is refused: %s", Detail(request.remote or "unknown"), refused)
        body = refusal(refused.kind, refused.reason, more=refused.more)
        if refused.kind == "tooMany":
            status, headers = 429, {"Retry-After": str(refused.more["retryAfterS"])}
        else:
            error = ', error="invalid_token"' if "Authorization" in request.headers else ""
            status, headers = 401, {"WWW-Authenticate": f'Bearer realm="edgeagent"{error}'}
        return web.Response(status=status, body=body, content_type="application/json", headers=headers)

    async def _answer(self, request: web.Request, message: bytes, caller: Caller) -> web.Response:
        held = MOST_ANSWERS if message.lstrip()[:1] == b"[" else 0
        if self._unsent + held > MOST_UNSENT:
            return _full()
        self._unsent += held
        try:
            answer = await self._dispatcher.answer(message, caller)
            if answer is None:
                return web.Response(status=204)
            self._unsent += len(answer) - held
            held = len(answer)
            if self._unsent > MOST_UNSENT and held > _SMALL:
                return _full()
            return await self._sent(request, web.Response(body=answer, content_type="application/json"))
        finally:
            self._unsent -= held

    async def _sent(self, request: web.Request, response: web.Response) -> web.Response:
        """Send a response; a peer that does not take it in time is cut off."""
        transport, size = request.transport, response.content_length or 0
        if transport is not None and not transport.get_write_buffer_size() and size < _AT_ONCE:
            return response  # aiohttp writes it in one piece and does not wait
        try:
            async with asyncio.timeout(self._patience_s):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            log.warning("connection of %s ended: it did not take its answer in %g s", request.remote, self._patience_s)
            self._tally.cut["http"] += 1
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _page(self, show: Show, request: web.Request) -> web.Response:
        if reason := self._unwelcome(request):
            return _error(403, "forbidden", reason)
        if not is_loopback(request.remote or ""):
            return _error(403, "forbidden", "This is shown on the agent's own computer only.")
        page = await show()
        if self._unsent + len(page.body) > MOST_UNSENT:
            return _full()
        self._unsent += len(page.body)
        try:
            headers = {"Content-Type": page.content_type, "Cache-Control": "no-store"}
            return await self._sent(request, web.Response(status=page.status, body=page.body, headers=headers))
        finally:
            self._unsent -= len(page.body)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        assert self._upgrade is not None
        if reason := self._unwelcome(request):
            return _error(403, "forbidden", reason)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return _error(426, "invalidRequest", "GET opens a WebSocket here; send requests with POST.")
        authorization = request.headers.get("Authorization")
        try:
            identity = self._admission.identified(authorization, "websocket", request.remote or "unknown")
        except CommandRefused as refused:
            return self._unauthenticated(request, refused)
        return await self._upgrade(request, identity)

    def _unwelcome(self, request: web.Request) -> str | None:
        """Why a request may come from a web page that means no good: the reason, or None."""
        reason = self._suspicion(request)
        if reason:
            log.warning("a request over HTTP is refused: %s", Detail(reason))
            self._tally.forbidden["http"] += 1
        return reason

    def _suspicion(self, request: web.Request) -> str | None:
        host = request.headers.get("Host", "").lower()
        if host not in self._hosts and host not in self._own(request):
            return f"This server is not {host[:64] or 'nameless'}; its names are {', '.join(sorted(self._hosts))}."
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() != f"{self._scheme}://{host}" and origin not in self._origins:
            return f"Pages of {origin[:64]} may not ask here."
        return None

    def _own(self, request: web.Request) -> tuple[str, ...]:
        """The address that a request came to, as a URL has it: no page of another name can be behind that."""
        name = request.transport.get_extra_info("sockname") if request.transport else None
        if not name:
            return ()
        host, port = _in_url(str(name[0])), name[1]
        return (f"{host}:{port}", host) if port == self._usual_port else (f"{host}:{port}",)

    def _count_handshake(self) -> None:
        self._tally.handshakes["http"] += 1


class _Connection(web.RequestHandler):
    """One peer; closed when the header of its first request is late."""

    __slots__ = ("_header_s", "_late", "_places")

    def __init__(self, server: web.Server, header_s: float, places: Places) -> None:
        super().__init__(
            server, loop=asyncio.get_running_loop(), keepalive_timeout=75.0, lingering_time=1.0, auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own runner gives None as well
        )  # fmt: skip
        self._header_s = header_s
        self._places = places
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._late = asyncio.get_running_loop().call_later(self._header_s, self._is_late)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._late is not None:
            self._late.cancel()
        self._places.give_back()
        super().connection_lost(exc)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is not HTTP with a sentence, and log one, without a traceback; who is gone hears nothing."""
        is_gone = isinstance(exc, ConnectionError)
        if status >= 500 and not is_gone:
            return super().handle_error(request, status, exc, message)
        log.warning("%s %s", request.remote, "is gone before it was answered" if is_gone else "sent what is not HTTP")
        response = _error(status, "invalidRequest", "This is not HTTP; POST JSON-RPC to /rpc.")
        response.force_close()
        return response

    def _is_late(self) -> None:
        if not self._request_count:
            self.force_close()


class _Refused(asyncio.Protocol):
    """A connection beyond the bound: told so and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        transport.write(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        transport.close()


def _in_url(host: str) -> str:
    return f"[{host.lower()}]" if ":" in host else host.lower()


def _full() -> web.Response:
    return _error(503, "tooMany", "Too many answers wait to be read; read them and ask again.")


def _error(status: int, kind: str, reason: str) -> web.Response:
    return web.Response(status=status, body=refusal(kind, reason), content_type="application/json")
