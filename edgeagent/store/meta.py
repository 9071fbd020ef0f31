"""What the agent remembers of itself: short texts by name."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from edgeagent.store.checksums import checksum

if TYPE_CHECKING:
    from edgeagent.store.database import Database


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
    """Read a text inside somebody's query."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


def put(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Keep a text inside somebody's transaction."""
    connection.execute(
        "INSERT INTO meta(key, value) VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value", (key, value)
    )


def seal(text: str) -> str:
    """Put its checksum before a text that must not be believed where the disk changed it."""
    return f"{checksum(text):010d} {text}"


def unseal(sealed: str) -> str | None:
    """The text behind its checksum; None where the disk changed it. What was kept without one is JSON, as it is."""
    if sealed.startswith("{"):
        return sealed
    crc, _, text = sealed.partition(" ")
    return text if crc.isdecimal() and int(crc) == checksum(text) else None
