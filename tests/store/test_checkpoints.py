from __future__ import annotations

import sqlite3
import threading

from edgeagent.clock import boot_id
from edgeagent.store import Checkpoints, Journal
from tests.store.samples import scanned, with_store


class HandClock:
    def __init__(self):
        self.now = 1000

    def wall_ns(self):
        return 5_000_000 + self.now

    def monotonic_ns(self):
        return self.now


def test_the_newest_checkpoint_of_each_machine_is_loaded_with_its_times(tmp_path):
    async def save(database):
        clock = HandClock()
        checkpoints = Checkpoints(database, clock)
        assert await checkpoints.load("RO0001") is None
        checkpoints.save("RO0001", b"old")
        checkpoints.save("RO0002", b"other")
        clock.now = 2000
        checkpoints.save("RO0001", b"new")

    async def load(database):
        checkpoints = Checkpoints(database, HandClock())
        return await checkpoints.load("RO0001"), await checkpoints.load("RO0002")

    with_store(tmp_path / "s.db", save)
    new, other = with_store(tmp_path / "s.db", load)
    assert (new.body, new.saved_wall_ns, new.saved_monotonic_ns, new.boot) == (b"new", 5_002_000, 2000, boot_id())
    assert other.body == b"other"


def test_saves_that_wait_are_written_once_and_the_newest_wins_also_over_an_append(tmp_path):
    async def use(database):
        checkpoints, journal = Checkpoints(database, HandClock()), await Journal.open(database, HandClock())
        before = database.health().writes
        go = threading.Event()
        database.submit(lambda _: go.wait(10) and None)
        checkpoints.save("RO0001", b"1")
        journal.append([scanned("A")], checkpoint=("RO0001", b"2"))
        for number in range(3, 100):
            checkpoints.save("RO0001", str(number).encode())
        go.set()
        await database.write(lambda _: None)
        assert database.health().writes - before == 4
        return (await checkpoints.load("RO0001")).body

    assert with_store(tmp_path / "s.db", use) == b"99"


def test_a_checkpoint_goes_with_the_events_of_its_append(tmp_path):
    async def use(database):
        journal = await Journal.open(database, HandClock())
        assert journal.append([], checkpoint=("RO0001", b"alone")) == 0
        await journal.settled(journal.append([scanned("A")], checkpoint=("RO0001", b"together")))
        return await Checkpoints(database, HandClock()).load("RO0001")

    checkpoint = with_store(tmp_path / "s.db", use)
    assert (checkpoint.body, checkpoint.saved_monotonic_ns) == (b"together", 1000)


def test_a_damaged_checkpoint_is_no_checkpoint_and_is_logged(tmp_path, caplog):
    async def save(database):
        Checkpoints(database, HandClock()).save("RO0001", b"abc")

    with_store(tmp_path / "s.db", save)
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("UPDATE checkpoints SET body = x'616264'")
    connection.close()
    assert with_store(tmp_path / "s.db", lambda database: Checkpoints(database, HandClock()).load("RO0001")) is None
    assert "damaged" in caplog.text


def test_history_is_read_from_a_time_on_and_forgotten_before_one(tmp_path):
    async def use(database):
        checkpoints = Checkpoints(database, HandClock())
        for second in range(10):
            checkpoints.record("RO0001", second, b"%d" % second)
        checkpoints.record("RO0002", 3, b"other")
        checkpoints.record("RO0001", 9, b"again")
        checkpoints.forget("RO0001", 4)
        await database.write(lambda c: c.execute("UPDATE history SET body = x'00' WHERE t_ns = 6") and None)
        assert await checkpoints.history("RO0002", 0) == [(3, b"other")]
        assert [t for t, _ in await checkpoints.history("RO0001", 0)] == [4, 5, 7, 8, 9]
        assert await checkpoints.history("RO0001", 8) == [(8, b"8"), (9, b"again")]

    with_store(tmp_path / "s.db", use)
