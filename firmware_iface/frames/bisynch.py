"""EI-Bisynch as a master reads it: a parameter asked by its mnemonic, an answer found by its length and checksum."""

from __future__ import annotations

from functools import reduce
from operator import xor

STX, ETX, EOT, ENQ, NAK = b"\x02", b"\x03", b"\x04", b"\x05", b"\x15"

REFUSALS = {EOT: "unknown mnemonic", NAK: "the question was not understood"}
"""A unit that has no value to give answers with one character, and no checksum."""

UNITS = range(1, 100)
"""Group and unit digit; 00 is reserved."""

_LONGEST_DATA = 24
"""Characters of a value, with room: numbers have up to 8."""

LONGEST = len(STX) + 2 + _LONGEST_DATA + len(ETX) + 1
"""Bytes of the longest answer: STX, mnemonic, value, ETX, checksum."""


def checksum(data: bytes | bytearray) -> bytes:
    """XOR over everything from behind STX to ETX; it may equal any control character."""
    return bytes([reduce(xor, data, 0)])


def request(unit: int, mnemonic: str) -> bytes:
    """Make the question for one parameter; each digit of the address is sent twice.

    Raises:
        ValueError: unit not 1 to 99, or a mnemonic that is not two printable characters.
    """
    if unit not in UNITS:
        raise ValueError(f"unit {unit}: EI-Bisynch has 1 to 99")
    asked = mnemonic.encode()
    if len(mnemonic) != 2 or not _is_printable(asked):
        raise ValueError(f"{mnemonic!r}: a mnemonic is two printable characters")
    group, digit = divmod(unit, 10)
    return EOT + f"{group}{group}{digit}{digit}".encode() + asked + ENQ


def framed(mnemonic: str, value: str) -> bytes:
    """Make the answer to the question for a parameter."""
    body = (mnemonic + value).encode("ascii") + ETX
    return STX + body + checksum(body)


class Answer:
    """Finds the answer to one question in whatever is heard on the line.

    An answer counts when its mnemonic and checksum fit and its value is of printable characters. Noise, answers to
    other questions and an echo are passed over. At most one answer and the last piece are held.

    Attributes:
        request: the bytes to send. passed_over: bytes heard that were neither an answer nor an echo.
        names_unit: an answer does not say whose it is.
    """

    names_unit = False

    def __init__(self, unit: int, mnemonic: str) -> None:
        self.unit = unit
        self.request = request(unit, mnemonic)
        self.passed_over = 0
        self._head = STX + mnemonic.encode("ascii")
        self._buffer = bytearray()
        self._is_told = False

    def feed(self, heard: bytes) -> bytes | None:
        """Take what was heard and return the next answer's mnemonic and value, or None until it is whole.

        Nothing heard means that the time is up: a key of REFUSALS is returned then, once, if that is all that came.
        """
        buffer = self._buffer
        buffer += heard
        at = self._find(0)
        while at >= 0:
            end = self._end(at)
            if end is None:
                break
            if end and checksum(buffer[at + 1:end]) == buffer[end:end + 1]:
                said = bytes(buffer[at + 1:end - 1])
                self._drop(at)
                del buffer[:end + 1 - at]
                self._is_told = True
                return said
            at = self._find(at + 1)
        if not heard and not self._is_told:
            alone = bytes(buffer.removeprefix(self.request))
            self._is_told = alone in REFUSALS
            return alone if self._is_told else None
        self._drop(at if at >= 0 else max(0, len(buffer) - LONGEST))
        return None

    def _drop(self, size: int) -> None:
        dropped = bytes(self._buffer[:size])
        self.passed_over += size - dropped.count(self.request) * len(self.request)
        del self._buffer[:size]

    def _find(self, start: int) -> int:
        """Where the next answer may begin; -1 where none does."""
        at = self._buffer.find(STX, start)
        while at >= 0 and not self._head.startswith(self._buffer[at:at + len(self._head)]):
            at = self._buffer.find(STX, at + 1)
        return at

    def _end(self, at: int) -> int | None:
        """Place of the checksum of the answer that begins here; 0 where it is none, None where that cannot be told."""
        first = at + len(self._head)
        end = self._buffer.find(ETX, first, first + _LONGEST_DATA + 1)
        data = self._buffer[first:end if end >= 0 else first + _LONGEST_DATA + 1]
        if not _is_printable(data) or (end < 0 and len(data) > _LONGEST_DATA):
            return 0
        return end + 1 if 0 <= end < len(self._buffer) - 1 else None


def _is_printable(data: bytes | bytearray) -> bool:
    return all(0x20 <= byte < 0x7F for byte in data)
