"""Gives objects of a map other names, so that several devices of one kind belong to one machine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from firmware_iface.commands import Command, Heartbeat, Power, Standby
from firmware_iface.identity import Identity
from firmware_iface.registers import AlarmRule, BadRule, Lane, Register, RegisterMap, Scanner, Term, Watchdog, Zone

T = TypeVar("T")

OBJECT = r"[a-z][A-Za-z0-9]*(/[A-Za-z0-9]+)*"

_NAMING: dict[type, tuple[str, ...]] = {
    RegisterMap: ("oxygen", "firmware", "serial", "remote", "recipe_name", "recipe_version", "recipe_order"),
    Register: ("path",), Term: ("path", "minus"), BadRule: ("points",), AlarmRule: ("object",), Identity: ("point",),
    Command: ("write", "handshake"), Power: ("horn",), Heartbeat: ("point",), Standby: ("setpoints",),
    Watchdog: ("point",), Scanner: ("count", "result", "code"), Zone: ("temperatures", "setpoints", "measures"),
    Lane: ("speed", "speed_setpoint", "inlet", "outlet", "width", "width_setpoint"),
}  # fmt: skip
"""What names points or objects, by the fields of a map's parts; every other text stays, whatever it says."""


def renamed(register_map: RegisterMap, names: Mapping[str, str]) -> RegisterMap:
    """Rename objects wherever the map names them or their points; the fingerprint stays, it is of the wire.

    Args:
        names: object as the map has it → its new name, "controller/1" → "controller/3".

    Raises:
        ValueError: the map describes a machine, has no such object, the new name is none, or two points would have
            one path.
    """
    if not names:
        return register_map
    if register_map.kind != "instrument":
        raise ValueError(f"{register_map.id} describes a {register_map.kind} machine; only an instrument is renamed")
    objects = {register.path.rpartition("/")[0] for register in register_map.registers}
    for old, new in names.items():
        if old not in objects:
            from difflib import get_close_matches  # noqa: PLC0415  only where a name is wrong

            near = get_close_matches(old, objects, 1) or sorted(objects)
            raise ValueError(f"{register_map.id} has no object {old}; it has {', '.join(near[:8])}")
        if not re.fullmatch(OBJECT, new):
            raise ValueError(f"{new!r} is not an object's name; write it like controller/3")
    changed = _renamed(register_map, names)
    path, times = Counter(register.path for register in changed.registers).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{register_map.id} would have {times} points {path}; give each object a name of its own")
    return changed


def _renamed(part: T, names: Mapping[str, str]) -> T:
    """Walk through the parts of a map, and rename in the fields that name something."""
    changed: Any = part
    if isinstance(part, tuple):
        changed = tuple(_renamed(each, names) for each in part)
    elif is_dataclass(part) and not isinstance(part, type):
        naming = _NAMING.get(type(part), ())
        changed = replace(part, **{
            f.name: (_called if f.name in naming else _renamed)(getattr(part, f.name), names) for f in fields(part)
        })  # fmt: skip
    return changed  # type: ignore[no-any-return]


def _called(named: Any, names: Mapping[str, str]) -> Any:
    """The new name of an object, or of a point by its object; of a list or a table those of its entries."""
    if isinstance(named, str):
        object_, slash, name = named.rpartition("/")
        return names.get(named) or (names[object_] + slash + name if object_ in names else named)
    if isinstance(named, Mapping):
        return {_called(path, names): value for path, value in named.items()}
    return tuple(_called(each, names) for each in named) if isinstance(named, tuple) else named
