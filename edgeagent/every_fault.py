"""Converts a TOML document to its types and tells every fault of it, where the library stops at the first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from firmware_iface.map_reader import FileFault
from firmware_iface.map_values import near
from firmware_iface.toml_lines import KeyPath

T = TypeVar("T")

STAND_IN = "stand-in"
"""Taken for a text that is wrong or missing, so that the search for faults can go on."""

_MOST = 50
"""Faults told of one file."""


class Faults:
    """Collects what is wrong in one file.

    Args:
        lines: the line of each key, from `toml_lines.key_lines`.
    """

    def __init__(self, file: str, lines: dict[KeyPath, int]) -> None:
        self.found: list[FileFault] = []
        self._file = file
        self._lines = lines

    def add(self, where: KeyPath, reason: str, mend: str = "") -> None:
        """Add a fault at a key; one that is not there is told at the table around it."""
        line = next((self._lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in self._lines), None)
        self.found.append(FileFault(self._file, line, key_name(where), reason, mend))

    def convert(self, document: dict[str, Any], type_: type[T]) -> T | None:
        """Convert a document, telling every fault of it.

        The document is changed while faults are looked for: STAND_IN stands for texts that are wrong or missing.
        None when it cannot be mended so.
        """
        while len(self.found) < _MOST:
            try:
                return msgspec.convert(document, type_)
            except msgspec.ValidationError as error:
                reason, where = _place(str(error))
                if not self._tell_and_mend(document, type_, reason, where):
                    return None
        return None

    def _tell_and_mend(self, document: Any, type_: type, reason: str, where: KeyPath) -> bool:
        """Tell one fault and put something right in its place; False when that cannot be."""
        field = re.search(r"`(.+)`$", reason)
        if reason.startswith("Object contains unknown field") and field:
            names = [f.encode_name for f in _fields(type_, document, where)]
            self.add((*where, field[1]), "unknown key", near(field[1], names) or "take it out")
            del _at(document, where)[field[1]]
            return True
        if reason.startswith("Object missing required field") and field:
            self.add(where, f"missing key `{field[1]}`", _kinds(type_, document, where, field[1]))
            self._put(document, type_, (*where, field[1]))
            return True
        told = where
        while where and isinstance(where[-1], int) and not _is_list(_type_at(type_, document, where[:-1])):
            where = where[:-1]
        self.add(told, reason, _choice(type_, document, where) if where else "")
        if not where:
            return False
        self._put(document, type_, where)
        return True

    def _put(self, document: Any, type_: type, where: KeyPath) -> None:
        """Put a value that its type takes at a key, or leave it out where it need not be."""
        table = _at(document, where[:-1])
        if isinstance(where[-1], int):
            table[where[-1]] = _simplest(_type_at(type_, document, where))
            return
        wanted = next((f for f in _fields(type_, document, where[:-1]) if f.encode_name == where[-1]), None)
        if wanted is None:
            table[where[-1]] = _tagged(type_, document, where[:-1]).tag
        elif wanted.required:
            table[where[-1]] = _simplest(wanted.type)
        else:
            del table[where[-1]]


def key_name(where: KeyPath) -> str:
    """Write a path of keys as people do: `machines[1].sources[0].port`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")


def _place(message: str) -> tuple[str, KeyPath]:
    """Split the library's message into the reason and the path of the value that it means."""
    reason, _, at = message.partition(" - at `$")
    parts = re.findall(r"\.([A-Za-z0-9_]+)|\[(\d+)\]", at.rstrip("`"))
    return reason, tuple(int(index) if index else name for name, index in parts)


def _at(document: Any, where: KeyPath) -> Any:
    for part in where:
        document = document[part]
    return document


def _fields(type_: type, document: Any, where: KeyPath) -> tuple[inspect.Field, ...]:
    """Fields of the table that stands at a path."""
    return _tagged(type_, document, where).fields


def _tagged(type_: type, document: Any, where: KeyPath) -> inspect.StructType:
    """Type of the table that stands at a path; of several kinds that of its tag, or of most of its keys."""
    return _struct(_type_at(type_, document, where), _at(document, where))


def _type_at(type_: type, document: Any, where: KeyPath) -> inspect.Type:
    info = inspect.type_info(type_)
    for part in where:
        if isinstance(part, int):
            info = next(t.item_type for t in _choices(info) if isinstance(t, inspect.VarTupleType))
        else:
            info = next(field.type for field in _struct(info, document).fields if field.encode_name == part)
        document = document[part]
    return info


def _struct(info: inspect.Type, table: Any) -> inspect.StructType:
    structs = [t for t in _choices(info) if isinstance(t, inspect.StructType)]
    if len(structs) == 1:
        return structs[0]
    return max(structs, key=lambda s: (table.get(s.tag_field) == s.tag, sum(f.encode_name in table for f in s.fields)))


def _is_list(info: inspect.Type) -> bool:
    return any(isinstance(t, inspect.VarTupleType) for t in _choices(info))


def _choice(type_: type, document: Any, where: KeyPath) -> str:
    """Say what can be given at a key where only a few words or numbers can, or what a text there is made of."""
    if isinstance(where[-1], int):
        return ""
    info = next((f.type for f in _fields(type_, document, where[:-1]) if f.encode_name == where[-1]), None)
    if info is None:
        return _kinds(type_, document, where[:-1], str(where[-1]))
    first = next(_choices(info))
    if isinstance(first, inspect.LiteralType):
        return f"give one of {', '.join(map(str, first.values))}"
    if isinstance(info, inspect.Metadata) and isinstance(first, inspect.StrType):
        return str((info.extra_json_schema or {}).get("description", ""))
    return ""


def _kinds(type_: type, document: Any, where: KeyPath, key: str) -> str:
    """Say what a tag can be; empty for any other key."""
    choices = _choices(_type_at(type_, document, where))
    tags = [str(t.tag) for t in choices if isinstance(t, inspect.StructType) and t.tag_field == key]
    return f"give one of {', '.join(tags)}" if tags else ""


def _choices(info: inspect.Type) -> Iterator[inspect.Type]:
    """What a value can be, without the words that describe it."""
    if isinstance(info, inspect.Metadata):
        yield from _choices(info.type)
    elif isinstance(info, inspect.UnionType):
        for each in info.types:
            yield from _choices(each)
    else:
        yield info


def _simplest(info: inspect.Type) -> Any:
    """A value that a type takes, to stand in for one that is wrong or missing."""
    info = next(_choices(info))
    if isinstance(info, inspect.StructType):
        tag = {info.tag_field: info.tag} if info.tag_field else {}
        return tag | {field.encode_name: _simplest(field.type) for field in info.fields if field.required}
    if isinstance(info, inspect.VarTupleType):
        return [_simplest(info.item_type)] * (info.min_length or 0)
    if isinstance(info, inspect.LiteralType):
        return info.values[0]
    return STAND_IN
