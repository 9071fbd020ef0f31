"""Makes groups, points, lanes, zones and alarms of the tables of a map."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from firmware_iface import map_keys
from firmware_iface.map_reader import Reader
from firmware_iface.registers import WIDTHS, AlarmRule, Device, Group, Lane, Register, Scanner, Zone
from firmware_iface.toml_lines import KeyPath

_PATH = re.compile(r"[a-z][A-Za-z0-9]*(/[A-Za-z0-9]+)*/[a-z][A-Za-z0-9]*")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_Tables = Mapping[str, dict[str, Any]]


def read_groups(reader: Reader, tables: _Tables, base: int, device: Device) -> tuple[Group, ...]:
    """Read the groups, and their points into `reader.points`."""
    groups = []
    for name, table in tables.items():
        group = reader.read(table, ("groups", name), map_keys.GROUP)
        if group is None:
            points = table.get("points")
            reader.points |= dict.fromkeys(points if isinstance(points, dict) else ())
            continue
        groups.append(Group(name, group["period_ms"], group["max_age_ms"] or 3 * group["period_ms"]))
        if not group["points"]:
            reader.fault(("groups", name, "points"), "is empty", "give points or leave the group out")
        _read_points(reader, name, group, base, device)
    return tuple(groups)


def _read_points(reader: Reader, name: str, group: dict[str, Any], base: int, device: Device) -> None:
    optional = tuple(replace(key, default=None) for key in map_keys.POINT)
    defaults_are_good = reader.read(group["defaults"], ("groups", name, "defaults"), optional) is not None
    shared = {key.name: group["defaults"][key.name] for key in optional if key.name in group["defaults"]}
    for path, table in group["points"].items():
        where: KeyPath = ("groups", name, "points", path)
        if path in reader.points:
            reader.fault(where, "is described twice", "a path is unique in its map")
            continue
        reader.points[path] = None
        if not _PATH.fullmatch(path):
            reader.fault(where, "is not a path", 'write "object/name", "zone/1/top/temperature"')
        if defaults_are_good and (point := reader.read({**shared, **table}, where, map_keys.POINT)) is not None:
            count = WIDTHS.get(point["type"], point["length"] or 1)
            if (misfit := _misfit(point, point["address"] - base, count)) is not None:
                key, reason, mend = misfit
                reader.fault((*where, key), reason, mend)
            else:
                reader.points[path] = _register(path, name, point, base, count, device)


def _register(path: str, group: str, point: dict[str, Any], base: int, count: int, device: Device) -> Register:
    low, high = point["range"] or (None, None)
    return Register(
        path=path, group=group, kind=point["kind"], table=point["table"], address=point["address"] - base,
        type=point["type"], bit=point["bit"], count=count, word_order=point["word_order"] or device.word_order,
        byte_order=point["byte_order"] or device.byte_order, scale=point["scale"], offset=point["offset"],
        not_available=point["not_available"], unit=point["unit"], low=low, high=high, decimals=_decimals(point),
        deadband=point["deadband"], silence_s=point["silence_s"], writable=point["access"] == "rw", text=point["text"],
    )  # fmt: skip


def _misfit(point: dict[str, Any], address: int, count: int) -> tuple[str, str, str] | None:
    """Find the first key of a point that does not fit the others: key, reason, how to mend it."""
    table, type_ = point["table"], point["type"]
    of_bits = table in ("coil", "discrete")
    largest = 65_535 if type_ in ("bit", "text") else 2 ** (16 * count) - 1
    faults = (
        ("address", address < 0, "is below the device's address_base", ""),
        ("address", address + count > 65_536, "reaches beyond the last address of the table", ""),
        ("type", of_bits and type_ != "bit", f"{type_} does not fit into the table {table}", "use bit"),
        ("bit", of_bits and point["bit"] is not None, f"the table {table} has no bits of registers", "leave bit out"),
        ("bit", type_ != "bit" and point["bit"] is not None, f"a {type_} has no bit", "leave bit out"),
        ("bit", not of_bits and type_ == "bit" and point["bit"] is None, "is missing", "give the bit, 0 to 15"),
        ("length", type_ == "text" and point["length"] is None, "is missing", "give the registers that it takes"),
        ("length", type_ != "text" and point["length"] is not None, f"a {type_} has its own length", "leave it out"),
        ("scale", point["scale"] == 0, "must not be 0", ""),
        ("not_available", max(point["not_available"], default=0) > largest, f"does not fit into {type_}", ""),
        ("access", point["access"] == "rw" and table in ("discrete", "input"), f"the table {table} cannot be written",
         'use access = "r", or the table coil or holding'),
    )  # fmt: skip
    return next(((key, reason, mend) for key, is_wrong, reason, mend in faults if is_wrong), None)


def _decimals(point: dict[str, Any]) -> int | None:
    """Places sent on: as given, or as many as one raw step has, at most 3."""
    if point["type"] == "text":
        return None
    if point["decimals"] is not None:
        return int(point["decimals"])
    if point["type"].startswith("float"):
        return 3
    return min(3, max(0, math.ceil(-math.log10(abs(point["scale"])) - 1e-9)))


def read_lanes(reader: Reader, tables: _Tables) -> tuple[Lane, ...]:
    """Read the lanes in the order of their numbers."""
    lanes = []
    for name, table in tables.items():
        number = _number(reader, "lanes", name)
        lane = reader.read(table, ("lanes", name), map_keys.LANE)
        if lane is None:
            continue
        if lane["scanner"] is not None:
            scanner = reader.read(lane["scanner"], ("lanes", name, "scanner"), map_keys.SCANNER)
            lane["scanner"] = Scanner(**scanner) if scanner else None
        lanes.append(Lane(number=number, **lane))
    return tuple(sorted(lanes, key=lambda lane: lane.number))


def read_zones(reader: Reader, tables: _Tables) -> tuple[Zone, ...]:
    """Read the zones in the order of their places."""
    zones = []
    for name, table in tables.items():
        number = _number(reader, "zones", name)
        zone = reader.read(table, ("zones", name), map_keys.ZONE)
        if zone is not None:
            zones.append(Zone(number=number, **zone))
    return tuple(sorted(zones, key=lambda zone: zone.start_mm))


def read_alarms(reader: Reader, tables: _Tables) -> tuple[AlarmRule, ...]:
    """Read the alarms in the order of the file."""
    alarms = []
    for code, table in tables.items():
        if not _CODE.fullmatch(code):
            reader.fault(("alarms", code), "is not a code", "letters, digits, dots and dashes, up to 32")
        alarm = reader.read(table, ("alarms", code), map_keys.ALARM)
        if alarm is not None:
            alarms.append(AlarmRule(code=code, **alarm))
    return tuple(alarms)


def _number(reader: Reader, table: str, name: str) -> int:
    if name.isascii() and name.isdigit() and 1 <= len(name) <= 3 and name[0] != "0":
        return int(name)
    reader.fault((table, name), "is not a number", f"name it [{table}.1], [{table}.2], ...")
    return 0
