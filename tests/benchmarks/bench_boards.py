"""A year of boards: `python tests/benchmarks/bench_boards.py [BOARDS] [--traces] [--store FILE]`, 500 000 if left out.

An agent watches one board go through the simulated oven, at twenty times its speed; from its record, events and trace
all the others are made, each with an id, a barcode, times, a recipe, a verdict and values of its own. They are
written as the journal writes them, but with many in a transaction and nothing synced. Then the agent's own reads are
timed, by the way that an answer takes: event loop, reader's thread, checksum. Cold: the file's pages are dropped from
the system's cache, and the agent's connections are new. The floor is a bare `SELECT body FROM boards WHERE id = ?`.
Without --traces the size of a trace is that of the first 5 % of boards.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from edgeagent.agent import Agent
from edgeagent.clock import Clock, instant_ns, iso
from edgeagent.config import Configuration, HttpTable, LinesTable, MachineTable, ModbusTcpTable, OpenAppsTable
from edgeagent.model.boards import Barcode, BoardRecord, BoardTrace, RecipeName, Verdict
from edgeagent.model.events import Event, ProcessCompleted
from edgeagent.simulate import SimulatedOven
from edgeagent.store import Boards, Database, sizes
from edgeagent.store.connection import connect_writer
from edgeagent.store.journal import _body, _rows
from edgeagent.store.transaction import at_one_moment
from firmware_iface import catalog

HOST = "127.0.0.1"
YEAR_NS = 365 * 86_400_000_000_000
START_NS = 1_763_700_000_000_000_000
RECIPES = [f"SAC305-{letter}" for letter in "ABCDEFGHIJKL"]
MANY = 1000
"""Boards of one transaction."""

Stored = tuple[str, str, bytes]
"""Topic, machine and body of an event."""


async def one_board(folder: Path) -> tuple[BoardRecord, BoardTrace, list[Stored]]:
    """Watch a board go through: its record, its trace, and all events from its entry on."""
    clock, described = Clock(20.0, Clock().wall_ns()), catalog.builtin("reflow10")
    oven = SimulatedOven(described, clock, cold=False, seed=3)
    oven.oven.schedule(60.0)
    port = await oven.start(HOST, 0)
    configuration = Configuration(
        machines=(MachineTable("RO0001", (ModbusTcpTable("reflow10", HOST, port=port),)),),
        openapps=OpenAppsTable(HttpTable(HOST, 0), LinesTable(HOST, 0)),
    )
    agent = Agent(configuration, {"RO0001": (described,)}, folder / "oven.db", clock)
    await agent.start()
    try:
        while not (found := (await Boards(agent._database).find(limit=1))[0]):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        record = msgspec.json.decode(found[0], type=BoardRecord)
        trace = await Boards(agent._database).trace(record.id, 1 << 20)
        assert trace is not None
        query = "SELECT topic, machine, body FROM events ORDER BY sequence"
        events = await agent._database.read(lambda c: c.execute(query).fetchall())
    finally:
        await agent.stop()
        await oven.stop()
    return record, trace, events


def varied(record: BoardRecord, number: int, count: int, dice: random.Random) -> BoardRecord:
    """Another board like this one."""
    entered = START_NS + YEAR_NS * number // count
    stay = instant_ns(record.exited_at or record.entered_at) - instant_ns(record.entered_at)
    verdict = dice.choices(("pass", "fail", "unknown"), (97, 2, 1))[0]
    zones = tuple(
        msgspec.structs.replace(zone, at_centre=round((zone.at_centre or 100) + dice.uniform(-2, 2), 1))
        for zone in record.zones
    )
    return msgspec.structs.replace(
        record, id=f"01{entered:020X}{number:06X}"[:26], barcodes=(Barcode(f"PCB{number:09d}"),),
        recipe=RecipeName(RECIPES[number // 100 % len(RECIPES)], 3), entered_at=iso(entered),
        exited_at=iso(entered + stay), zones=zones,
        verdict=Verdict(verdict, record.verdict.profile, record.verdict.reasons),
    )  # fmt: skip


def fill(path: Path, first: tuple[BoardRecord, BoardTrace, list[Stored]], count: int, traced: int) -> None:
    """Write all boards and, of each, as many events as the first one had."""
    record, trace, events = first
    others = [event for event in events if event[0] not in ("Board.ProcessCompleted", "Configuration.Changed")]
    dice, began, sequence = random.Random(7), time.monotonic(), 0
    with closing(connect_writer(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for number in range(count):
            if number % MANY == 0:
                connection.execute("BEGIN")
            one = varied(record, number, count, dice)
            ended = Event("Board.ProcessCompleted", instant_ns(one.exited_at or ""), "RO0001", ProcessCompleted(one),
                          one, trace if number < traced else None)
            bodies = [*others, (ended.topic, ended.machine, _body(ended, "trusted"))]
            connection.executemany(
                "INSERT INTO events(sequence, topic, machine, crc, body) VALUES(?, ?, ?, 0, ?)",
                [(sequence + n, *event) for n, event in enumerate(bodies, 1)])
            sequence += len(bodies)
            for row in _rows(ended):
                row.insert(connection)
            if number % MANY == MANY - 1 or number == count - 1:
                connection.execute("COMMIT")
            if number % 50_000 == 0:
                print(f"  {number} boards, {time.monotonic() - began:.0f} s", file=sys.stderr)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def forgotten(path: Path) -> None:
    """Drop the file from the system's cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


Ask = Callable[[Boards, random.Random], Awaitable[object]]


def asked(count: int) -> Iterator[tuple[str, Ask, str]]:
    """What is timed: name, question, target."""

    def day(dice: random.Random) -> dict[str, int]:
        since = START_NS + dice.randrange(364) * 86_400_000_000_000
        return {"since_ns": since, "until_ns": since + 86_400_000_000_000}

    def code(dice: random.Random) -> str:
        return f"PCB{dice.randrange(count):09d}"

    yield "one board by barcode", lambda boards, dice: boards.find(barcode=code(dice)), "10 ms"
    yield ("by recipe and day, 50 a page",
           lambda boards, dice: boards.find(recipe=dice.choice(RECIPES), limit=50, **day(dice)), "50 ms")
    yield ("by recipe and day, 200 a page",
           lambda boards, dice: boards.find(recipe=dice.choice(RECIPES), limit=200, **day(dice)), "50 ms")
    yield ("by verdict (fail) and day", lambda boards, dice: boards.find(verdict="fail", limit=50, **day(dice)), "-")
    yield "by verdict (fail), the newest 50", lambda boards, _: boards.find(verdict="fail", limit=50), "-"
    yield ("by recipe, verdict and day",
           lambda boards, dice: boards.find(recipe=dice.choice(RECIPES), verdict="fail", limit=50, **day(dice)), "-")
    yield "a barcode that no board has", lambda boards, _: boards.find(barcode="nobody"), "-"


async def timed(path: Path, ask: Ask, repeats: int, is_cold: bool) -> list[float]:
    """Milliseconds of each answer; warm ones are asked for a second time."""
    took, dice = [], random.Random(11)
    database = Database(path)
    database.open()
    try:
        if not is_cold:
            for _ in range(repeats):
                await ask(Boards(database), dice)
            dice = random.Random(11)
        for _ in range(repeats):
            if is_cold:
                await asyncio.to_thread(database.close)
                forgotten(path)
                database = Database(path)
                database.open()
            begin = time.perf_counter()
            await ask(Boards(database), dice)
            took.append((time.perf_counter() - begin) * 1000)
    finally:
        await asyncio.to_thread(database.close)
    return took


def floor(path: Path, repeats: int, is_cold: bool) -> list[float]:
    """The bare look-up of one record by its key."""
    with closing(sqlite3.connect(path)) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM boards WHERE rowid % 997 = 0 LIMIT 5000")]
    dice = random.Random(11)
    chosen = [dice.choice(ids) for _ in range(repeats)]
    took = []
    connection = sqlite3.connect(path)
    for id in chosen if is_cold else chosen * 2:  # noqa: A001
        if is_cold:
            connection.close()
            forgotten(path)
            connection = sqlite3.connect(path)
        begin = time.perf_counter()
        connection.execute("SELECT body FROM boards WHERE id = ?", (id,)).fetchone()
        took.append((time.perf_counter() - begin) * 1000)
    connection.close()
    return took[-repeats:]


def line(name: str, warm: list[float], cold: list[float], target: str) -> str:
    def figures(took: list[float]) -> str:
        ordered = sorted(took)
        return f"{ordered[len(ordered) // 2]:.2f} / {ordered[int(len(ordered) * 0.99)]:.2f} ms"

    return f"| {name} | {figures(warm)} | {figures(cold)} | {target} |"


def bytes_of(path: Path) -> Iterator[str]:
    """Where the bytes are, page by page: `dbstat`, and what the agent tells of it."""
    with closing(sqlite3.connect(path)) as connection:
        boards = connection.execute("SELECT count(*) FROM boards").fetchone()[0]
        traces = connection.execute("SELECT count(*) FROM traces").fetchone()[0]
        measured = at_one_moment(sizes.measure, connection)
        parts: dict[str, Any] = {}
        try:
            query = "SELECT s.name, m.tbl_name, sum(pgsize) FROM dbstat s JOIN sqlite_master m USING(name) GROUP BY 1"
            for name, table, size in connection.execute(query):
                parts[table if name == table else f"indexes of {table}"] = (
                    parts.get(table if name == table else f"indexes of {table}", 0) + size)
        except sqlite3.Error as error:
            yield f"dbstat cannot be asked: {error}"
    for name, size in sorted(parts.items(), key=lambda part: -part[1]):
        number = traces if "traces" in name else boards
        if size > 100_000 and number:
            yield f"| {name} | {size / 1e6:.1f} MB | {size / number:.0f} |"
    for name, usage in measured.classes.items():
        if usage.rows:
            yield f"| told: {name} | {usage.bytes / 1e6:.1f} MB, {usage.rows} rows | |"
    yield f"| told: a board | | {measured.bytes_per_board} |"


def main() -> None:
    """Fill and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boards", nargs="?", type=int, default=500_000)
    parser.add_argument("--traces", action="store_true", help="a trace for every board")
    parser.add_argument("--store", type=Path, help="keep the store here, or measure the one that is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder) / "boards.db"
        if not store.exists():
            first = asyncio.run(one_board(Path(folder)))
            begin = time.monotonic()
            fill(store, first, options.boards, options.boards if options.traces else options.boards // 20)
            print(f"{options.boards} boards written in {time.monotonic() - begin:.0f} s; "
                  f"the file has {store.stat().st_size / 1e6:.0f} MB\n")
        print("| asked | warm, p50 / p99 | cold, p50 / p99 | target |\n|---|---|---|---|")
        print(line("floor: one record by key, bare SQLite", floor(store, 2000, False), floor(store, 40, True), "-"))
        for name, ask, target in asked(options.boards):
            warm = asyncio.run(timed(store, ask, 300, False))
            print(line(name, warm, asyncio.run(timed(store, ask, 40, True)), target), flush=True)
        print("\n| where | size | bytes a board or trace |\n|---|---|---|")
        print(*bytes_of(store), sep="\n")


if __name__ == "__main__":
    main()
