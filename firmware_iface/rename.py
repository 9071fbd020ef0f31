"""Gives objects of a map other names, so that several devices of one kind belong to one machine."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from firmware_iface.registers import RegisterMap

T = TypeVar("T")

OBJECT = r"[a-z][A-Za-z0-9]*(/[A-Za-z0-9]+)*"


def renamed(register_map: RegisterMap, names: Mapping[str, str]) -> RegisterMap:
    """Rename objects wherever the map names them or their points; the fingerprint stays, it is of the wire.

    Args:
        names: object as the map has it → its new name, "controller/1" → "controller/3".

    Raises:
        ValueError: the map describes a machine, has no such object, or the new name is none.
    """
    if not names:
        return register_map
    if register_map.kind != "instrument":
        raise ValueError(f"{register_map.id} describes a {register_map.kind} machine; only an instrument is renamed")
    objects = {register.path.rpartition("/")[0] for register in register_map.registers}
    for old, new in names.items():
        if old not in objects:
            near = difflib.get_close_matches(old, objects, 1) or sorted(objects)
            raise ValueError(f"{register_map.id} has no object {old}; it has {', '.join(near[:8])}")
        if not re.fullmatch(OBJECT, new):
            raise ValueError(f"{new!r} is not an object's name; write it like controller/3")
    changed = _renamed(replace(register_map, sources=(), instrument=None), dict(names))
    return replace(changed, id=register_map.id, title=register_map.title, sources=register_map.sources,
                   instrument=register_map.instrument)


def _renamed(part: T, names: dict[str, str]) -> T:
    """Walk through plain values; a text is a path when it is an object or begins with one."""
    changed: Any = part
    if isinstance(part, str):
        object_, slash, name = part.rpartition("/")
        changed = names.get(part) or (names[object_] + slash + name if object_ in names else part)
    elif isinstance(part, tuple):
        changed = tuple(_renamed(each, names) for each in part)
    elif isinstance(part, dict):
        changed = {_renamed(key, names): _renamed(value, names) for key, value in part.items()}
    elif is_dataclass(part) and not isinstance(part, type):
        changed = replace(part, **{f.name: _renamed(getattr(part, f.name), names) for f in fields(part)})
    return changed  # type: ignore[no-any-return]
