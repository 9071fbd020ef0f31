"""Heat before the shift, in a window of the configuration, also on the days on which the clock is changed."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from edgeagent.config import ControlTable, MachineTable, ModbusTcpTable, RemoteWindowTable
from tests.control.bench import bench

ON = "Status.PowerOn"
SETTINGS = ControlTable(enabled=True, time_zone="Europe/Berlin", caller_per_minute=600)
MINUTE = 60


def table(*functions: str, from_: str = "05:00", to: str = "06:00") -> MachineTable:
    window = RemoteWindowTable(from_, to, functions=functions)
    return MachineTable("RO0001", (ModbusTcpTable("reflow10", "127.0.0.1"),), remote_windows=(window,))


async def set_to(it, text: str) -> None:
    """Set the clock forward, until the oven was heard again; the tunnel is looked into then."""
    wall_ns = round(datetime.fromisoformat(text).timestamp() * 1e9)
    assert wall_ns > it.clock.wall_ns(), "time goes forward"
    it.clock.now_ns += wall_ns - it.clock.wall_ns()
    await it.until(lambda: it.unit.status().state != "unknown" and it.unit.switch())
    it.unit.confirm_empty(None, "looked", "anna")
    it.room.look()


# Local times of opening and closing as UTC; in Berlin the clock goes from 02:00 to 03:00 at 01:00 UTC on the first of
# the days, and from 03:00 back to 02:00 at 01:00 UTC on the second.
DAYS = [
    ("05:00", "06:00", "2027-03-27T04:00:00Z", "2027-03-27T05:00:00Z"),
    ("05:00", "06:00", "2027-03-28T03:00:00Z", "2027-03-28T04:00:00Z"),
    ("05:00", "06:00", "2027-03-29T03:00:00Z", "2027-03-29T04:00:00Z"),
    ("05:00", "06:00", "2027-10-30T03:00:00Z", "2027-10-30T04:00:00Z"),
    ("05:00", "06:00", "2027-10-31T04:00:00Z", "2027-10-31T05:00:00Z"),
    ("05:00", "06:00", "2027-11-01T04:00:00Z", "2027-11-01T05:00:00Z"),
    ("02:30", "04:00", "2027-03-28T01:00:00Z", "2027-03-28T02:00:00Z"),
    ("01:30", "02:30", "2027-10-30T23:30:00Z", "2027-10-31T00:30:00Z"),
    ("02:30", "04:00", "2027-10-31T00:30:00Z", "2027-10-31T02:00:00Z"),
]


def shifted(text: str, seconds: float) -> str:
    return datetime.fromtimestamp(datetime.fromisoformat(text).timestamp() + seconds).astimezone().isoformat()


@pytest.mark.parametrize(("from_", "to", "opens", "closes"), DAYS)
def test_power_on_is_refused_before_its_window_taken_in_it_and_refused_after_it(tmp_path, from_, to, opens, closes):
    async def go():
        async with bench(tmp_path, is_off=True, settings=SETTINGS, table=table(ON, from_=from_, to=to)) as it:
            await set_to(it, shifted(opens, -MINUTE))
            refused = await it.refused(ON)
            assert (refused.kind, it.unit.status().control) == ("notRemote", "local"), refused.reason

            await set_to(it, shifted(opens, 1))
            assert it.unit.status().control == "remote"
            told = await it.call("Status.GetRemote")
            assert datetime.fromisoformat(told["until"]) == datetime.fromisoformat(closes)
            assert (await it.refused("Status.PowerOff")).kind == "notRemote", "the window is for one function"
            job = await it.call(ON)
            assert job["state"] == "accepted"
            await it.call("Command.Stop", job=job["id"])
            assert (await it.ended(job["id"]))["state"] == "stopped"

            await set_to(it, shifted(closes, -MINUTE))
            assert it.unit.status().control == "remote"
            await it.until(lambda: it.unit.status().control == "local", 1.0)
            late_s = it.clock.wall_ns() / 1e9 - datetime.fromisoformat(closes).timestamp()
            assert 0 <= late_s < 2, "with the next look"
            assert (await it.refused(ON)).kind == "notRemote"
            turns = [(turn["from"], turn["to"]) for turn in await it.told("Status.ControlChanged")]
            assert turns[-2:] == [("local", "remote"), ("remote", "local")]
            assert not it.device.is_heating

    asyncio.run(go())


@pytest.mark.parametrize("opens", ["2027-03-28T03:00:00Z", "2027-10-31T04:00:00Z"])
def test_on_the_day_of_the_change_the_oven_is_ready_when_the_shift_begins(tmp_path, opens):
    async def go():
        async with bench(tmp_path, is_off=True, settings=SETTINGS, table=table(ON)) as it:
            await set_to(it, shifted(opens, 1))
            job = await it.call(ON)
            await it.until(lambda: it.unit.status().state == "warmingUp")
            await it.until(lambda: it.unit.status().state == "ready", 1.0)
            assert (await it.ended(job["id"]))["state"] == "done"
            assert [value for path, value in it.reach.wrote if path == "command/powerOn"] == [1.0, 0.0], "one pulse"
            await set_to(it, shifted(opens, 60 * MINUTE + 1))
            assert (it.unit.status().control, it.unit.status().state) == ("local", "ready")

    asyncio.run(go())


def test_a_warm_up_that_outlasts_its_window_leaves_no_heat_that_nobody_asked_for(tmp_path):
    async def go():
        async with bench(tmp_path, is_off=True, settings=SETTINGS, table=table(ON)) as it:
            await set_to(it, "2027-03-28T03:59:20Z")
            job = await it.call(ON)
            await it.until(lambda: it.unit.status().state == "warmingUp")
            await it.until(lambda: it.unit.status().control == "local")
            ended = await it.ended(job["id"])
            assert ended["state"] == "stopped", ended
            await it.until(lambda: not it.device.is_heating)

    asyncio.run(go())


def test_a_clock_that_is_not_known_to_be_set_opens_no_window(tmp_path):
    async def go():
        async with bench(tmp_path, is_off=True, settings=SETTINGS, table=table(ON)) as it:
            it.clock.is_trusted = False
            await set_to(it, "2027-03-28T03:30:00Z")
            assert (await it.refused(ON)).kind == "notRemote"
            it.clock.is_trusted = True
            it.room.look()
            assert (await it.call(ON))["state"] == "accepted"

    asyncio.run(go())
