"""Values as the raw numbers that are on the wire: what a type can hold, and what a value is in it."""

from __future__ import annotations

import math
import struct

from firmware_iface.registers import WIDTHS, Register

_STEP_PART = 1e-6
"""Share of a raw step by which a decimal number may miss it."""


def limits(type_: str) -> tuple[int, int] | None:
    """Smallest and largest number of a whole type; None for floats, bits and texts."""
    if type_ not in WIDTHS or type_.startswith("float"):
        return None
    if type_.startswith("bcd"):
        return 0, 10 ** (4 * WIDTHS[type_]) - 1
    size = 16 * WIDTHS[type_]
    return (0, 2**size - 1) if type_.startswith("u") else (-(2 ** (size - 1)), 2 ** (size - 1) - 1)


def reachable(type_: str, scale: float, offset: float) -> tuple[float, float]:
    """Lowest and highest value that the type gives; infinite for floats."""
    if type_ == "bit":
        return 0.0, 1.0
    ends = limits(type_)
    if ends is None:
        return -math.inf, math.inf
    low, high = sorted(end * scale + offset for end in ends)
    return low, high


def good_values(register: Register) -> tuple[float, float]:
    """Lowest and highest value that can be good: reachable, and within the range."""
    low, high = reachable(register.type, register.scale, register.offset)
    return (max(low, -math.inf if register.low is None else register.low),
            min(high, math.inf if register.high is None else register.high))  # fmt: skip


def raw_number(register: Register, value: float) -> int | None:
    """The raw number, unsigned as on the wire, that a value is; None where none is exactly that value.

    A text has none, and neither has what lies outside of the type.
    """
    if register.type == "text":
        return None
    number = (value - register.offset) / register.scale
    if not math.isfinite(number):
        return None
    if register.type.startswith("float"):
        try:
            return float_bits(number, 16 * WIDTHS[register.type])
        except OverflowError:
            return None
    whole = round(number)
    low, high = limits(register.type) or (0, 1)
    if not low <= whole <= high or abs(number - whole) > _STEP_PART * max(1.0, abs(whole) * 1e-6):
        return None
    return unsigned(register.type, whole)


def unsigned(type_: str, whole: int) -> int:
    """A whole number of a type as it is on the wire."""
    return int(str(whole), 16) if type_.startswith("bcd") else whole % 2 ** (16 * WIDTHS.get(type_, 1))


def float_bits(number: float, size: int) -> int:
    """A number as the bits of a float of 32 or 64; OverflowError where it is too large."""
    return int.from_bytes(struct.pack(">f" if size == 32 else ">d", number), "big")
