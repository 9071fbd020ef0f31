"""Whether the device at the other end is the one that a map describes: what is read at connect, and what misfits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from firmware_iface.raw_numbers import raw_number
from firmware_iface.registers import Register, RegisterMap
from firmware_iface.wording import number

FINGERPRINT = "fingerprint"
"""Name of the point, a uint32, at which a device serves the fingerprint of the map that it was made from."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One thing by which a device is known; whatever is given must fit.

    Attributes:
        point: path of what is read.
        equals: numbers of which it is one, or the text that it is; None for any.
        low, high: smallest and largest number, both allowed; None for any.
        mask: bits of the raw number, unsigned, that are compared instead of the value; None for the value itself.
        text: why, for people.
    """

    point: str
    equals: tuple[float, ...] | str | None = None
    low: float | None = None
    high: float | None = None
    mask: int | None = None
    text: str = ""


def is_fingerprint(register: Register) -> bool:
    """Say whether a point serves the fingerprint of its map."""
    is_plain = register.scale == 1 and register.offset == 0
    return register.path.rpartition("/")[2] == FINGERPRINT and register.type == "uint32" and is_plain


def fingerprint_point(registers: Iterable[Register]) -> Register | None:
    """The point that serves the fingerprint; None where the map has none."""
    return next(filter(is_fingerprint, registers), None)


def points(register_map: RegisterMap) -> tuple[Register, ...]:
    """What is read at connect, in the order of the map: identity, firmware where it is limited, fingerprint."""
    paths = {each.point for each in register_map.identity}
    if register_map.firmware and (register_map.firmware_from or register_map.firmware_to):
        paths.add(register_map.firmware)
    if served := fingerprint_point(register_map.registers):
        paths.add(served.path)
    return tuple(register for register in register_map.registers if register.path in paths)


def misfits(register_map: RegisterMap, values: Mapping[str, float | str | None]) -> list[str]:
    """Say in one sentence each what does not fit; nothing for the device that the map describes.

    Args:
        values: by path, of all `points`, in their units; None, NaN or left out where it could not be read.
    """
    return [*_identity(register_map, values), *_firmware(register_map, values), *_fingerprint(register_map, values)]


def _identity(register_map: RegisterMap, values: Mapping[str, float | str | None]) -> Iterator[str]:
    for each in register_map.identity:
        why = f": {each.text}" if each.text else ""
        value = _read(values, each.point)
        if value is None:
            yield f"{each.point} could not be read, it cannot be told whether it {wanted(each)}{why}"
        elif not _fits(each, value, register_map.register(each.point)):
            yield f"{each.point} is {_shown(value)}, it {wanted(each)}{why}"


def wanted(identity: Identity) -> str:
    """What an entry asks for, in words: "must be 1 or 2", "must be from 3 to 5 in the bits 0xFF00"."""
    told = []
    if isinstance(identity.equals, str):
        told.append(f'"{identity.equals}"')
    elif identity.equals is not None:
        told.append(" or ".join(map(number, identity.equals)))
    if identity.low is not None and identity.high is not None:
        told.append(f"from {number(identity.low)} to {number(identity.high)}")
    elif identity.low is not None:
        told.append(f"at least {number(identity.low)}")
    elif identity.high is not None:
        told.append(f"at most {number(identity.high)}")
    bits = "" if identity.mask is None else f" in the bits 0x{identity.mask:X} of its raw number"
    return f"must be {' and '.join(told)}{bits}"


def _fits(identity: Identity, value: float | str, register: Register) -> bool:
    if isinstance(value, str):
        return identity.equals == value
    if identity.mask is not None:
        raw = raw_number(register, value)
        if raw is None:
            return False
        value = raw & identity.mask
    tolerance = 0.0 if identity.mask is not None else 1e-6 * abs(register.scale)
    if isinstance(identity.equals, str):
        return False
    is_equal = identity.equals is None or any(abs(value - one) <= tolerance for one in identity.equals)
    is_above = identity.low is None or value >= identity.low - tolerance
    is_below = identity.high is None or value <= identity.high + tolerance
    return is_equal and is_above and is_below


def _firmware(register_map: RegisterMap, values: Mapping[str, float | str | None]) -> Iterator[str]:
    low, high = register_map.firmware_from, register_map.firmware_to
    if register_map.firmware is None or not (low or high):
        return
    range_ = " ".join(filter(None, (f"from {low}" if low else "", f"to {high}" if high else "")))
    value = _read(values, register_map.firmware)
    version = re.search(r"[0-9]+(\.[0-9]+)*", value, re.ASCII) if isinstance(value, str) else None
    if value is None:
        yield f"the firmware could not be read, it cannot be told whether it is {range_}"
    elif version is None:
        yield f"the firmware is {_shown(value)}, which is no version, it cannot be told whether it is {range_}"
    elif (low and compared(version[0], low) < 0) or (high and compared(version[0], high) > 0):
        yield f"the firmware is {_shown(value)}, the map is for versions {range_}"


def compared(version: str, limit: str) -> int:
    """Compare dotted versions part by part as numbers: negative, 0 or positive.

    Only the parts that the limit has count: 3.04.7 is 3.04. Parts that the version has not are 0.
    """
    mine, others = ([int(part) for part in text.split(".")] for text in (version, limit))
    pairs = list(zip_longest(mine[: len(others)], others, fillvalue=0))
    return next(((a > b) - (a < b) for a, b in pairs if a != b), 0)


def _fingerprint(register_map: RegisterMap, values: Mapping[str, float | str | None]) -> Iterator[str]:
    served = fingerprint_point(register_map.registers)
    if served is None:
        return
    value = _read(values, served.path)
    if not isinstance(value, float | int):
        yield f"{served.path} could not be read, it cannot be told whether the device was made from this map"
    elif value != int(register_map.fingerprint, 16):
        yield (f"the device was made from another map: its fingerprint is {int(value):08x},"
               f" that of {register_map.id} {register_map.version} is {register_map.fingerprint}")  # fmt: skip


def _read(values: Mapping[str, float | str | None], path: str) -> float | str | None:
    value = values.get(path)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(value: float | str) -> str:
    return number(float(value)) if isinstance(value, float | int) else f'"{value[:60]}"'
