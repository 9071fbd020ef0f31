"""Stores that hold known events already: many of today's layout, or some of an earlier one."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from edgeagent.model.events import ConfigurationChanged, Event
from edgeagent.store import Database, Journal
from edgeagent.store.checksums import checksum
from edgeagent.store.migration import take
from edgeagent.store.schema import MIGRATIONS
from edgeagent.tools.proving.ground import MACHINE

TOPIC = "Configuration.Changed"
LAYOUTS = len(MIGRATIONS)
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
        connection.executemany("INSERT INTO meta VALUES(?, ?)", [
            ("journal.stream", "0123456789abcdef"), ("journal.last", str(count))])  # fmt: skip
        connection.execute("COMMIT")


def _body(sequence: int) -> bytes:
    return (b'"time":"2026-11-21T21:53:00.123Z","clock":"trusted","machine":"%b","data":{"what":"%b","from":null,'
            b'"to":"%b","by":"proof"}') % (MACHINE.encode(), what(sequence).encode(), _TEXT.encode())  # fmt: skip
