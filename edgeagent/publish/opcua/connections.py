"""The door: sockets, whom there is room for, and messages cut from what arrives, each of them bounded.

Needed for asyncua 2.1.0 because its OPCUAProtocol and BinaryServer hold whatever a client sends before it has said who
it is, handle its messages however many others wait, and write to whoever does not read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import header_from_binary, uatcp_to_binary

from edgeagent.publish.opcua.requests import CHUNK_BYTES, Requests
from edgeagent.publish.opcua.turns import Turn, Turns

LOGIN_S = 15.0
"""After which a connection without a session that is active is ended."""

_MOST_STRANGERS = 0.5
"""Of all connections, those that have no session yet."""

_LOOKED_AFTER_S = 1.0
_HEADER_BYTES = 8
_HELD_BYTES = 2 * CHUNK_BYTES

_log = logging.getLogger(__name__)

Make = Callable[["Connection"], Requests]


class Door:
    """Listens, and lets in whom there is room for.

    Attributes:
        rejected, left: clients for whom there was no room, and those that are gone.
    """

    def __init__(self, make: Make, most: int) -> None:
        self._make = make
        self._most = most
        self.turns = Turns()
        self.connections: set[Connection] = set()
        self.rejected = 0
        self.left = 0
        self._server: asyncio.Server | None = None
        self._looking_after: asyncio.Task[None] | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; return the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self, self._make), host, port, backlog=128)
        self._looking_after = asyncio.create_task(self._look_after(), name="look after OPC UA clients")
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Let nobody in any more, and everybody out."""
        if self._server:
            self._server.close()
        if self._looking_after:
            self._looking_after.cancel()
            await asyncio.gather(self._looking_after, return_exceptions=True)
        for connection in tuple(self.connections):
            connection.end(ua.StatusCodes.BadShutdown, "the server stops")
        await asyncio.gather(*[connection.ended() for connection in tuple(self.connections)])
        if self._server:
            await self._server.wait_closed()

    def admit(self, connection: Connection) -> bool:
        """Make room for a newcomer, and say whether there is any.

        Of those that have no session yet, the address with most of them gives way first; of these the one that has
        come least far, and of these the one that has waited longest.
        """
        strangers = [each for each in self.connections if not each.requests.is_active]
        if len(self.connections) < self._most and len(strangers) < self._most * _MOST_STRANGERS:
            self.connections.add(connection)
            return True
        self.rejected += 1
        if not strangers:
            return False
        many = Counter(each.address for each in strangers)
        leaves = max(strangers, key=lambda each: (many[each.address], -each.requests.progress, each.age_s))
        leaves.end(ua.StatusCodes.BadMaxConnectionsReached, "others wait")
        self.connections.discard(leaves)
        self.connections.add(connection)
        return True

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(_LOOKED_AFTER_S)
            for connection in tuple(self.connections):
                try:
                    connection.look_after()
                except Exception:  # noqa: BLE001  supervised: whoever cannot be looked after is out, the others go on
                    _log.exception("the OPC UA client %s could not be looked after", connection.address)
                    connection.transport.abort()


class Connection(asyncio.Protocol):
    """One client's socket; a message is taken up when the one before is answered, and the client took the answer."""

    requests: Requests

    def __init__(self, door: Door, make: Make) -> None:
        self._door = door
        self._make = make
        self._held = bytearray()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._task: asyncio.Task[None] | None = None
        self._begun_at = time.monotonic()
        self.address = ""
        self.turn = Turn(door.turns)

    @property
    def age_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._begun_at

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        self.requests = self._make(self)
        if not self._door.admit(self):
            self.transport.abort()
            return
        self.transport.set_write_buffer_limits(high=4 * CHUNK_BYTES)
        self._task = asyncio.get_running_loop().create_task(self._serve(), name=f"OPC UA client {self.address}")

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._writable.set()
        self._door.connections.discard(self)
        self._door.left += 1
        if self._task:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Hold it until its turn; more is not read meanwhile."""
        self._held += data
        if len(self._held) > _HELD_BYTES:
            self.transport.pause_reading()
        self._news.set()

    def pause_writing(self) -> None:
        """It does not read what it asked for."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It has read."""
        self._writable.set()

    def end(self, status: int, reason: str) -> None:
        """Say why, and close it; what it has not read is lost."""
        if self.transport.is_closing():
            return
        message = ua.ErrorMessage(ua.StatusCode(ua.UInt32(status)), ua.String(reason))
        with suppress(Exception):  # it is closed all the same
            self.transport.write(uatcp_to_binary(cast("Any", ua.MessageType.Error), message))
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    async def ended(self) -> None:
        """Wait until it is."""
        if self._task:
            await asyncio.gather(self._task, return_exceptions=True)

    def look_after(self) -> None:
        """End it, if it has not said who it is for too long, or its session is over."""
        if self.transport.is_closing():
            self.transport.abort()  # it does not read what was said last
        elif not self.requests.is_active and self.age_s > LOGIN_S:
            self.end(ua.StatusCodes.BadTimeout, f"no session within {LOGIN_S:.0f} s")
        elif over := self.requests.over():
            self.end(*over)

    async def _serve(self) -> None:
        try:
            while True:
                message = await self._message()
                await self._writable.wait()
                await self.turn.begin()
                try:
                    goes_on = await self.requests.process(header_from_binary(message), message)
                finally:
                    self.turn.end()
                if not goes_on:
                    break
        except ua.UaStatusCodeError as error:
            self.end(error.code, str(error))
        except Exception as error:  # noqa: BLE001  whatever a client sends ends its own connection alone
            _log.debug("%s sent what cannot be understood (%s: %s)", self.address, type(error).__name__, error)
            self.end(ua.StatusCodes.BadTcpInternalError, "this cannot be understood")
        finally:
            self.transport.close()
            await self.requests.close()

    async def _message(self) -> Buffer:
        """The next whole chunk, header and all."""
        while (size := self._size()) is None or len(self._held) < size:
            self._news.clear()
            self.transport.resume_reading()
            await self._news.wait()
        chunk = bytes(self._held[:size])
        del self._held[:size]
        return Buffer(chunk)

    def _size(self) -> int | None:
        """Of the chunk that is held in part; refused before it is held whole, if it is too large."""
        if len(self._held) < _HEADER_BYTES:
            return None
        size = int.from_bytes(self._held[4:8], "little")
        if size > self.requests.most_chunk_bytes:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadTcpMessageTooLarge)
        if size <= _HEADER_BYTES or bytes(self._held[:3]) not in (b"HEL", b"OPN", b"MSG", b"CLO"):
            raise ua.UaStatusCodeError(ua.StatusCodes.BadTcpMessageTypeInvalid)
        return size

