"""The history of alarms: raised, acknowledged, cleared; written with the event that tells it, read newest first."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import msgspec

from edgeagent.clock import instant_ns, iso
from edgeagent.model.alarms import AlarmRecord
from edgeagent.model.events import AlarmTold, Event
from edgeagent.store import pages, salvaged
from edgeagent.store.checksums import checksum

if TYPE_CHECKING:
    from edgeagent.store.database import Database

_decode = msgspec.json.Decoder(AlarmRecord).decode
_encode = msgspec.json.Encoder().encode


class Alarms:
    """Reads the history; it is written by the journal, in the transaction of the event."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self, *, since_ns: int | None = None, until_ns: int | None = None, machine: str | None = None,
        limit: int = 50, cursor: str | None = None,
    ) -> tuple[list[AlarmRecord], str | None]:  # fmt: skip
        """Read a page, the last raised first, and the cursor of the next page (None on the last).

        Args:
            since_ns, until_ns: wall ns of the raising, from `since_ns` to before `until_ns`.

        Raises:
            CommandRefused: "invalidParameters", the cursor is none of ours.
            StoreError: some of them are still to be taken over from a damaged file.
        """
        before = pages.place(cursor)
        query, values = pages.newest("alarms", "raised_ns", {"machine": machine}, since_ns, until_ns, before)

        def work(connection: sqlite3.Connection) -> list[Any]:
            salvaged.require(connection, "alarms")
            return connection.execute(query, (*values, limit + 1)).fetchall()

        rows = await self._database.read(work)
        following = pages.cursor((rows[limit - 1][1], rows[limit - 1][0])) if len(rows) > limit else None
        return [_decode(body) for body in pages.whole(rows[:limit], "alarm")], following


    async def get(self, id: str) -> AlarmRecord | None:  # noqa: A002
        """Read one alarm; None where there is none or it is damaged."""
        rows = await self._database.read(lambda c: c.execute(_ONE, (id,)).fetchall())
        body = next(pages.whole(rows, "alarm"), None)
        return _decode(body) if body else None


_ONE = "SELECT id, raised_ns, body, crc FROM alarms WHERE id = ?"


class AlarmNote(msgspec.Struct, frozen=True):
    """What an event changes in the history of alarms."""

    topic: str
    at: str
    machine: str
    told: AlarmTold
    raised_ns: int
    size: int = 0

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write it inside somebody's transaction; what becomes of an alarm not in the history brings it there.

        Who took notice first stays.
        """
        alarm = self.told.alarm
        record = AlarmRecord(self.machine, alarm)
        if self.topic != "Alarm.Raised":
            before = next(pages.whole(connection.execute(_ONE, (alarm.id,)).fetchall(), "alarm"), None)
            record = _decode(before) if before else record
        if self.topic == "Alarm.Cleared":
            record = msgspec.structs.replace(record, cleared_at=self.at, cleared_by=self.told.by)
        elif self.topic == "Alarm.Acknowledged" and record.acknowledged_at is None:
            record = msgspec.structs.replace(record, acknowledged_at=self.at, acknowledged_by=self.told.by)
        body = _encode(record)
        connection.execute(
            "INSERT OR REPLACE INTO alarms(id, machine, raised_ns, crc, body) VALUES(?, ?, ?, ?, ?)",
            (alarm.id, self.machine, self.raised_ns, checksum(alarm.id, body), body),
        )


def noted(event: Event) -> AlarmNote | None:
    """Make what an event changes in the history; None where it tells of no alarm.

    Raises:
        ValueError: the alarm's time is not RFC 3339.
    """
    if not isinstance(event.data, AlarmTold):
        return None
    raised_ns = instant_ns(event.data.alarm.raised_at)
    return AlarmNote(event.topic, iso(event.time_ns), event.machine, event.data, raised_ns)
