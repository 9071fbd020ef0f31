"""A power on that nobody confirmed is watched: what it heats later is told, and can be brought down."""

from __future__ import annotations

import asyncio

import pytest

from edgeagent.control.unfollowed import CODE
from edgeagent.errors import Silent
from tests.control.test_power_jobs import BEAT_S, journey, over, running, waited, warming

ON, OFF = "Status.PowerOn", "Status.PowerOff"


def starts_after(it, seconds, *, answers):
    """Let the oven take a command to start only some time after it was given, with an answer or without."""
    write, advance, due_ns = it.reach.write, it.device.advance, []

    async def later(path, value, allows):
        if path != "command/powerOn":
            await write(path, value, allows)
            return
        allows()
        it.reach.wrote.append((path, value))
        if value:
            due_ns.append(it.clock.now_ns + round(seconds * 1e9))
            if not answers:
                raise Silent("it did not answer in time")

    def pass_by(beat_s):
        if due_ns and it.clock.now_ns >= due_ns[0]:
            due_ns.clear()
            it.device.wire.orders.values["command/powerOn"] = 0.0
            it.device.wire.take("command/powerOn", 1.0)
            it.device.wire.take("command/powerOn", 0.0)
        advance(beat_s)

    it.reach.write, it.device.advance = later, pass_by


def told(it):
    return [alarm for alarm in it.unit.alarms() if alarm.code == CODE]


async def given_up(it, *, answers=True, after_s=60.0):
    """Switch it on, which the oven does only once the job has ended."""
    it.grant(60)
    starts_after(it, after_s, answers=answers)
    job = await it.call(ON)
    ended = await over(it, ON)
    assert it.device.state == "off"
    return job["id"], ended


@pytest.mark.parametrize(("answers", "state"), [(False, "unknown"), (True, "failed")])
def test_a_machine_that_comes_on_later_is_told_and_can_be_switched_off(tmp_path, answers, state):
    async def steps(it):
        job, ended = await given_up(it, answers=answers)
        assert (ended["job"], ended["outcome"]) == (job, state)
        assert not told(it)
        await it.until(lambda: told(it), BEAT_S)
        assert it.device.is_heating or it.device.state == "starting"
        (alarm,) = told(it)
        assert f"Status.PowerOn of mes ended {state}" in alarm.text
        raised = [data["alarm"]["code"] for data in await it.told("Alarm.Raised")]
        assert raised.count(CODE) == 1
        await it.call(OFF)
        assert (await over(it, OFF))["outcome"] == "done"
        assert it.device.state == "off"
        assert not told(it)
        assert {"code": CODE, "by": "mes"} in [
            {"code": data["alarm"]["code"], "by": data["by"]} for data in await it.told("Alarm.Cleared")]  # fmt: skip

    journey(tmp_path, steps, is_off=True)


def test_it_is_watched_over_a_restart_of_the_agent_too(tmp_path):
    async def steps(it):
        await given_up(it)
        await it.die_and_start_again()
        await it.until(lambda: told(it), BEAT_S)
        assert it.remote.standing().state == "local"

    journey(tmp_path, steps, is_off=True)


def test_the_agents_own_alarm_keeps_no_reset_of_the_machines_alarms_from_being_given(tmp_path):
    async def steps(it):
        await given_up(it)
        await it.until(lambda: told(it), BEAT_S)
        it.device.interlocks.latched.add("nitrogen/lostLatched")
        await it.until(lambda: any(alarm.code == "E084" for alarm in it.unit.alarms()), BEAT_S)
        (alarm,) = [alarm for alarm in it.unit.alarms() if alarm.code == "E084"]
        it.room.machines["RO0001"].remote.grant("console:anna", 30)
        asking = asyncio.create_task(it.call("Alarm.Reset", id=alarm.id))
        await it.until(asking.done)
        assert alarm.id in (await asking)["reset"]

    journey(tmp_path, steps, is_off=True)


def test_what_began_and_was_brought_to_rest_is_nobodys_when_it_is_started_at_the_panel(tmp_path):
    async def steps(it):
        job = await warming(it)
        await it.call("Command.Stop", job=job["id"])
        await over(it, ON)
        await waited(it, 10)
        it.device._sequence.power_on()
        await waited(it, 60)
        assert it.unit.status().state in ("warmingUp", "ready")
        assert not told(it)

    journey(tmp_path, steps, is_off=True)


def test_a_link_that_is_lost_while_it_warms_up_leaves_it_watched(tmp_path):
    async def steps(it):
        await warming(it)
        it.reach.is_dark = True
        assert (await over(it, ON))["outcome"] == "unknown"
        await waited(it, 10)
        assert not told(it)
        it.reach.is_dark = False
        await it.until(lambda: told(it), BEAT_S)
        it.device.switch_off()
        await it.until(lambda: not told(it), BEAT_S)

    journey(tmp_path, steps, is_off=True)


def test_one_that_comes_on_and_is_nobodys_is_idle_before_it_is_ready(tmp_path):
    async def steps(it):
        it.device.advance(3600.0)  # cold: it warms up for longer than it may stand idle
        await given_up(it)
        await it.until(lambda: told(it), BEAT_S)
        await it.until(lambda: running(it, OFF), BEAT_S)
        assert it.device.state == "warmingUp"
        assert running(it, OFF).by == "agent: idle"
        assert (await over(it, OFF))["outcome"] == "done"
        assert not told(it)

    journey(tmp_path, steps, is_off=True, auto_off_minutes=2, auto_off_warning_minutes=1)


def test_one_that_is_asked_for_again_and_found_on_is_somebodys(tmp_path):
    async def steps(it):
        await given_up(it)
        await it.until(lambda: told(it), BEAT_S)
        await it.call(ON)
        assert "on already" in (await over(it, ON))["reason"]
        await waited(it, 10)
        assert not told(it)

    journey(tmp_path, steps, is_off=True)
