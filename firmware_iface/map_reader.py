"""Reads one table of a map file by its keys, and collects everything that is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firmware_iface.map_keys import CONDITION, REQUIRED, Key, Role
from firmware_iface.map_values import (
    LISTS,
    SINGLE,
    Read,
    Wrong,
    near,
    read_filled_table,
    read_list,
    read_setting,
    read_table,
    shown,
)
from firmware_iface.raw_numbers import good_values, raw_number
from firmware_iface.registers import Register, Term
from firmware_iface.toml_lines import KeyPath
from firmware_iface.wording import number as shortest


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
        documents: ids of the sources, which points may name.
        faults: in the order found.
    """

    def __init__(self, file: str, lines: Mapping[KeyPath, int]) -> None:
        self.points: dict[str, Register | None] = {}
        self.documents: set[str] = set()
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
            for tables in self._read_one(read_table, key, value, where):
                values[key.name] = {name: read for name, table in tables.items()
                                    for read in self._read_one(read_table, key, table, (*where, name))}
        elif key.kind == "numbers":
            for tables in self._read_one(read_filled_table, key, value, where):
                numbers = {path: number for path, given in tables.items()
                           for number in self._read_one(read_setting, key, (path, given), (*where, path))}
                if len(numbers) == len(tables):
                    values[key.name] = numbers
        elif key.kind in LISTS:
            for listed in self._read_one(read_list, key, value, where):
                read = [item for index, entry in enumerate(listed)
                        for item in self._read_one(LISTS[key.kind], key, entry, (*where, index))]
                if len(read) == len(listed) or key.kind == "tables":
                    values[key.name] = tuple(read)
        else:
            for read in self._read_one(SINGLE[key.kind], key, value, where):
                values[key.name] = read

    def _read_one(self, read: Read, key: Key, value: Any, where: KeyPath) -> Iterator[Any]:
        """Give the value; for a wrong one note the fault and give nothing."""
        try:
            yield read(self, key, value)
        except Wrong as wrong:
            self.fault(where, wrong.reason, wrong.mend)

    def find(self, path: Any, role: Role | None = None) -> str:
        """Check that a path is one of the points, and what its role wants."""
        if not isinstance(path, str):
            raise Wrong(f"must be the path of a point, not {shown(path)}")
        if path not in self.points:
            raise Wrong(f"no point {shown(path)}", near(path, self.points))
        register = self.points[path]
        if register is not None and role is not None:
            kind = register.type if register.type in ("bit", "text") else "number"
            if kind not in role.type.split() or (role.units and register.unit not in role.units):
                unit = f" in {register.unit}" if register.unit else " without a unit"
                raise Wrong(f"{path} is a {kind}{unit if kind == 'number' else ''}", f"give a {role}")
            if role.is_writable and not register.writable:
                raise Wrong(f"{path} cannot be written", 'give a point with access = "rw"')
        return path

    def condition(self, value: Any) -> Term:
        """Read `path [- path] operator number`."""
        match = re.fullmatch(CONDITION, value.strip()) if isinstance(value, str) else None
        if match is None:
            raise Wrong(f"cannot read the condition {shown(value)}", 'write "path > number" or "path - path > number"')
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
            raise Wrong(f"{shown(given)} is not a number")
        if not minus and registers[0] and registers[0].type == "bit" and number not in (0, 1):
            raise Wrong(f"{path} is a bit and never {number:g}", "compare it with 0 or 1")
        if operator in ("==", "!=") and not number.is_integer():
            raise Wrong(f"a measured value is never exactly {number:g}", "compare with < or >")
        if all(registers):
            _could_hold([register for register in registers if register], operator, number)
        return Term(path, minus, operator, number)


def _could_hold(registers: Sequence[Register], operator: str, number: float) -> None:
    """Refuse a comparison that no good values make true; of two points the second is taken off."""
    low, high = good_values(registers[0])
    if len(registers) > 1:
        least, most = good_values(registers[1])
        low, high = low - most, high - least
    told = " - ".join(register.path for register in registers)
    is_exact = operator in ("==", "!=")
    if is_exact and low <= number <= high and len(registers) == 1 and raw_number(registers[0], number) is None:
        raise Wrong(f"no raw number of {told} is exactly {shortest(number)}", "compare with < or >")
    never = {
        "==": not low <= number <= high, "!=": not low <= number <= high,
        ">": number >= high, ">=": number > high, "<": number <= low, "<=": number < low,
    }  # fmt: skip
    if never[operator]:
        sign = "" if is_exact else f"{operator} "
        raise Wrong(f"{told} is from {low:.12g} to {high:.12g} and never {sign}{shortest(number)}",
                    "look at the number and the point's range")
