"""Makes lanes, zones, states, alarms and what is bad of the tables of a map."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from firmware_iface import map_keys
from firmware_iface.map_reader import Reader
from firmware_iface.registers import AlarmRule, BadRule, Group, Lane, Scanner, StateRule, Watchdog, Zone

_Tables = Mapping[str, dict[str, Any]]


def read_lanes(reader: Reader, tables: _Tables) -> tuple[Lane, ...]:
    """Read the lanes in the order of their numbers; those with a fault are left out."""
    lanes = []
    for name, table in tables.items():
        number = _number(reader, "lanes", name)
        lane = reader.read(table, ("lanes", name), map_keys.LANE)
        if lane.get("scanner") is not None:
            scanner = reader.read(lane["scanner"], ("lanes", name, "scanner"), map_keys.SCANNER)
            lane["scanner"] = Scanner(**scanner) if scanner.is_whole else None
        if lane.is_whole:
            lanes.append(Lane(number=number, **lane))
    return tuple(sorted(lanes, key=lambda lane: lane.number))


def read_zones(reader: Reader, tables: _Tables) -> tuple[Zone, ...]:
    """Read the zones in the order of their places; those with a fault are left out."""
    zones = []
    for name, table in tables.items():
        number = _number(reader, "zones", name)
        zone = reader.read(table, ("zones", name), map_keys.ZONE)
        if zone.is_whole:
            zones.append(Zone(number=number, **zone))
    return tuple(sorted(zones, key=lambda zone: zone.start_mm))


def read_states(reader: Reader, tables: Iterable[dict[str, Any]]) -> tuple[StateRule, ...]:
    """Read the rules of the machine's state in the order of the file; those with a fault are left out."""
    rules: dict[int, StateRule] = {}
    for index, table in enumerate(tables):
        state = reader.read(table, ("states", index), map_keys.STATE)
        if state.is_whole:
            terms = set(state["when"])
            if earlier := [place for place, rule in rules.items() if set(rule.when) <= terms]:
                reader.fault(("states", index, "when"), f"states.{earlier[0]} holds whenever this does, and wins",
                             "leave it out, or put it before that")
            rules[index] = StateRule(**state)
    return tuple(rules.values())


def read_bad(reader: Reader, tables: Iterable[dict[str, Any]]) -> tuple[BadRule, ...]:
    """Read what the device itself calls wrong, in the order of the file; rules with a fault are left out."""
    rules = (reader.read(table, ("bad", index), map_keys.BAD) for index, table in enumerate(tables))
    return tuple(BadRule(**rule) for rule in rules if rule.is_whole)


def read_watchdog(reader: Reader, table: dict[str, Any] | None, groups: Iterable[Group]) -> Watchdog | None:
    """Read by what it is known that the device works; its point must be read often enough to be seen moving."""
    if table is None:
        return None
    watchdog = reader.read(table, ("watchdog",), map_keys.WATCHDOG)
    if not watchdog.is_whole:
        return None
    point = reader.points[watchdog["point"]]
    group = next((group for group in groups if point and group.name == point.group), None)
    if group and watchdog["within_s"] * 1000 < 2 * group.period_ms:
        reader.fault(("watchdog", "within_s"), f"{watchdog['within_s']:g} s is less than two reads of the group"
                     f" {group.name}, which is read every {group.period_ms} ms", "wait longer, or read it more often")
    return Watchdog(**watchdog)


def read_alarms(reader: Reader, tables: _Tables) -> tuple[AlarmRule, ...]:
    """Read the alarms in the order of the file; those with a fault are left out."""
    alarms = []
    for code, table in tables.items():
        if not re.fullmatch(map_keys.CODE, code):
            reader.fault(("alarms", code), "is not a code", "letters, digits, dots and dashes, up to 32")
        alarm = reader.read(table, ("alarms", code), map_keys.ALARM)
        if alarm.is_whole and alarm["hysteresis"] and all(term.operator[0] not in "<>" for term in alarm["when"]):
            reader.fault(("alarms", code, "hysteresis"), "is used by nothing: no number is compared by < or >",
                         "leave it out")
        if alarm.is_whole:
            alarms.append(AlarmRule(code=code, **alarm))
    return tuple(alarms)


def _number(reader: Reader, table: str, name: str) -> int:
    if re.fullmatch(map_keys.ORDINAL, name):
        return int(name)
    reader.fault((table, name), "is not a number", f"name it [{table}.1], [{table}.2], ...")
    return 0
