"""Listening sockets; beyond this computer with TLS only."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from edgeagent.config import is_loopback
from edgeagent.errors import ConfigError
from edgeagent.publish.transports.handshakes import SecureServer
from firmware_iface.map_reader import FileFault

if TYPE_CHECKING:
    from ssl import SSLContext

_KERNEL_BYTES = 256 << 10
"""What the kernel keeps for a peer that does not read; left to itself it takes up to 4 MiB for each connection."""


class CannotListen(OSError):
    """A port cannot be listened on; the sentence says what to do."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        if error.errno == errno.EADDRINUSE:
            reason = "is in use: end the program that has it, or"
        elif error.errno == errno.EACCES:
            reason = "is for programs with more rights only:"
        else:
            reason = f"cannot be listened on ({error.strerror or error}):"
        super().__init__(f"port {port} on {host} {reason} choose another port")
        self.port = port


class Places:
    """How many connections there may be, over all servers together."""

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._taken = 0

    @property
    def full(self) -> str:
        """What a peer beyond the bound is told."""
        return f"There are {self._most} connections already; close one that nobody needs."

    def take(self) -> bool:
        """Take a place; False where there is none."""
        if self._taken >= self._most:
            return False
        self._taken += 1
        return True

    def give_back(self) -> None:
        """Give a place back when its connection is gone."""
        self._taken -= 1


def require_secure(host: str, context: SSLContext | None) -> None:
    """Refuse an address beyond this computer without TLS.

    Raises:
        ConfigError: not in 127.0.0.0/8, not ::1, not localhost.
    """
    if context is None and not is_loopback(host):
        raise ConfigError([
            FileFault("listener", None, host or "(empty)", "this address may be reached from beyond this computer",
                  "127.0.0.0/8, ::1, localhost only without TLS")
        ])  # fmt: skip


class Listener:
    """One listening socket.

    Args:
        factory: makes the protocol of each connection.
        failed: counts a TLS handshake that came to nothing.
    """

    def __init__(
        self, factory: Callable[[], asyncio.BaseProtocol], context: SSLContext | None = None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._factory = factory
        self._context = context
        self._failed = failed
        self._server: asyncio.Server | SecureServer | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port (a free one for port 0).

        Raises:
            ConfigError: the host is beyond this computer, and there is no TLS.
            CannotListen: the port is taken or not allowed.
        """
        require_secure(host, self._context)
        try:
            self._server = await self._started(host, port)
        except OSError as error:
            raise CannotListen(host, port, error) from error
        for each in self._server.sockets:
            with socket.socket(fileno=os.dup(each.fileno())) as listening:  # uvloop's own cannot be set
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def _started(self, host: str, port: int) -> asyncio.Server | SecureServer:
        if self._context is None:
            return await asyncio.get_running_loop().create_server(self._factory, host, port)
        server = SecureServer(self._factory, self._context, self._failed)
        await server.start(host, port)
        return server

    def close(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    def deaf(self) -> str | None:
        """Why nobody can connect; None while it listens."""
        return None if self._server is not None and self._server.is_serving() else "does not listen any more"
