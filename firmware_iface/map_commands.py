"""Makes commands, power, heartbeat and standby of the tables of a map, and refuses those that could not work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from firmware_iface import map_keys
from firmware_iface.commands import COMMANDS, Command, Heartbeat, Power, Standby
from firmware_iface.encoding import value_fault
from firmware_iface.map_reader import Reader, Values
from firmware_iface.map_values import near
from firmware_iface.raw_numbers import limits
from firmware_iface.toml_lines import KeyPath


def read_commands(reader: Reader, tables: Mapping[str, dict[str, Any]]) -> tuple[Command, ...]:
    """Read the commands in the order of the file; those with a key that cannot be read are left out."""
    commands = []
    for name, table in tables.items():
        where: KeyPath = ("commands", name)
        if name not in COMMANDS:
            reader.fault(where, "is not a command", near(name, COMMANDS) or f"there are {', '.join(COMMANDS)}")
        command = reader.read(table, where, map_keys.COMMAND)
        for key, is_wrong, reason, mend in _MISFITS:
            # A rule about a key that could not be read has nothing to judge.
            with suppress(KeyError):
                if is_wrong(command):
                    reader.fault((*where, key), reason.format_map(command), mend)
        with suppress(KeyError):
            _check_value(reader, (*where, "value"), command["write"], command["value"])
            if command["style"] == "pulse" and command["value"] != 0:
                _check_value(reader, (*where, "style"), command["write"], 0.0)
        if command.get("resets_all") and name != "alarmReset":
            reader.fault((*where, "resets_all"), f"{name} resets no alarms", "leave it out; it belongs to alarmReset")
        with suppress(KeyError):
            if command["handshake"] and command["handshake_value"] is not None:
                _check_value(reader, (*where, "handshake_value"), command["handshake"], command["handshake_value"])
        if command.is_whole:
            commands.append(Command(name=name, **command))
    return tuple(commands)


_MISFITS: tuple[tuple[str, Callable[[Values], bool], str, str], ...] = (
    ("pulse_ms", lambda c: c["style"] == "pulse" and c["pulse_ms"] is None, "is missing", "say how long a pulse is"),
    ("pulse_ms", lambda c: c["style"] == "level" and c["pulse_ms"] is not None, "a level stays and has no length",
     'leave it out, or use style = "pulse"'),
    ("value", lambda c: c["style"] == "pulse" and c["value"] == 0, "a pulse of 0 changes nothing",
     "give the value that the pulse has"),
    ("handshake", lambda c: c["handshake"] == c["write"], "{handshake} is the point that is written",
     "give the point by which the device says that it listens"),
    ("handshake_value", lambda c: c["handshake"] is not None and c["handshake_value"] is None, "is missing",
     "say what the handshake must show"),
    ("handshake_value", lambda c: c["handshake"] is None and c["handshake_value"] is not None,
     "is a value of no point", "give the handshake too, or leave it out"),
)  # fmt: skip
"""Key, when it is wrong, reason and mend; in a reason stand other keys of the command."""


def read_power(reader: Reader, table: dict[str, Any] | None, commands: Mapping[str, dict[str, Any]]) -> Power | None:
    """Read how the machine is switched; it needs the commands for it, and a horn that nothing else writes."""
    if table is None:
        return None
    power = reader.read(table, ("power",), map_keys.POWER)
    for name in ("powerOn", "powerOff"):
        if name not in commands:
            reader.fault(("power",), f"has no command {name}", f"describe it as [commands.{name}]")
    horn = power.get("horn")
    if horn and power.get("warning_s") == 0:
        reader.fault(("power", "warning_s"), "is 0: the horn would never sound", "say how long, or leave the horn out")
    if horn and any(isinstance(command, dict) and command.get("write") == horn for command in commands.values()):
        reader.fault(("power", "horn"), f"{horn} is written by a command too", "give the horn a point of its own")
    return Power(**power) if power.is_whole else None


def read_order(reader: Reader, order: Iterable[str], written: Iterable[str | None]) -> tuple[str, ...]:
    """All setpoints that a recipe writes: those of `order`, then the others in the order of the map.

    Args:
        written: paths that are written for other reasons; no recipe writes them.
    """
    taken = set(written)
    setpoints = [register.path for register in reader.points.values()
                 if register and register.kind == "setpoint" and register.writable and register.path not in taken]
    for index, path in enumerate(order):
        where: KeyPath = ("recipe", "order", index)
        if path in tuple(order)[:index]:
            reader.fault(where, f"{path} is told twice", "leave one out")
        elif reader.points[path] and path not in setpoints:
            reader.fault(where, f"{path} is no setpoint of a recipe",
                         'give it kind = "setpoint", and let nothing else write it')
    return tuple(dict.fromkeys((*order, *setpoints)))


def read_heartbeat(reader: Reader, table: dict[str, Any] | None, others: Iterable[str]) -> Heartbeat | None:
    """Read the heartbeat, whose point nothing else writes; others: paths that commands, horn and standby write."""
    if table is None:
        return None
    heartbeat = reader.read(table, ("heartbeat",), map_keys.HEARTBEAT)
    if not heartbeat.is_whole:
        return None
    point = reader.points[heartbeat["point"]]
    if heartbeat["point"] in set(others):
        reader.fault(("heartbeat", "point"), f"{heartbeat['point']} is written by a command, the horn or standby too",
                     "give the heartbeat a point of its own")
    if heartbeat["style"] == "count" and point and limits(point.type) is None:
        reader.fault(("heartbeat", "style"), f"a {point.type} cannot count", 'use style = "toggle"')
    elif point and any(value_fault(point, value) for value in (0.0, 1.0)):
        reader.fault(("heartbeat", "point"), f"{point.path} cannot be 0 and 1", "look at its range and scale")
    return Heartbeat(**heartbeat)


def read_standby(reader: Reader, table: dict[str, Any] | None) -> Standby | None:
    """Read what brings the machine to rest; every value must fit its point."""
    if table is None:
        return None
    standby = reader.read(table, ("standby",), map_keys.STANDBY)
    for path, value in standby.get("setpoints", {}).items():
        _check_value(reader, ("standby", "setpoints", path), path, value)
    return Standby(**standby) if standby.is_whole else None


def _check_value(reader: Reader, where: KeyPath, path: str, value: float) -> None:
    register = reader.points[path]
    if register and (reason := value_fault(register, value)):
        reader.fault(where, reason, "look at the point's range, scale and type")
