"""Modbus RTU as a listener hears it: another master's questions, each with the answer that belongs to it."""

from __future__ import annotations

import struct
from collections import Counter
from typing import NamedTuple

from firmware_iface.frames.rtu import SHORTEST, crc16, expected

_UNITS = range(1, 248)
_MOST = {1: 2000, 2: 2000, 3: 125, 4: 125}
_QUESTION = 8
"""Bytes of a question for registers or bits, CRC included; so long are also both sides of a write to one place."""
_SINGLE_WRITES = (5, 6)
_WRITES = (15, 16)
_MOST_QUESTIONS = 1000
"""Different questions that are counted."""
_LONGEST = 256
"""Bytes of the longest frame on a serial line."""


class Question(NamedTuple):
    """What a unit is asked for: `quantity` bits or registers from `address` on."""

    unit: int
    function: int
    address: int
    quantity: int


class Overheard(NamedTuple):
    """What a unit answered to somebody else: `data` is of `quantity` bits or registers from `address` on."""

    unit: int
    function: int
    address: int
    quantity: int
    data: bytes


class Conversation:
    """Finds questions and answers in what is heard on a line; at most two frames are held.

    An answer counts only if it has the length that was asked for, of the unit that was asked last, with nothing else
    between the two: another frame, or as many bytes that are none as a frame has, say that the master went on. After a
    question that stayed without an answer, or an answer that nobody asked for, that unit's next answer is not
    believed: it may be a late one to an earlier question.

    Attributes:
        questions: how often each was heard, answered or not.
    """

    def __init__(self) -> None:
        self.questions: Counter[Question] = Counter()
        self._buffer = bytearray()
        self._passed_over = 0
        """Bytes since the last frame that are none."""
        self._asked: Overheard | None = None
        self._doubted: set[int] = set()

    def silence(self) -> None:
        """The line was silent for longer than a frame can pause: what is not whole by now never will be."""
        self._buffer.clear()
        self._give_up()

    def feed(self, heard: bytes) -> list[Overheard]:
        """Take what was heard; the answers that are whole by now, in order."""
        self._buffer += heard
        told = []
        at = keep = 0
        while at + SHORTEST <= len(self._buffer):
            length = self._frame(at)
            if length is None:
                break
            self._passed_over = 0 if length else self._passed_over + 1
            if length:
                answered = self._understand(bytes(self._buffer[at:at + length]))
                if answered:
                    told.append(answered)
            elif self._passed_over >= SHORTEST:
                self._give_up()
            at += length or 1
            keep = at
        del self._buffer[:keep]
        del self._buffer[:-2 * _LONGEST]
        return told

    def _frame(self, at: int) -> int | None:
        """Bytes of the frame that begins here, 0 where none does, None where that cannot be told yet."""
        is_whole = True
        for length in self._lengths(self._buffer[at:at + 7]):
            if at + length > len(self._buffer):
                is_whole = False
            elif crc16(self._buffer[at:at + length]) == 0:
                return length
        return 0 if is_whole else None

    def _lengths(self, head: bytearray) -> list[int]:
        """How long a frame with this head can be; the answer that is waited for comes first."""
        unit, function = head[0], head[1]
        if unit not in _UNITS:
            return []
        if function & 0x80:
            return [SHORTEST] if function & 0x7F in {*_MOST, *_SINGLE_WRITES, *_WRITES} else []
        if function in _SINGLE_WRITES:
            return [_QUESTION]
        if function in _WRITES:
            return [_QUESTION, *([9 + head[6]] if len(head) > 6 else [])]
        if function not in _MOST:
            return []
        return [SHORTEST + head[2], _QUESTION]

    def _understand(self, frame: bytes) -> Overheard | None:
        unit, function = frame[0], frame[1]
        asked = self._asked
        if asked and (unit, function & 0x7F) == (asked.unit, asked.function):
            if function & 0x80:
                self._asked = None
                return None
            if len(frame) == expected(function, asked.quantity) and frame[2] == len(frame) - SHORTEST:
                self._asked = None
                if unit in self._doubted:
                    self._doubted.discard(unit)
                    return None
                return asked._replace(data=frame[3:-2])
        self._give_up()
        if function in _MOST and len(frame) == _QUESTION:
            address, count = struct.unpack_from(">HH", frame, 2)
            if 1 <= count <= _MOST[function] and address + count <= 65_536:
                self._asked = Overheard(unit, function, address, count, b"")
                self._count(Question(unit, function, address, count))
                return None
        if function in _MOST:
            self._doubted.add(unit)
        return None

    def _count(self, question: Question) -> None:
        if question in self.questions or len(self.questions) < _MOST_QUESTIONS:
            self.questions[question] += 1

    def _give_up(self) -> None:
        """The question that is waited for stays without an answer."""
        if self._asked:
            self._doubted.add(self._asked.unit)
            self._asked = None
