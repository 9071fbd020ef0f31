"""What tells a row as it was written from one that the disk changed."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
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
    "requests": _kept,
    "recipes": _kept,
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


GIVEN_LATER = ("consumers", "gone", "had", "endings", "states", "meta")
"""Tables whose rows had no checksum in the first layouts."""


def checksum(*parts: bytes | str) -> int:
    """CRC-32 of a row's parts, kept beside it and compared whenever the row is read."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part.encode() if isinstance(part, str) else part, zlib.crc32(b"\0", crc))
    return crc


def is_whole(row: Sequence[int | str | bytes]) -> bool:
    """Say whether a row, as a checksum and its parts, is as it was written."""
    crc, *parts = row
    return crc == checksum(*(part for part in parts if not isinstance(part, int)))


def checksum_of(table: str, row: _Row) -> int:
    """The checksum of a row of a table, by its columns."""
    return checksum(*_PARTS[table](row))


def with_checksum(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of a damaged file; one of a layout that gave it no checksum is believed, and given it."""
    if table not in GIVEN_LATER or row.get("crc") is not None:
        return row
    try:
        return {**row, "crc": checksum_of(table, row)}
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
    """Read every row that has a checksum; tells by table how many are damaged, and nothing of tables without damage."""
    counts = {}
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in _PARTS.keys() & there:
        cursor = connection.execute(f"SELECT * FROM {table}")  # noqa: S608  names of ours
        names = [column[0] for column in cursor.description]
        counts[table] = sum(not fits(table, dict(zip(names, row, strict=True))) for row in cursor)
    return {table: count for table, count in counts.items() if count}
