"""Stores that hold known events already: many of today's layout, or some of an earlier one."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from msgspec import Raw
from msgspec.json import encode

from edgeagent.clock import iso
from edgeagent.model.alarms import Alarm
from edgeagent.model.commands import Job
from edgeagent.model.events import AlarmTold, ConfigurationChanged, Event
from edgeagent.model.machine import Tolerances
from edgeagent.model.recipes import StoredRecipe
from edgeagent.store import Database, Journal
from edgeagent.store.checksums import checksum
from edgeagent.store.filling import add_checksums
from edgeagent.store.jobs import JobNote
from edgeagent.store.migration import take
from edgeagent.store.recipes import Made
from edgeagent.store.requests import Asked, AskedNote
from edgeagent.store.schema import MIGRATIONS
from edgeagent.tools.proving.ground import MACHINE

TOPIC = "Configuration.Changed"
LAYOUTS = len(MIGRATIONS)
_META_CHECKED = 7
"""The first layout in which rows of `meta` have checksums."""
_GROUP = 500
_TEXT = "x" * 300
"""So that an event has the size that most have."""


def what(sequence: int) -> str:
    """What an event of a filled store says, known to whoever checks it."""
    return f"proof {sequence}"


async def fill(store: Path, count: int) -> None:
    """Make a store with so many events, as the agent writes them."""
    database = Database(store)
    database.open()
    try:
        journal = await Journal.open(database)
        for first in range(1, count + 1, _GROUP):
            last = min(first + _GROUP - 1, count)
            now = time.time_ns()
            journal.append([
                Event(TOPIC, now, MACHINE, ConfigurationChanged(what(number), None, _TEXT, "proof"))
                for number in range(first, last + 1)
            ])  # fmt: skip
            await journal.settled(last)
    finally:
        await asyncio.to_thread(database.close)


async def fill_rest(store: Path) -> None:
    """Make a store with what only commands and alarms make: a job, a request, a recipe, an alarm."""
    database = Database(store)
    database.open()
    try:
        now = iso(time.time_ns())
        journal = await Journal.open(database)
        alarm = Alarm("proof-1", "E001", "Emergency stop", "fault", "machine", now, False)
        journal.append([Event("Alarm.Raised", time.time_ns(), MACHINE, AlarmTold(alarm))])
        job = Job(id="proof-1", function="Alarm.ResetAll", machine=MACHINE, request_id="key", by="proof", state="done",
                  accepted_at=now, ended_at=now)
        asked = Asked("proof", "engineer", None, "key", "Alarm.ResetAll", MACHINE, Raw(b"{}"), job.id, Raw(b"{}"))
        recipe = StoredRecipe(machine=MACHINE, name="PROOF", version=1, made_at=now, by="proof", settling_s=60.0,
                              settings={"oxygen/1/setpoint": 600.0}, tolerances=Tolerances(), window=None)
        made = Made(recipe, encode(recipe), ())
        for kept in (JobNote(job), AskedNote(asked, time.time_ns()), made):
            await database.write(kept.insert)
        await journal.settled(journal.last_sequence)
    finally:
        await asyncio.to_thread(database.close)


def fill_earlier(store: Path, layout: int, count: int) -> None:
    """Make a store of an earlier layout with so many events."""
    store.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        for number, step in enumerate(MIGRATIONS[:layout], 1):
            take(connection, step, number)
        connection.execute("BEGIN")
        for sequence in range(1, count + 1):
            body = _body(sequence)
            crc = checksum(str(sequence), TOPIC, MACHINE, body)
            connection.execute("INSERT INTO events(sequence, topic, machine, crc, body) VALUES(?, ?, ?, ?, ?)",
                               (sequence, TOPIC, MACHINE, crc, body))  # fmt: skip
        connection.executemany("INSERT INTO meta(key, value) VALUES(?, ?)", [
            ("journal.stream", "0123456789abcdef"), ("journal.last", str(count))])  # fmt: skip
        if layout >= _META_CHECKED:
            add_checksums(("meta",), connection)
        connection.execute("COMMIT")


def _body(sequence: int) -> bytes:
    return (b'"time":"2026-11-21T21:53:00.123Z","clock":"trusted","machine":"%b","data":{"what":"%b","from":null,'
            b'"to":"%b","by":"proof"}') % (MACHINE.encode(), what(sequence).encode(), _TEXT.encode())  # fmt: skip
