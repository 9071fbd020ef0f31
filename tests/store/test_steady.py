"""A time that goes on over restarts of agent and computer, and that no setting of the clock moves."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from edgeagent.store import meta, steady
from edgeagent.store.steady import Steady
from tests.control.bench import HandClock
from tests.store.samples import with_store

HOUR = 3600 * 1_000_000_000


class Computer:
    """Whose clock is set, and which is started anew."""

    def __init__(self, monkeypatch) -> None:
        self.clock = HandClock()
        self.boot = "one"
        monkeypatch.setattr(steady, "boot_id", lambda: self.boot)

    def starts_anew(self, away_ns: int) -> None:
        self.boot += "+"
        self.clock.ahead_ns += away_ns + self.clock.now_ns
        self.clock.now_ns = 0


def on_computer(tmp_path, monkeypatch, work) -> None:
    computer = Computer(monkeypatch)

    async def use(database) -> None:
        async def opened() -> Steady:
            await database.write(lambda _: None)
            return await Steady.open(database, computer.clock)

        await work(computer, opened)

    with_store(tmp_path / "s.db", use)


def test_it_begins_as_wall_time_and_no_setting_of_the_clock_moves_it(tmp_path, monkeypatch):
    async def work(computer, opened):
        it = await opened()
        begun_ns = it.now_ns()
        assert begun_ns == computer.clock.wall_ns()
        for ahead_ns in (24 * HOUR, -48 * HOUR):
            computer.clock.ahead_ns += ahead_ns
            assert it.now_ns() == begun_ns
        computer.clock.now_ns += HOUR
        assert it.now_ns() == begun_ns + HOUR

    on_computer(tmp_path, monkeypatch, work)


def test_over_a_restart_of_the_agent_monotonic_time_counts(tmp_path, monkeypatch):
    async def work(computer, opened):
        begun_ns = (await opened()).now_ns()
        computer.clock.now_ns += 3 * HOUR
        computer.clock.ahead_ns += 24 * HOUR
        assert (await opened()).now_ns() == begun_ns + 3 * HOUR

    on_computer(tmp_path, monkeypatch, work)


@pytest.mark.parametrize(("before", "after", "away_h", "counts_h"), [
    (True, True, 5, 5), (True, True, -5, 0), (True, False, 5, 0), (False, True, 500_000, 0), (False, False, 5, 0),
])
def test_over_a_start_of_the_computer_only_a_clock_that_is_known_to_be_set_counts(
    tmp_path, monkeypatch, before, after, away_h, counts_h
):
    async def work(computer, opened):
        computer.clock.is_trusted = before
        it = await opened()
        computer.clock.now_ns += HOUR
        computer.clock.ahead_ns += 24 * HOUR
        it.keep()
        kept_ns = it.now_ns()
        computer.starts_anew(away_h * HOUR)
        computer.clock.is_trusted = after
        assert (await opened()).now_ns() == kept_ns + counts_h * HOUR

    on_computer(tmp_path, monkeypatch, work)


def test_what_went_by_before_a_start_counts_as_soon_as_the_clock_is_set(tmp_path, monkeypatch):
    async def work(computer, opened):
        (await opened()).keep()
        computer.clock.now_ns += HOUR
        (it := await opened()).keep()
        kept_ns = it.now_ns()
        computer.starts_anew(60 * HOUR)
        computer.clock.is_trusted = False
        computer.clock.ahead_ns -= 1000 * HOUR
        it = await opened()
        assert (it.now_ns(), it.ended_ns) == (kept_ns, kept_ns)
        computer.clock.now_ns += HOUR
        it.keep()
        assert it.now_ns() == kept_ns + HOUR
        computer.clock.ahead_ns += 1000 * HOUR
        computer.clock.is_trusted = True
        for _ in range(2):
            it.keep()
            assert it.now_ns() == kept_ns + 61 * HOUR

    on_computer(tmp_path, monkeypatch, work)


def test_times_that_were_noted_are_there_at_the_next_start(tmp_path, monkeypatch):
    async def work(computer, opened):
        (await opened()).note("resets", {"RO0001": (1, 2)})
        assert await (await opened()).noted("resets") == {"RO0001": [1, 2]}
        assert await (await opened()).noted("nothing") == {}

    on_computer(tmp_path, monkeypatch, work)


def test_what_the_disk_damaged_begins_anew(tmp_path, caplog):
    async def use(database) -> None:
        clock = HandClock()
        for key in ("steady.time", "steady.resets"):
            await database.write(lambda connection, key=key: meta.put(connection, key, "{"))
        it = await Steady.open(database, clock)
        assert it.now_ns() == clock.wall_ns()
        assert await it.noted("resets") == {}
        assert "is damaged" in caplog.text

    with_store(tmp_path / "s.db", use)


def test_a_restored_store_goes_on_with_the_time_of_the_present_one(tmp_path):
    async def kept(database, times) -> None:
        (await Steady.open(database, HandClock())).note("resets", times)
        await database.write(lambda _: None)

    for name, times in (("present.db", {"RO0001": (7,)}), ("backup.db", {"RO0001": (1,)})):
        with_store(tmp_path / name, lambda database, times=times: kept(database, times))
    with closing(sqlite3.connect(tmp_path / "present.db")) as present, \
            closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        steady.carry(present, backup)
        assert meta.get(backup, "steady.resets") == '{"RO0001":[7]}'
        assert meta.get(backup, "steady.time") == meta.get(present, "steady.time")
