"""JSON-RPC over HTTP: POST /rpc answers one message, GET /rpc becomes a WebSocket; pages about the agent beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from edgeagent.config import is_loopback
from edgeagent.errors import CommandRefused
from edgeagent.logs import Detail
from edgeagent.model.callers import Caller
from edgeagent.model.users import Identity
from edgeagent.publish.jsonrpc import MOST_ANSWERS, Dispatcher
from edgeagent.publish.observe.pages import View
from edgeagent.publish.tally import Tally
from edgeagent.publish.transports import web
from edgeagent.publish.transports.admission import Admission
from edgeagent.publish.transports.listening import Listener, Places
from edgeagent.publish.transports.responses import AT_ONCE, error, full, send_at_once, turned_away, unauthenticated

if TYPE_CHECKING:
    from ssl import SSLContext

_READ_S = 30.0
"""Time for a body to arrive, in seconds."""

MOST_UNSENT = 16 << 20
"""Bytes of answers that are not sent yet, of all connections together; a batch counts from its start."""

_SMALL = 64 << 10
"""Answers up to this many bytes are always sent: what was done is never kept secret for want of room."""

_STOP_S = 1.0
"""Time for requests that are being answered when the server stops, in seconds."""

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)


class Upgrade(Protocol):
    """What a GET of the path becomes."""

    async def __call__(self, request: web.BaseRequest, identity: Identity | None) -> web.StreamResponse:
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
        pages: path → what a GET of it shows.
        tally: takes what was refused and cut.
        context: of TLS.
    """

    def __init__(
        self, dispatcher: Dispatcher, upgrade: Upgrade | None = None, *,
        admission: Admission | None = None, limit: int = 1 << 20, places: Places | None = None,
        origins: Collection[str] = (), names: Collection[str] = (), header_s: float = 10.0, patience_s: float = 60.0,
        pages: Mapping[str, View] | None = None, tally: Tally | None = None, context: SSLContext | None = None,
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
        self._http: web.Server | None = None
        self._routes: dict[str, dict[str, _Handler]] = {"/rpc": {"POST": self._post}}
        if upgrade is not None:
            self._routes["/rpc"]["GET"] = self._get
        for path, view in (pages or {}).items():
            self._routes[path] = dict.fromkeys(("GET", "HEAD"), partial(self._page, view))

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port. Raises like `Listener.start`."""
        self._http = web.Server(self._handle, handler_cancellation=True)
        port = await self._listener.start(host, port)
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
        if self._http is not None:
            self._http.pre_shutdown()
            await self._http.shutdown(_STOP_S)

    def _protocol(self) -> asyncio.BaseProtocol:
        assert self._http is not None
        if self._places.take():
            return _Connection(self._http, self._header_s, self._places)
        log.warning("a connection is refused: %s", self._places.full)
        self._tally.refused["http"] += 1
        return _Refused()

    def load(self) -> tuple[int, int]:
        """How many connections there are that are no WebSockets; none has subscriptions."""
        upgraded = self._upgrade.load()[0] if self._upgrade else 0
        return max(0, len(self._http.connections) - upgraded) if self._http else 0, 0

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        methods = self._routes.get(request.path)
        if methods is None:
            return error(404, "notFound", "There is nothing here; POST JSON-RPC to /rpc.")
        handler = methods.get(request.method)
        if handler is None:
            return error(405, "invalidRequest", f"This takes {' or '.join(methods)}.", {"Allow": ", ".join(methods)})
        return await handler(request)

    async def _post(self, request: web.BaseRequest) -> web.StreamResponse:
        if reason := self._unwelcome(request):
            return error(403, "forbidden", reason)
        try:
            caller = self._caller(request)
        except CommandRefused as refused:
            return unauthenticated(request, refused)
        message = await self._body(request)
        return await self._answer(request, message, caller) if isinstance(message, bytes) else message

    async def _body(self, request: web.BaseRequest) -> bytes | web.Response:
        """Read the body of a request, or say why it is not taken."""
        if request.content_type != "application/json":
            return error(415, "invalidRequest", "Send Content-Type: application/json.")
        if (request.content_length or 0) > self._limit:
            return self._too_large()
        try:
            message = await self._read(request)
        except TimeoutError:
            return error(408, "expired", f"The body did not arrive within {_READ_S:g} s.")
        except web.RequestPayloadError:
            return error(400, "invalidRequest", "The body is not what its header announces.")
        return self._too_large() if len(message) > self._limit else message

    async def _read(self, request: web.BaseRequest) -> bytes:
        """All of a body, or somewhat more than the limit of it; raises TimeoutError and RequestPayloadError."""
        if request.content.is_eof():
            return request.content.read_nowait()  # all of it has arrived: no clock is needed
        if request.headers.get("Expect", "").lower() == "100-continue" and request.version == web.HttpVersion11:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        async with asyncio.timeout(_READ_S):
            while len(body) <= self._limit and (piece := await request.content.readany()):
                body += piece
        return bytes(body)

    def _too_large(self) -> web.Response:
        return error(413, "tooLarge", f"A body holds at most {self._limit} bytes.")

    def _caller(self, request: web.BaseRequest) -> Caller:
        """Who asks; raises CommandRefused, also for one that may nothing here."""
        peer, authorization = request.remote or "unknown", request.headers.get("Authorization")
        return self._admission.caller(authorization, "http", peer, request.transport)

    async def _answer(self, request: web.BaseRequest, message: bytes, caller: Caller) -> web.StreamResponse:
        held = MOST_ANSWERS if message.lstrip()[:1] == b"[" else 0
        if self._unsent + held > MOST_UNSENT:
            return full()
        self._unsent += held
        try:
            answer = await self._dispatcher.answer(message, caller)
            if answer is None:
                return web.Response(status=204)
            self._unsent += len(answer) - held
            held = len(answer)
            if self._unsent > MOST_UNSENT and held > _SMALL:
                return full()
            if sent := send_at_once(request, answer):
                return sent
            return await self._sent(request, web.Response(body=answer, content_type="application/json"))
        finally:
            self._unsent -= held

    async def _sent(self, request: web.BaseRequest, response: web.Response) -> web.Response:
        """Send a response; a peer that does not take it in time is cut off."""
        transport, size = request.transport, response.content_length or 0
        if transport is not None and not transport.get_write_buffer_size() and size < AT_ONCE:
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

    async def _page(self, view: View, request: web.BaseRequest) -> web.Response:
        if reason := self._unwelcome(request):
            return error(403, "forbidden", reason)
        peer = request.remote or "unknown"
        if not (view.is_for_probes and is_loopback(peer)):
            authorization = request.headers.get("Authorization")
            try:
                self._admission.sees(request.path, view.role, authorization, "http", peer, request.transport)
            except CommandRefused as refused:
                return turned_away(request, refused)
        page = await view.show()
        if self._unsent + len(page.body) > MOST_UNSENT:
            return full()
        self._unsent += len(page.body)
        try:
            headers = {"Content-Type": page.content_type, "Cache-Control": "no-store"}
            return await self._sent(request, web.Response(status=page.status, body=page.body, headers=headers))
        finally:
            self._unsent -= len(page.body)

    async def _get(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._upgrade is not None
        if reason := self._unwelcome(request):
            return error(403, "forbidden", reason)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return error(426, "invalidRequest", "GET opens a WebSocket here; send requests with POST.")
        authorization = request.headers.get("Authorization")
        try:
            identity = self._admission.identified(authorization, "websocket", request.remote or "unknown")
        except CommandRefused as refused:
            return unauthenticated(request, refused)
        return await self._upgrade(request, identity)

    def _unwelcome(self, request: web.BaseRequest) -> str | None:
        """Why a request may come from a web page that means no good: the reason, or None."""
        reason = self._suspicion(request)
        if reason:
            log.warning("a request over HTTP is refused: %s", Detail(reason))
            self._tally.forbidden["http"] += 1
            self._admission.turned_away("http", request.remote or "unknown", reason)
        return reason

    def _suspicion(self, request: web.BaseRequest) -> str | None:
        host = request.headers.get("Host", "").lower()
        if host not in self._hosts and host not in self._own(request):
            return f"This server is not {_shown(host) or 'nameless'}; its names are {', '.join(sorted(self._hosts))}."
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() != f"{self._scheme}://{host}" and origin not in self._origins:
            return f"Pages of {_shown(origin)} may not ask here."
        return None

    def _own(self, request: web.BaseRequest) -> tuple[str, ...]:
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

    __slots__ = ("_header_s", "_late", "_places", "_room", "_too_much")

    def __init__(self, server: web.Server, header_s: float, places: Places) -> None:
        super().__init__(
            server, loop=asyncio.get_running_loop(), keepalive_timeout=75.0, lingering_time=1.0, auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own runner gives None as well
        )  # fmt: skip
        self._header_s = header_s
        self._places = places
        self._late: asyncio.TimerHandle | None = None
        self._room: int | None = None
        self._too_much: Callable[[], None] = self.force_close

    def bound(self, most: int | None, too_much: Callable[[], None]) -> None:
        """See `websocket.Bounded`."""
        self._room, self._too_much = most, too_much

    def data_received(self, data: bytes) -> None:
        if self._room is not None:
            self._room -= len(data)
            if self._room < 0:
                self._too_much()
                return
        super().data_received(data)

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
        response = error(status, "invalidRequest", "This is not HTTP; POST JSON-RPC to /rpc.")
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


def _shown(header: str) -> str:
    """A header's beginning as a sentence can have it: what is no UTF-8 is kept by surrogates, which nobody encodes."""
    return header[:64].encode("ascii", "backslashreplace").decode()


def _in_url(host: str) -> str:
    return f"[{host.lower()}]" if ":" in host else host.lower()
