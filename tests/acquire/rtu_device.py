"""Modbus RTU units made of bytes by hand, on the other end of a pty: they answer what a test tells them to."""

import asyncio
import os
import struct
import tty
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from edgeagent.acquire.modbus_rtu import ModbusRtu
from edgeagent.acquire.serial_line import SerialLine

LATENCY_S = 0.02
"""Longest latency of the units, as the tests configure it."""


def crc(body: bytes) -> bytes:
    """CRC-16 as the standard's annex writes it, bit by bit."""
    value = 0xFFFF
    for byte in body:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


def frame(body: bytes) -> bytes:
    return body + crc(body)


def right(request: bytes) -> bytes:
    """The right answer: register n holds n, bit n is n's lowest bit."""
    unit, function, address, count = struct.unpack(">BBHH", request[:6])
    if function in (1, 2):
        bits = [(address + i) & 1 for i in range(count)]
        data = bytes(sum(bit << i for i, bit in enumerate(bits[at:at + 8])) for at in range(0, count, 8))
    else:
        data = struct.pack(f">{count}H", *range(address, address + count))
    return frame(bytes([unit, function, len(data)]) + data)


class Device:
    """Hears requests of eight bytes. `answer` gives what is sent: pieces of bytes, and seconds between them."""

    def __init__(self) -> None:
        self.answer: Callable[[bytes], Iterable[bytes | float]] = lambda request: [right(request)]
        self.requests: list[bytes] = []
        self.port = ""
        self._master = self._slave = -1
        self._heard = b""
        self._tasks: set[asyncio.Task] = set()
        self._arrived = asyncio.Event()

    def plug(self, link: Path) -> None:
        """Be there under a stable name."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self._slave))
        self.port = str(link)
        asyncio.get_running_loop().add_reader(self._master, self._hear)

    def unplug(self) -> None:
        if self._master < 0:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1

    def forbid(self) -> None:
        Path(self.port).chmod(0)

    def send(self, data: bytes) -> None:
        with suppress(BlockingIOError):
            os.write(self._master, data)

    def _hear(self) -> None:
        self._heard += os.read(self._master, 4096)
        while len(self._heard) >= 8:
            request, self._heard = self._heard[:8], self._heard[8:]
            assert crc(request[:6]) == request[6:]
            self.requests.append(request)
            self._arrived.set()
            task = asyncio.ensure_future(self._say(self.answer(request)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _say(self, pieces: Iterable[bytes | float]) -> None:
        for piece in pieces:
            if isinstance(piece, float):
                await asyncio.sleep(piece)
            elif self._master >= 0:
                self.send(piece)

    async def was_asked(self, times: int) -> None:
        while len(self.requests) < times:
            self._arrived.clear()
            await self._arrived.wait()

    async def quiet(self) -> None:
        """Wait until everything is said."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))


@asynccontextmanager
async def device(tmp_path: Path):
    the_device = Device()
    the_device.plug(tmp_path / "tty-oven")
    try:
        yield the_device
        await the_device.quiet()
    finally:
        the_device.unplug()


@asynccontextmanager
async def connected(tmp_path: Path, *units: int):
    """(device, one source for each unit)"""
    async with device(tmp_path) as the_device:
        line = SerialLine(the_device.port, 115200, "none", 1)
        sources = [ModbusRtu(line, unit, LATENCY_S) for unit in units or (1,)]
        for source in sources:
            await source.connect()
        try:
            yield the_device, *sources
        finally:
            for source in sources:
                source.close()
