"""Makes groups and points of the tables of a map."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from firmware_iface import map_keys
from firmware_iface.map_reader import Reader, Values
from firmware_iface.raw_numbers import reachable
from firmware_iface.registers import WIDTHS, Device, Group, Register
from firmware_iface.toml_lines import KeyPath
from firmware_iface.wording import number

_BITS = ("coil", "discrete")


def read_groups(reader: Reader, tables: Mapping[str, dict[str, Any]], base: int, device: Device) -> tuple[Group, ...]:
    """Read the groups, and their points into `reader.points`."""
    groups = []
    for name, table in tables.items():
        where: KeyPath = ("groups", name)
        group = reader.read(table, where, map_keys.GROUP)
        if "points" in group and not table["points"]:
            reader.fault((*where, "points"), "is empty", "give points or leave the group out")
        _read_points(reader, name, group, base, device)
        reader.points |= {path: None for path in _names(table.get("points")) if path not in reader.points}
        if not group.is_whole:
            continue
        longest = group["max_age_ms"] or 3 * group["period_ms"]
        if longest < group["period_ms"]:
            reader.fault((*where, "max_age_ms"), "is shorter than period_ms",
                         "no value would be good until the next read")
        groups.append(Group(name, group["period_ms"], longest))
    return tuple(groups)


def _names(table: Any) -> Iterator[str]:
    return iter(table if isinstance(table, dict) else ())


def _read_points(reader: Reader, name: str, group: Values, base: int, device: Device) -> None:
    optional = tuple(replace(key, default=None) for key in map_keys.POINT)
    defaults = group.get("defaults", {})
    readable = reader.read(defaults, ("groups", name, "defaults"), optional)
    shared = {key: value for key, value in defaults.items() if key in readable}
    points = group.get("points", {})
    for key in shared:
        if points and all(key in table for table in points.values()):
            reader.fault(("groups", name, "defaults", key), "is given by every point of the group itself",
                         "leave it out")
    for path, table in points.items():
        where: KeyPath = ("groups", name, "points", path)
        if path in reader.points:
            reader.fault(where, "is described twice", "a path is unique in its map")
            continue
        reader.points[path] = None
        if not re.fullmatch(map_keys.PATH, path):
            reader.fault(where, "is not a path", 'write "object/name", "zone/1/top/temperature"')
        # What the defaults have wrong is told there once.
        keys = [key for key in map_keys.POINT if key.name in readable or key.name in table]
        point = reader.read({**shared, **table}, where, keys)
        misfits = list(_misfits(point, base))
        for key, reason, mend in misfits:
            reader.fault((*where, key), reason, mend)
        if len(point) == len(map_keys.POINT) and not misfits:
            reader.points[path] = _register(path, name, point, base, device)


def _register(path: str, group: str, point: Values, base: int, device: Device) -> Register:
    low, high = point["range"] or (None, None)
    return Register(
        path=path, group=group, kind=point["kind"], table=point["table"], address=point["address"] - base,
        type=point["type"], bit=point["bit"], count=_count(point), word_order=point["word_order"] or device.word_order,
        byte_order=point["byte_order"] or device.byte_order, scale=point["scale"], offset=point["offset"],
        not_available=point["not_available"], unit=point["unit"], low=low, high=high, decimals=_decimals(point),
        deadband=point["deadband"], silence_s=point["silence_s"], writable=point["access"] == "rw", text=point["text"],
        max_rate=point["max_rate"], source=point["source"], page=point["page"],
    )  # fmt: skip


def _misfits(point: Values, base: int) -> Iterator[tuple[str, str, str]]:
    """Find the keys of a point that do not fit the others: key, reason, how to mend it."""
    for key, is_wrong, reason, mend in _MISFITS:
        # A rule about a key that could not be read has nothing to judge.
        with suppress(KeyError):
            if is_wrong(point):
                yield key, reason.format_map(point), mend
    with suppress(KeyError):
        yield from _beyond_type(point)
    with suppress(KeyError):
        address = point["address"] - base
        if address < 0:
            yield "address", "is below the device's address_base", ""
        if address + _count(point) > 65_536:
            yield "address", "reaches beyond the last address of the table", ""


def _beyond_type(point: Values) -> Iterator[tuple[str, str, str]]:
    """Find a range that ends where no raw number of the type comes: a sign, a scale or a type is wrong then."""
    if not point["range"] or not point["scale"] or point["type"] not in WIDTHS:
        return
    low, high = reachable(point["type"], point["scale"], point["offset"])
    slack = 1e-9 * max(abs(limit) for limit in point["range"])
    if point["range"][0] < low - slack or point["range"][1] > high + slack:
        first, last = (number(limit) for limit in point["range"])
        yield ("range", f"goes from {first} to {last}, a {point['type']} with this scale and offset only from"
               f" {low:.12g} to {high:.12g}", "look at type, scale and offset")


def _count(point: Values) -> int:
    """Registers or bits that a point takes."""
    return WIDTHS.get(point["type"]) or point["length"] or 1


def _is_bit(point: Values) -> bool:
    return bool(point["type"] == "bit")


def _is_text(point: Values) -> bool:
    return bool(point["type"] == "text")


def _is_in_bits(point: Values) -> bool:
    return point["table"] in _BITS


def _has_unfit_sentinel(point: Values) -> bool:
    return point["type"] in WIDTHS and any(raw >= 2 ** (16 * _count(point)) for raw in point["not_available"])


_MISFITS: tuple[tuple[str, Callable[[Values], bool], str, str], ...] = (
    ("type", lambda p: _is_in_bits(p) and not _is_bit(p), "{type} does not fit into the table {table}", "use bit"),
    ("bit", lambda p: p["bit"] is not None and _is_in_bits(p), "the table {table} has no bits of registers",
     "leave bit out"),
    ("bit", lambda p: p["bit"] is not None and not _is_in_bits(p) and not _is_bit(p), "a {type} has no bit",
     "leave bit out"),
    ("bit", lambda p: p["bit"] is None and not _is_in_bits(p) and _is_bit(p), "is missing", "give the bit, 0 to 15"),
    ("length", lambda p: p["length"] is None and p["type"] == "text", "is missing",
     "give the registers that it takes"),
    ("length", lambda p: p["length"] is not None and p["type"] != "text", "a {type} has its own length",
     "leave it out"),
    ("scale", lambda p: p["scale"] == 0, "must not be 0", ""),
    ("scale", lambda p: _is_bit(p) and p["scale"] not in (0, 1), "a bit is 0 or 1 and has no scale", "leave it out"),
    ("offset", lambda p: _is_bit(p) and p["offset"] != 0, "a bit is 0 or 1 and has no offset", "leave it out"),
    ("range", lambda p: _is_bit(p) and p["range"] is not None, "a bit is 0 or 1 and has no range", "leave it out"),
    ("not_available", lambda p: _is_bit(p) and p["not_available"] != (), "a bit is 0 or 1 and always available",
     "leave it out"),
    ("not_available", _has_unfit_sentinel, "does not fit into {type}", ""),
    ("not_available", lambda p: len(set(p["not_available"])) < len(p["not_available"]), "names a number twice",
     "leave one out"),
    ("max_rate", lambda p: _is_bit(p) and p["max_rate"] is not None, "a bit changes at once", "leave it out"),
    *((key, lambda p, key=key, default=default: _is_text(p) and p[key] != default, "a text has none", "leave it out")
      for key, default in (("scale", 1.0), ("offset", 0.0), ("range", None), ("decimals", None), ("max_rate", None),
                           ("not_available", ()))),
    ("access", lambda p: p["access"] == "rw" and p["table"] in ("discrete", "input"),
     "the table {table} cannot be written", 'use access = "r", or the table coil or holding'),
)  # fmt: skip
"""Key, when it is wrong, reason and mend; in a reason stand other keys of the point."""


def _decimals(point: Values) -> int | None:
    """Places sent on: as given, or as many as one raw step has, at most 3."""
    if point["type"] == "text":
        return None
    if point["decimals"] is not None:
        return int(point["decimals"])
    if point["type"].startswith("float"):
        return 3
    return min(3, max(0, math.ceil(-math.log10(abs(point["scale"])) - 1e-9)))
