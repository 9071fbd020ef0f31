"""Loads a map file into a `RegisterMap`, or refuses it with file, line, key and reason of every fault."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from firmware_iface import map_keys
from firmware_iface.commands import Command, Heartbeat, Power
from firmware_iface.map_checks import (
    check_bad,
    check_bits,
    check_capture,
    check_kinds,
    check_lanes,
    check_measures,
    check_oxygen,
    check_places,
    check_thermal,
    check_uses,
    check_whole,
    check_widths,
    check_zones,
)
from firmware_iface.map_commands import read_commands, read_heartbeat, read_order, read_power, read_standby
from firmware_iface.map_documents import check_documents, read_sources
from firmware_iface.map_identity import check_fingerprint, check_firmware, read_identity
from firmware_iface.map_instrument import read_instrument, wire_of
from firmware_iface.map_line import Parts, read_line
from firmware_iface.map_points import read_groups
from firmware_iface.map_reader import FileFault, MapError, Reader, Values
from firmware_iface.map_tables import read_alarms, read_bad, read_lanes, read_states, read_watchdog, read_zones
from firmware_iface.map_values import near
from firmware_iface.registers import Capture, Device, Register, RegisterMap, Source, Thermal
from firmware_iface.toml_lines import KeyPath, key_lines

__all__ = ["FileFault", "MapError", "builtin", "builtin_names", "load"]

MAX_BYTES = 1 << 20
"""Size of a file."""

_MAPS = Path(__file__).parent / "maps"


def builtin_names() -> tuple[str, ...]:
    """Names of the maps that come with the agent."""
    return tuple(sorted(path.stem for path in _MAPS.glob("*.toml")))


def builtin_text(name: str) -> str:
    """The file of a map that comes with the agent, as text."""
    return (_MAPS / f"{name}.toml").read_text(encoding="utf-8")


@cache
def builtin(name: str) -> RegisterMap:
    """Load a map that comes with the agent; MapError where there is none of that name."""
    names = builtin_names()
    if name not in names:
        mend = near(name, names) or f"there are {', '.join(names)}"
        raise MapError([FileFault(name[:100], None, "", "no map of this name comes with the agent", mend)])
    return load(_MAPS / f"{name}.toml")


def load(path: str | Path) -> RegisterMap:
    """Load a map file.

    Raises:
        MapError: it cannot be read, is no TOML or is wrong; all faults of the file at once.
    """
    document, lines = read_toml(Path(path))
    reader = Reader(str(path), lines)
    register_map = _build(reader, document)
    if register_map is None or reader.faults:
        raise MapError(sorted(reader.faults, key=lambda fault: fault.line or 0))
    return register_map


def read_toml(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Read a TOML file: its document, and the line of every key.

    Raises:
        MapError: it cannot be read, is over 1 MiB, not UTF-8, or no TOML.
    """
    text = _read_text(path)
    try:
        document = tomllib.loads(text)
        return document, key_lines(text)
    except RecursionError:
        raise MapError([FileFault(str(path), None, "", "is nested too deeply")]) from None
    except ValueError as error:
        at = re.search(r" ?\(at (?:line (\d+).*|end of document)\)", str(error))
        line = int(at[1] or text.count("\n") + 1) if at else None
        reason = str(error)[: at.start()] if at else str(error)
        raise MapError([FileFault(str(path), line, "", f"is not TOML: {reason}")]) from None


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise MapError([FileFault(str(path), None, "", "is over 1 MiB", "is this the right file?")])
        return content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MapError([FileFault(str(path), line, "", "is not UTF-8", "save it as UTF-8")]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MapError([FileFault(str(path), None, "", f"cannot be read: {reason}")]) from None


def _build(reader: Reader, document: dict[str, Any]) -> RegisterMap | None:
    """Read everything, so that all faults are found; None when there was one."""
    top = reader.read(document, (), map_keys.MAP)
    tables = {key.name: key for key in map_keys.MAP}

    def section(name: str) -> Values:
        return reader.read(top[name], (name,), tables[name].keys) if name in top else Values()

    about, device, capture, thermal = (section(name) for name in ("map", "device", "capture", "thermal"))
    sources = read_sources(reader, top.get("sources", ()))
    base = device.pop("address_base", 0)
    if top.get("instrument"):
        device["max_gap"] = 0  # what no point wants is not asked
    groups = read_groups(reader, top.get("groups", {}), base, Device(**device))
    parts = Parts(groups, tuple(register for register in reader.points.values() if register), Device(**device))
    instrument = read_instrument(reader, top, parts.registers, parts.device.unit)
    machine, recipe = section("machine"), section("recipe")
    orders = _orders(reader, top, recipe)
    lanes, zones = read_lanes(reader, top.get("lanes", {})), read_zones(reader, top.get("zones", {}))
    rules: dict[str, Any] = {
        "states": read_states(reader, top.get("states", ())), "bad": read_bad(reader, top.get("bad", ())),
        "watchdog": read_watchdog(reader, top.get("watchdog"), groups),
        "alarms": read_alarms(reader, top.get("alarms", {})),
        "identity": read_identity(reader, top.get("identity", ())), "line": read_line(reader, top.get("line"), parts),
    }  # fmt: skip
    _check_points(reader, parts, sources, machine)
    check_kinds(reader, about.get("kind", ""), zones)
    check_zones(reader, zones)
    check_measures(reader, zones)
    check_lanes(reader, lanes, zones, capture)
    check_uses(reader, lanes, zones)
    check_bad(reader, rules["bad"])
    check_capture(reader, capture)
    check_thermal(reader, about.get("kind", ""), "thermal" in document, thermal, zones)
    check_whole(reader, about.get("kind", ""), {name for name in tables if name not in top or document.get(name)})
    if reader.faults:
        return None
    return RegisterMap(
        **about, **machine, device=parts.device, groups=groups, registers=parts.registers, lanes=lanes, zones=zones,
        **rules, **orders, capture=Capture(**capture), thermal=Thermal(**thermal), recipe_name=recipe["name"],
        recipe_version=recipe["version"], sources=sources, instrument=instrument,
        fingerprint=fingerprint(parts.registers, orders["commands"], orders["heartbeat"],
                                [*wire_of(instrument), *_horn(orders["power"])]),
    )  # fmt: skip


def _check_points(reader: Reader, parts: Parts, sources: tuple[Source, ...], machine: Values) -> None:
    check_places(reader, parts.registers)
    check_bits(reader, parts.registers)
    check_widths(reader, parts.registers, parts.device)
    check_documents(reader, sources)
    check_firmware(reader, machine)
    check_fingerprint(reader, parts.registers)
    check_oxygen(reader, machine.get("oxygen", ()))


def _orders(reader: Reader, top: Values, recipe: Values) -> dict[str, Any]:
    """What the device takes from afar: commands, power, heartbeat, standby and a recipe's setpoints."""
    commands, standby = read_commands(reader, top.get("commands", {})), read_standby(reader, top.get("standby"))
    power = read_power(reader, top.get("power"), top.get("commands", {}))
    orders = {command.write for command in commands} | ({power.horn} if power and power.horn else set())
    heartbeat = read_heartbeat(reader, top.get("heartbeat"), orders | set(standby.setpoints if standby else ()))
    others = orders | {recipe.get("name"), recipe.get("version"), heartbeat.point if heartbeat else None}
    return {
        "commands": commands, "standby": standby, "power": power, "heartbeat": heartbeat,
        "recipe_order": read_order(reader, recipe.get("order", ()), others),
    }  # fmt: skip


def _horn(power: Power | None) -> list[str]:
    return [f"horn {power.horn}"] if power and power.horn else []


def fingerprint(
    registers: Iterable[Register], commands: Iterable[Command] = (), heartbeat: Heartbeat | None = None,
    more: Iterable[str] = (),
) -> str:  # fmt: skip
    """Name what is on the wire in 8 hex digits: order, texts, units and ranges do not count.

    Args:
        more: what else is on the wire, a line each.
    """
    canonical = [
        f"{r.path} {r.table} {r.address} {r.bit} {r.count} {r.type} {r.word_order} {r.byte_order}"
        f" {r.scale!r} {r.offset!r} {list(r.not_available)}"
        for r in registers
    ]
    canonical += [
        f"command {c.name} {c.write} {c.value!r} {c.style} {c.pulse_ms} {c.handshake} {c.handshake_value!r}"
        for c in commands
    ]
    if heartbeat:
        canonical.append(f"heartbeat {heartbeat.point} {heartbeat.period_ms} {heartbeat.style}")
    return hashlib.sha256("\n".join(sorted([*canonical, *more])).encode()).hexdigest()[:8]
