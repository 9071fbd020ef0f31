"""A pulse that was left set, by an agent that was killed or a link that broke within it, is put back to rest."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest

from edgeagent.control.gate import Gate
from edgeagent.control.pulses import pulse_points
from edgeagent.errors import Silent
from firmware_iface import catalog
from tests.control.bench import ENABLED, OVEN, bench

TWELVE = catalog.builtin("reflow12")
COMMAND = "machine/command"


def on_twelve(folder, steps, *, is_off=True, settings=ENABLED):
    async def go():
        async with bench(folder, register_map=TWELVE, is_off=is_off, settings=settings) as it:
            await steps(it)

    asyncio.run(go())


def number(it):
    return it.device.wire.orders.values[COMMAND]


async def killed_within(it, value, function="Status.PowerOn"):
    """Ask for a command, and kill the agent while its number stands in the register."""
    it.grant()
    asking = asyncio.create_task(it.call(function))
    await it.until(lambda: number(it) == value)
    it.reach.deaf = {COMMAND}  # killed: nobody takes it back
    await it.room.close()
    await asyncio.gather(asking, return_exceptions=True)
    await it.archive.database.write(lambda _: None)
    it.reach.deaf = set()
    it.reach.wrote.clear()
    it.room = it._room()
    it.run(1)


def taken_back(it):
    return [entry for entry in it.audit.entries if entry.kind == "write" and entry.who == "agent"]


async def over(it):
    await it.until(lambda: not it.room.executor.jobs and not it.room.executor._pulses, 1.0)


def test_a_pulse_of_a_killed_agent_is_taken_back_under_local_control_and_the_next_command_is_taken(tmp_path):
    async def steps(it):
        await killed_within(it, 1.0)
        await it.room.start()
        await it.until(lambda: number(it) == 0.0)
        assert it.reach.wrote == [(COMMAND, 0.0)]
        assert it.remote.standing().state == "local"
        (entry,) = taken_back(it)
        assert (entry.function, entry.values, entry.before) == ("Status.PowerOn", {COMMAND: 0.0}, {COMMAND: 1.0})
        assert entry.job and entry.reason
        await over(it)
        it.grant()
        job = await it.call("Status.PowerOff")
        await it.until(lambda: it.device.state == "coolingDown")
        assert (await it.call("Command.Stop", job=job["id"]))["state"] == "running"

    on_twelve(tmp_path, steps)


def test_a_reset_of_a_killed_agent_is_taken_back_too_also_while_the_panels_switch_is_off(tmp_path):
    async def steps(it):
        it.device.interlocks.latched.add("nitrogen/lostLatched")
        it.run(1)
        await killed_within(it, 4.0, "Alarm.ResetAll")
        it.device.remote = False
        await it.room.start()
        await it.until(lambda: number(it) == 0.0)
        await over(it)
        assert it.reach.wrote == [(COMMAND, 0.0)]

    on_twelve(tmp_path, steps, is_off=False)


def test_a_number_that_is_none_of_the_jobs_commands_is_somebody_elses(tmp_path):
    async def steps(it):
        await killed_within(it, 1.0)
        it.device.wire.orders.values[COMMAND] = 5.0
        await it.room.start()
        await over(it)
        assert number(it) == 5.0
        assert not it.reach.wrote

    on_twelve(tmp_path, steps)


def test_where_no_job_of_ours_ran_nothing_is_touched(tmp_path):
    async def steps(it):
        it.device.wire.orders.values[COMMAND] = 1.0
        await it.die_and_start_again()
        await over(it)
        it.run(5)
        assert (number(it), it.reach.wrote) == (1.0, [])

    on_twelve(tmp_path, steps)


def test_nothing_is_taken_back_by_an_agent_whose_commands_are_switched_off(tmp_path):
    async def steps(it):
        await killed_within(it, 1.0)
        it.settings = msgspec.structs.replace(ENABLED, enabled=False)
        it.room = it._room()
        await it.room.start()
        await it.until(lambda: not it.room.executor.jobs, 1.0)
        it.run(5)
        await it.settled()
        assert (number(it), it.reach.wrote) == (1.0, [])

    on_twelve(tmp_path, steps)


def test_a_machine_that_answers_late_has_its_pulse_taken_back_then(tmp_path):
    async def steps(it):
        await killed_within(it, 1.0)
        it.reach.is_dark = True
        it.run(5)
        await it.room.start()
        it.run(5)
        await it.settled()
        assert number(it) == 1.0
        it.reach.is_dark = False
        await it.until(lambda: number(it) == 0.0)

    on_twelve(tmp_path, steps)


def test_a_link_that_breaks_within_the_pulse_leaves_nothing_set_once_it_is_back(tmp_path):
    def breaks(path, value):
        if (path, value) == (COMMAND, 0.0):
            it_[0].reach.is_dark = True
            raise Silent("it did not answer in time")

    it_ = []

    async def steps(it):
        it_.append(it)
        it.grant()
        it.reach.meets = breaks
        job = await it.call("Status.PowerOn")
        assert (await it.ended(job["id"]))["state"] == "unknown"
        assert number(it) == 1.0
        it.reach.meets, it.reach.is_dark = lambda *_: None, False
        await it.until(lambda: number(it) == 0.0)
        assert len(taken_back(it)) == 1

    on_twelve(tmp_path, steps)


def test_a_device_that_keeps_it_set_is_not_written_to_for_ever(tmp_path):
    async def steps(it):
        await killed_within(it, 1.0)
        it.reach.meets = lambda *_: (_ for _ in ()).throw(Silent("it did not answer in time"))
        await it.room.start()
        await over(it)
        assert it.reach.wrote == [(COMMAND, 0.0)] * 3

    on_twelve(tmp_path, steps)


def test_only_a_point_that_nothing_but_pulses_is_given_at_is_put_to_rest():
    assert pulse_points(TWELVE) == {COMMAND}
    level = tuple(replace(each, style="level", pulse_ms=None) if each.name == "powerOn" else each
                  for each in OVEN.commands)  # fmt: skip
    points = pulse_points(replace(OVEN, commands=level))
    assert "command/powerOn" not in points
    assert "command/standby" in points
    shared = (replace(TWELVE.commands[0], style="level", pulse_ms=None), *TWELVE.commands[1:])
    assert pulse_points(replace(TWELVE, commands=shared)) == frozenset()

    async def go():
        with pytest.raises(PermissionError):
            await Gate("RO0001", None, points).take_back("zone/3/top/setpoint", lambda: None)  # type: ignore[arg-type]

    asyncio.run(go())
