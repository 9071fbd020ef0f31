"""Reads one value of a map file as its key's kind wants it, or says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from firmware_iface.map_keys import MAX_LISTED, MAX_TEXT, NAME, REQUIRED, VERSION, Key

if TYPE_CHECKING:
    from firmware_iface.map_reader import Reader
    from firmware_iface.registers import Term


class Wrong(Exception):
    """A value is not what its key wants: the reason, and how to mend it."""

    def __init__(self, reason: str, mend: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.mend = mend


_MEANT = {
    "float": ("float32", "float32 takes two registers, float64 four"),
    "real": ("float32", "did you mean float32?"),
    "double": ("float64", "did you mean float64?"),
    "int": ("int16", "int16 takes one register, int32 two, int64 four"),
    "uint": ("uint16", "uint16 takes one register, uint32 two, uint64 four"),
    "word": ("uint16", "did you mean uint16?"),
    "dword": ("uint32", "did you mean uint32?"),
    "bcd": ("bcd16", "bcd16 takes one register, bcd32 two"),
    "bool": ("bit", "did you mean bit?"),
    "boolean": ("bit", "did you mean bit?"),
    "string": ("text", "did you mean text?"),
    "°C": ("degC", "did you mean degC?"),
    "C": ("degC", "did you mean degC?"),
    "°F": ("degC", "in degC, with a scale 5/9 times that of °F, and an offset of -17.78"),
    "%": ("percent", "did you mean percent?"),
    "bar": ("mbar", "in mbar, with a scale 1000 times that of bar"),
    "kPa": ("mbar", "in mbar, with a scale 10 times that of kPa"),
    "Pa": ("mbar", "in mbar, with a scale 0.01 times that of Pa"),
    "E": ("even", "did you mean even?"),
    "N": ("none", "did you mean none?"),
    "O": ("odd", "did you mean odd?"),
}
"""What manuals write → what a map may have in its place, and how to mend it; likeness of letters would mislead."""

Read = Callable[["Reader", Key, Any], Any]
"""Reads a value as a key's kind wants it; `Wrong` where it is not so."""


def near(name: str, names: Iterable[str]) -> str:
    """Say which of the names was perhaps meant; empty when none is near."""
    from difflib import get_close_matches  # noqa: PLC0415  only where a name is wrong

    close = get_close_matches(name[:MAX_TEXT], list(names), 1)
    return f"did you mean {close[0]}?" if close else ""


def shown(value: Any) -> str:
    """A value of the file in a sentence, cut where it is long."""
    try:
        shown = repr(value)
    except ValueError:  # Python prints no integer of thousands of digits, and TOML has them in hexadecimal
        return "a number that large"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _text(reader: Reader, key: Key, value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong(f"must be a text, not {shown(value)}")
    if len(value) > MAX_TEXT:
        raise Wrong(f"is longer than {MAX_TEXT} characters")
    if key.choices and value not in key.choices:
        meant, mend = _MEANT.get(value, ("", ""))
        raise Wrong(f"must be one of {', '.join(key.choices)}, not {shown(value)}",
                    mend if meant in key.choices else near(value, key.choices))
    return value


def _name(reader: Reader, key: Key, value: Any) -> str:
    if not re.fullmatch(NAME, _text(reader, key, value)):
        raise Wrong("must be of letters, digits, dots and dashes, up to 64")
    return str(value)


def _version(reader: Reader, key: Key, value: Any) -> str:
    if not re.fullmatch(VERSION, _text(reader, key, value)):
        raise Wrong(f"{shown(value)} is no version", 'write numbers with dots between them, "3.04"')
    return str(value)


def _document(reader: Reader, key: Key, value: Any) -> str:
    if _text(reader, key, value) not in reader.documents:
        raise Wrong(f"no source has the id {shown(value)}", near(value, reader.documents) or "give one of them the id")
    return str(value)


def _match(reader: Reader, key: Key, value: Any) -> tuple[float, ...] | str:
    if isinstance(value, str):
        return _text(reader, key, value)
    numbers = read_list(reader, key, value) if isinstance(value, list) else [value]
    if not numbers:
        raise Wrong("must not be empty", f"give {key.text}")
    return tuple(_number(reader, key, one) for one in numbers)


def read_setting(reader: Reader, key: Key, value: Any) -> float:
    """Read the number that a point is set to, of a pair of path and number."""
    path, number = value
    reader.find(path, key.role)
    return _number(reader, key, number)


def _boolean(reader: Reader, key: Key, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong(f"must be true or false, not {shown(value)}")
    return value


def _within(key: Key, value: Any) -> None:
    if key.low is not None and value < key.low:
        is_sentinel = key.kind == "integers" and value < 0
        raise Wrong(f"must be at least {key.low:g}, not {shown(value)}",
                    "write the registers as they are sent: -1 of an int16 is 0xFFFF" if is_sentinel else "")
    if key.high is not None and value > key.high:
        raise Wrong(f"must be at most {key.high:g}, not {shown(value)}")


def _integer(reader: Reader, key: Key, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Wrong(f"must be a whole number, not {shown(value)}")
    _within(key, value)
    return value


def _number(reader: Reader, key: Key, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value or abs(value) > 1e300:  # noqa: PLR0124
        raise Wrong(f"must be a number, not {shown(value)}")
    _within(key, value)
    return float(value)


def _range(reader: Reader, key: Key, value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise Wrong(f"must be [low, high], not {shown(value)}")
    low, high = (_number(reader, key, limit) for limit in value)
    if low >= high:
        raise Wrong(f"low {low:g} is not below high {high:g}", "write [low, high]")
    return low, high


def _path(reader: Reader, key: Key, value: Any) -> str:
    return reader.find(value, key.role)


def _object(reader: Reader, key: Key, value: Any) -> str:
    objects = {path.rpartition("/")[0] for path in reader.points}
    if _text(reader, key, value) not in objects:
        of_point = f"it is a point, of the object {value.rpartition('/')[0]}" if value in reader.points else ""
        raise Wrong(f"no point belongs to the object {shown(value)}", of_point or near(value, objects))
    return str(value)


def _condition(reader: Reader, key: Key, value: Any) -> Term:
    return reader.condition(value)


def read_list(reader: Reader, key: Key, value: Any) -> list[Any]:
    """Read a list; empty only where the key may be left out."""
    if not isinstance(value, list):
        mend = f"write [[{key.name}]]" if key.kind == "tables" else "put it into [ ]"
        raise Wrong(f"must be a list, not {shown(value)}", mend)
    if not value and key.default is REQUIRED:
        raise Wrong("must not be empty", f"give at least one: {key.text}")
    if len(value) > MAX_LISTED:
        raise Wrong(f"has {len(value)} entries", f"give at most {MAX_LISTED}")
    return value


def read_table(reader: Reader, key: Key, value: Any) -> dict[str, Any]:
    """Read a table."""
    if not isinstance(value, dict):
        raise Wrong(f"must be a table, not {shown(value)}")
    return value


def read_filled_table(reader: Reader, key: Key, value: Any) -> dict[str, Any]:
    """Read a table that has something in it, and not too much."""
    table = read_table(reader, key, value)
    if not table:
        raise Wrong("is empty", f"give {key.text}")
    if len(table) > MAX_LISTED:
        raise Wrong(f"has {len(table)} entries", f"give at most {MAX_LISTED}")
    return table


SINGLE: dict[str, Read] = {
    "text": _text, "name": _name, "boolean": _boolean, "integer": _integer, "number": _number, "range": _range,
    "path": _path, "object": _object, "table": read_table, "version": _version, "document": _document, "match": _match,
}  # fmt: skip
"""What reads a value, by kind."""
LISTS: dict[str, Read] = {
    "integers": _integer, "texts": _text, "paths": _path, "objects": _object, "conditions": _condition,
    "tables": read_table,
}  # fmt: skip
"""What reads each entry of a list, by kind."""
