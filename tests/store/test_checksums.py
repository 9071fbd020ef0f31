"""A changed byte in any column of any table is found, told, and never served."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edgeagent.clock import Clock
from edgeagent.store import Archive, Database, derived
from edgeagent.store.audit import anchor
from edgeagent.store.audit.chain import Head
from edgeagent.store.checksums import _PARTS, fits
from tests.store import damage
from tests.store.damage import Rows
from tests.store.samples import NOON, board, left, with_store
from tests.store.test_counters import lost

ROWS = 24
UNKNOWN = {"events": ("sequence",)}
"""The number of an event is its place in the file, which `test_healing` changes."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "s.db"
    damage.make(path, ROWS)
    return path


@pytest.fixture(scope="module")
def rows(whole: Path) -> Rows:
    return damage.rows_of(whole)


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    for file in whole.parent.iterdir():
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / "s.db"


def changed(value: object) -> object:
    if isinstance(value, int):
        return value ^ 8
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    text = str(value)
    return chr(ord(text[0]) ^ 1) + text[1:]


def change(store: Path, table: str) -> list[str]:
    """Change each column of a table, each in another row."""
    with closing(sqlite3.connect(store)) as connection, connection:
        names = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        found = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2 DESC").fetchall()
        columns = [name for name in names if name not in UNKNOWN.get(table, ())]
        for number, name in enumerate(columns):
            row = found[number]
            keys = " AND ".join(f"{each} IS ?" for each in names)
            query = f"UPDATE {table} SET {name} = ? WHERE {keys}"
            assert connection.execute(query, (changed(row[names.index(name)]), *row)).rowcount == 1
        return columns


@pytest.mark.parametrize("table", [table for table in _PARTS if table != "meta"])
def test_a_change_in_each_column_is_found_and_told_and_not_served(
    store: Path, rows: Rows, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    columns = change(store, table)
    served = damage.serve(store)
    now = damage.rows_of(store)
    assert served.damage
    assert f" of {table}" in served.damage
    tells = derived.COLUMNS.get(table, lambda _: {})
    made_anew = set(tells(next(iter(rows[table].values())).get("body")))
    before = rows[table]
    if table == "endings":  # made anew, with the board's time in place of the event's
        before, now[table] = ({key[-1]: {} for key in each} for each in (before, now[table]))
        made_anew = set(columns)
    assert len(before.keys() - now[table].keys()) == len(set(columns) - made_anew)
    for name in rows.keys() - {"meta", "endings"}:
        for key, row in now[name].items():
            assert rows[name].get(key, row) == row, (name, key)
            assert key in rows[name] or "new" in str(row), (name, key)
    assert "damaged on disk" in caplog.text


def test_a_change_of_what_the_agent_remembers_of_itself_is_found_and_told(store: Path, rows: Rows) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        for number, name in enumerate(("key", "value", "crc")):
            connection.execute(
                f"UPDATE meta SET {name} = ? WHERE key = ?",
                (changed(rows["meta"][f"row {number:04}",][name]), f"row {number:04}"),
            )
    served = damage.serve(store)
    assert served.damage
    assert "3 rows are damaged" in served.damage
    assert "of meta" in served.damage
    there = {str(key[0]) for key in damage.rows_of(store)["meta"]}
    assert not there & {"sow 0000", "row 0000", "row 0001", "row 0002"}
    assert "row 0003" in there


def test_a_board_is_counted_by_its_record_where_the_disk_changed_how_it_was_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "s.db"

    async def fill(database: Database) -> None:
        journal = (await Archive.open(database, Clock())).journal
        events = [left(board("b0", NOON)), left(board("b1", NOON)), lost("b2", 3)]
        await journal.settled(journal.append(events))

    async def count(database: Database) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        archive = await Archive.open(database, Clock())
        told = []
        for _ in range(2):
            found = await archive.counters.count("RO0001", 0, 1 << 62)
            told.append([(it.result, it.boards) for it in found])
            await archive.care.scrub()
        return told[0], told[1]

    with_store(path, fill)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE endings SET result = 'fail', at_ns = at_ns + 256 WHERE id = 'b1'")
        connection.execute("UPDATE endings SET id = x'62ff' || '' WHERE id = 'b2'")
    _, after = with_store(path, count)
    assert after == [("pass", 2)]
    assert "a row of endings is damaged on disk and is taken out" in caplog.text
    assert "'result': 'fail'" in caplog.text, "what is taken out is in the log"
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        assert all(fits("endings", dict(row)) for row in connection.execute("SELECT * FROM endings"))


def test_the_seconds_of_a_state_that_the_disk_changed_are_unknown(tmp_path: Path) -> None:
    path, second = tmp_path / "s.db", 10**9

    async def fill(database: Database) -> None:
        states = (await Archive.open(database, Clock())).states
        for at_s, state in ((0, "ready"), (10, "running"), (30, "ready"), (40, "fault"), (41, "fault")):
            states.see("RO0001", state, (1000 + at_s) * second, NOON + at_s * second)
        states.keep("RO0001")
        await database.write(lambda _: None)

    async def use(database: Database) -> None:
        states = (await Archive.open(database, Clock())).states
        assert await states.durations("RO0001", NOON, NOON + 60 * second) == {
            "ready": 20 * second, "fault": second}  # fmt: skip
        assert await states.durations("RO0001", NOON + 12 * second, NOON + 35 * second) == {"ready": 5 * second}

    with_store(path, fill)
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("UPDATE states SET state = 'sunning' WHERE state = 'running'").rowcount == 1
    with_store(path, use)


def test_a_name_that_the_disk_changed_is_missing_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "s.db"

    async def keep(database: Database) -> None:
        journal = (await Archive.open(database, Clock())).journal
        await journal.settled(journal.append([left(board("b0"))]))

    async def stream(database: Database) -> tuple[str, int]:
        journal = (await Archive.open(database, Clock())).journal
        return journal.stream, journal.last_sequence

    with_store(path, keep)
    before = with_store(path, stream)
    for key in ("journal.last", "journal.refused"):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE meta SET value = value + 7 WHERE key = ?", (key,))
        assert with_store(path, stream) == before, "the events and the mark tell it"
    assert "'journal.last' of the store is damaged on disk" in caplog.text
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = 'f' || substr(value, 2) || 'f' WHERE key = 'journal.stream'")
    name, last = with_store(path, stream)
    assert (name != before[0], last) == (True, before[1])
    assert "the name of the journal's stream is missing" in caplog.text


def test_that_the_audit_record_was_broken_is_not_forgotten_where_the_disk_changed_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with_store(path, lambda database: database.write(lambda c: anchor.put(c, Head(1, "0" * 64), "")))
    assert with_store(path, lambda database: database.read(anchor.find)).broken is None
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("UPDATE meta SET crc = crc + 1 WHERE key = 'audit.broken'").rowcount == 1
    assert "damaged on disk" in with_store(path, lambda database: database.read(anchor.find)).broken
