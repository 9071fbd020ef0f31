"""What a store holds, in numbers; read beside a running agent, and bounded in time."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from edgeagent.store.connection import connect_reader, holder

_STEPS = 10_000
"""Instructions of SQLite between two looks at the clock."""


def facts(path: Path, seconds: float) -> dict[str, object]:
    """Look at a store; what cannot be told, or not in so many seconds, says why.

    Args:
        seconds: for all of it together.
    """
    told: dict[str, object] = {
        "file": str(path), "open_in_process": _holder(path),
        "bytes": {each.name: each.stat().st_size for each in sorted(path.parent.glob(f"{path.name}*"))},
    }  # fmt: skip
    if not path.is_file():
        return {**told, "fault": "there is no such file"}
    try:
        with closing(connect_reader(path)) as connection:
            end = time.monotonic() + seconds
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
            for name, query in _queries(connection):
                told[name] = _asked(connection, query)
    except sqlite3.Error as error:
        told["fault"] = str(error)
    return told


def _holder(path: Path) -> str | None:
    lock = Path(f"{path}.lock")
    if lock.exists() and not os.access(lock, os.R_OK | os.W_OK):
        return "cannot be told: this user may not ask"
    return holder(path) or None


def _queries(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """What is asked, the slowest last."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [
        *((name, f"PRAGMA {name}") for name in ("user_version", "page_size", "page_count", "freelist_count")),
        ("meta", "SELECT key, value FROM meta"),
        ("sequences", "SELECT min(sequence), max(sequence) FROM events"),
        *((f"rows of {name}", f'SELECT count(*) FROM "{name}"') for name in tables),  # noqa: S608  names of the file's own
        ("quick_check", "PRAGMA quick_check(20)"),
    ]


def _asked(connection: sqlite3.Connection, query: str) -> object:
    try:
        rows = connection.execute(query).fetchmany(50)
    except sqlite3.Error as error:
        return "not finished in time" if "interrupted" in str(error) else f"cannot be told: {error}"
    return rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else rows
