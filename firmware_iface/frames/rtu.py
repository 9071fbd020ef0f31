"""Modbus RTU as a master reads it: requests, and answers found by their length and checksum, never by a gap."""

from __future__ import annotations

import struct

from firmware_iface.frames.writes import ANSWER

EXCEPTION = {
    1: "illegal function", 2: "illegal address", 3: "illegal value", 4: "device failure", 5: "acknowledged, not done",
    6: "busy", 7: "refused", 8: "memory parity error", 10: "gateway has no path", 11: "gateway target is silent",
}  # fmt: skip
"""Modbus Application Protocol, section 7."""

SHORTEST = 5
"""Bytes of the shortest answer, an exception: unit, function, code, CRC."""

_UNITS = range(1, 248)
_MOST = {1: 2000, 2: 2000, 3: 125, 4: 125}
"""Function → bits or registers that one answer can carry."""


class Refusal(Exception):
    """The device answered the question with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{EXCEPTION.get(code, 'exception')} ({code})")
        self.code = code


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)  # noqa: PLW2901
        table.append(value)
    return tuple(table)


_CRC = _crc_table()


def crc16(data: bytes | bytearray) -> int:
    """CRC-16 of Modbus, sent with its low byte first; 0 over a frame together with its CRC."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def framed(body: bytes) -> bytes:
    """Put the CRC behind unit, function and data."""
    return body + struct.pack("<H", crc16(body))


def request(unit: int, function: int, address: int, count: int) -> bytes:
    """Make the question for `count` bits (function 1, 2) or registers (3, 4).

    Raises:
        ValueError: unit not 1 to 247, or more than one answer can carry.
    """
    if unit not in _UNITS:
        raise ValueError(f"unit {unit}: a unit that answers on a serial line is 1 to 247")
    if function not in _MOST or not 1 <= count <= _MOST[function] or not 0 <= address <= 65536 - count:
        raise ValueError(f"function {function}, {count} from {address}: no Modbus answer carries that")
    return framed(struct.pack(">BBHH", unit, function, address, count))


def expected(function: int, count: int) -> int:
    """Bytes of the whole answer to `count` bits or registers, CRC included."""
    return SHORTEST + ((count + 7) // 8 if function in {1, 2} else 2 * count)


class Answer:
    """Finds the answer to one question in whatever is heard on the line.

    A frame counts when unit, function, byte count and CRC fit. Noise, frames of other units and echoes of the request
    are passed over; an answer that is, bit for bit, the beginning of the request is taken for its echo. At most one
    answer's length and the last piece are held.

    Attributes:
        request: the bytes to send. length: bytes of the right answer.
        names_unit: an answer says whose it is.
        passed_over: bytes heard that were neither an answer nor an echo.
    """

    names_unit = True

    def __init__(self, unit: int, function: int, address: int, count: int) -> None:
        length = expected(function, count)
        head = bytes([unit, function, length - SHORTEST])
        self._await(request(unit, function, address, count), head, length)
        self._echo = self.request

    def _await(self, request: bytes, head: bytes, length: int) -> None:
        self.unit = head[0]
        self.request = request
        self.length = length
        self._head = head
        self._exception = bytes([head[0], head[1] | 0x80])
        self.passed_over = 0
        self._buffer = bytearray()

    def feed(self, heard: bytes) -> bytes | None:
        """Take what was heard and return the next answer's data, or None until it is whole.

        Raises:
            Refusal: the answer is an exception to this function.
        """
        buffer = self._buffer
        buffer += heard
        keep = len(buffer)
        at = buffer.find(self.unit)
        while at >= 0:
            step = 1
            length = self._length(at)
            if self._echo and buffer.startswith(self._echo, at):
                step = len(self._echo)
            elif at + length > len(buffer) or self._echo.startswith(buffer[at:]):
                keep = min(keep, at)
                if self._echo.startswith(buffer[at:]):
                    break
            elif length and self._is_whole(frame := bytes(buffer[at:at + length])):
                self._drop(at)
                del buffer[:length]
                return self._told(frame)
            at = buffer.find(self.unit, at + step)
        self._drop(keep)
        return None

    def _drop(self, size: int) -> None:
        dropped = bytes(self._buffer[:size])
        self.passed_over += size - dropped.count(self._echo) * len(self._echo)
        del self._buffer[:size]

    def _length(self, at: int) -> int:
        """Bytes of the frame that may begin here, 0 when none can."""
        head = self._buffer[at:at + len(self._head)]
        if self._head.startswith(head):
            return self.length
        return SHORTEST if self._exception.startswith(head[:2]) else 0

    def _is_whole(self, frame: bytes) -> bool:
        return crc16(frame) == 0 and not self._echo.startswith(frame)

    def _told(self, frame: bytes) -> bytes:
        if frame[1] & 0x80:
            raise Refusal(frame[2])
        return frame[3:-2]


class Confirmation(Answer):
    """Finds the answer to one write: unit, function, address and value (of one) or count (of several) must fit.

    The answer to function 5 or 6 is its request once more: on a line that gives back what is sent the first one is
    passed over, and on any other line none is.

    Args:
        pdu: as `firmware_iface.frames.writes` makes it.
        is_echoed: the line gives back what is sent.

    Raises:
        ValueError: unit not 1 to 247.
    """

    def __init__(self, unit: int, pdu: bytes, is_echoed: bool) -> None:
        if unit not in _UNITS:
            raise ValueError(f"unit {unit}: a unit that answers on a serial line is 1 to 247")
        request, right = framed(bytes([unit]) + pdu), framed(bytes([unit]) + pdu[:ANSWER])
        self._await(request, right[:-2], len(right))
        is_mirror = request == right
        self._echo = b"" if is_mirror else request
        self._is_echo_due = is_mirror and is_echoed

    def feed(self, heard: bytes) -> bytes | None:
        """Take what was heard and return the next answer, its whole frame, or None until it is whole.

        Raises:
            Refusal: the answer is an exception to this function.
        """
        frame = super().feed(heard)
        if frame is not None and self._is_echo_due:
            self._is_echo_due = False
            frame = super().feed(b"")
        return frame

    def _told(self, frame: bytes) -> bytes:
        super()._told(frame)
        return frame
