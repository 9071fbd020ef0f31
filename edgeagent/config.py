"""The configuration: one TOML file, read once at start; every fault at once, with file, line, key and reason."""

from __future__ import annotations

import ipaddress
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from edgeagent.errors import ConfigError
from edgeagent.every_fault import STAND_IN, Faults
from firmware_iface import catalog
from firmware_iface.frames.bisynch import UNITS
from firmware_iface.line_time import explain, share
from firmware_iface.map_reader import FileFault
from firmware_iface.registers import RegisterMap, SerialSettings
from firmware_iface.rename import renamed
from firmware_iface.toml_lines import KeyPath

_UNITS = range(1, 248)
"""Modbus over serial line, section 2.2."""

LIMITS = ("peak", "time_above_liquidus", "soak", "max_rise", "max_fall")
"""Keys of a window that are limits."""


Port = Annotated[int, Meta(ge=0, le=65535, description="0 takes any free port")]
Text = Annotated[str, Meta(min_length=1, max_length=255)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="letters, digits, . _ -")]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class AgentTable(_Table, frozen=True):
    """Where the agent keeps what must not be lost."""

    store: str = "edgeagent.sqlite3"


class HttpTable(_Table, frozen=True):
    """JSON-RPC over HTTP POST and WebSocket, at /rpc."""

    host: str = "127.0.0.1"
    port: Port = 8480
    enabled: bool = True
    origins: tuple[str, ...] = ()


class LinesTable(_Table, frozen=True):
    """JSON-RPC over TCP, one message a line."""

    host: str = "127.0.0.1"
    port: Port = 8481
    enabled: bool = True


class OpenAppsTable(_Table, frozen=True):
    """The OpenApps outlet."""

    http: HttpTable = HttpTable()
    lines: LinesTable = LinesTable()


class LineTable(_Table, frozen=True):
    """One serial line, and how it is spoken there; `master` says that this agent alone asks on it."""

    id: Name
    port: Text
    baud: Annotated[int, Meta(ge=300, le=1_000_000)] = 19200
    parity: Literal["none", "even", "odd"] = "even"
    stop_bits: Literal[1, 2] = 1
    data_bits: Literal[7, 8] = 8
    master: bool = False


class ModbusTcpTable(_Table, frozen=True, tag_field="kind", tag="modbus-tcp"):
    """A device on the network, and the register map that it speaks: a shipped map's name or the path of a file.

    `rename` gives objects of the map other names, so that several devices of one kind belong to one machine.
    """

    map: Text
    host: Text
    port: Port = 502
    unit: Annotated[int, Meta(ge=0, le=255)] | None = None
    rename: dict[str, str] = {}


class ModbusRtuTable(_Table, frozen=True, tag_field="kind", tag="modbus-rtu"):
    """A unit on a serial line, and the register map that it speaks."""

    map: Text
    line: Text
    unit: Annotated[int, Meta(ge=1, le=247)] | None = None
    rename: dict[str, str] = {}


class SerialInstrumentTable(_Table, frozen=True, tag_field="kind", tag="serial-instrument"):
    """An instrument on a serial line that speaks text, and the map of what it says; `address` where it has its own."""

    map: Text
    line: Text
    address: Annotated[int, Meta(ge=0, le=999)] | Annotated[str, Meta(pattern="^[!-~]{1,8}$")] | None = None
    rename: dict[str, str] = {}


SourceTable = ModbusTcpTable | ModbusRtuTable | SerialInstrumentTable


class WindowTable(_Table, frozen=True):
    """What a board must feel: each limit is [low, high]; °C, s and °C/s."""

    liquidus: Annotated[float, Meta(gt=0, lt=500)] = 217.0
    soak_low: Annotated[float, Meta(gt=0, lt=500)] = 150.0
    soak_high: Annotated[float, Meta(gt=0, lt=500)] = 190.0
    peak: tuple[float, float] | None = None
    time_above_liquidus: tuple[float, float] | None = None
    soak: tuple[float, float] | None = None
    max_rise: tuple[float, float] | None = None
    max_fall: tuple[float, float] | None = None


class TolerancesTable(_Table, frozen=True):
    """How far the process may be from its setpoints while a board is inside."""

    zone_celsius: Annotated[float, Meta(gt=0)] = 5.0
    belt_percent: Annotated[float, Meta(gt=0, le=100)] = 2.0
    oxygen_ppm: Annotated[float, Meta(gt=0)] | None = None
    measure_percent: Annotated[float, Meta(gt=0, le=100)] = 10.0
    contact_s: tuple[float, float] | None = None


class MachineTable(_Table, frozen=True):
    """One machine; its first source describes it, more add instruments."""

    id: Name
    sources: Annotated[tuple[SourceTable, ...], Meta(min_length=1, max_length=16)]
    serial_number: str | None = None
    window: WindowTable = WindowTable()
    tolerances: TolerancesTable = TolerancesTable()


class SimulationTable(_Table, frozen=True):
    """Runs the agent on a sped-up clock, for a simulated machine only."""

    speed: Annotated[float, Meta(gt=0, le=100)] = 1.0
    origin: datetime | None = None


class Configuration(_Table, frozen=True):
    """The whole file, read."""

    machines: Annotated[tuple[MachineTable, ...], Meta(min_length=1, max_length=32)]
    lines: Annotated[tuple[LineTable, ...], Meta(max_length=32)] = ()
    agent: AgentTable = AgentTable()
    openapps: OpenAppsTable = OpenAppsTable()
    simulation: SimulationTable = SimulationTable()


FindMap = Callable[[Path, str], RegisterMap]
"""Gives a map by the configuration's file and the map's name in it; raises MapError."""


def load(
    path: str | Path, find: FindMap | None = None
) -> tuple[Configuration, dict[str, tuple[RegisterMap, ...]]]:
    """Read a configuration and the maps that it names; relative paths are taken from the file's folder.

    Args:
        find: where the maps are, if not shipped or in files.

    Returns:
        The configuration, and machine id → the maps of its sources in order.

    Raises:
        ConfigError: with every fault that was found, of the file and of its maps.
    """
    file = Path(path)
    try:
        document, lines = catalog.read_toml(file)
    except catalog.MapError as error:
        raise ConfigError(error.faults) from None
    faults, of_maps = Faults(str(file), lines), list[FileFault]()
    configuration = faults.convert(document, Configuration)
    found: list[_Found] = []
    if configuration is not None:
        for m, machine in enumerate(configuration.machines):
            seen: set[str] = set()
            found += [_Found(("machines", m, "sources", s), machine, source,
                             _map(file, ("machines", m, "sources", s), source, find or find_map, faults, of_maps, seen))
                      for s, source in enumerate(machine.sources)]  # fmt: skip
        wrong = (*_contradictions(configuration), *_on_lines(configuration, found), *_misfits(configuration, found))
        for where, reason in wrong:
            faults.add(where, reason)
    if faults.found or configuration is None:
        raise ConfigError(sorted(faults.found, key=lambda fault: fault.line or 0) + of_maps)
    return configuration, {machine.id: tuple(each.map for each in found if each.map and each.machine is machine)
                           for machine in configuration.machines}  # fmt: skip


class _Found(NamedTuple):
    """A source, where it stands in the file, and its map; None where that cannot be used."""

    where: KeyPath
    machine: MachineTable
    source: SourceTable
    map: RegisterMap | None


def _map(
    file: Path, where: KeyPath, source: SourceTable, find: FindMap, faults: Faults, of_maps: list[FileFault],
    seen: set[str],
) -> RegisterMap | None:  # fmt: skip
    """The map of a source; seen: paths of the sources before it on the same machine."""
    if source.map == STAND_IN:
        return None
    try:
        register_map = renamed(find(file, source.map), source.rename)
    except catalog.MapError as error:
        faults.add((*where, "map"), f"the map {source.map} cannot be used, see below")
        of_maps.extend(error.faults)
        return None
    except ValueError as error:
        faults.add((*where, "rename"), str(error))
        return None
    paths = {register.path for register in register_map.registers}
    if twice := sorted(paths & seen):
        more = f" and {len(twice) - 1} more points" if len(twice) > 1 else ""
        faults.add((*where, "map"), f"it describes {twice[0]}{more} that another source has")
    seen |= paths
    return register_map


def find_map(file: Path, name: str) -> RegisterMap:
    """Load a map by its name in a configuration; raises MapError."""
    path = map_file(file, name)
    return catalog.load(path) if path else catalog.builtin(name)


def map_file(file: Path, name: str) -> Path | None:
    """The file of a map that a configuration names; None where it names one that comes with the agent."""
    return file.parent / name if name.endswith(".toml") or "/" in name else None


def _contradictions(configuration: Configuration) -> Iterator[tuple[KeyPath, str]]:
    for outlet, table in (("http", configuration.openapps.http), ("lines", configuration.openapps.lines)):
        if not is_loopback(table.host):
            yield ("openapps", outlet, "host"), (f"{table.host} may be reached from beyond this computer; until users "
                                                 "and TLS exist only 127.0.0.0/8, ::1 and localhost can be used")
    http, lines = configuration.openapps.http, configuration.openapps.lines
    if http.enabled and lines.enabled and http.port == lines.port != 0 and http.host == lines.host:
        yield ("openapps", "lines", "port"), f"{lines.port} is the port of openapps.http too"
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
    if configuration.simulation.speed != 1.0 and configuration.simulation.origin is None:
        yield ("simulation", "speed"), "a sped-up clock needs origin beside it, so that time goes on over a restart"


def _on_lines(configuration: Configuration, found: Sequence[_Found]) -> Iterator[tuple[KeyPath, str]]:
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
        key, unit = _on_line(source, register_map)
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


def _loads(configuration: Configuration, found: Sequence[_Found]) -> Iterator[tuple[KeyPath, str]]:
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


def _on_line(source: ModbusRtuTable | SerialInstrumentTable, register_map: RegisterMap) -> tuple[str, int | str]:
    """How a source is told from the others of its line: the key that says it, and its value."""
    if isinstance(source, ModbusRtuTable):
        return "unit", unit_of(source, register_map)
    return "address", address_of(source, register_map)


def _misfits(configuration: Configuration, found: Sequence[_Found]) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong between a source, its map and its line."""
    lines = {line.id: line for line in configuration.lines}
    sources = Counter(each.source.line for each in found if not isinstance(each.source, ModbusTcpTable))
    for where, _, source, register_map in found:
        if register_map is None:
            continue
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


def unit_of(source: ModbusTcpTable | ModbusRtuTable, register_map: RegisterMap) -> int:
    """The Modbus unit of a source: its own, or its map's."""
    return register_map.device.unit if source.unit is None else source.unit


def address_of(source: SerialInstrumentTable, register_map: RegisterMap) -> int | str:
    """The address of an instrument that speaks text: its own, or its map's unit."""
    return register_map.device.unit if source.address is None else source.address


def place_of(source: SourceTable, register_map: RegisterMap) -> str:
    """Where a source is, in words for people."""
    if isinstance(source, ModbusTcpTable):
        return f"modbus-tcp {source.host}:{source.port} unit {unit_of(source, register_map)}"
    key, name = _on_line(source, register_map)
    kind = "modbus-rtu" if isinstance(source, ModbusRtuTable) else "serial-instrument"
    return f"{kind} line {source.line} {key} {name}"


def is_loopback(host: str) -> bool:
    """Say whether an address is of this computer only: 127.0.0.0/8, ::1 or localhost."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
