"""Events that push targets did not take: each kept as the bytes that were sent, whatever becomes of the journal."""

from __future__ import annotations

import sqlite3

import msgspec

from edgeagent.model.aside import SetAside
from edgeagent.store import pages
from edgeagent.store.checksums import checksum
from edgeagent.store.database import Database
from edgeagent.store.journal import Kept

_ALL = "SELECT id, sequence, body, crc FROM aside ORDER BY target, sequence"
_ONE = "SELECT id, sequence, body, crc FROM aside WHERE id = ?"


class _Body(msgspec.Struct, frozen=True):
    event: SetAside
    message: str


_decode = msgspec.json.Decoder(_Body).decode


class AsideNote(msgspec.Struct, frozen=True):
    """The row of one event, and the notification that it is."""

    event: SetAside
    message: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.message)

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write it inside somebody's transaction."""
        body = msgspec.json.encode(_Body(self.event, self.message.decode()))
        connection.execute(
            "INSERT OR REPLACE INTO aside(id, target, sequence, crc, body) VALUES(?, ?, ?, ?, ?)",
            (self.event.id, self.event.target, self.event.sequence, checksum(self.event.id, body), body),
        )


class Asides:
    """What is set aside, without its messages in memory; on the event loop only."""

    def __init__(self, database: Database, found: dict[str, SetAside]) -> None:
        self._database = database
        self._found = found

    @classmethod
    async def open(cls, database: Database) -> Asides:
        """Read what there is; a damaged row is left out and logged."""
        return cls(database, await database.read(_load))

    def of(self, target: str) -> tuple[SetAside, ...]:
        """What is set aside of a target, by stream and sequence."""
        found = (event for event in self._found.values() if event.target == target)
        return tuple(sorted(found, key=lambda event: (event.stream, event.sequence)))

    def know(self, event: SetAside) -> None:
        """Remember an event whose note is on its way to the disk, with the cursor that goes beyond it."""
        self._found[event.id] = event

    def change(self, event: SetAside, message: bytes) -> None:
        """Keep what became of an event that is set aside; nobody waits for the disk."""
        self.know(event)
        note = AsideNote(event, message)
        self._database.submit(note.insert, size=note.size)

    def forget(self, event: SetAside, *also: Kept) -> None:
        """Delete one, and write rows that belong to that; nobody waits for the disk."""
        self._found.pop(event.id, None)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM aside WHERE id = ?", (event.id,))
            for row in also:
                row.insert(connection)

        self._database.submit(write)

    async def message(self, event: SetAside) -> bytes | None:
        """Read the notification; None where the disk damaged it."""
        rows = await self._database.read(lambda c: c.execute(_ONE, (event.id,)).fetchall())
        body = next(pages.whole(rows, "event set aside"), None)
        return _decode(body).message.encode() if body else None


def _load(connection: sqlite3.Connection) -> dict[str, SetAside]:
    found = (_decode(body).event for body in pages.whole(connection.execute(_ALL), "event set aside"))
    return {event.id: event for event in found}
