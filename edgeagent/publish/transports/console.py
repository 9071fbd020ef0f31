"""The console: JSON-RPC, one message per line, over a socket in a folder of this computer; the kernel says who asks."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import pwd
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgeagent.model.callers import Caller
from edgeagent.publish.jsonrpc import Dispatcher, refusal

_LIMIT = 64 << 10
"""Bytes of a line."""
_MOST = 16
"""Connections at the same time."""
_CREDENTIALS = struct.Struct("=iII")
"""struct ucred of Linux: process, user, group."""

_log = logging.getLogger(__name__)


class Console:
    """Serves a Unix socket; whoever may open it is an administrator, by the rights of its file (0660).

    Attributes:
        fault: why nobody can connect; None while it listens. Nothing else of the agent needs it.
    """

    def __init__(self, dispatcher: Dispatcher, path: Path) -> None:
        self.path = path
        self._dispatcher = dispatcher
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.fault: str | None = "does not listen yet"

    async def start(self) -> None:
        """Listen, or say in `fault` why not; what a killed agent left is taken away first."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _take_away(self.path)
            with _near(self.path) as near:
                listening.bind(near)
            self.path.chmod(0o660)
            self._server = await asyncio.start_unix_server(self._accept, sock=listening, limit=_LIMIT)
            self.fault = None
        except OSError as error:
            listening.close()
            self.fault = f"nobody can grant remote control at this computer: {self.path}: {error.strerror or error}"
            _log.error("the console cannot be opened, %s", self.fault)
        except BaseException:
            listening.close()
            raise

    async def stop(self) -> None:
        """End listening and every connection."""
        if self._server is None:
            return
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        with suppress(OSError):
            _take_away(self.path)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio runs this in one"
        self._connections.add(task)
        try:
            if len(self._connections) > _MOST:
                writer.write(refusal("tooMany", f"There are {_MOST} connections already.") + b"\n")
            else:
                await self._serve(reader, writer, _caller(writer))
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            self._connections.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                writer.write(refusal("tooLarge", f"A line holds at most {_LIMIT} bytes.") + b"\n")
                return
            if not line.endswith(b"\n"):
                return
            answer = await self._dispatcher.answer(line, caller)
            if answer is not None:
                writer.write(answer + b"\n")
                await writer.drain()


def _caller(writer: asyncio.StreamWriter) -> Caller:
    """Who the kernel says is at the other end."""
    with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as connected:
        packed = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, _ = _CREDENTIALS.unpack(packed)
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    return Caller(f"console:{name}", "administrator", "console", f"process {process}", is_authenticated=True)


def _take_away(path: Path) -> None:
    """Take a socket away; raises OSError where something else is in its place."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "is there already and no socket: put it aside")
        path.unlink()


@contextmanager
def _near(path: Path) -> Iterator[str]:
    """A short name of a socket, by its folder's descriptor: an address has room for 107 bytes only."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def connected(path: Path, patience_s: float) -> socket.socket:
    """Connect to the console of a running agent; raises OSError."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(patience_s)
    try:
        with _near(path) as near:
            client.connect(near)
    except BaseException:
        client.close()
        raise
    return client


def console_of(store: Path) -> Path:
    """Where the console of an agent is: in the service's folder in /run, or beside its store."""
    folder = os.environ.get("RUNTIME_DIRECTORY")
    return Path(folder) / "console" if folder else Path(f"{store}.console")
