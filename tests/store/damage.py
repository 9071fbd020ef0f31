"""A store with rows in every table, what is done to its file, and what an agent then serves of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from edgeagent.clock import Clock, instant_ns
from edgeagent.errors import StoreError
from edgeagent.model.alarms import Alarm
from edgeagent.model.aside import SetAside
from edgeagent.model.boards import BoardTrace
from edgeagent.model.events import AlarmTold, Event
from edgeagent.model.machine import Tolerances
from edgeagent.model.recipes import StoredRecipe
from edgeagent.store import Archive, Database
from edgeagent.store.aside import AsideNote
from edgeagent.store.checksums import checksum_of, fits
from edgeagent.store.consumers import Consumer
from edgeagent.store.jobs import JobNote
from edgeagent.store.requests import Asked, AskedNote
from edgeagent.store.restored import restored_from
from tests.store.samples import NOON, board, job, left

PAGE = 4096
ROWS = 120
MADE = instant_ns("2026-11-21T21:53:00.123Z")
_OF_TYPE: dict[str, Callable[[int], Any]] = {
    "TEXT": lambda n: f"row {n:04}", "INTEGER": lambda n: NOON + n, "BLOB": lambda n: b"row %04d " % n * 40,
}  # fmt: skip

Rows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]
"""Table → key of a row → the row."""


def make(path: Path, rows: int = ROWS) -> None:
    """Fill a store through the agent's own parts, and by hand what these leave empty: a new table is covered too."""

    async def go() -> None:
        database = Database(path)
        database.open()
        archive = await Archive.open(database, Clock())
        for n in range(rows):
            alarm = Alarm(f"alarm-{n:04}", "E1", "too hot " * 20, "fault", "zone/1", "2026-11-21T21:53:00.123Z", False)
            trace = BoardTrace("", [0.0, 1.0], [25.0, 26.0], {"zone/1/top": [float(n), 2.0]})
            asked = Asked("mes", "engineer", None, f"r{n}", "Recipe.Start", "RO0001", msgspec.Raw(b"{}"), f"j{n}")
            archive.checkpoints.record("RO0001", n, b"second %d" % n * 10)
            archive.journal.append(
                [Event("Alarm.Raised", NOON + n, "RO0001", AlarmTold(alarm)),
                 left(board(f"board-{n:04}", NOON + n, (f"PCB-{n:04}",)), trace)],
                (f"RO{n:04}", b"state %d" % n * 50), also=[JobNote(job(f"j{n}")), AskedNote(asked, NOON + n)],
            )  # fmt: skip
            consumer = Consumer(f"mes-{n}", "mes", ("*",), None, archive.journal.stream, n, NOON, NOON)
            await archive.consumers.put(consumer)
            archive.states.see("RO0001", f"state {n % 7}", n * 10**9, NOON + n * 10**9)
        await archive.journal.settled(archive.journal.last_sequence)
        await database.write(lambda connection: _fill_the_rest(connection, rows))
        await asyncio.to_thread(database.close)

    asyncio.run(go())


def _fill_the_rest(connection: sqlite3.Connection, rows: int) -> None:
    for table, columns in _columns(connection).items():
        if connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] >= rows // 2:
            continue
        for n in range(rows):
            row = {name: _OF_TYPE[kind](n) for name, kind in columns.items()}
            if table == "recipes":
                row |= {"machine": "RO0001", "name": f"recipe {n}", "version": 1, "made_ns": MADE, "body": _recipe(n)}
            if table == "aside":
                AsideNote(_aside(n), b'{"jsonrpc":"2.0"}').insert(connection)
                continue
            if "crc" in row:
                row["crc"] = checksum_of(table, row)
            query = f"INSERT INTO {table}({', '.join(row)}) VALUES({', '.join('?' * len(row))})"
            connection.execute(query, tuple(row.values()))


def _aside(n: int) -> SetAside:
    return SetAside(target="mes", stream="0123456789abcdef", sequence=n, topic="Board.ProcessCompleted",
                    at="2026-11-21T21:53:00.123Z", by="mes", reason="422 Unprocessable Entity")  # fmt: skip


def _recipe(n: int) -> bytes:
    return msgspec.json.encode(StoredRecipe(
        machine="RO0001", name=f"recipe {n}", version=1, made_at="2026-11-21T21:53:00.123Z", by="anna", settling_s=60.0,
        settings={"zone/1/top/setpoint": 175.0}, tolerances=Tolerances(), window=None,
    ))  # fmt: skip


def _columns(connection: sqlite3.Connection) -> dict[str, dict[str, str]]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {table: dict(connection.execute("SELECT name, type FROM pragma_table_info(?)", (table,)))
            for (table,) in tables}  # fmt: skip


def rows_of(path: Path) -> Rows:
    """Every row of a file that is served: of those with a checksum the ones that fit it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = lambda found: found.decode(errors="replace")
        return {table: _whole(connection, table) for table in _columns(connection)}


def _whole(connection: sqlite3.Connection, table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    cursor = connection.execute(f"SELECT * FROM {table}")
    names = [column[0] for column in cursor.description]
    key = [name for (name,) in connection.execute(
        "SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk", (table,))]  # fmt: skip
    found = (dict(zip(names, row, strict=True)) for row in cursor)
    return {tuple(row[name] for name in key): row for row in found if fits(table, row)}


def pages(path: Path) -> dict[str, list[int]]:
    """Table or index → the numbers of its pages; empty where this SQLite cannot tell."""
    found: dict[str, list[int]] = {}
    with closing(sqlite3.connect(path)) as connection:
        for name, page in connection.execute("SELECT name, pageno FROM dbstat ORDER BY pageno"):
            found.setdefault(name, []).append(page)
    return found


class Served(msgspec.Struct):
    """What an agent had of a store: what it told, the events and the gaps that a reader was told, and the rest."""

    damage: str | None
    missing: str | None
    events: list[int]
    gaps: list[int]
    stream: str
    last: int
    next: int


def serve(path: Path) -> Served:
    """Open a store as an agent does, take care of it to the end, read all events, append one, and close it."""

    async def go() -> Served:
        database = Database(path, retry_s=0.01)
        database.open()
        try:
            archive = await Archive.open(database, Clock())
            await database.read(restored_from)
            journal = archive.journal
            care = asyncio.create_task(archive.care.salvage())
            events, gaps = await _read(archive)
            await care
            await archive.care.scrub()
            if archive.care._found.places or archive.care._healed.is_set() or database._suspicion:
                await _healed(archive)
                events, gaps = await _read(archive)
            last = journal.last_sequence
            following = journal.append([left(board("board-new", NOON - 1))])
            await journal.settled(following)
            damage = archive.care.damage() or archive.care.rows()
            return Served(damage, journal.missing, events, gaps, journal.stream, last, following)
        finally:
            await asyncio.to_thread(database.close)

    return asyncio.run(go())


async def _healed(archive: Archive) -> None:
    """Until what was found under way is healed and taken over."""
    care = asyncio.create_task(archive.care.run())
    async with asyncio.timeout(60):
        while not (it := archive.care._salvaged) or not it.is_done or archive.journal.is_partial:  # noqa: ASYNC110  nobody is told of the end
            await asyncio.sleep(0.01)
    care.cancel()
    await asyncio.wait((care,))


async def _read(archive: Archive) -> tuple[list[int], list[int]]:
    events: list[int] = []
    gaps: list[int] = []
    async with asyncio.timeout(60):
        while True:
            try:
                following, last = archive.journal.first_sequence, archive.journal.committed_sequence
                events, gaps = [], []
                while following <= last:
                    found, following, lost = await archive.journal.read(following, ("*",), None, 1000)
                    events += [event.sequence for event in found]
                    gaps += [number for gap in lost for number in range(gap.from_, gap.to + 1)]
            except StoreError:
                await asyncio.sleep(0.01)
            else:
                return events, gaps
