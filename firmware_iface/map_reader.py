"""Reads one table of a map file by its keys, and collects everything that is wrong."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from firmware_iface.map_keys import CONDITION, MAX_LISTED, MAX_TEXT, NAME, REQUIRED, Key, Role
from firmware_iface.registers import Register, Term
from firmware_iface.toml_lines import KeyPath


@dataclass(frozen=True, slots=True)
class FileFault:
    """One thing that is wrong in a file: where, what, how to mend it; line is None for the file as a whole."""

    file: str
    line: int | None
    key: str
    reason: str
    mend: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        what = f"{where}: {self.key}: {self.reason}" if self.key else f"{where}: {self.reason}"
        return f"{what} ({self.mend})" if self.mend else what


class MapError(Exception):
    """The map cannot be used; every fault of it is listed."""

    def __init__(self, faults: list[FileFault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class Wrong(Exception):
    """A value is not what its key wants: the reason, and how to mend it."""

    def __init__(self, reason: str, mend: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.mend = mend


_Read = Callable[["Reader", Key, Any], Any]
"""Reads a value as a key's kind wants it; `Wrong` where it is not so."""


class Values(dict[str, Any]):
    """What could be read of a table: a value for every key, defaults where it has none.

    Attributes:
        is_whole: every key has its value; those that could not be read are left out.
    """

    is_whole = False


class Reader:
    """Reads tables of one file.

    Attributes:
        points: path → register, None for a point that is in the file but could not be read.
        faults: in the order found.
    """

    def __init__(self, file: str, lines: Mapping[KeyPath, int]) -> None:
        self.points: dict[str, Register | None] = {}
        self.faults: list[FileFault] = []
        self._file = file
        self._lines = lines

    def fault(self, where: KeyPath, reason: str, mend: str = "") -> None:
        """Note what is wrong at a key, or at the nearest table around it that is in the file."""
        place = where
        while place and place not in self._lines:
            place = place[:-1]
        key = ".".join(str(name) for name in where)
        self.faults.append(FileFault(self._file, self._lines.get(place), key, reason, mend))

    def read(self, table: Mapping[str, Any], where: KeyPath, keys: Iterable[Key]) -> Values:
        """Read a table, and note every fault of it."""
        by_name = {key.name: key for key in keys}
        values = Values()
        for key in by_name.values():
            if key.name in table:
                self._read_key(key, table[key.name], (*where, key.name), values)
            elif key.default is REQUIRED:
                self.fault((*where, key.name), "is missing", f"give {key.text}")
            else:
                values[key.name] = key.default
        values.is_whole = len(values) == len(by_name)
        for name in table:
            if name not in by_name:
                self.fault((*where, name), "is not a key here", near(name, by_name))
        return values

    def _read_key(self, key: Key, value: Any, where: KeyPath, values: Values) -> None:
        if key.kind == "named":
            for tables in self._read_one(_table, key, value, where):
                values[key.name] = {name: read for name, table in tables.items()
                                    for read in self._read_one(_table, key, table, (*where, name))}
        elif key.kind in _LISTS:
            for listed in self._read_one(_list, key, value, where):
                read = [item for index, entry in enumerate(listed)
                        for item in self._read_one(_LISTS[key.kind], key, entry, (*where, index))]
                if len(read) == len(listed) or key.kind == "tables":
                    values[key.name] = tuple(read)
        else:
            for read in self._read_one(_SINGLE[key.kind], key, value, where):
                values[key.name] = read

    def _read_one(self, read: _Read, key: Key, value: Any, where: KeyPath) -> Iterator[Any]:
        """Give the value; for a wrong one note the fault and give nothing."""
        try:
            yield read(self, key, value)
        except Wrong as wrong:
            self.fault(where, wrong.reason, wrong.mend)

    def find(self, path: Any, role: Role | None = None) -> str:
        """Check that a path is one of the points, and what its role wants."""
        if not isinstance(path, str):
            raise Wrong(f"must be the path of a point, not {_shown(path)}")
        if path not in self.points:
            raise Wrong(f"no point {_shown(path)}", near(path, self.points))
        register = self.points[path]
        if register is not None and role is not None:
            kind = register.type if register.type in ("bit", "text") else "number"
            if kind != role.type or (role.units and register.unit not in role.units):
                unit = f" in {register.unit}" if register.unit else " without a unit"
                raise Wrong(f"{path} is a {kind}{unit if kind == 'number' else ''}", f"give a {role}")
        return path

    def condition(self, value: Any) -> Term:
        """Read `path [- path] operator number`."""
        match = re.fullmatch(CONDITION, value.strip()) if isinstance(value, str) else None
        if match is None:
            raise Wrong(f"cannot read the condition {_shown(value)}", 'write "path > number" or "path - path > number"')
        path, minus, operator, given = match.groups()
        registers = [self.points[self.find(each)] for each in (path, minus) if each]
        for register in filter(None, registers):
            if register.type == "text":
                raise Wrong(f"{register.path} is a text and cannot be compared with a number")
        try:
            number = float(given)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise Wrong(f"{_shown(given)} is not a number")
        if not minus and registers[0] and registers[0].type == "bit" and number not in (0, 1):
            raise Wrong(f"{path} is a bit and never {number:g}", "compare it with 0 or 1")
        if operator in ("==", "!=") and not number.is_integer():
            raise Wrong(f"a measured value is never exactly {number:g}", "compare with < or >")
        return Term(path, minus, operator, number)


def near(name: str, names: Iterable[str]) -> str:
    """Say which of the names was perhaps meant; empty when none is near."""
    close = difflib.get_close_matches(name[:MAX_TEXT], list(names), 1)
    return f"did you mean {close[0]}?" if close else ""


def _shown(value: Any) -> str:
    try:
        shown = repr(value)
    except ValueError:  # Python prints no integer of thousands of digits, and TOML has them in hexadecimal
        return "a number that large"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _text(reader: Reader, key: Key, value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong(f"must be a text, not {_shown(value)}")
    if len(value) > MAX_TEXT:
        raise Wrong(f"is longer than {MAX_TEXT} characters")
    if key.choices and value not in key.choices:
        raise Wrong(f"must be one of {', '.join(key.choices)}, not {_shown(value)}", near(value, key.choices))
    return value


def _name(reader: Reader, key: Key, value: Any) -> str:
    if not re.fullmatch(NAME, _text(reader, key, value)):
        raise Wrong("must be of letters, digits, dots and dashes, up to 64")
    return str(value)


def _boolean(reader: Reader, key: Key, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong(f"must be true or false, not {_shown(value)}")
    return value


def _within(key: Key, value: Any) -> None:
    if key.low is not None and value < key.low:
        raise Wrong(f"must be at least {key.low:g}, not {_shown(value)}")
    if key.high is not None and value > key.high:
        raise Wrong(f"must be at most {key.high:g}, not {_shown(value)}")


def _integer(reader: Reader, key: Key, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Wrong(f"must be a whole number, not {_shown(value)}")
    _within(key, value)
    return value


def _number(reader: Reader, key: Key, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value or abs(value) > 1e300:  # noqa: PLR0124
        raise Wrong(f"must be a number, not {_shown(value)}")
    _within(key, value)
    return float(value)


def _range(reader: Reader, key: Key, value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise Wrong(f"must be [low, high], not {_shown(value)}")
    low, high = (_number(reader, key, limit) for limit in value)
    if low >= high:
        raise Wrong(f"low {low:g} is not below high {high:g}", "write [low, high]")
    return low, high


def _path(reader: Reader, key: Key, value: Any) -> str:
    return reader.find(value, key.role)


def _object(reader: Reader, key: Key, value: Any) -> str:
    objects = {path.rpartition("/")[0] for path in reader.points}
    if _text(reader, key, value) not in objects:
        raise Wrong(f"no point belongs to the object {_shown(value)}", near(value, objects))
    return str(value)


def _condition(reader: Reader, key: Key, value: Any) -> Term:
    return reader.condition(value)


def _list(reader: Reader, key: Key, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Wrong(f"must be a list, not {_shown(value)}")
    if not value and key.default is REQUIRED:
        raise Wrong("must not be empty", f"give {key.text}")
    if len(value) > MAX_LISTED:
        raise Wrong(f"has {len(value)} entries", f"give at most {MAX_LISTED}")
    return value


def _table(reader: Reader, key: Key, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong(f"must be a table, not {_shown(value)}")
    return value


_SINGLE: dict[str, _Read] = {
    "text": _text, "name": _name, "boolean": _boolean, "integer": _integer, "number": _number, "range": _range,
    "path": _path, "object": _object, "table": _table,
}  # fmt: skip
_LISTS: dict[str, _Read] = {
    "integers": _integer, "texts": _text, "paths": _path, "objects": _object, "conditions": _condition,
    "tables": _table,
}  # fmt: skip
