"""A listener that speaks TLS: each handshake has its time, and together they take no place of those who are done."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from edgeagent.logs import Detail

if TYPE_CHECKING:
    from ssl import SSLContext

MOST, MOST_OF_ONE = 64, 8
"""Handshakes at the same time: of a listener, of one address. Beyond the first the oldest gives way."""

_BACKLOG = 100
_SHUTDOWN_S = 1.0
_PAUSE_S = 0.5

log = logging.getLogger(__name__)


class SecureServer:
    """Takes connections by itself: a server of the event loop would begin handshakes without bound.

    Args:
        factory: makes the protocol of a connection once its handshake is done.
        failed: counts a handshake that came to nothing.
        longest_s: time for one handshake, in seconds.
    """

    def __init__(
        self, factory: Callable[[], asyncio.BaseProtocol], context: SSLContext, failed: Callable[[], None],
        longest_s: float = 10.0,
    ) -> None:  # fmt: skip
        self._factory = factory
        self._context = context
        self._failed = failed
        self._longest_s = longest_s
        self._pending: dict[asyncio.Task[None], str] = {}
        self._of_one: Counter[str] = Counter()
        self._accepting: list[asyncio.Task[None]] = []
        self.sockets: Sequence[socket.socket] = ()

    async def start(self, host: str, port: int) -> None:
        """Listen at every address of a host; raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        opened: list[socket.socket] = []
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                opened.append(_listening(family, address))
        except OSError:
            for each in opened:
                each.close()
            raise
        self.sockets = opened
        self._accepting = [loop.create_task(self._accept(each)) for each in opened]

    def is_serving(self) -> bool:
        """Whether it takes connections."""
        return bool(self._accepting) and not any(task.done() for task in self._accepting)

    def close(self) -> None:
        """Take no more connections, and end those whose handshake is not done."""
        for task in (*self._accepting, *self._pending):
            task.cancel()
        self._accepting = []
        for each in self.sockets:
            each.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listening)
            except OSError as error:
                log.error("no connection can be taken: %s", error)
                await asyncio.sleep(_PAUSE_S)
                continue
            self._begin(connection, str(address[0]))

    def _begin(self, connection: socket.socket, host: str) -> None:
        """Begin the handshake of a connection, or refuse it."""
        if self._of_one[host] >= MOST_OF_ONE:
            self._tell(host, "it has too many others that are not done")
            connection.close()
            return
        if len(self._pending) >= MOST:
            oldest = next(iter(self._pending))
            self._forget(oldest)
            oldest.cancel()
        task = asyncio.get_running_loop().create_task(self._shake_hands(connection, host))
        self._pending[task] = host
        self._of_one[host] += 1
        task.add_done_callback(self._done)

    async def _shake_hands(self, connection: socket.socket, host: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._factory, connection, ssl=self._context, ssl_handshake_timeout=self._longest_s,
                ssl_shutdown_timeout=_SHUTDOWN_S)  # fmt: skip
        except OSError as error:  # SSLError and time-outs are such
            self._tell(host, _in_words(error))
            connection.close()
        except asyncio.CancelledError:
            self._tell(host, "it gave way to others, or the listener ends")
            connection.close()

    def _forget(self, task: asyncio.Task[None]) -> None:
        host = self._pending.pop(task, None)
        if host is not None:
            self._of_one[host] -= 1
            if not self._of_one[host]:
                del self._of_one[host]

    def _done(self, task: asyncio.Task[None]) -> None:
        self._forget(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a TLS handshake failed unexpectedly: %r", error)

    def _tell(self, host: str, reason: str) -> None:
        self._failed()
        log.warning("a TLS handshake failed: %s, with %s", Detail(reason), Detail(host))


def _listening(family: int, address: Any) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
        opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _in_words(error: OSError) -> str:
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        return "it was not done in time"
    reason = getattr(error, "reason", None) or error.strerror or str(error) or type(error).__name__
    words = str(reason).replace("_", " ").lower()
    return "it does not speak TLS" if words in ("http request", "wrong version number") else words
