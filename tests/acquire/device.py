"""A Modbus TCP device made of bytes by hand: it answers what a test tells it to, right or wrong."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import asynccontextmanager

from edgeagent.acquire.modbus import ModbusTcp, TcpConnection

Answer = Callable[[bytes], bytes | None]


def right(request: bytes) -> bytes:
    """The right answer: register n holds n, bit n is n's lowest bit, and every write is taken."""
    tid, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", request[:12])
    if function in (5, 6, 15, 16):
        return frame(tid, unit, request[7:12])
    if function in (1, 2):
        bits = [(address + i) & 1 for i in range(count)]
        data = bytes(sum(bit << i for i, bit in enumerate(bits[at:at + 8])) for at in range(0, count, 8))
    else:
        data = struct.pack(f">{count}H", *range(address, address + count))
    return frame(tid, unit, bytes([function, len(data)]) + data)


def frame(tid: int, unit: int, pdu: bytes, protocol: int = 0, length: int | None = None) -> bytes:
    return struct.pack(">HHHB", tid, protocol, len(pdu) + 1 if length is None else length, unit) + pdu


class Device:
    """Counts what it is asked; `answer` may be changed at any time. None answers nothing, b"" closes.

    Attributes:
        holds: no answer is given before it is set.
    """

    def __init__(self) -> None:
        self.answer: Answer = right
        self.answers_after_s = 0.0
        self.holds: asyncio.Event | None = None
        self.requests: list[bytes] = []
        self.connects = 0
        self.accepts = True
        self.port = 0
        self._arrived = asyncio.Event()

    async def was_asked(self, times: int) -> None:
        while len(self.requests) < times:
            self._arrived.clear()
            await self._arrived.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connects += 1
        try:
            while self.accepts:
                head = await reader.readexactly(6)
                request = head + await reader.readexactly(int.from_bytes(head[4:], "big"))
                self.requests.append(request)
                self._arrived.set()
                await asyncio.sleep(self.answers_after_s)
                if self.holds is not None:
                    await self.holds.wait()
                answer = self.answer(request)
                if answer == b"":
                    break
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def device():
    the_device = Device()
    server = await asyncio.start_server(the_device._serve, "127.0.0.1", 0)
    the_device.port = server.sockets[0].getsockname()[1]
    try:
        yield the_device
    finally:
        server.close()


@asynccontextmanager
async def connected(unit: int = 1, timeout_s: float = 0.15):
    async with device() as the_device:
        source = ModbusTcp(TcpConnection("127.0.0.1", the_device.port, timeout_s), unit)
        await source.connect()
        try:
            yield the_device, source
        finally:
            source.close()
            await asyncio.sleep(0)
