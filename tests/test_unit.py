"""A machine taken up after a restart of the agent or of the computer, whatever the clocks have done."""

import asyncio
from pathlib import Path

import pytest

import edgeagent.unit
from edgeagent.clock import Clock
from edgeagent.config import MachineTable, ModbusTcpTable
from edgeagent.store import Checkpoints, Database, Journal
from edgeagent.unit import Unit
from firmware_iface import catalog
from tests.capture.tunnel import Tunnel


class HandClock(Clock):
    def __init__(self, monotonic_ns: int, wall_ns: int) -> None:
        super().__init__()
        self.now, self.wall, self.is_trusted = monotonic_ns, wall_ns, True

    def monotonic_ns(self) -> int:
        return self.now

    def wall_ns(self) -> int:
        return self.wall

    @property
    def trusted(self) -> bool:
        return self.is_trusted


async def taken_up(folder: Path, tunnel: Tunnel, boot: str, then: HandClock, knew_time: bool = True) -> Unit:
    """Save a tunnel's machine under one boot, and take it up with other clocks under another."""
    database = Database(folder / "store.sqlite3")
    database.open()
    try:
        clock = HandClock(tunnel.now_ns, tunnel._wall())
        journal = await Journal.open(database, clock)
        checkpoints = Checkpoints(database, clock)
        for time_ns, second in tunnel.pipeline.history.rows():
            checkpoints.record("RO0001", time_ns, second)
        tunnel.pipeline.keep_time(tunnel.now_ns, tunnel._wall(), knew_time)
        checkpoints.save("RO0001", tunnel.pipeline.checkpoint())
        await database.write(lambda connection: None)
        edgeagent.unit.boot_id = lambda: boot
        maps = (catalog.builtin("reflow10"),)
        table = MachineTable("RO0001", (ModbusTcpTable("reflow10", "127.0.0.1"),))
        unit = Unit(table, maps, then, journal, Checkpoints(database, then), lambda *_: None)
        await unit.resume()
        return unit
    finally:
        await asyncio.to_thread(database.close)


@pytest.fixture
def tunnel(monkeypatch) -> Tunnel:
    monkeypatch.setattr(edgeagent.unit, "boot_id", edgeagent.unit.boot_id)
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(100)
    return tunnel


@pytest.mark.parametrize(("boot", "away_s", "wall_s", "uncertain"), [
    ("same", 2.0, 2.0, False), ("same", 2.0, -3600.0, False), ("other", 2.0, 2.0, False), ("other", 2.0, -3600.0, True),
])  # fmt: skip
def test_boards_are_taken_up_and_beats_go_on(tmp_path, tunnel, boot, away_s, wall_s, uncertain):
    boot_now = edgeagent.clock.boot_id() if boot == "same" else "another boot"
    monotonic = tunnel.now_ns + round(away_s * 1e9) if boot == "same" else 5_000_000_000
    then = HandClock(monotonic, tunnel._wall() + round(wall_s * 1e9))
    unit = asyncio.run(taken_up(tmp_path, tunnel, boot_now, then))
    before = tunnel.pipeline.boards()[0]
    unit.row.values[:], unit.row.quality[:] = tunnel.row.values, tunnel.row.quality
    unit.pipeline.feed(unit.machine.pace, then.now + 100_000_000, then.wall + 100_000_000)
    (board,) = unit.pipeline.boards()
    assert board.id == before.id
    moved = 13.0 * (away_s + 0.1) if not uncertain else 13.0 * 0.1
    assert board.position_mm - before.position_mm == pytest.approx(moved, abs=2)
    assert board.identity == ("uncertain" if uncertain else "certain")


@pytest.mark.parametrize(("knew_time", "knows_time"), [(True, False), (False, True)])
def test_after_a_start_of_the_computer_a_clock_that_is_not_known_to_be_set_tells_no_outage(
    tmp_path, tunnel, knew_time, knows_time
):
    then = HandClock(5_000_000_000, tunnel._wall() + 2_000_000_000)
    then.is_trusted = knows_time
    unit = asyncio.run(taken_up(tmp_path, tunnel, "another boot", then, knew_time))
    (board,) = unit.pipeline.boards()
    assert board.identity == "uncertain"
    assert unit.status().lanes[0].doubt == "how long nobody looked cannot be known"
    assert unit.resumed.startswith("1 boards inside, perhaps (the clock is not known to be set)")


def test_a_machine_without_a_checkpoint_begins_anew(tmp_path):
    async def go() -> str:
        database = Database(tmp_path / "store.sqlite3")
        database.open()
        clock = Clock()
        journal = await Journal.open(database, clock)
        table = MachineTable("RO0001", (ModbusTcpTable("reflow10", "127.0.0.1"),))
        maps = (catalog.builtin("reflow10"),)
        unit = Unit(table, maps, clock, journal, Checkpoints(database, clock), lambda *_: None)
        await unit.resume()
        await asyncio.to_thread(database.close)
        return unit.resumed

    assert asyncio.run(go()).startswith("no earlier state")


def test_its_rows_of_the_last_minutes_have_the_times_of_the_day(tmp_path, tunnel):
    then = HandClock(tunnel.now_ns, tunnel._wall())
    unit = asyncio.run(taken_up(tmp_path, tunnel, edgeagent.clock.boot_id(), then))
    zone = unit.machine.column["zone/1/top/temperature"]
    for number in range(3):
        then.now, then.wall = then.now + 100_000_000, then.wall + 100_000_000
        unit.row.values[zone], unit.row.quality[zone] = 150.0 + number, 0
        unit.pipeline.feed(unit.machine.pace, then.now, then.wall)
    times, values, qualities, width = unit.recent(then.wall - 100_000_000)
    assert list(times) == [then.wall - 100_000_000, then.wall]
    assert [values[row * width + zone] for row in range(2)] == [151.0, 152.0]
    assert [qualities[row * width + zone] for row in range(2)] == [0, 0]


def test_what_comes_to_the_inlet_of_an_empty_machine_is_written_down_at_once(tmp_path):
    async def go() -> tuple[int, int]:
        database, tunnel = Database(tmp_path / "store.sqlite3"), Tunnel()
        database.open()
        clock = HandClock(tunnel.now_ns, tunnel._wall())
        journal, checkpoints = await Journal.open(database, clock), Checkpoints(database, clock)
        table = MachineTable("RO0001", (ModbusTcpTable("reflow10", "127.0.0.1"),))
        unit = Unit(table, (catalog.builtin("reflow10"),), clock, journal, checkpoints, lambda *_: None)
        for is_covered in (*[False] * 50, True):
            clock.now, clock.wall = clock.now + 100_000_000, clock.wall + 100_000_000
            tunnel.set("lane/1/inlet", is_covered)
            unit.row.values[:], unit.row.quality[:] = tunnel.row.values, tunnel.row.quality
            unit.beat(unit.machine.pace)
        await database.write(lambda connection: None)
        saved = await checkpoints.load("RO0001")
        await asyncio.to_thread(database.close)
        return saved.saved_monotonic_ns, clock.now

    saved_ns, now_ns = asyncio.run(go())
    assert saved_ns == now_ns, "a kill before it is a board hides nothing of its entry"
