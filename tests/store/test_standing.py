from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from edgeagent.errors import StoreError
from edgeagent.store import Database, Journal, mark
from edgeagent.store.mark import Mark, Reached
from tests.store.samples import scanned, with_store


def happen(path, count=0):
    """Opens the journal, appends so many events, and tells stream, last number before, newest number after."""

    async def use(database):
        journal = await Journal.open(database)
        before = journal.last_sequence
        if count:
            await journal.settled(journal.append([scanned("x")] * count))
        return journal.stream, before, journal.committed_sequence

    return with_store(path, use)


def change(path, statement, *values):
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement, values).rowcount > 0


def refused(path, then=0):
    """Appends 2 events, 2 that the file refuses, and `then` more."""

    async def use(database):
        journal = await Journal.open(database)
        await journal.settled(journal.append([scanned("a"), scanned("b")]))
        await database.write(lambda c: c.execute("INSERT INTO events VALUES(4, 't', 'm', 0, x'')") and None)
        with pytest.raises(StoreError, match="could not be written"):
            await journal.settled(journal.append([scanned("c"), scanned("d")]))
        await database.write(lambda c: c.execute("DELETE FROM events WHERE sequence = 4") and None)
        if then:
            await journal.settled(journal.append([scanned("e")] * then))
        return journal.stream

    return with_store(path, use)


def test_numbers_that_the_file_refused_are_not_given_again_after_a_restart(tmp_path):
    stream = refused(tmp_path / "s.db")
    assert happen(tmp_path / "s.db", 1) == (stream, 4, 5)


def test_events_after_refused_ones_keep_the_stream(tmp_path):
    stream = refused(tmp_path / "s.db", then=3)
    assert happen(tmp_path / "s.db") == (stream, 7, 7)


def test_a_refused_append_is_told_at_once_and_in_order(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        told = []
        journal.on_commit.append(lambda events: told.append((journal.committed_sequence, len(events))))
        await database.write(lambda c: c.execute("INSERT INTO events VALUES(2, 't', 'm', 0, x'')") and None)
        await journal.settled(journal.append([scanned("a")]))
        with pytest.raises(StoreError):
            await journal.settled(journal.append([scanned("b")]))
        assert told == [(1, 1), (2, 0)]
        await database.write(lambda c: c.execute("DELETE FROM events WHERE sequence = 2") and None)
        assert [(gap.from_, gap.to) for gap in (await journal.read(2, ("*",), None, 5))[2]] == [(2, 2)]

    with_store(tmp_path / "s.db", use)


def test_rows_gone_from_the_end_begin_one_new_stream_that_goes_on_in_number(tmp_path, caplog):
    first, _, _ = happen(tmp_path / "s.db", 10)
    change(tmp_path / "s.db", "DELETE FROM events WHERE sequence > 5")
    second, last, _ = happen(tmp_path / "s.db")
    assert (second != first, last) == (True, 10)
    assert f"newest event is 5, but there was more of stream {first}" in caplog.text
    assert happen(tmp_path / "s.db", 1) == (second, 10, 11)
    assert happen(tmp_path / "s.db") == (second, 11, 11)


def test_rows_gone_from_the_middle_keep_the_stream(tmp_path):
    stream, _, _ = happen(tmp_path / "s.db", 10)
    change(tmp_path / "s.db", "DELETE FROM events WHERE sequence < 10")
    assert happen(tmp_path / "s.db") == (stream, 10, 10)


def test_an_older_copy_of_the_database_begins_a_new_stream_after_all_that_was_given(tmp_path, caplog):
    path = tmp_path / "s.db"
    first, _, _ = happen(path, 3)
    shutil.copy(path, tmp_path / "copy")
    happen(path, 2)
    shutil.copy(tmp_path / "copy", path)
    second, last, newest = happen(path, 1)
    assert (second != first, last, newest) == (True, 5, 6)
    assert "the end of the journal is missing" in caplog.text
    assert happen(path) == (second, 6, 6)


def test_a_copy_from_before_the_newest_stream_begins_another_one(tmp_path):
    path = tmp_path / "s.db"
    first, _, _ = happen(path, 3)
    shutil.copy(path, tmp_path / "copy")
    change(path, "DELETE FROM events WHERE sequence = 3")
    second, _, _ = happen(path)
    shutil.copy(tmp_path / "copy", path)
    third, _, _ = happen(path)
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("content", [None, b"", b"\xff\n", b"stream 7 12345\n", b"a b c d\n"])
def test_a_mark_that_is_missing_or_damaged_is_written_anew(tmp_path, content):
    path, mark = tmp_path / "s.db", tmp_path / "s.db.mark"
    stream, _, _ = happen(path, 3)
    mark.unlink()
    if content is not None:
        mark.write_bytes(content)
    assert happen(path) == (stream, 3, 3)
    assert Mark(path).read() == Reached(stream, 3)


def test_a_mark_that_is_behind_is_written_anew(tmp_path):
    path, mark = tmp_path / "s.db", tmp_path / "s.db.mark"
    happen(path, 3)
    earlier = mark.read_bytes()
    stream, _, _ = happen(path, 3)
    mark.write_bytes(earlier)
    assert happen(path) == (stream, 6, 6)
    assert Mark(path).read() == Reached(stream, 6)


def test_a_new_database_beside_an_old_mark_begins_from_1(tmp_path):
    happen(tmp_path / "s.db", 3)
    (tmp_path / "s.db").unlink()
    stream, last, newest = happen(tmp_path / "s.db", 1)
    assert (last, newest) == (0, 1)
    assert happen(tmp_path / "s.db") == (stream, 1, 1)


@pytest.mark.parametrize(("pause_s", "syncs"), [(0.0, 3), (3600.0, 1)])
def test_the_mark_is_synced_once_in_a_hundred_events(tmp_path, monkeypatch, pause_s, syncs):
    synced = []
    fsync = os.fsync

    def counted(descriptor):
        synced.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
    monkeypatch.setattr(mark, "_SYNC_S", pause_s)
    path = tmp_path / "s.db"

    async def use(database):
        journal = await Journal.open(database)
        for number in range(1, 251):
            await journal.settled(journal.append([scanned("x")]))
            assert Mark(path).read() == Reached(journal.stream, number)

    with_store(path, use)
    assert len(synced) == syncs


def test_a_mark_that_cannot_be_written_refuses_the_start_and_later_only_warns(tmp_path, caplog):
    path, mark = tmp_path / "s.db", tmp_path / "s.db.mark"

    async def use(database):
        journal = await Journal.open(database)
        mark.unlink()
        mark.mkdir()
        await journal.settled(journal.append([scanned("x")]))

    with_store(path, use)
    assert "a lost end of the journal may not be found" in caplog.text
    with pytest.raises(StoreError, match=r"s\.db\.mark: cannot be written: .*check the disk and the rights"):
        happen(path)


APPENDING = """
import asyncio, sys
from edgeagent.store import Database, Journal
from tests.store.samples import scanned

async def main():
    database = Database(sys.argv[1])
    database.open()
    journal = await Journal.open(database)
    print(journal.stream, flush=True)
    while True:
        await journal.settled(journal.append([scanned("x")]))
        print(journal.committed_sequence, flush=True)

asyncio.run(main())
"""


def test_a_killed_process_keeps_the_stream_and_a_log_lost_with_it_begins_a_new_one(tmp_path):
    path = tmp_path / "s.db"
    first, _, _ = happen(path, 3)
    for lost in (False, True):
        with subprocess.Popen([sys.executable, "-c", APPENDING, str(path)], stdout=subprocess.PIPE, text=True) as agent:
            assert agent.stdout.readline().strip() == first
            for _ in range(20):
                told = agent.stdout.readline()
            agent.send_signal(signal.SIGKILL)
            agent.stdout.read()
        if lost:
            (tmp_path / "s.db-wal").unlink()
            (tmp_path / "s.db-shm").unlink()
    stream, last, _ = happen(path)
    assert stream != first
    assert last >= int(told)


def test_what_a_closing_file_could_not_take_is_neither_told_nor_marked(tmp_path):
    path = tmp_path / "s.db"
    stream, _, _ = happen(path, 3)

    async def use():
        database = Database(path, retry_s=0.01)
        database.open()
        journal = await Journal.open(database)
        told = []
        journal.on_commit.append(told.append)
        await database.write(lambda c: c.execute("PRAGMA max_page_count = 1").fetchone() and None)
        waiting = asyncio.ensure_future(journal.settled(journal.append([scanned("x" * 100_000)])))
        await asyncio.sleep(0)
        with pytest.raises(StoreError):
            database.close()
        with pytest.raises(StoreError):
            await waiting
        assert (told, journal.committed_sequence) == ([], 3)

    asyncio.run(use())
    assert happen(path, 1) == (stream, 3, 4)
