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
}  # fmt: skip
"""Table → the parts of a row that its checksum is made of."""


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


def fits(table: str, row: _Row) -> bool:
    """Say whether a row of a table, by its columns, is as it was written; nobody can tell of one without a checksum."""
    parts = _PARTS.get(table)
    if parts is None:
        return True
    try:
        return bool(row["crc"] == checksum(*parts(row)))
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        return False


def damaged(connection: sqlite3.Connection) -> dict[str, int]:
    """Read every row that has a checksum; tells by table how many are damaged, and nothing of tables without damage."""
    counts = {}
    for table in _PARTS:
        cursor = connection.execute(f"SELECT * FROM {table}")  # noqa: S608  names of ours
        names = [column[0] for column in cursor.description]
        counts[table] = sum(not fits(table, dict(zip(names, row, strict=True))) for row in cursor)
    return {table: count for table, count in counts.items() if count}
