"""What is answered over HTTP: refusals, and answers that go out in one piece to a peer that keeps up."""

from __future__ import annotations

import logging
import time
from email.utils import formatdate
from functools import lru_cache

from edgeagent.errors import CommandRefused
from edgeagent.logs import Detail
from edgeagent.publish.jsonrpc import refusal
from edgeagent.publish.transports import web

AT_ONCE = 32 << 10
"""Bytes of a response that a socket's buffer takes without asking its writer to wait; that begins at 64 KiB."""

log = logging.getLogger(__name__)


class _Sent(web.StreamResponse):
    """What aiohttp is given when the whole response is on its way already."""

    keep_alive = True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to do."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to do."""


_SENT = _Sent()


def send_at_once(request: web.BaseRequest, answer: bytes) -> web.StreamResponse | None:
    """Send an answer in one piece to a peer that keeps up and stays; None, and nothing is sent, to any other."""
    transport = request.transport
    if transport is None or transport.is_closing() or transport.get_write_buffer_size() or len(answer) > AT_ONCE:
        return None
    if request.version != web.HttpVersion11 or not request.keep_alive:
        return None
    transport.write(b"%b%d\r\n\r\n%b" % (_head(int(time.time())), len(answer), answer))
    return _SENT


@lru_cache(maxsize=1)
def _head(second: int) -> bytes:
    date = formatdate(second, usegmt=True).encode()
    return b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Type: application/json\r\nContent-Length: " % date


def full() -> web.Response:
    """Refuse what there is no room for."""
    return error(503, "tooMany", "Too many answers wait to be read; read them and ask again.")


def unauthenticated(request: web.BaseRequest, refused: CommandRefused) -> web.Response:
    """Refuse who did not say, in a way that counts, who asks; or who tried so too often."""
    log.warning("a request over HTTP of %s is refused: %s", Detail(request.remote or "unknown"), refused)
    if refused.kind == "tooMany":
        status, headers = 429, {"Retry-After": str(refused.more["retryAfterS"])}
    else:
        fault = ', error="invalid_token"' if "Authorization" in request.headers else ""
        status, headers = 401, {"WWW-Authenticate": f'Bearer realm="edgeagent"{fault}'}
    return error(status, refused.kind, refused.reason, headers, refused.more)


def turned_away(request: web.BaseRequest, refused: CommandRefused) -> web.Response:
    """Refuse a page: to who did not say who it is as `unauthenticated`, to who did as what it may not see."""
    if refused.kind != "forbidden":
        return unauthenticated(request, refused)
    log.warning("a page is refused to %s: %s", Detail(request.remote or "unknown"), refused)
    return error(403, refused.kind, refused.reason)


def error(
    status: int, kind: str, reason: str, headers: dict[str, str] | None = None, more: dict[str, str | int] | None = None
) -> web.Response:
    """Refuse a request: see `refusal`."""
    response = web.Response(status=status, body=refusal(kind, reason, more=more), headers=headers)
    response.content_type = "application/json"
    return response
