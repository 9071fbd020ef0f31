"""What tells a row as it was written from one that the disk changed."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Mapping
from typing import Any

_Row = Mapping[str, Any]


def _kept(row: _Row) -> tuple[Any, ...]:
    return row["id"], row["body"]


_PARTS: dict[str, Callable[[_Row], tuple[Any, ...]]] = {
    "events": lambda row: (str(row["sequence"]), row["topic"], row["machine"], row["body"]),
    "boards": _kept,
    "traces": _kept,
    "checkpoints": lambda row: (
        row["machine"], f"{row['saved_wall_ns']} {row['saved_monotonic_ns']} {row['boot']}", row["body"]),
    "history": lambda row: (row["machine"], str(row["t_ns"]), row["body"]),
    "alarms": _kept,
    "jobs": _kept,
    "requests": lambda row: (row["id"], str(row["at_ns"]), row["body"]),
    "recipes": lambda row: (row["id"], str(row["deleted_ns"]), row["body"]),
    "aside": _kept,
    "consumers": lambda row: (
        row["name"], row["owner"], row["topics"], row["machines"], row["stream"],
        f"{row['acknowledged']} {row['made_ns']} {row['seen_ns']}"),
    "gone": lambda row: (row["machine"], row["topic"], f"{row['block']} {row['count']}", row["sequences"]),
    "had": lambda row: (row["machine"], row["topic"], f"{row['first']} {row['last']}"),
    "endings": lambda row: (row["machine"], row["recipe"], row["result"], str(row["at_ns"]), row["id"]),
    "states": lambda row: (row["machine"], f"{row['from_ns']} {row['to_ns']}", row["state"]),
    "meta": lambda row: (row["key"], row["value"]),
}  # fmt: skip
"""Table → the parts of a row that its checksum is made of."""

_FORMER_PARTS = {"requests": _kept, "recipes": _kept}
"""As `_PARTS`, in earlier layouts."""

GIVEN_LATER = ("consumers", "gone", "had", "endings", "states", "meta")
"""Tables whose rows had no checksum in the first layouts."""


def checksum(*parts: bytes | str) -> int:
    """CRC-32 of a row's parts, kept beside it and compared whenever the row is read."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part.encode() if isinstance(part, str) else part, zlib.crc32(b"\0", crc))
    return crc


def checksum_of(table: str, row: _Row) -> int:
    """The checksum of a row of a table, by its columns."""
    return checksum(*_PARTS[table](row))


def with_checksum(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of any layout with the checksum of today's; one of a layout that gave it none is believed."""
    try:
        if table in _FORMER_PARTS:
            is_former = row["crc"] == checksum(*_FORMER_PARTS[table](row))
        else:
            is_former = table in GIVEN_LATER and row.get("crc") is None
        return {**row, "crc": checksum_of(table, row)} if is_former else row
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        return row


def fits(table: str, row: _Row) -> bool:
    """Say whether a row of a table, by its columns, is as it was written; nobody can tell of one without a checksum."""
    if table not in _PARTS or (table in GIVEN_LATER and "crc" not in row):
        return True
    try:
        return bool(row["crc"] == checksum_of(table, row))
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        return False


def damaged(connection: sqlite3.Connection) -> dict[str, int]:
    """Read every row, of any layout, that has a checksum; tells by table how many are damaged, if any."""
    counts = {}
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in _PARTS.keys() & there:
        cursor = connection.execute(f"SELECT * FROM {table}")  # noqa: S608  names of ours
        names = [column[0] for column in cursor.description]
        counts[table] = sum(not fits(table, with_checksum(table, dict(zip(names, row, strict=True)))) for row in cursor)
    return {table: count for table, count in counts.items() if count}
