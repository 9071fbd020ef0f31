"""Power as jobs of the control room: watched, stopped, idle machines and what gives way, and resets too often."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from edgeagent.errors import StoreError
from firmware_iface.simulated.faults import parse
from tests.control.bench import OVEN, TABLE, bench

QUICK = replace(OVEN, power=replace(OVEN.power, safe_celsius=180.0))
"""An oven that counts as cool a few minutes after its heaters are off."""
BEAT_S = 3.0


def journey(folder, steps, *, is_off=False, **settings):
    async def go():
        table = msgspec.structs.replace(TABLE, **settings)
        async with bench(folder, register_map=QUICK, is_off=is_off, table=table) as it:
            await steps(it)

    asyncio.run(go())


def running(it, function):
    return next((each.job for each in it.room.executor.jobs if each.job.function == function), None)


async def over(it, function):
    """Let time go by until no job of a function runs; what it told last."""
    await it.until(lambda: running(it, function) is None, BEAT_S)
    return [data for data in await it.told("Command.Executed") if data["function"] == function][-1]


async def waited(it, seconds):
    end_ns = it.clock.now_ns + seconds * 1e9
    await it.until(lambda: it.clock.now_ns > end_ns, BEAT_S)


async def warming(it):
    """Switch it on, until it warms up."""
    it.grant()
    job = await it.call("Status.PowerOn")
    await it.until(lambda: (steps := running(it, "Status.PowerOn").steps) and steps[-1].text.startswith("Warm"), BEAT_S)
    await it.until(lambda: it.device.state == "warmingUp", BEAT_S)
    return job


def test_a_machine_is_switched_on_and_off_by_jobs_that_can_be_watched(tmp_path):
    async def steps(it):
        assert (await it.refused("Status.PowerOn")).kind == "notRemote"
        it.grant()
        job = await it.call("Status.PowerOn", requestId="morning")
        assert job["state"] == "accepted"
        assert await it.call("Status.PowerOn", requestId="morning") == job
        ended = await over(it, "Status.PowerOn")
        assert (ended["job"], ended["outcome"]) == (job["id"], "done")
        assert ended["reason"] == "It is ready: zones are at their setpoints."
        assert it.device.state == "ready"
        assert it.reach.wrote == [("machine/horn", 1.0), ("machine/horn", 0.0), ("command/powerOn", 1.0),
                                  ("command/powerOn", 0.0)]  # fmt: skip
        words = [step["text"] for step in (await it.job(job["id"]))["steps"]]
        assert words[:2] == ["Warn for 5 s with the horn", "Switch on"]
        it.grant()
        await it.call("Status.PowerOff")
        assert (await over(it, "Status.PowerOff"))["outcome"] == "done"
        assert it.device.state == "off"
        assert not it.device.was_cut_hot

    journey(tmp_path, steps, is_off=True)


def test_boards_inside_keep_a_machine_on(tmp_path):
    async def steps(it):
        it.grant()
        it.device.insert_board("PCB1")
        await it.until(it.unit.boards)
        refused = await it.refused("Status.PowerOff")
        assert refused.kind == "interlocked"
        assert "1 board is inside lane 1." in refused.reason

    journey(tmp_path, steps)


@pytest.mark.parametrize("how", ["stopped", "given back"])
def test_a_job_that_ends_while_it_warms_up_leaves_no_heat(tmp_path, how):
    async def steps(it):
        job = await warming(it)
        if how == "stopped":
            stopping = asyncio.create_task(it.call("Command.Stop", job=job["id"]))
        else:
            it.remote.release("anna")
        ended = await over(it, "Status.PowerOn")
        if how == "stopped":
            await stopping
        assert ended["outcome"] == "stopped"
        assert it.device.state == "coolingDown"

    journey(tmp_path, steps, is_off=True)


def test_a_panel_that_takes_control_is_left_alone(tmp_path):
    async def steps(it):
        await warming(it)
        it.device.remote = False
        ended = await over(it, "Status.PowerOn")
        assert ended["outcome"] == "stopped"
        assert "The machine goes on by itself" in ended["reason"]
        assert it.device.state == "warmingUp"

    journey(tmp_path, steps, is_off=True)


def test_an_agent_that_died_while_it_warmed_up_goes_on_watching_and_commands_nothing(tmp_path):
    async def steps(it):
        job = await warming(it)
        wrote = len(it.reach.wrote)
        await it.die_and_start_again()
        await over(it, "Status.PowerOn")
        ended = await it.job(job["id"])
        assert (ended["state"], ended["reason"]) == ("done", "It is ready: zones are at their setpoints.")
        assert it.remote.standing().state == "local"
        assert len(it.reach.wrote) == wrote

    journey(tmp_path, steps, is_off=True)


def test_a_fault_after_a_restart_is_told_and_nothing_is_commanded_under_local_control(tmp_path):
    async def steps(it):
        job = await warming(it)
        wrote = len(it.reach.wrote)
        await it.die_and_start_again()
        it.device.add_fault(parse(f"thermocouple-open:zone/3/top@{it.device.time + 20}"))
        await over(it, "Status.PowerOn")
        ended = await it.job(job["id"])
        assert ended["state"] == "stopped"
        assert "under local control" in ended["reason"]
        assert "The machine goes on by itself: the controller tells a fault" in ended["reason"]
        assert len(it.reach.wrote) == wrote

    journey(tmp_path, steps, is_off=True)


def test_an_agent_that_died_and_finds_the_machine_ready_says_so(tmp_path):
    async def steps(it):
        job = await warming(it)
        await it.room.close()
        while it.device.state != "ready":
            it.run(BEAT_S, BEAT_S)
        await it.die_and_start_again()
        await over(it, "Status.PowerOn")
        assert (await it.job(job["id"]))["state"] == "done"

    journey(tmp_path, steps, is_off=True)


def test_a_silence_while_it_warms_up_ends_nothing_and_the_switch_is_asked_for_again_before_a_write(tmp_path):
    async def steps(it):
        job = await warming(it)
        it.reach.is_dark = True
        await waited(it, 20)
        assert it.room.machines["RO0001"].look().is_dark
        assert running(it, "Status.PowerOn").id == job["id"]
        assert (await it.refused("Alarm.ResetAll")).kind == "notRemote"
        it.reach.is_dark = False
        assert (await over(it, "Status.PowerOn"))["outcome"] == "done"

    journey(tmp_path, steps, is_off=True)


IDLE = {"auto_off_minutes": 5, "auto_off_warning_minutes": 2}


async def announced(it):
    """Wait until an idle machine is about to be switched off."""
    it.grant(60)
    await it.until(lambda: (job := running(it, "Status.PowerOff")) and job.steps, BEAT_S)
    return running(it, "Status.PowerOff")


def test_an_idle_machine_is_announced_and_switched_off_where_it_is_configured(tmp_path):
    async def steps(it):
        await waited(it, 400)
        assert not running(it, "Status.PowerOff"), "under local control it is left alone"
        job = await announced(it)
        assert job.by == "agent: idle"
        assert job.steps[0].text.startswith("Nothing comes: it is switched off in 2 minutes")
        assert it.device.state == "ready"
        ended = await over(it, "Status.PowerOff")
        assert (ended["outcome"], ended["by"]) == ("done", "agent: idle")
        assert ended["reason"] == "It had stood idle for 5 minutes."
        assert it.device.state == "off"
        assert not it.device.was_cut_hot

    journey(tmp_path, steps, **IDLE)


def test_why_an_idle_machine_was_switched_off_is_told_over_a_restart_too(tmp_path):
    async def steps(it):
        await announced(it)
        await it.until(lambda: it.device.state == "coolingDown", BEAT_S)
        await it.die_and_start_again()
        it.grant(60)
        ended = await over(it, "Status.PowerOff")
        assert (ended["outcome"], ended["by"]) == ("done", "agent: idle"), ended
        assert ended["reason"] == "It had stood idle for 5 minutes."

    journey(tmp_path, steps, **IDLE)


def test_a_board_during_the_announcement_keeps_the_machine_on(tmp_path):
    async def steps(it):
        await announced(it)
        it.device.insert_board("PCB1")
        ended = await over(it, "Status.PowerOff")
        assert (ended["outcome"], ended["reason"]) == ("stopped", "A board came.")
        await waited(it, 200)
        assert it.device.is_heating

    journey(tmp_path, steps, **IDLE)


def test_a_command_during_the_announcement_is_not_refused_and_keeps_the_machine_on(tmp_path):
    async def steps(it):
        await announced(it)
        power_on = await it.call("Status.PowerOn")
        ended = await over(it, "Status.PowerOff")
        assert (ended["outcome"], ended["reason"]) == ("stopped", "mes stopped it.")
        await over(it, "Status.PowerOn")
        assert "on already" in (await it.job(power_on["id"]))["reason"]
        await waited(it, 200)
        assert it.device.state == "ready"

    journey(tmp_path, steps, **IDLE)


def test_a_machine_without_the_configuration_stays_on(tmp_path):
    async def steps(it):
        it.grant(60)
        await waited(it, 900)
        assert it.device.state == "ready"
        assert not await it.told("Command.Executed")

    journey(tmp_path, steps)


def test_alarms_are_reset_five_times_in_a_quarter_of_an_hour(tmp_path):
    async def reset(it):
        asked = asyncio.create_task(it.call("Alarm.ResetAll"))
        await it.until(asked.done)
        return await asked

    async def steps(it):
        it.device.add_fault(parse(f"air-lost@{it.device.time}+3"))
        it.run(10)
        it.grant(60)
        lost = next(alarm for alarm in it.unit.alarms() if alarm.code == "E082")
        answer = await reset(it)
        assert lost.id in answer["reset"]
        assert lost.code not in {alarm["code"] for alarm in answer["remaining"]}
        for _ in range(4):
            await reset(it)
        await it.die_and_start_again()
        it.grant(60)
        refused = await it.refused("Alarm.ResetAll")
        assert (refused.kind, "reset 5 times" in refused.reason) == ("tooMany", True)
        await waited(it, 900)
        assert (await reset(it))["machine"] == "RO0001"

    journey(tmp_path, steps)


def test_a_board_is_booked_out_and_an_alarm_taken_notice_of_without_remote_control(tmp_path):
    async def steps(it):
        it.device.insert_board("PCB1")
        await it.until(it.unit.boards)
        board = it.unit.boards()[0].id
        answer = await it.call("Board.Remove", id=board, reason="it fell down")
        assert answer == {"machine": "RO0001", "boards": [board]}
        (lost,) = await it.told("Board.Lost")
        assert (lost["board"]["id"], lost["reason"], lost["by"]) == (board, "it fell down", "mes")
        for conveyor in it.device.conveyors.values():
            conveyor.boards.clear()
        it.device.add_fault(parse(f"air-lost@{it.device.time}+3"))
        await it.until(it.unit.alarms)
        alarm = it.unit.alarms()[0]
        answer = await it.call("Alarm.Acknowledge", id=alarm.id)
        assert (answer["id"], answer["acknowledgedBy"]) == (alarm.id, "mes")
        assert await it.call("Alarm.Acknowledge", id=alarm.id) == answer
        assert [told["by"] for told in await it.told("Alarm.Acknowledged")] == ["mes"]
        assert (await it.archive.alarms.get(alarm.id)).acknowledged_by == "mes"
        assert (await it.refused("Alarm.Acknowledge", id="nobody's")).kind == "notFound"
        it.run(5)
        assert await it.call("Board.ConfirmEmpty", reason="looked") == {"machine": "RO0001", "boards": []}

    journey(tmp_path, steps)


def meets_once(it, path, value, happens):
    """Let something happen right before a write."""
    def meets(*wrote):
        if wrote == (path, value):
            it.reach.meets = lambda *_: None
            happens()

    it.reach.meets = meets


def begins_after(it, seconds):
    """Let the oven take a command to start only some time after it was given."""
    write, advance, due_ns = it.reach.write, it.device.advance, []

    async def later(path, value, allows):
        if path != "command/powerOn":
            await write(path, value, allows)
            return
        it.reach.meets(path, value)
        if value:
            due_ns.append(it.clock.now_ns + round(seconds * 1e9))

    def pass_by(beat_s):
        if due_ns and it.clock.now_ns >= due_ns[0]:
            due_ns.clear()
            it.device.wire.take("command/powerOn", 1.0)
        advance(beat_s)

    it.reach.write, it.device.advance = later, pass_by


def stops(it):
    (running_job,) = it.room.executor.jobs
    running_job.stopped_by = "anna"
    running_job.stop_asked.set()


def test_a_machine_that_was_told_to_start_and_does_not_show_it_yet_is_left_without_heat_when_it_is_stopped(tmp_path):
    async def steps(it):
        it.grant()
        begins_after(it, 3.0)
        meets_once(it, "command/powerOn", 0.0, lambda: stops(it))
        await it.call("Status.PowerOn")
        ended = await over(it, "Status.PowerOn")
        assert ended["outcome"] == "stopped"
        assert ("command/standby", 1.0) in it.reach.wrote
        assert it.device.state in ("coolingDown", "standby")

    journey(tmp_path, steps, is_off=True)


def test_a_machine_that_was_not_told_to_start_is_not_told_to_rest_either(tmp_path):
    """A map's standby may turn belt and blowers on."""
    standby = replace(OVEN.command("standby"), preconditions=())
    commands = tuple(standby if each.name == "standby" else each for each in OVEN.commands)

    async def go():
        async with bench(tmp_path, register_map=replace(QUICK, commands=commands), is_off=True) as it:
            it.grant()
            job = await it.call("Status.PowerOn")
            await it.until(lambda: (steps := running(it, "Status.PowerOn").steps) and steps[-1].text == "Switch on")
            await it.call("Command.Stop", job=job["id"])
            assert (await over(it, "Status.PowerOn"))["outcome"] == "stopped"
            assert it.reach.wrote == [("machine/horn", 1.0), ("machine/horn", 0.0)]

    asyncio.run(go())


def test_a_stop_that_comes_while_the_heat_is_being_ended_does_not_leave_it_on(tmp_path):
    async def go():
        async with bench(tmp_path, register_map=quick, is_off=True) as it:
            await steps(it)

    async def steps(it):
        await warming(it)
        keeps = it.room._records.keep

        async def keep(job, asked=None):
            await keeps(job, asked)
            if job.steps and job.steps[-1].text.startswith("Switch the heaters off"):
                stops(it)

        it.room._records.keep = keep
        assert (await over(it, "Status.PowerOn"))["outcome"] in ("failed", "stopped")
        assert it.device.state in ("coolingDown", "standby")

    quick = replace(QUICK, power=replace(QUICK.power, warm_up_timeout_s=30.0))
    asyncio.run(go())


def test_a_store_that_fails_while_it_warms_up_leaves_no_heat(tmp_path):
    async def steps(it):
        it.grant()
        await it.call("Status.PowerOn")
        keeps = it.room._records.keep

        async def keep(job, asked=None):
            if it.device.state in ("starting", "warmingUp"):
                raise StoreError("the disk is full")
            await keeps(job, asked)

        it.room._records.keep = keep
        ended = await over(it, "Status.PowerOn")
        assert (ended["outcome"], ended["reason"]) == ("stopped", "It cannot be recorded any more: the disk is full.")
        assert it.device.state in ("coolingDown", "standby")

    journey(tmp_path, steps, is_off=True)


def test_a_horn_that_a_killed_agent_left_on_is_told_where_nothing_may_be_written(tmp_path, caplog):
    async def steps(it):
        it.grant()
        job = await it.call("Status.PowerOn")
        await it.until(lambda: it.device.read("machine/horn"))
        it.reach.deaf = {"machine/horn"}  # killed: nobody silences it
        await it.die_and_start_again()
        wrote = len(it.reach.wrote)
        await over(it, "Status.PowerOn")
        ended = await it.job(job["id"])
        assert (ended["state"], "The horn may still sound." in ended["reason"]) == ("stopped", True), ended
        assert "The horn may still sound." in caplog.text
        assert len(it.reach.wrote) == wrote

    journey(tmp_path, steps, is_off=True)


def test_a_horn_that_was_not_read_since_it_was_switched_on_is_not_taken_for_silent(tmp_path):
    async def steps(it):
        it.grant()

        def turned_off():
            it.device.remote = False

        meets_once(it, "machine/horn", 1.0, turned_off)
        job = await it.call("Status.PowerOn")
        ended = await it.ended(job["id"])
        assert it.device.read("machine/horn")
        assert (ended["state"], "The horn may still sound." in ended["reason"]) == ("stopped", True), ended

    journey(tmp_path, steps, is_off=True)
