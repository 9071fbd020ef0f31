from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading

import pytest

from edgeagent.clock import Clock
from edgeagent.errors import StoreError
from edgeagent.store import Checkpoints, Journal
from edgeagent.store.backlog import Backlog, Write
from tests.store.samples import scanned, with_store

MIB = 1 << 20


def named(backlog, number, name="history", most=3, size=0):
    backlog.add(Write(lambda _: number, None, size), name, most)


def waiting(backlog):
    return [write.work(None) for write in backlog.batch()]


def test_of_one_name_the_newest_writes_wait_and_the_others_keep_their_place():
    backlog = Backlog()
    for number in range(10):
        named(backlog, number)
        if number % 4 == 0:
            named(backlog, 100 + number, None)
    assert waiting(backlog) == [100, 104, 7, 8, 108, 9]


def test_what_is_on_disk_no_longer_counts():
    backlog = Backlog()
    for number in range(3):
        named(backlog, number)
    batch = backlog.batch()
    named(backlog, 3)
    backlog.took(batch)
    for number in range(4, 6):
        named(backlog, number)
    assert waiting(backlog) == [3, 4, 5]
    backlog.took(backlog.batch())
    assert (len(backlog), backlog._named) == (0, {})


def appended(backlog, number, told=None):
    """An event of 10 MiB; what is written where it is refused is 100 more."""
    done = (lambda value, error: told.append((number, value, error))) if told is not None else None
    backlog.add(Write(lambda _: number, done, 10 * MIB, lambda _: 100 + number), None, 1)


def test_over_64_mib_history_gives_way_and_newer_events_are_left_out_until_that_is_noted():
    backlog, told = Backlog(), []
    for number in range(3):
        named(backlog, number)
    for number in range(10, 19):
        appended(backlog, number, told)
    assert backlog.overflow == "60 MiB wait in memory, and 3 newer writes found no room and are lost"
    named(backlog, 3)
    assert waiting(backlog) == [*range(10, 16), 118, 3]
    backlog.batch()[6].done(118, None)
    assert [(number, value, type(error)) for number, value, error in told] == [(18, 118, StoreError)]


def test_after_something_was_left_out_nothing_is_taken_before_that_is_on_disk():
    backlog = Backlog()
    for number in range(10, 17):
        appended(backlog, number)
    backlog.took(backlog.batch()[:3])
    appended(backlog, 17)
    assert waiting(backlog) == [13, 14, 15, 117]
    backlog.took(backlog.batch())
    assert backlog.overflow is None
    appended(backlog, 18)
    assert waiting(backlog) == [18]


def test_of_what_nobody_must_be_told_nothing_is_noted():
    backlog = Backlog()
    for number in range(10, 17):
        appended(backlog, number)
    named(backlog, 20, None, size=100)
    assert waiting(backlog) == [*range(10, 16), 116]
    assert backlog.left_out == 2


def held(database):
    go, holding = threading.Event(), threading.Event()

    def hold(_):
        holding.set()
        go.wait(10)

    database.submit(hold)
    assert holding.wait(10)
    return go


def test_an_overflow_is_told_also_when_the_disk_only_hangs_and_what_is_beyond_is_a_gap(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        go = held(database)
        for _ in range(9):
            last = journal.append([scanned("x" * (10 * MIB))])
        assert "60 MiB wait in memory, and 3 newer writes" in database.health().failing
        go.set()
        with pytest.raises(StoreError, match="no room left in memory"):
            await journal.settled(last)
        assert (database.health().failing, database.health().left_out) == (None, 0)
        await journal.settled(journal.append([scanned("y")]))
        events, following, gaps = await journal.read(1, ("*",), None, 100)
        assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6, 10]
        assert following == 11
        assert [(gap.from_, gap.to) for gap in gaps] == [(7, 9)]

    with_store(tmp_path / "s.db", use)


def test_history_waits_for_two_hours_and_forgetting_waits_once(tmp_path):
    async def use(database):
        checkpoints = Checkpoints(database, Clock())
        checkpoints.record("RO0001", 1 << 61, b"of an earlier boot")
        await database.write(lambda _: None)
        go = held(database)
        checkpoints.forget("RO0001", 1 << 62)
        for second in range(8000):
            checkpoints.record("RO0001", second, b"")
            checkpoints.forget("RO0001", 10)
        checkpoints.record("RO0002", 5, b"")
        before = database.health().writes
        go.set()
        await database.write(lambda _: None)
        assert database.health().writes - before == 1 + 1 + 7200 + 1 + 1 + 1
        assert [t for t, _ in await checkpoints.history("RO0001", 0)] == list(range(800, 8000))
        assert [t for t, _ in await checkpoints.history("RO0002", 0)] == [5]

    with_store(tmp_path / "s.db", use)


def test_waiting_for_a_disk_that_hangs_ends_with_an_error_and_leaves_nothing_behind(tmp_path):
    async def use(database):
        journal = await Journal.open(database, patience_s=0.01)
        go = held(database)
        last = journal.append([scanned("x")])
        with pytest.raises(StoreError, match=r"event 1 is not on disk after 0\.01 s: the disk is slow"):
            await journal.settled(last)
        given_up = asyncio.ensure_future(journal.settled(last))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait((given_up,))
        assert len(journal._waiters) == 0
        go.set()
        await database.write(lambda _: None)
        await journal.settled(last)

    with_store(tmp_path / "s.db", use)


def test_waiting_on_a_full_disk_tells_why(tmp_path):
    async def use(database):
        journal = await Journal.open(database, patience_s=0.01)
        room = [1]
        database.submit(lambda c: c.execute(f"PRAGMA max_page_count = {room[0]}").fetchone() and None)
        last = journal.append([scanned("x" * 100_000)])
        async with asyncio.timeout(10):
            while not database.health().failing:  # noqa: ASYNC110  the writer's thread has no event to wait for
                await asyncio.sleep(0.005)
        with pytest.raises(StoreError, match="full"):
            await journal.settled(last)
        room[0] = 100_000
        await database.write(lambda _: None)

    with_store(tmp_path / "s.db", use)


def test_what_was_written_is_not_held_any_longer(tmp_path):
    async def use(database):
        await database.write(lambda c: isinstance(c, sqlite3.Connection))
        gc.collect()
        assert [thing for thing in gc.get_objects() if isinstance(thing, Write) and thing.work] == []

    with_store(tmp_path / "s.db", use)
