"""TLS handshakes of a listener: each has its time, and together they take no place of those who finished theirs."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from edgeagent.logs import Detail

if TYPE_CHECKING:
    from ssl import SSLContext

MOST, MOST_OF_ONE = 64, 8
"""Handshakes at the same time: of a listener, of one address. Beyond the first the oldest gives way."""

_LONGEST_S = 10.0

log = logging.getLogger(__name__)


class Handshakes:
    """Makes of each connection that comes in a TLS connection, and gives it to the protocol that serves it.

    Args:
        factory: makes the protocol once the handshake is done.
        failed: counts a handshake that came to nothing.
        longest_s: time for one handshake, in seconds.
    """

    def __init__(
        self, factory: Callable[[], asyncio.BaseProtocol], context: SSLContext, failed: Callable[[], None],
        longest_s: float = _LONGEST_S,
    ) -> None:  # fmt: skip
        self._factory = factory
        self._context = context
        self._failed = failed
        self._longest_s = longest_s
        self._pending: dict[_Raw, str] = {}
        self._of_one: Counter[str] = Counter()

    def __call__(self) -> asyncio.BaseProtocol:
        """Take one connection."""
        return _Raw(self)

    def close(self) -> None:
        """End those that are not done."""
        for raw in tuple(self._pending):
            raw.abort()

    def begin(self, raw: _Raw, transport: asyncio.Transport) -> None:
        """Begin the handshake of a connection, or refuse it."""
        peer = transport.get_extra_info("peername")
        host = str(peer[0]) if peer else "unknown"
        if self._of_one[host] >= MOST_OF_ONE:
            self._tell(host, "it has too many others that are not done")
            transport.abort()
            return
        if len(self._pending) >= MOST:
            next(iter(self._pending)).abort()
        self._pending[raw] = host
        self._of_one[host] += 1
        raw.task = asyncio.get_running_loop().create_task(self._shake_hands(raw, transport, host))

    async def _shake_hands(self, raw: _Raw, transport: asyncio.Transport, host: str) -> None:
        early = _Early()
        secured: asyncio.Transport | None = None
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport, early, self._context, server_side=True, ssl_handshake_timeout=self._longest_s,
                ssl_shutdown_timeout=1.0)  # fmt: skip
        except OSError as error:  # SSLError and time-outs are such
            self._tell(host, _in_words(error))
        except asyncio.CancelledError:
            self._tell(host, "it took too long, or the listener ends")
        finally:
            self._pending.pop(raw, None)
            self._of_one[host] -= 1
            if not self._of_one[host]:
                del self._of_one[host]
            if secured is None:
                transport.abort()
        if secured is not None:
            early.hand_over(secured, cast("asyncio.Protocol", self._factory()))

    def _tell(self, host: str, reason: str) -> None:
        self._failed()
        log.warning("a TLS handshake failed: %s, with %s", Detail(reason), Detail(host))


class _Raw(asyncio.Protocol):
    """A connection before its handshake: nothing is read of it until that begins."""

    def __init__(self, handshakes: Handshakes) -> None:
        self._handshakes = handshakes
        self._transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._transport.pause_reading()
        self._handshakes.begin(self, self._transport)

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()
        if self.task is not None:
            self.task.cancel()


class _Early(asyncio.Protocol):
    """Keeps what arrives between the end of the handshake and the moment at which its protocol takes over."""

    def __init__(self) -> None:
        self._data: list[bytes] = []
        self._is_over = False
        self._is_lost = False

    def data_received(self, data: bytes) -> None:
        self._data.append(data)

    def eof_received(self) -> None:
        self._is_over = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        """Give the connection to its protocol, and all that came."""
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for data in self._data:
            protocol.data_received(data)
        if self._is_over:
            protocol.eof_received()
        if self._is_lost:
            protocol.connection_lost(None)


def _in_words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it was not done in time"
    reason = getattr(error, "reason", None) or error.strerror or str(error) or type(error).__name__
    words = str(reason).replace("_", " ").lower()
    return "it does not speak TLS" if words in ("http request", "wrong version number") else words
