"""A store of the first layout is taken over: its alarms and its boards count as if they had been written today."""

from __future__ import annotations

import sqlite3

import msgspec

from edgeagent.clock import iso
from edgeagent.store import Journal
from edgeagent.store.alarms import Alarms
from edgeagent.store.counters import Counted, Counters
from edgeagent.store.schema import MIGRATIONS
from tests.store.samples import NOON, board, left, scanned, unexpected, with_store
from tests.store.test_alarms import cleared, raised
from tests.store.test_counters import MINUTE, at, lost

EXIT = 5 * MINUTE


def first_layout(path, events):
    """Write events with the newest layout, and take away what the first one did not have."""

    async def work(database):
        journal = await Journal.open(database)
        await journal.settled(journal.append(events))

    with_store(path, work)
    plain = sqlite3.connect(":memory:")
    plain.executescript(MIGRATIONS[0].script)
    known = {row[0] for row in plain.execute("SELECT name FROM sqlite_master")}
    plain.close()
    connection = sqlite3.connect(path)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for name in tables:
        if name not in known:
            connection.execute(f"DROP TABLE {name}")
    connection.execute("ALTER TABLE meta DROP COLUMN crc")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()


def test_alarms_and_boards_of_an_older_store_are_taken_over(tmp_path):
    events = [
        raised("a1", NOON), raised("a2", NOON + 1_000_000), cleared("a1", NOON, NOON + MINUTE), scanned("PCB1"),
        left(board("b1", NOON)), left(board("b2", NOON + MINUTE, process="fail")), lost("b3", 9), at(unexpected(), 7),
    ]  # fmt: skip
    first_layout(tmp_path / "s.db", events)

    async def use(database):
        assert await database.read(lambda c: c.execute("PRAGMA user_version").fetchone()) == (len(MIGRATIONS),)
        found, _ = await Alarms(database).find()
        assert [(it.alarm.id, it.cleared_at) for it in found] == [("a2", None), ("a1", iso(NOON + MINUTE))]
        counters = Counters(database)
        assert await counters.count("RO0001", NOON, NOON + EXIT + 1) == [Counted("SAC305-A", "pass", 1)]
        assert await counters.count("RO0001", NOON + EXIT + 1, NOON + EXIT + MINUTE + 1) == [
            Counted("SAC305-A", "fail", 1)]  # fmt: skip
        assert await counters.count("RO0001", NOON + 7 * MINUTE, NOON + 7 * MINUTE + 1) == [
            Counted(None, "unexpected", 1)]  # fmt: skip
        assert await counters.count("RO0001", NOON + 9 * MINUTE, NOON + 9 * MINUTE + 1) == [
            Counted("SAC305-A", "lost", 1)]  # fmt: skip
        journal = await Journal.open(database)
        assert journal.last_sequence == len(events)

    for _ in range(2):  # the second time there is nothing to take over
        with_store(tmp_path / "s.db", use)


def test_an_event_that_cannot_be_read_does_not_keep_the_store_from_opening(tmp_path, caplog):
    bad = raised("a1", NOON)
    bad = msgspec.structs.replace(bad, data={"alarm": "none"})
    first_layout(tmp_path / "s.db", [bad, raised("a2", NOON), raised("a3", NOON)])
    connection = sqlite3.connect(tmp_path / "s.db")
    connection.execute("UPDATE events SET body = x'7b' WHERE sequence = 2")
    connection.commit()
    connection.close()

    async def use(database):
        assert [it.alarm.id for it in (await Alarms(database).find())[0]] == ["a3"]

    with_store(tmp_path / "s.db", use)
    assert "event 1 cannot be read and is left out" in caplog.text
    assert "event 2 is damaged on disk and is left out" in caplog.text
