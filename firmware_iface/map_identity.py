"""Makes the identity of the tables of a map, and refuses what no device could fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from firmware_iface import map_keys
from firmware_iface.identity import Identity, compared, is_fingerprint
from firmware_iface.map_reader import Reader, Values
from firmware_iface.raw_numbers import good_values, limits, raw_number
from firmware_iface.registers import Register
from firmware_iface.toml_lines import KeyPath
from firmware_iface.wording import number


def read_identity(reader: Reader, tables: Iterable[Mapping[str, Any]]) -> tuple[Identity, ...]:
    """Read the entries in the order of the file; those with a key that cannot be read are left out."""
    entries = []
    for index, table in enumerate(tables):
        where: KeyPath = ("identity", index)
        entry = reader.read(table, where, map_keys.IDENTITY)
        if not entry.is_whole:
            continue
        identity = Identity(**entry)
        register = reader.points[identity.point]
        if identity.equals is None and identity.low is None and identity.high is None:
            reader.fault(where, "compares the point with nothing", "give equals, low or high")
        for key, reason, mend in _misfits(identity, register) if register else ():
            reader.fault((*where, *key), reason, mend)
        entries.append(identity)
    return tuple(entries)


def _misfits(identity: Identity, register: Register) -> Iterator[tuple[KeyPath, str, str]]:
    """Find what no device could fit: where in the entry, reason, how to mend it."""
    is_text = register.type == "text"
    ends = [(key, limit) for key, limit in (("low", identity.low), ("high", identity.high)) if limit is not None]
    if is_text:
        if isinstance(identity.equals, tuple):
            yield ("equals",), f"{register.path} is a text and never a number", "write it in quotes"
        yield from (((key,), f"{register.path} is a text and has no order", "give equals") for key, _ in ends)
    elif isinstance(identity.equals, str):
        yield ("equals",), f"{register.path} is a {register.type} and never a text", "give a number"
    if identity.mask is not None and (limits(register.type) is None or register.type.startswith("bcd")):
        yield ("mask",), f"a {register.type} has no bits to compare", "leave it out, or use a whole type"
        return
    if len(ends) == 2 and ends[0][1] > ends[1][1]:
        yield ("low",), f"{number(ends[0][1])} is above high, {number(ends[1][1])}", ""
    if not is_text and isinstance(identity.equals, tuple):
        for index, one in enumerate(identity.equals):
            if reason := _never(identity, register, one):
                yield ("equals", index) if len(identity.equals) > 1 else ("equals",), reason, "no device would fit"


def _never(identity: Identity, register: Register, one: float) -> str:
    """Say why a point is never one of the numbers it should equal; empty when it may be."""
    if identity.mask is not None:
        is_in_mask = one.is_integer() and one >= 0 and int(one) & ~identity.mask == 0
        return "" if is_in_mask else f"the bits 0x{identity.mask:X} are never {number(one)}"
    low, high = good_values(register)
    if low <= one <= high and raw_number(register, one) is not None:
        return ""
    return f"{register.path} is never {number(one)}"


def check_firmware(reader: Reader, machine: Values) -> None:
    """A firmware range has a point that it is about, and is not upside down."""
    first, last = machine.get("firmware_from"), machine.get("firmware_to")
    for key, limit in (("firmware_from", first), ("firmware_to", last)):
        if limit and "firmware" in machine and machine["firmware"] is None:
            reader.fault(("machine", key), "there is no point that tells the firmware", "give machine.firmware")
    if first and last and compared(first, last) > 0:
        reader.fault(("machine", "firmware_from"), f"{first} is after firmware_to, {last}")


def check_fingerprint(reader: Reader, registers: Iterable[Register]) -> None:
    """One point serves the fingerprint."""
    served = [register for register in registers if is_fingerprint(register)]
    for register in served[1:]:
        reader.fault(("groups", register.group, "points", register.path),
                     f"the fingerprint is served at {served[0].path} already", "a map has one")
