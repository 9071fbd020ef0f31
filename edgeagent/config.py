"""The configuration: one TOML file, read once at start; every fault at once, with file, line, key and reason."""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgeagent.errors import ConfigError, Fault
from firmware_iface import catalog
from firmware_iface.registers import RegisterMap
from firmware_iface.toml_lines import KeyPath, key_lines

LIMITS = ("peak", "time_above_liquidus", "soak", "max_rise", "max_fall")
"""Keys of a window that are limits."""

_MAX_FAULTS = 50
_MAX_BYTES = 1 << 20

Port = Annotated[int, Meta(ge=0, le=65535, description="0 takes any free port")]
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


class SourceTable(_Table, frozen=True):
    """One device on a wire, and the register map that it speaks: a name of a shipped map or the path of a file."""

    map: str
    host: str
    kind: Literal["modbus-tcp"] = "modbus-tcp"
    port: Port = 502
    unit: Annotated[int, Meta(ge=0, le=255)] | None = None


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
    agent: AgentTable = AgentTable()
    openapps: OpenAppsTable = OpenAppsTable()
    simulation: SimulationTable = SimulationTable()


def load(path: str | Path) -> tuple[Configuration, dict[str, tuple[RegisterMap, ...]]]:
    """Read a configuration and the maps that it names; relative paths are taken from the file's folder.

    Returns:
        The configuration, and machine id → the maps of its sources in order.

    Raises:
        ConfigError: with every fault that was found, of the file and of its maps.
    """
    file = Path(path)
    document, lines = _read(file)
    faults: list[Fault] = []
    configuration = _convert(file, document, lines, faults)
    maps: dict[str, tuple[RegisterMap, ...]] = {}
    if configuration is not None:
        maps = _maps(file, configuration, lines, faults)
        _check(file, configuration, lines, faults)
    if faults or configuration is None:
        raise ConfigError(sorted(faults, key=lambda fault: (fault.file != str(file), fault.line or 0)))
    return configuration, maps


def _read(file: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ConfigError([Fault(str(file), None, "", "is over 1 MiB", "is this the right file?")])
        text = content.decode().replace("\r\n", "\n")
        return tomllib.loads(text), key_lines(text)
    except OSError as error:
        raise ConfigError([Fault(str(file), None, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Fault(str(file), line, "", "is not UTF-8", "save it as UTF-8")]) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        at = re.search(r"line (\d+)", str(error))
        raise ConfigError([Fault(str(file), int(at[1]) if at else None, "", f"is not TOML: {error}")]) from None


def _convert(
    file: Path, document: dict[str, Any], lines: dict[KeyPath, int], faults: list[Fault]
) -> Configuration | None:
    """Convert; after each fault the wrong value is taken out and the rest is tried, so that all faults are told."""
    found = False
    while len(faults) < _MAX_FAULTS:
        try:
            configuration = msgspec.convert(document, Configuration)
            return None if found else configuration
        except msgspec.ValidationError as error:
            found = True
            reason, where = _where(str(error))
            faults.append(_fault(file, lines, where, reason))
            if not where or not _take_out(document, where):
                return None
    return None


def _where(message: str) -> tuple[str, KeyPath]:
    """Split msgspec's message into the reason and the path of the value that it means."""
    reason, _, at = message.partition(" - at `$")
    path: list[str | int] = [
        int(index) if index else name
        for name, index in re.findall(r"\.([A-Za-z0-9_]+)|\[(\d+)\]", at.rstrip("`"))
    ]  # fmt: skip
    unknown = re.search(r"contains unknown field `(.+)`", reason)
    if unknown:
        path.append(unknown[1])
    return reason, tuple(path)


def _fault(file: Path, lines: dict[KeyPath, int], where: KeyPath, reason: str) -> Fault:
    line = next((lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in lines), None)
    unknown = re.search(r"contains unknown field `(.+)`", reason)
    if unknown:
        near = difflib.get_close_matches(unknown[1], _known(where[:-1]), 1)
        mend = f"did you mean {near[0]}?" if near else "take it out"
        return Fault(str(file), line, key_name(where), "unknown key", mend)
    return Fault(str(file), line, key_name(where), reason.replace("Object missing required field", "missing key"))


def key_name(where: KeyPath) -> str:
    """Write a path of keys as people do: `machines[1].sources[0].port`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")


def _known(table: KeyPath) -> list[str]:
    """Keys that the table at a path may have."""
    tables: dict[KeyPath, type[msgspec.Struct]] = {
        (): Configuration, ("agent",): AgentTable, ("openapps",): OpenAppsTable, ("openapps", "http"): HttpTable,
        ("openapps", "lines"): LinesTable, ("machines",): MachineTable, ("machines", "sources"): SourceTable,
        ("machines", "window"): WindowTable, ("machines", "tolerances"): TolerancesTable,
        ("simulation",): SimulationTable,
    }  # fmt: skip
    struct = tables.get(tuple(part for part in table if isinstance(part, str)))
    return list(struct.__struct_fields__) if struct else []


def _take_out(document: Any, where: KeyPath) -> bool:
    for part in where[:-1]:
        document = document[part]
    if isinstance(document, dict) and where[-1] in document:
        del document[where[-1]]
        return True
    if isinstance(document, list) and isinstance(where[-1], int) and len(document) > 1:
        del document[where[-1]]
        return True
    return False


def _maps(
    file: Path, configuration: Configuration, lines: dict[KeyPath, int], faults: list[Fault]
) -> dict[str, tuple[RegisterMap, ...]]:
    maps: dict[str, tuple[RegisterMap, ...]] = {}
    for m, machine in enumerate(configuration.machines):
        loaded = []
        for s, source in enumerate(machine.sources):
            where = ("machines", m, "sources", s, "map")
            try:
                loaded.append(_map(file, source.map))
            except catalog.MapError as error:
                faults.append(_fault(file, lines, where, f"the map {source.map} cannot be used, see below"))
                faults.extend(Fault(f.file, f.line, f.key, f.reason, f.mend) for f in error.faults)
        maps[machine.id] = tuple(loaded)
    return maps


def _map(file: Path, name: str) -> RegisterMap:
    if name.endswith(".toml") or "/" in name:
        return catalog.load(file.parent / name)
    return catalog.builtin(name)


def _check(file: Path, configuration: Configuration, lines: dict[KeyPath, int], faults: list[Fault]) -> None:
    """What one value alone cannot tell."""
    for where, reason in _contradictions(configuration):
        faults.append(_fault(file, lines, where, reason))


def _contradictions(configuration: Configuration) -> Iterator[tuple[KeyPath, str]]:
    for outlet, table in (("http", configuration.openapps.http), ("lines", configuration.openapps.lines)):
        if not is_loopback(table.host):
            yield ("openapps", outlet, "host"), (f"{table.host} may be reached from beyond this computer; until users "
                                                 "and TLS exist only 127.0.0.0/8, ::1 and localhost can be used")
    seen: dict[str, int] = {}
    for m, machine in enumerate(configuration.machines):
        if machine.id in seen:
            yield ("machines", m, "id"), f"{machine.id} is used by machine {seen[machine.id] + 1} too"
        seen[machine.id] = m
        window = machine.window
        for name in LIMITS:
            limit = getattr(window, name)
            if limit and limit[0] >= limit[1]:
                yield ("machines", m, "window", name), "the low limit must be below the high one"
        if window.soak_low >= window.soak_high:
            yield ("machines", m, "window", "soak_low"), "soak_low must be below soak_high"
    if configuration.simulation.speed != 1.0 and configuration.simulation.origin is None:
        yield ("simulation", "speed"), "a sped-up clock needs origin beside it, so that time goes on over a restart"


def is_loopback(host: str) -> bool:
    """Say whether an address is of this computer only: 127.0.0.0/8, ::1 or localhost."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
