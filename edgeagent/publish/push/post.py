"""One POST to an MES, over a connection that is kept; what came of it is an `Answer`."""

from __future__ import annotations

import asyncio
import errno
import io
import re
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

import aiohttp

from edgeagent import __version__
from edgeagent.publish.push.access import Access, AccessFault, Stamp
from edgeagent.publish.push.answer import MOST_SAID, Answer, judged, unanswered

if TYPE_CHECKING:
    from ssl import SSLContext

_MOST_ANSWER = 64 << 10
"""Bytes of an answer that are read so that the connection can be used again."""
_MOST_READ = 8 << 10
"""Of these: a token among the characters that are told must be there as a whole to be left out."""
_ANSWER_S = 5.0
"""Longest wait for the rest of an answer whose status is there."""


class Poster:
    """Posts to one address, one thing at a time, over a connection that is kept.

    Redirects, cookies, proxies and compression are not followed, kept, asked or understood.

    Args:
        timeout_s: longest wait for the status of an answer, in real seconds.
    """

    def __init__(self, url: str, access: Access, timeout_s: float) -> None:
        self._url = url
        self._access = access
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._opened_with: Stamp = ()
        self._is_reused = False

    async def post(self, body: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> Answer:
        """Send a body; never raises for what the network or the MES does."""
        try:
            token = await self._open()
        except AccessFault as fault:
            return Answer("stopped", str(fault))
        shown = {**headers, "Authorization": f"Bearer {token}"} if token else dict(headers)
        answer = await self._attempt(body, shown)
        if answer is None:  # the MES had ended the connection, which nobody could know before
            answer = await self._attempt(body, shown) or Answer("stopped", "it ended the connection twice")
        said = answer.said.replace(token, "…") if token else answer.said
        return answer._replace(said=said[:MOST_SAID])

    async def close(self) -> None:
        """End the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _open(self) -> str | None:
        """Be ready to send, with files as they are now; return the token. Raises AccessFault."""
        stamp = self._access.stamp()
        if self._session is None or stamp != self._opened_with:
            await self.close()
            context = await asyncio.to_thread(self._access.context) if self._access.is_secure else None
            self._session = self._made(context)
            self._opened_with = stamp
        return self._access.token()

    def _made(self, context: SSLContext | None) -> aiohttp.ClientSession:
        traced = aiohttp.TraceConfig()

        async def reused(*_: object) -> None:
            self._is_reused = True

        traced.on_connection_reuseconn.append(reused)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, ssl=context or False, ttl_dns_cache=30),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s), cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json", "User-Agent": f"edgeagent/{__version__}",
                     "Accept-Encoding": "identity"},
            trace_configs=[traced], auto_decompress=False, trust_env=False, read_bufsize=_MOST_ANSWER,
        )  # fmt: skip

    async def _attempt(self, body: bytes, headers: dict[str, str]) -> Answer | None:
        """Post once; None where a connection that had been kept was at its end."""
        assert self._session is not None, "_open came before"
        self._is_reused = False
        try:
            response = await self._session.post(
                self._url, data=io.BytesIO(body), headers=headers, allow_redirects=False)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            is_stale = self._is_reused and not isinstance(error, aiohttp.ClientConnectorError)
            return None if is_stale else Answer("stopped", unanswered(error, self._timeout_s) + self._hint(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer("stopped", unanswered(error, self._timeout_s))
        return judged(response.status, response.headers, await _said(response))

    def _hint(self, error: Exception) -> str:
        """What may help: a server of TLS 1.3 that misses a certificate breaks off without a word of it."""
        is_reset = getattr(error, "errno", None) in (errno.ECONNRESET, errno.EPIPE)
        is_broken_off = is_reset or isinstance(error, aiohttp.ServerDisconnectedError)
        is_unknown = self._access.is_secure and not self._access.shows_certificate
        return " (it may want a client certificate)" if is_broken_off and is_unknown else ""


async def _said(response: aiohttp.ClientResponse) -> str:
    """What an answer says in one line; one that is too long, or does not end, costs its connection."""
    told = bytearray()
    with suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
        async with asyncio.timeout(_ANSWER_S):
            while len(told) < _MOST_ANSWER and (piece := await response.content.readany()):
                told += piece
    if response.content.at_eof():
        response.release()
    else:
        response.close()
    text = bytes(told[:_MOST_READ]).decode("utf-8", "replace")
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()
