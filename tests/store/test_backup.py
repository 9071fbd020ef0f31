"""A backup is whole as of one moment, tells what is in it, and never costs what is there already."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from edgeagent.errors import StoreError
from edgeagent.store import Journal, Meta, standing
from edgeagent.store.backup import back_up, examine
from edgeagent.store.schema import MIGRATIONS
from tests.store.deaths import tables
from tests.store.samples import board, left, scanned, with_store
from tests.store.test_standing import happen


@pytest.fixture
def store(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        await journal.settled(journal.append([scanned("PCB-1"), left(board("board-1", codes=("PCB-1",)))]))

    with_store(tmp_path / "s.db", use)
    return tmp_path / "s.db"


def test_a_backup_is_one_private_file_that_holds_everything(store, tmp_path):
    stream = happen(store)[0]
    found = back_up(store, tmp_path / "b.db")
    assert (found.layout, found.stream, found.first, found.last) == (len(MIGRATIONS), stream, 1, 2)
    assert (found.events, found.boards, found.damaged) == (2, 1, {})
    assert found.size == (tmp_path / "b.db").stat().st_size
    assert found.made.endswith("Z")
    assert stat.S_IMODE((tmp_path / "b.db").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("b.db")] == ["b.db"]
    rows = ("events", "boards", "board_barcodes", "traces")
    assert tables(tmp_path / "b.db", rows) == tables(store, rows)


def test_while_a_backup_is_made_the_writer_goes_on_and_the_backup_is_of_one_moment(tmp_path):
    async def use(database):
        loop = asyncio.get_running_loop()
        journal = await Journal.open(database)
        await Meta(database).set("big", "x" * 20_000_000)
        first = journal.append([scanned("before")])
        await journal.settled(first)
        seen = []

        async def write():
            await journal.settled(journal.append([scanned("meanwhile")]))

        def progress(done, total):
            asyncio.run_coroutine_threadsafe(write(), loop).result(30)
            seen.append((done, total))

        found = await asyncio.to_thread(back_up, database.path, tmp_path / "b.db", progress=progress)
        assert len(seen) >= 5, "in bounded steps, and after each of them the writer could write"
        assert seen[-1][0] == seen[-1][1]
        assert (found.first, found.last, found.events) == (first, first, 1)
        assert journal.committed_sequence == first + len(seen)

    with_store(tmp_path / "s.db", use)


def test_an_output_that_is_there_stays_unless_it_may_be_replaced(store, tmp_path):
    output = tmp_path / "b.db"
    output.write_text("mine")
    with pytest.raises(StoreError, match="is there already: name another file, or give --force"):
        back_up(store, output)
    assert output.read_text() == "mine"
    assert back_up(store, output, replace=True).events == 2
    with pytest.raises(StoreError, match=r"s\.db: is there already"):
        back_up(store, store, replace=True)


def test_an_output_that_another_made_meanwhile_stays(store, tmp_path):
    output = tmp_path / "b.db"
    with pytest.raises(StoreError, match="is there already"):
        back_up(store, output, progress=lambda *_: output.write_text("theirs"))
    assert output.read_text() == "theirs"
    assert not list(tmp_path.glob("*.part*"))


def test_a_backup_that_is_stopped_or_finds_no_room_leaves_nothing(store, tmp_path, monkeypatch):
    def stop(*_):
        raise StoreError("stopped")

    with pytest.raises(StoreError, match="stopped"):
        back_up(store, tmp_path / "b.db", progress=stop)
    room = os.statvfs(store)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*room[:4], 3, *room[5:])))
    with pytest.raises(StoreError, match="no room"):
        back_up(store, tmp_path / "b.db")
    assert not list(tmp_path.glob("b.db*"))


def test_two_backups_of_one_name_at_the_same_time_are_both_whole(store, tmp_path):
    output = tmp_path / "b.db"
    command = [sys.executable, "-P", "-m", "edgeagent", "backup", "--store", store, output, "--force"]

    def meanwhile(*_):
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        assert examine(output, is_thorough=True).events == 2

    assert back_up(store, output, replace=True, progress=meanwhile).events == 2
    with closing(sqlite3.connect(output)) as connection:
        assert not standing.has_stream(connection)
    assert not list(tmp_path.glob("*.part*"))


def test_damaged_rows_are_counted(store, tmp_path):
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE events SET body = x'00' WHERE sequence = 1")
        connection.execute("UPDATE boards SET body = x'00'")
    assert back_up(store, tmp_path / "b.db").damaged == {"events": 1, "boards": 1}


def test_a_store_with_a_damaged_page_is_not_called_backed_up(store, tmp_path):
    with closing(sqlite3.connect(store)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'boards_by_recipe'").fetchone()[0]
    with store.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    with pytest.raises(StoreError, match=r"b\.db: the backup of .*s\.db cannot be made: the database is damaged"):
        back_up(store, tmp_path / "b.db")
    assert not list(tmp_path.glob("b.db*"))


def test_a_row_that_the_disk_changed_after_the_backup_is_found(store, tmp_path):
    backup = tmp_path / "b.db"
    back_up(store, backup)
    backup.write_bytes(backup.read_bytes().replace(b'"PCB-1"', b'"PCB-7"'))
    assert set(examine(backup, is_thorough=True).damaged) == {"events", "boards"}


def test_what_is_none_of_ours_is_refused_with_a_reason(store, tmp_path):
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE songs(title TEXT)")
    newer = tmp_path / "newer.db"
    shutil.copy(store, newer)
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 99")
    (tmp_path / "text.db").write_text("a letter to nobody" * 100)
    for name, reason in (("other.db", "is no store or backup of edgeagent"), ("newer.db", "is of layout 99"),
                         ("text.db", "not a database"), ("none.db", "No such file")):  # fmt: skip
        with pytest.raises(StoreError, match=reason):
            examine(tmp_path / name, is_thorough=False)
        with pytest.raises(StoreError, match=reason):
            back_up(tmp_path / name, tmp_path / "b.db")
    assert not Path(tmp_path / "b.db").exists()


def test_what_a_killed_backup_left_is_replaced(store, tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    for suffix in ("", "-journal"):
        (tmp_path / f"b.db.{ended.pid}.part{suffix}").write_text("half")
    assert back_up(store, tmp_path / "b.db").events == 2
    assert not list(tmp_path.glob("*.part*"))
