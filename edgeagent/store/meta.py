"""What the agent remembers of itself: short texts by name."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from edgeagent.store.checksums import checksum, checksum_of, fits

if TYPE_CHECKING:
    from edgeagent.store.database import Database

_log = logging.getLogger(__name__)


class Meta:
    """Short texts by name; names under "journal." belong to the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: str) -> str | None:
        """Read a text; None where none was kept."""
        return await self._database.read(lambda connection: get(connection, key))

    async def set(self, key: str, value: str) -> None:
        """Keep a text; returns when it is on disk."""
        await self._database.write(lambda connection: put(connection, key, value))


def get(connection: sqlite3.Connection, key: str) -> str | None:
    """Read a text inside somebody's query, in any layout; None also where the disk changed it, which is logged."""
    cursor = connection.execute("SELECT * FROM meta WHERE key = ?", (key,))
    found = cursor.fetchone()
    if found is None:
        return None
    row = dict(zip((column[0] for column in cursor.description), found, strict=True))
    if not fits("meta", row):
        _log.error("%r of the store is damaged on disk and is left out", key)
        return None
    value: str = row["value"]
    return value


def is_kept(connection: sqlite3.Connection, key: str) -> bool:
    """Say whether there is a text, be it one that the disk changed."""
    return connection.execute("SELECT 1 FROM meta WHERE key = ?", (key,)).fetchone() is not None


def put(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Keep a text inside somebody's transaction, in any layout."""
    row = key, value, checksum_of("meta", {"key": key, "value": value})
    try:
        connection.execute("INSERT OR REPLACE INTO meta(key, value, crc) VALUES(?, ?, ?)", row)
    except sqlite3.OperationalError:
        if connection.execute("SELECT 1 FROM pragma_table_info('meta') WHERE name = 'crc'").fetchone():
            raise
        connection.execute("INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)", row[:2])


def unseal(text: str) -> str | None:
    """A JSON text as it is; one that an earlier layout kept behind a checksum without it, None where that is wrong."""
    if text.startswith("{"):
        return text
    crc, _, sealed = text.partition(" ")
    return sealed if crc.isdecimal() and int(crc) == checksum(sealed) else None
