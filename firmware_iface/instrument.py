"""An instrument that speaks text: what it is asked, and which of its words become which registers."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

WIDTH = 4
"""Registers that one reading takes: a float64."""

MAX_LINE = 200
"""Characters of a line, where the map says nothing."""

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEXADECIMAL = re.compile(r">[0-9A-Fa-f]{1,8}")


@dataclass(frozen=True, slots=True)
class Reading:
    """One number of the instrument, given as a float64 in WIDTH registers from `address` on.

    Attributes:
        mnemonic: EI-Bisynch: the parameter's two characters.
        bit: EI-Bisynch: the reading is this bit, 0 or 1, of a status word that comes in hexadecimal.
        group: text lines: the named group of the patterns that holds the number.
        unit_group, unit_is: text lines: the group that holds the unit, and the only unit in which the number counts.
    """

    address: int
    mnemonic: str | None
    bit: int | None
    group: str | None
    unit_group: str | None
    unit_is: str | None


@dataclass(frozen=True, slots=True)
class Instrument:
    """How an instrument is spoken to.

    Attributes:
        protocol: "ei-bisynch" or "text-line".
        poll: text lines: what is sent to be told one line; {address} in it is the instrument's. Empty: the instrument
            tells its lines by itself and nothing is sent.
        patterns: what a line with values looks like from its first to its last character, several variants.
        not_ready: what a line of an instrument looks like that lives but has no value.
        max_line: characters of the longest line; a longer one is no line.
    """

    protocol: str
    poll: str
    patterns: tuple[str, ...]
    not_ready: tuple[str, ...]
    max_line: int
    readings: tuple[Reading, ...]

    @property
    def streams(self) -> bool:
        """Whether it tells its values without being asked."""
        return self.protocol == "text-line" and not self.poll


def number(text: str) -> float:
    """The number that a text is, with a decimal point and perhaps blanks around it; NaN for anything else."""
    stripped = text.strip(" ")
    value = float(stripped) if _DECIMAL.fullmatch(stripped) else math.nan
    return value if math.isfinite(value) else math.nan


def status_bit(text: str, bit: int) -> float:
    """One bit, 0 or 1, of a status word in hexadecimal, ">0030"; NaN for anything else."""
    stripped = text.strip(" ")
    return float(int(stripped[1:], 16) >> bit & 1) if _HEXADECIMAL.fullmatch(stripped) else math.nan


def registers(values: Mapping[int, float], address: int, count: int) -> bytes:
    """What a read of `count` registers from `address` on brings: float64 by address, big-endian, NaN where none is."""
    places = range(address, address + count, WIDTH)
    return struct.pack(f">{len(places)}d", *(values.get(place, math.nan) for place in places))
