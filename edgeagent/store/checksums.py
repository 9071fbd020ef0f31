"""What tells a row as it was written from one that the disk changed."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence

_WHOLE = {
    "events": "SELECT crc, CAST(sequence AS TEXT), topic, machine, body FROM events",
    "boards": "SELECT crc, id, body FROM boards",
    "traces": "SELECT crc, id, body FROM traces",
    "checkpoints": "SELECT crc, machine, saved_wall_ns || ' ' || saved_monotonic_ns || ' ' || boot, body "
                   "FROM checkpoints",
    "history": "SELECT crc, machine, CAST(t_ns AS TEXT), body FROM history",
    "alarms": "SELECT crc, id, body FROM alarms",
    "jobs": "SELECT crc, id, body FROM jobs",
    "requests": "SELECT crc, id, body FROM requests",
    "recipes": "SELECT crc, id, body FROM recipes",
    "aside": "SELECT crc, id, body FROM aside",
}  # fmt: skip
"""Table → its rows as a checksum and the parts that it is made of."""


def checksum(*parts: bytes | str) -> int:
    """CRC-32 of a row's parts, kept beside it and compared whenever the row is read."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part.encode() if isinstance(part, str) else part, zlib.crc32(b"\0", crc))
    return crc


def is_whole(row: Sequence[int | str | bytes]) -> bool:
    """Say whether a row of `rows` is as it was written."""
    crc, *parts = row
    return crc == checksum(*(part for part in parts if not isinstance(part, int)))


def damaged(connection: sqlite3.Connection) -> dict[str, int]:
    """Read every row that has a checksum; tells by table how many are damaged, and nothing of tables without damage."""
    counts = {table: sum(not is_whole(row) for row in connection.execute(query)) for table, query in _WHOLE.items()}
    return {table: count for table, count in counts.items() if count}
