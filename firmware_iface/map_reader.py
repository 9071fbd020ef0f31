"""Reads one table of a map file by its keys, and collects everything that is wrong."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from firmware_iface.map_keys import REQUIRED, Key
from firmware_iface.registers import Register, Term
from firmware_iface.toml_lines import KeyPath

MAX_TEXT = 500
"""Characters in a text of a map."""

_CONDITION = re.compile(r"(?P<path>[\w/]+)(?:\s+-\s+(?P<minus>[\w/]+))?\s*(?P<operator>[=!<>]=|[<>])\s*(?P<number>\S+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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

    def read(self, table: Mapping[str, Any], where: KeyPath, keys: Iterable[Key]) -> dict[str, Any] | None:
        """Read a table: a value for every key, defaults where it has none; None when one could not be read."""
        by_name = {key.name: key for key in keys}
        before = len(self.faults)
        values = {}
        for key in by_name.values():
            if key.name in table:
                try:
                    values[key.name] = _READ[key.kind](self, key, table[key.name])
                except Wrong as wrong:
                    self.fault((*where, key.name), wrong.reason, wrong.mend)
            elif key.default is REQUIRED:
                self.fault((*where, key.name), "is missing", f"give {key.text}")
            else:
                values[key.name] = key.default
        readable = len(self.faults) == before
        for name in table:
            if name not in by_name:
                self.fault((*where, name), "is not a key here", near(name, by_name))
        return values if readable else None

    def find(self, path: Any) -> str:
        """Check that a path is one of the points."""
        if not isinstance(path, str):
            raise Wrong(f"must be the path of a point, not {_shown(path)}")
        if path not in self.points:
            raise Wrong(f"no point {_shown(path)}", near(path, self.points))
        return path

    def condition(self, value: Any) -> Term:
        """Read `path [- path] operator number`."""
        match = _CONDITION.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise Wrong(f"cannot read the condition {_shown(value)}", 'write "path > number" or "path - path > number"')
        for path in filter(None, match.group("path", "minus")):
            register = self.points[self.find(path)]
            if register is not None and register.type == "text":
                raise Wrong(f"{path} is a text and cannot be compared with a number")
        try:
            number = float(match["number"])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise Wrong(f"{_shown(match['number'])} is not a number")
        return Term(match["path"], match["minus"], match["operator"], number)


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
    if not _NAME.fullmatch(_text(reader, key, value)):
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
    return reader.find(value)


def _object(reader: Reader, key: Key, value: Any) -> str:
    objects = {path.rpartition("/")[0] for path in reader.points}
    if _text(reader, key, value) not in objects:
        raise Wrong(f"no point belongs to the object {_shown(value)}", near(value, objects))
    return str(value)


def _condition(reader: Reader, key: Key, value: Any) -> Term:
    return reader.condition(value)


def _listed(one: Callable[[Reader, Key, Any], Any]) -> Callable[[Reader, Key, Any], Any]:
    def read(reader: Reader, key: Key, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Wrong(f"must be a list, not {_shown(value)}")
        if not value and key.default is REQUIRED:
            raise Wrong("must not be empty", f"give {key.text}")
        return tuple(one(reader, key, item) for item in value)

    return read


def _table(reader: Reader, key: Key, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong(f"must be a table, not {_shown(value)}")
    return value


def _named(reader: Reader, key: Key, value: Any) -> dict[str, Any]:
    for name, table in _table(reader, key, value).items():
        if not isinstance(table, dict):
            raise Wrong(f"{name} must be a table, not {_shown(table)}")
    return dict(value)


_READ: dict[str, Callable[[Reader, Key, Any], Any]] = {
    "text": _text, "name": _name, "boolean": _boolean, "integer": _integer, "number": _number, "range": _range,
    "integers": _listed(_integer), "texts": _listed(_text), "path": _path, "paths": _listed(_path),
    "object": _object, "objects": _listed(_object), "conditions": _listed(_condition),
    "table": _table, "tables": _listed(_table), "named": _named,
}  # fmt: skip
