"""Listening sockets, on this computer only until users and TLS exist."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable

from edgeagent.config import is_loopback
from edgeagent.errors import ConfigError
from firmware_iface.map_reader import FileFault

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


def require_loopback(host: str) -> None:
    """Refuse an address beyond this computer.

    Raises:
        ConfigError: not in 127.0.0.0/8, not ::1, not localhost.
    """
    if not is_loopback(host):
        raise ConfigError([
            FileFault("listener", None, host or "(empty)", "this address may be reached from beyond this computer",
                  "127.0.0.0/8, ::1, localhost only until users and TLS exist")
        ])  # fmt: skip


async def listen(factory: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> tuple[asyncio.Server, int]:
    """Listen on a loopback address; return the server and its port (a free one for port 0).

    Raises:
        ConfigError: the host is not a loopback address.
        CannotListen: the port is taken or not allowed.
    """
    require_loopback(host)
    try:
        server = await asyncio.get_running_loop().create_server(factory, host, port)
    except OSError as error:
        raise CannotListen(host, port, error) from error
    for each in server.sockets:
        with socket.socket(fileno=os.dup(each.fileno())) as listening:  # uvloop's own cannot be set
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
    return server, int(server.sockets[0].getsockname()[1])


def deaf(server: asyncio.Server | None) -> str | None:
    """Why a server takes no connections; None while it does."""
    return None if server is not None and server.is_serving() else "does not listen any more"
