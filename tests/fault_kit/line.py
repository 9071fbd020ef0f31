"""A line between the agent and a device that goes wrong as told: seeded, paced, and with a log of what it did."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import tty
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

from tests.fault_kit.faults import WHOLE, End, Exchange, Fault, Gate, Piece
from tests.fault_kit.frames import Rtu, Tcp, next_tcp, rtu_length

_SLICE_S = 0.002
"""How often a paced line hands on what has come through by then."""
_BITS = 11
_LINGER_0 = struct.pack("ii", 1, 0)
_CHUNK = 4096


class Line(ABC):
    """What both wires share: the standing fault, the dice, the log.

    Attributes:
        log: fault, request and what was sent instead of the answer, in hex, of each exchange that a fault changed.
        requests: unit → questions that came through.
    """

    def __init__(self, seed: int) -> None:
        self.fault = WHOLE
        self.units: frozenset[int] = frozenset()
        self.log: list[str] = []
        self.connects = 0
        self.requests: Counter[int] = Counter()
        self._random = Random(seed)
        self._before: bytes | None = None

    async def begin(self, fault: Fault, *units: int) -> None:
        """Let a fault stand; of given units only, else of all."""
        self.fault, self.units, self._before = fault, frozenset(units), None
        await self._gate(fault.gate)

    async def end(self) -> None:
        """Mend the line."""
        self.fault = WHOLE
        await self._gate(Gate.OPEN)

    def _pieces(self, request: bytes, answer: bytes, frame: Tcp | Rtu) -> list[Piece]:
        if self.fault is WHOLE or (self.units and frame.unit not in self.units):
            return [answer]
        pieces = list(self.fault.change(Exchange(request, answer, self._before, frame, self._random)))
        self._before = answer
        told = " ".join(piece.hex() if isinstance(piece, bytes) else str(piece) for piece in pieces)
        self.log.append(f"{self.fault.name}: {request.hex()} → {told or 'nothing'}")
        return pieces

    @abstractmethod
    async def _gate(self, gate: Gate) -> None:
        """Let the agent's connections through, or do to them what the fault says."""


class TcpLine(Line):
    """A proxy on a port of its own; `port` stays the same while it refuses."""

    def __init__(self, device_port: int, seed: int) -> None:
        super().__init__(seed)
        self.port = 0
        self._device_port = device_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def _gate(self, gate: Gate) -> None:
        if gate is Gate.REFUSE and self._server is not None:
            self._server.close()
            self._server = None
            for writer in self._writers:
                writer.transport.abort()
        elif gate is not Gate.REFUSE and self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]
        if gate is Gate.CLOSE:
            for writer in self._writers:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connects += 1
        self._writers.add(writer)
        device: asyncio.StreamWriter | None = None
        try:
            if self.fault.gate is Gate.CLOSE:
                return
            answers, device = await asyncio.open_connection("127.0.0.1", self._device_port)
            while True:
                request = await next_tcp(reader)
                self.requests[request[6]] += 1
                if self.fault.gate is Gate.SWALLOW:
                    await reader.read(-1)
                    return
                device.write(request)
                answer = await next_tcp(answers)
                await self._send(writer, self._pieces(request, answer, Tcp.read(answer)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            if device is not None:
                device.close()

    @staticmethod
    async def _send(writer: asyncio.StreamWriter, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, float):
                await asyncio.sleep(piece)
            elif isinstance(piece, bytes):
                writer.write(piece)
                await writer.drain()
            else:
                if piece is End.RESET:
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
                writer.transport.abort() if piece is End.RESET else writer.close()
                raise ConnectionResetError("as the fault says")

    async def close(self) -> None:
        await self._gate(Gate.REFUSE)


class PtyLine(Line):
    """A pty for the agent under a stable name, and behind it the device's; all bytes take the time of a baud.

    Args:
        link: the name that the agent opens. device: the name of the device's pty.
        baud: 11 bits a character; nothing overtakes, but who talks while another one talks is mixed in.
    """

    def __init__(self, link: Path, device: str, baud: int, seed: int) -> None:
        super().__init__(seed)
        self.port = str(link)
        self._link = link
        self._character_s = _BITS / baud
        self._master = self._slave = -1
        self._device = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._device)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._device, self._answered)
        self._heard = b""
        self._answer = b""
        self._waiting: list[asyncio.Future[bytes]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._babbler: asyncio.Task[None] | None = None
        self.plug()

    def plug(self) -> None:
        if self._master >= 0:
            return
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(self._slave))
        self._heard = b""
        self._loop.add_reader(self._master, self._asked)

    def unplug(self) -> None:
        if self._master < 0:
            return
        self._loop.remove_reader(self._master)
        os.close(self._slave)
        os.close(self._master)
        self._link.unlink()
        self._master = self._slave = -1

    async def _gate(self, gate: Gate) -> None:
        (self.unplug if gate is Gate.GONE else self.plug)()
        if self._babbler is not None:
            self._babbler.cancel()
            self._babbler = None
        if self.fault.babble is not None:
            self._babbler = self._start(self._babble())

    def _start(self, work: object) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _babble(self) -> None:
        while self.fault.babble is not None:
            await self._send(self.fault.babble(self._random))

    def _asked(self) -> None:
        self._heard += os.read(self._master, _CHUNK)
        while len(self._heard) >= 8:
            request, self._heard = self._heard[:8], self._heard[8:]
            self.requests[request[0]] += 1
            self._start(self._carry(request))

    async def _carry(self, request: bytes) -> None:
        await asyncio.sleep(len(request) * self._character_s)
        answered = self._loop.create_future()
        self._waiting.append(answered)
        os.write(self._device, request)
        answer = await answered
        await self._send(self._pieces(request, answer, Rtu.read(answer)))

    def _answered(self) -> None:
        self._answer += os.read(self._device, _CHUNK)
        while len(self._answer) >= (length := rtu_length(self._answer)):
            answer, self._answer = self._answer[:length], self._answer[length:]
            self._waiting.pop(0).set_result(answer)

    async def _send(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, float):
                await asyncio.sleep(piece)
            elif isinstance(piece, bytes):
                await self._paced(piece)

    async def _paced(self, data: bytes) -> None:
        start, sent = self._loop.time(), 0
        while sent < len(data):
            await asyncio.sleep(min(_SLICE_S, (len(data) - sent) * self._character_s))
            through = min(len(data), int((self._loop.time() - start) / self._character_s))
            with suppress(BlockingIOError):
                if through > sent and self._master >= 0:
                    os.write(self._master, data[sent:through])
            sent = through

    async def close(self) -> None:
        await self.end()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.unplug()
        self._loop.remove_reader(self._device)
        os.close(self._device)


@asynccontextmanager
async def tcp_line(device_port: int, seed: int) -> AsyncIterator[TcpLine]:
    line = TcpLine(device_port, seed)
    await line.end()
    try:
        yield line
    finally:
        await line.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def pty_line(link: Path, device: str, baud: int, seed: int) -> AsyncIterator[PtyLine]:
    line = PtyLine(link, device, baud, seed)
    try:
        yield line
    finally:
        await line.close()
