"""Whole frames on two wires, taken apart and put together by hand: Modbus TCP and Modbus RTU."""

from __future__ import annotations

import asyncio
import struct
from typing import NamedTuple

from tests.acquire.rtu_device import crc


class Tcp(NamedTuple):
    """A frame behind its MBAP header; `length` None is the true one."""

    unit: int
    pdu: bytes
    transaction: int = 0
    protocol: int = 0
    length: int | None = None

    @classmethod
    def read(cls, frame: bytes) -> Tcp:
        transaction, protocol, _, unit = struct.unpack(">HHHB", frame[:7])
        return cls(unit, frame[7:], transaction, protocol)

    def __bytes__(self) -> bytes:
        length = len(self.pdu) + 1 if self.length is None else self.length
        return struct.pack(">HHHB", self.transaction, self.protocol, length, self.unit) + self.pdu


class Rtu(NamedTuple):
    """A frame with its CRC."""

    unit: int
    pdu: bytes

    @classmethod
    def read(cls, frame: bytes) -> Rtu:
        return cls(frame[0], frame[1:-2])

    def __bytes__(self) -> bytes:
        body = bytes([self.unit]) + self.pdu
        return body + crc(body)


def other_data(pdu: bytes) -> bytes:
    """An answer with the same function and count that holds something else: believed, it would be a wrong value."""
    return pdu[:2] + bytes(byte ^ 0x15 for byte in pdu[2:])


async def next_tcp(reader: asyncio.StreamReader) -> bytes:
    """The next frame of a stream; raises IncompleteReadError at its end."""
    head = await reader.readexactly(6)
    return head + await reader.readexactly(int.from_bytes(head[4:]))


def rtu_length(frame: bytes) -> int:
    """Bytes of the right answer that begins so."""
    return 5 if len(frame) < 3 or frame[1] & 0x80 else 5 + frame[2]
