"""Lines of text as instruments send them: bytes in, whole lines out, and what a line says."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from firmware_iface.instrument import Instrument, number

ADDRESS = "address"
"""Name of the group that must hold the instrument's own address, and what stands for it in a poll."""

_ENDS = re.compile(rb"[\r\n]")
_OUTSIDE = re.compile(r"[^\t\x20-\x7e]")


class Lines:
    """Puts lines together; CR, LF or both end one, empty lines are none, one line at most is held.

    Args:
        longest: characters of a line; a longer one is dropped up to its end.
        is_inside: what is heard first may be the rest of a line, which is dropped.
    """

    def __init__(self, longest: int, is_inside: bool = False) -> None:
        self._longest = longest
        self._buffer = bytearray()
        self._is_dropping = is_inside

    @property
    def is_inside(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._buffer)

    def drop(self) -> None:
        """What was heard of a line is not believed, and neither is the rest of it."""
        self._buffer.clear()
        self._is_dropping = True

    def feed(self, heard: bytes) -> list[str]:
        """Take what was heard; the lines that are whole by now, in order."""
        told = []
        *ended, begun = _ENDS.split(heard)
        for piece in ended:
            self._add(piece)
            if self._buffer and not self._is_dropping:
                told.append(self._buffer.decode("latin-1"))
            self._buffer.clear()
            self._is_dropping = False
        self._add(begun)
        return told

    def _add(self, piece: bytes) -> None:
        if len(self._buffer) + len(piece) > self._longest:
            self.drop()
        elif not self._is_dropping:
            self._buffer += piece


@dataclass(frozen=True, slots=True)
class Said:
    """What a line says.

    Attributes:
        values: by the address of the reading; a reading without a value is missing.
        causes: by the address of a reading without a value, why it has none.
    """

    values: dict[int, float]
    causes: dict[int, str]


class Phrases:
    """Understands the lines of one instrument.

    Args:
        address: the instrument's own, which its lines may tell.
    """

    def __init__(self, instrument: Instrument, address: str) -> None:
        self._readings = instrument.readings
        self._address = address
        self._patterns = [re.compile(pattern, re.ASCII) for pattern in instrument.patterns]
        self._not_ready = [re.compile(pattern, re.ASCII) for pattern in instrument.not_ready]

    def understand(self, line: str) -> Said | None:
        """What a line says; None where it is no line of this instrument, or has a character that is no plain text."""
        if _OUTSIDE.search(line):
            return None
        if self._fitting(self._not_ready, line) is not None:
            return Said({}, {reading.address: f"it says {line!r}" for reading in self._readings})
        groups = self._fitting(self._patterns, line)
        return None if groups is None else self._said(groups)

    def _fitting(self, patterns: Iterable[re.Pattern[str]], line: str) -> dict[str, str | None] | None:
        """The named groups of the first pattern that fits the whole line and tells no other's address."""
        for pattern in patterns:
            match = pattern.fullmatch(line)
            if match and match.groupdict().get(ADDRESS) in (None, self._address):
                return match.groupdict()
        return None

    def _said(self, groups: dict[str, str | None]) -> Said:
        said = Said({}, {})
        for reading in self._readings:
            text = groups.get(reading.group or "") or ""
            value = number(text)
            unit = groups.get(reading.unit_group) if reading.unit_group else None
            if unit != reading.unit_is:
                said.causes[reading.address] = f"its unit is {unit!r}, not {reading.unit_is!r}"
            elif math.isnan(value):
                said.causes[reading.address] = f"{text!r} is no number"
            else:
                said.values[reading.address] = value
        return said


class Answer:
    """Finds the answer to one poll of an instrument in whatever is heard on the line.

    Lines that are not the instrument's are passed over, and so is an echo of the poll, on a line of its own or
    before the answer.

    Attributes:
        request: the bytes to send. passed_over: characters of lines that were neither an answer nor an echo.
        names_unit: a line need not say whose it is.
    """

    names_unit = False

    def __init__(self, instrument: Instrument, phrases: Phrases, address: str) -> None:
        self.unit = address
        self.request = instrument.poll.replace(f"{{{ADDRESS}}}", address).encode("ascii")
        self._echo = self.request.decode("ascii").strip("\r\n")
        self.passed_over = 0
        self._phrases = phrases
        self._lines = Lines(instrument.max_line + len(self._echo))
        self._heard: list[str] = []

    def feed(self, heard: bytes) -> bytes | None:
        """Take what was heard and return the instrument's next line, or None until it is whole."""
        self._heard += self._lines.feed(heard)
        while self._heard:
            line = self._heard.pop(0)
            for said in (line, line.removeprefix(self._echo)):
                if self._phrases.understand(said):
                    return said.encode("ascii")
            self.passed_over += len(line) if line != self._echo else 0
        return None
