"""A file of an earlier version: everything is there, numbering goes on, and it can be had back as it was."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from edgeagent.clock import Clock
from edgeagent.errors import StoreError
from edgeagent.model.machine import Tolerances
from edgeagent.model.recipes import StoredRecipe
from edgeagent.store import Archive, gone, had, migration
from edgeagent.store.checksums import damaged
from edgeagent.store.connection import connect_writer
from edgeagent.store.had import Had
from edgeagent.store.schema import MIGRATIONS, Step
from tests.store.deaths import deaths, layout, tables
from tests.store.samples import NOON, scanned, with_store

FIXTURES = Path(__file__).parent / "fixtures"
STREAM = "79aef42cbdcd2385"
SECOND = 1_000_000_000
RECIPE = StoredRecipe(machine="RO0001", name="SAC305-A", version=1, made_at="2026-11-21T21:53:00.123Z", by="anna",
                      settling_s=60.0, settings={}, tolerances=Tolerances(), window=None)  # fmt: skip
OF_LAYOUT_1 = ("meta", "events", "boards", "board_barcodes", "traces", "checkpoints", "history")


@pytest.fixture
def old(tmp_path):
    """A store that version 0.1.0 wrote: 8 events, two alarms, three boards with traces, a checkpoint and history."""
    for suffix in ("", ".mark"):
        shutil.copy(FIXTURES / f"layout-1.db{suffix}", tmp_path / f"s.db{suffix}")
    return tmp_path / "s.db"


def overwrite(store, table):
    """Damage the first page of a table."""
    with closing(sqlite3.connect(store)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        connection.execute("PRAGMA journal_mode = DELETE")
    with store.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)


def grown(monkeypatch, *steps):
    monkeypatch.setattr(migration, "MIGRATIONS", (*MIGRATIONS, *steps))


def test_a_store_of_layout_1_is_there_as_a_whole_and_goes_on(old):
    async def use(database):
        journal, boards, checkpoints = (await Archive.open(database, Clock()))[1:4]
        assert (journal.stream, journal.last_sequence) == (STREAM, 8)
        await journal.settled(journal.append([scanned("PCB-9")]))
        events, following, gaps = await journal.read(1, ("*",), None, 100)
        assert [event.sequence for event in events] == list(range(1, 10))
        assert (following, gaps) == (10, [])
        assert [event.topic for event in events][1:4] == ["Alarm.Raised", "Alarm.Cleared", "Alarm.Raised"]
        assert b"Zone 3 top: heater broken" in events[1].body
        found, _ = await boards.find(barcode="PANEL")
        assert [record[:15] for record in found] == [b'{"id":"board-%d"' % n for n in (3, 2, 1)]
        assert [len((await boards.find(verdict=verdict))[0]) for verdict in ("pass", "fail")] == [2, 1]
        trace = await boards.trace("board-2", 100)
        assert (trace.seconds, trace.estimated) == ([0.0, 0.5, 1.0], [25.0, 25.5, None])
        assert trace.zones == {"zone/1/top": [120.0, 120.1, 120.2]}
        assert (await checkpoints.load("RO0001")).body == b"state 3"
        assert await checkpoints.history("RO0001", 0) == [(n * 10**9, b"row %d" % n) for n in range(3)]

    with_store(old, use)
    assert layout(old) == len(MIGRATIONS)


def test_rows_of_layout_5_are_given_checksums_and_go_on(tmp_path):
    for suffix in ("", ".mark"):
        shutil.copy(FIXTURES / f"layout-5.db{suffix}", tmp_path / f"s.db{suffix}")

    async def use(database):
        archive = await Archive.open(database, Clock())
        assert [(it.name, it.acknowledged) for it in archive.consumers.all()] == [("mes", 5), ("scada", 3)]
        events, _, gaps = await archive.journal.read(1, ("*",), None, 100)
        assert [event.sequence for event in events] == [2, 4, 5, 6, 7, 8]
        assert [(gap.from_, gap.to, gap.count) for gap in gaps] == [(1, 1, 1), (3, 3, 1)]
        assert await database.read(lambda c: had.ranges(c, ("RO0001", "Board.Lost"))) == [(1, 5)]
        assert await database.read(damaged) == {}
        await archive.consumers.put(archive.consumers.get("mes"), Had(("*",), None, 5, 8))
        assert await database.read(lambda c: had.ranges(c, ("RO0001", "Board.Lost"))) == [(1, 8)]

    with_store(tmp_path / "s.db", use)
    assert layout(tmp_path / "s.db") == len(MIGRATIONS)
    for table, rows in tables(tmp_path / "s.db", ("consumers", "gone", "had")).items():
        assert rows, table
        assert all(row[-1] for row in rows), table


@pytest.mark.parametrize("is_damaged", [False, True])
def test_what_is_counted_in_layout_6_is_counted_still(tmp_path, is_damaged):
    for suffix in ("", ".mark"):
        shutil.copy(FIXTURES / f"layout-6.db{suffix}", tmp_path / f"s.db{suffix}")
    if is_damaged:
        overwrite(tmp_path / "s.db", "recipes")

    async def use(database):
        archive = await Archive.open(database, Clock())
        await archive.care.salvage()
        assert archive.journal.stream == "acce86f55b9e869a"
        found = await archive.counters.count("RO0001", NOON, NOON + 10 * SECOND)
        assert [(it.recipe, it.result, it.boards) for it in found] == [
            (None, "unexpected", 1), ("SAC305-A", "lost", 1), ("SAC305-A", "pass", 3)]
        assert await archive.states.durations("RO0001", NOON, NOON + 100 * SECOND) == {
            "warmingUp": 60 * SECOND, "ready": 30 * SECOND, "running": 10 * SECOND}
        assert await archive.recipes.former(RECIPE) == {"zone/1/top/setpoint": 160.0}
        assert await database.read(damaged) == {}
        await archive.care.scrub()
        assert archive.care.rows() is None

    with_store(tmp_path / "s.db", use)
    assert layout(tmp_path / "s.db") == len(MIGRATIONS)
    for table, rows in tables(tmp_path / "s.db", ("endings", "states", "meta")).items():
        assert rows, table
        assert all(row[-1] for row in rows), table


@pytest.mark.parametrize("is_damaged", [False, True])
def test_recipes_and_requests_of_layout_7_are_given_checksums_of_all_their_columns(tmp_path, is_damaged):
    for suffix in ("", ".mark"):
        shutil.copy(FIXTURES / f"layout-7.db{suffix}", tmp_path / f"s.db{suffix}")
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection, connection:
        connection.execute("UPDATE requests SET body = X'7B7D' WHERE id LIKE '%r1'")
    if is_damaged:
        overwrite(tmp_path / "s.db", "states")

    async def use(database):
        archive = await Archive.open(database, Clock())
        await archive.care.salvage()
        assert [(it.name, it.version, it.deleted_at is not None) for it in archive.recipes.all()] == [
            ("LEAD-FREE", 1, True), ("LEAD-FREE", 2, True), ("SAC305-A", 1, False)]
        asked = [await archive.requests.get(f"mes\nr{n}") for n in range(3)]
        assert [it and it.job for it in asked] == ["j0", None, "j2"]
        assert await database.read(damaged) == ({} if is_damaged else {"requests": 1})
        await database.write(lambda c: c.execute("UPDATE requests SET at_ns = at_ns - 1") and None)
        assert (await database.read(damaged))["requests"] == (2 if is_damaged else 3)

    with_store(tmp_path / "s.db", use)
    assert layout(tmp_path / "s.db") == len(MIGRATIONS)


def test_a_damaged_store_of_layout_5_is_taken_over_with_its_consumers(tmp_path):
    for suffix in ("", ".mark"):
        shutil.copy(FIXTURES / f"layout-5.db{suffix}", tmp_path / f"s.db{suffix}")
    overwrite(tmp_path / "s.db", "recipes")

    async def use(database):
        archive = await Archive.open(database, Clock())
        await archive.care.salvage()
        assert [(it.name, it.acknowledged) for it in archive.consumers.all()] == [("mes", 5), ("scada", 3)]
        assert await database.read(lambda c: had.ranges(c, ("RO0001", "Board.Lost"))) == [(1, 5)]
        assert await database.read(lambda c: gone.before(c, ("RO0001", "Board.BarcodeRead"), 5)) == 3
        assert await database.read(damaged) == {}

    with_store(tmp_path / "s.db", use)


def test_before_the_first_step_the_file_is_backed_up_beside_it(old, caplog):
    before = tables(old, OF_LAYOUT_1)
    caplog.set_level(logging.INFO)
    with_store(old, lambda database: database.write(lambda c: c.execute("DELETE FROM events").rowcount))
    backup = Path(f"{old}.before-layout-2")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert layout(backup) == 1
    assert tables(backup, OF_LAYOUT_1) == before
    assert f"before it is {backup}" in caplog.text


def test_a_new_file_and_one_of_today_are_not_backed_up(tmp_path):
    for _ in range(2):
        with_store(tmp_path / "s.db", lambda database: database.write(lambda c: None))
    assert not [file for file in tmp_path.iterdir() if "before" in file.name]


def test_what_a_step_fills_comes_with_its_tables_or_not_at_all(old, monkeypatch):
    def fill(connection):
        connection.execute("INSERT INTO codes SELECT code FROM board_barcodes")
        if connection.execute("SELECT 1 FROM codes WHERE code = 'PCB-3'").fetchone() and is_bad:
            raise ValueError("PCB-3 is no code")

    grown(monkeypatch, Step("CREATE TABLE codes(code TEXT) STRICT", fill))
    is_bad = True
    reason = f"could not be brought to layout {len(MIGRATIONS) + 1}: PCB-3 is no code; nothing of that step"
    with pytest.raises(StoreError, match=reason):
        with_store(old, lambda database: database.write(lambda c: None))
    assert layout(old) == len(MIGRATIONS), "the steps before it are whole"
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        tables(old, ("codes",))
    is_bad = False
    with_store(old, lambda database: database.write(lambda c: None))
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT count(*) FROM codes").fetchone()[0] == 6


def test_a_step_that_fails_is_undone_and_the_error_names_the_backup(old):
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("CREATE TABLE jobs(somebody_else TEXT)")
    before = tables(old, OF_LAYOUT_1)
    backup, places = Path(f"{old}.before-layout-2"), set()
    for _ in range(2):
        with pytest.raises(StoreError, match="jobs already exists") as caught:
            with_store(old, lambda database: database.write(lambda c: None))
        assert f"{backup} holds it as it was at layout 1" in str(caught.value)
        places.add(backup.stat().st_ino)
    assert layout(old) == 1
    assert tables(old, OF_LAYOUT_1) == tables(backup, OF_LAYOUT_1) == before
    assert len(places) == 1, "an attempt after another does not copy the same once more"


def test_without_room_for_the_backup_the_store_waits_as_it_is(old, monkeypatch):
    room = os.statvfs(old)
    full = os.statvfs_result((*room[:4], 3, *room[5:]))

    async def use(database):
        assert re.search(r"layout \(1\).*cannot be brought to layout 2.*no room.* are free: make room", database.waits)

    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _: full)
        with_store(old, use)
    assert layout(old) == 1
    assert sorted(file.name for file in old.parent.iterdir()) == ["s.db", "s.db.lock", "s.db.mark"]


def test_a_damaged_file_is_put_aside_and_a_new_one_of_todays_layout_has_what_can_be_read(old):
    with closing(sqlite3.connect(old)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'boards_by_recipe'").fetchone()[0]
        connection.execute("PRAGMA journal_mode = DELETE")
    with old.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    before = tables(old, ("events", "meta"))
    with_store(old, lambda database: database.write(lambda c: None))
    assert layout(old) == len(MIGRATIONS)
    assert tables(old, ("events",))["events"] == before["events"]
    assert len([file for file in old.parent.iterdir() if ".corrupt-" in file.name and file.suffix != ".mark"]) == 1


def test_the_newest_two_backups_stay(old, monkeypatch):
    for number in range(3):
        grown(monkeypatch, *(Step(f"CREATE TABLE later_{n}(x TEXT) STRICT") for n in range(number)))
        with_store(old, lambda database: database.write(lambda c: None))
    assert {file.name for file in old.parent.iterdir() if "before" in file.name} == {
        f"s.db.before-layout-{len(MIGRATIONS) + n}" for n in (1, 2)}


def test_an_older_backup_that_cannot_be_deleted_is_told_and_keeps_no_agent_from_its_start(old, caplog):
    for number in (0, 1):
        Path(f"{old}.before-layout-{number}").mkdir()
    connect_writer(old).close()
    assert layout(old) == len(MIGRATIONS)
    assert "before-layout-0: is an old backup that cannot be deleted" in caplog.text


def test_a_kill_at_any_moment_leaves_a_file_that_the_next_start_takes_up(old, tmp_path_factory):
    before = tables(old, OF_LAYOUT_1)
    stores = deaths(old.parent, "s.db", "migrate", tmp_path_factory.mktemp("deaths"))
    assert len(stores) > 20
    for store in stores:
        with closing(connect_writer(store)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        now = tables(store, OF_LAYOUT_1)
        assert now | {"meta": [row[:2] for row in now["meta"]]} == before, "with checksums now"
        backup = Path(f"{store}.before-layout-2")
        assert (layout(backup), tables(backup, OF_LAYOUT_1)) == (1, before)
        assert not list(store.parent.glob("*.part*"))
