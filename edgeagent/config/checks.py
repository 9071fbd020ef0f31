"""What the types of the configuration cannot say: contradictions, lines and who is on them, maps that do not fit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from edgeagent.config.places import address_of, on_line, unit_of
from edgeagent.config.tables import (
    LIMITS,
    Configuration,
    LineTable,
    MachineTable,
    ModbusRtuTable,
    ModbusTcpTable,
    SerialInstrumentTable,
    SourceTable,
)
from edgeagent.every_fault import STAND_IN
from firmware_iface.frames.bisynch import UNITS
from firmware_iface.frames.requests import BROADCAST
from firmware_iface.line_time import explain, share
from firmware_iface.registers import RegisterMap, SerialSettings
from firmware_iface.toml_lines import KeyPath

_LEAST_STORE = 100
"""Megabytes."""

_UNITS = range(1, 248)
"""Modbus over serial line, section 2.2."""


class Found(NamedTuple):
    """A source, where it stands in the file, and its map; None where that cannot be used."""

    where: KeyPath
    machine: MachineTable
    source: SourceTable
    map: RegisterMap | None


def contradictions(configuration: Configuration) -> Iterator[tuple[KeyPath, str]]:
    """What in the file contradicts itself: the key, and why."""
    yield from _on_one_port(configuration)
    yield from _of_the_agent(configuration)
    seen: dict[str, int] = {}
    for m, machine in enumerate(configuration.machines):
        if machine.id in seen and machine.id != STAND_IN:
            yield ("machines", m, "id"), f"{machine.id} is used by machine {seen[machine.id] + 1} too"
        seen[machine.id] = m
        window, contact = machine.window, machine.tolerances.contact_s
        if contact and not 0 <= contact[0] < contact[1] < math.inf:
            yield ("machines", m, "tolerances", "contact_s"), "give a low limit and a higher one"
        for name in LIMITS:
            limit = getattr(window, name)
            if limit and not -math.inf < limit[0] < limit[1] < math.inf:
                yield ("machines", m, "window", name), "give a low limit and a higher one"
        if not window.soak_low < window.soak_high:
            yield ("machines", m, "window", "soak_low"), "soak_low must be below soak_high"
        for w, opening in enumerate(machine.remote_windows):
            for name in opening.functions:
                if "." not in name:
                    where = ("machines", m, "remote_windows", w, "functions")
                    yield where, f"{name} is no function; write it as the profile does: Status.PowerOn"
    yield from _push_targets(configuration)


def _of_the_agent(configuration: Configuration) -> Iterator[tuple[KeyPath, str]]:
    megabytes = configuration.store.megabytes
    if 0 < megabytes < _LEAST_STORE:
        reason = f"{megabytes} is too little for the work of a day: give {_LEAST_STORE} or more, or 0 for no limit"
        yield ("store", "megabytes"), reason
    if configuration.control.time_zone is not None and not _is_zone(configuration.control.time_zone):
        yield ("control", "time_zone"), f"there is no time zone {configuration.control.time_zone}; try Europe/Berlin"
    if configuration.simulation.speed != 1.0 and configuration.simulation.origin is None:
        yield ("simulation", "speed"), "a sped-up clock needs origin beside it, so that time goes on over a restart"


def _on_one_port(configuration: Configuration) -> Iterator[tuple[KeyPath, str]]:
    """Listeners that want the port of another."""
    http, lines, opcua = configuration.openapps.http, configuration.openapps.lines, configuration.opcua
    seen: dict[tuple[str, int], str] = {}
    for where, table in ((("openapps", "http"), http), (("openapps", "lines"), lines), (("opcua",), opcua)):
        if table is None or table.port == 0 or not getattr(table, "enabled", True):
            continue
        if other := seen.get((table.host, table.port)):
            yield (*where, "port"), f"{table.port} is the port of {other} too"
        seen[table.host, table.port] = ".".join(where)


def _push_targets(configuration: Configuration) -> Iterator[tuple[KeyPath, str]]:
    """Targets of one name, and machines that there are not."""
    machines, seen = {machine.id for machine in configuration.machines}, set[str]()
    for index, target in enumerate(configuration.openapps.push):
        if target.name in seen and target.name != STAND_IN:
            yield ("openapps", "push", index, "name"), f"{target.name} is another target's name already"
        seen.add(target.name)
        for machine in target.machines:
            if machine not in machines and STAND_IN not in (machine, *machines):
                yield ("openapps", "push", index, "machines"), f"there is no machine {machine}"


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415  only where one is named

    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
    return True


def on_lines(configuration: Configuration, found: Sequence[Found]) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with serial lines and who is on them."""
    lines = {line.id: line for line in configuration.lines}
    ids, ports, units, used = Counter[str](), Counter[str](), Counter[tuple[str, str]](), set[str]()
    for where, _, source, register_map in found:
        if isinstance(source, ModbusTcpTable) or source.line == STAND_IN:
            continue
        used.add(source.line)
        if source.line not in lines:
            yield (*where, "line"), f"there is no line {source.line}; add it as [[lines]]"
        if register_map is None:
            continue
        key, unit = on_line(source, register_map)
        units[source.line, str(unit)] += 1
        if units[source.line, str(unit)] > 1:
            yield (*where, key), f"{key} {unit} is another source of line {source.line} already"
        if key == "unit" and unit not in _UNITS:
            yield (*where, key), f"unit {unit}: on a serial line units are 1 to {_UNITS[-1]}"
    yield from _loads(configuration, found)
    for index, line in enumerate(configuration.lines):
        for key, seen, name in (("id", ids, line.id), ("port", ports, line.port)):
            seen[name] += 1
            if seen[name] > 1 and name != STAND_IN:
                yield ("lines", index, key), f"{name} is another line's {key} already"
        if line.id not in used and line.id != STAND_IN:
            yield ("lines", index, "id"), f"no source is on line {line.id}; take it out, or name it in a source"


def _loads(configuration: Configuration, found: Sequence[Found]) -> Iterator[tuple[KeyPath, str]]:
    """Lines that are too slow for all that is to be asked on them, with the arithmetic."""
    for index, line in enumerate(configuration.lines):
        spoken = SerialSettings(line.baud, line.parity, line.stop_bits)
        shares = [
            (share(each.map, spoken), each.machine.id, each.map)
            for each in found
            if each.map and isinstance(each.source, ModbusRtuTable) and each.source.line == line.id and line.master
        ]
        needed = sum(of_source for of_source, _, _ in shares)
        if needed > 1:
            most, machine_id, register_map = max(shares, key=lambda each: each[0])
            yield ("lines", index, "baud"), (
                f"the units on line {line.id} need {needed:.0%} of it; most, {most:.0%}, needs {register_map.id} of"
                f" {machine_id}: {explain(register_map, spoken)}")


def misfits(configuration: Configuration, found: Sequence[Found]) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong between a source, its map and its line."""
    lines = {line.id: line for line in configuration.lines}
    sources = Counter(each.source.line for each in found if not isinstance(each.source, ModbusTcpTable))
    for where, _, source, register_map in found:
        if register_map is None:
            continue
        if not isinstance(source, SerialInstrumentTable) and source.heartbeat:
            for reason in _heartbeat_misfits(source, register_map, lines):
                yield (*where, "heartbeat"), reason
        instrument = register_map.instrument
        if not isinstance(source, SerialInstrumentTable):
            if instrument:
                yield (*where, "map"), f'{register_map.id} speaks text, not Modbus; use kind = "serial-instrument"'
            elif isinstance(source, ModbusRtuTable) and source.line in lines and lines[source.line].data_bits != 8:
                yield (*where, "line"), "Modbus RTU has data_bits = 8"
        elif instrument is None:
            yield (*where, "map"), f'{register_map.id} speaks Modbus, not text; use kind = "modbus-rtu"'
        elif instrument.streams and sources[source.line] > 1:
            yield (*where, "line"), f"it talks by itself and cannot share line {source.line} with another source"
        elif not instrument.streams and source.line in lines and not lines[source.line].master:
            yield (*where, "line"), (f"it must be asked; say master = true of line {source.line} if no other"
                                     " master is there")
        elif instrument.protocol == "ei-bisynch" and address_of(source, register_map) not in UNITS:
            yield (*where, "address"), f"EI-Bisynch has the addresses {UNITS[0]} to {UNITS[-1]}"


def _heartbeat_misfits(
    source: ModbusTcpTable | ModbusRtuTable, register_map: RegisterMap, lines: Mapping[str, LineTable]
) -> Iterator[str]:
    if register_map.heartbeat is None:
        yield f"the map {register_map.id} has no [heartbeat]; leave it out"
    if isinstance(source, ModbusRtuTable) and source.line in lines and not lines[source.line].master:
        yield f"nothing is written on line {source.line}, where another master asks; leave it out"
    if unit_of(source, register_map) == BROADCAST:
        yield f"nothing is written to unit {BROADCAST}, which is everybody; give the device's unit"
