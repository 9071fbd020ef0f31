"""Power as jobs of the real control room: idle machines, what gives way, what is stopped, and resets too often."""

import asyncio

import pytest

from edgeagent.errors import CommandRefused
from tests.control.commanded_stand import CommandedStand, commanded


def ready() -> CommandedStand:
    it = CommandedStand()
    while it.device.state != "ready":
        it.device.advance(1)
    it.run(3)
    it.emptied()
    return it


def off() -> CommandedStand:
    it = CommandedStand()
    it.device._sequence.mode = "off"
    it.run(3)
    it.emptied()
    return it


def journey(folder, it, steps, **settings):
    async def go():
        async with asyncio.timeout(120), commanded(folder, it, **settings) as room:
            await steps(room)

    asyncio.run(go())


def test_a_machine_is_switched_on_and_off_by_jobs_that_can_be_watched(tmp_path):
    async def steps(room):
        with pytest.raises(CommandRefused) as refused:
            await room.call("Status.PowerOn")
        assert refused.value.kind == "notRemote"
        room.grant()
        job = await room.call("Status.PowerOn", request_id="morning")
        assert job.state == "accepted"
        assert (await room.call("Status.PowerOn", request_id="morning"))["id"] == job.id
        await room.until(lambda: room.ended("Status.PowerOn")[1:])
        done = room.ended("Status.PowerOn")[-1]
        assert (done.job, done.outcome, done.reason) == (job.id, "done", "It is ready: zones are at their setpoints.")
        assert room.it.device.state == "ready"
        assert not room.it.device.wire.orders.values["machine/horn"]
        written = [entry.values for entry in room.audit.entries if entry.kind == "write"]
        assert written == [{"machine/horn": 1.0}, {"machine/horn": 0.0}, {"command/powerOn": 1}]
        await room.call("Status.PowerOff")
        await room.until(lambda: room.ended("Status.PowerOff"))
        assert room.ended("Status.PowerOff")[-1].outcome == "done"
        assert room.it.device.state == "off"
        assert not room.it.device.was_cut_hot

    journey(tmp_path, off(), steps)


def test_a_job_that_is_stopped_while_it_warms_up_leaves_no_heat(tmp_path):
    async def steps(room):
        room.grant()
        job = await room.call("Status.PowerOn")
        await room.until(lambda: room.it.device.state == "warmingUp")
        await room.until(lambda: room.running("Status.PowerOn").steps[-1].text.startswith("Warm up"))
        stopping = asyncio.create_task(room.call("Command.Stop", job=job.id))
        await room.until(lambda: room.ended("Status.PowerOn"))
        await stopping
        ended = room.ended("Status.PowerOn")[-1]
        assert (ended.outcome, ended.reason) == ("stopped", "anna stopped it.")
        assert room.it.device.state == "coolingDown"

    journey(tmp_path, off(), steps)


def test_remote_control_that_is_given_back_while_it_warms_up_leaves_no_heat(tmp_path):
    async def steps(room):
        room.grant()
        await room.call("Status.PowerOn")
        await room.until(lambda: room.it.device.state == "warmingUp")
        room.room.machines["RO0001"].remote.release("anna")
        await room.until(lambda: room.ended("Status.PowerOn"))
        assert room.ended("Status.PowerOn")[-1].outcome == "stopped"
        assert room.it.device.state == "coolingDown"

    journey(tmp_path, off(), steps)


def test_a_panel_that_takes_control_is_left_alone(tmp_path):
    async def steps(room):
        room.grant()
        await room.call("Status.PowerOn")
        await room.until(lambda: room.it.device.state == "warmingUp")
        room.it.device.remote = False
        await room.until(lambda: room.ended("Status.PowerOn"))
        ended = room.ended("Status.PowerOn")[-1]
        assert ended.outcome == "stopped"
        assert "The machine goes on by itself" in ended.reason
        assert room.it.device.state == "warmingUp"

    journey(tmp_path, off(), steps)


def test_an_idle_machine_is_announced_and_switched_off_where_it_is_configured(tmp_path):
    async def steps(room):
        await room.until(lambda: room.it.clock.now_ns > 1_500_000_000_000)
        assert not room.ended("Status.PowerOff"), "local control: it is left alone"
        room.grant()
        await room.until(lambda: room.running("Status.PowerOff"))
        await room.until(lambda: room.running("Status.PowerOff").steps)
        job = room.running("Status.PowerOff")
        assert job.by == "agent: idle"
        assert job.steps[0].text.startswith("Nothing comes: it is switched off in 2 minutes")
        assert room.it.device.state == "ready"
        await room.until(lambda: room.ended("Status.PowerOff"))
        assert room.ended("Status.PowerOff")[-1].outcome == "done"
        assert room.it.device.state == "off"
        assert not room.it.device.was_cut_hot

    journey(tmp_path, ready(), steps, auto_off_minutes=5, auto_off_warning_minutes=2)


@pytest.mark.parametrize("what", ["a board", "a command"])
def test_a_board_or_a_command_during_the_announcement_keeps_the_machine_on(tmp_path, what):
    async def steps(room):
        room.grant()
        await room.until(lambda: (job := room.running("Status.PowerOff")) and job.steps)
        if what == "a board":
            room.it.device.insert_board("PCB1")
        else:
            await room.answered("Alarm.ResetAll")
        await room.until(lambda: room.ended("Status.PowerOff"), 0.5)
        ended = room.ended("Status.PowerOff")[-1]
        assert ended.outcome == "stopped"
        assert ended.reason == ("A board came." if what == "a board" else "anna stopped it.")
        assert room.it.device.state in ("ready", "running")
        await room.until(lambda: room.it.clock.now_ns > 1_500_000_000_000)
        assert room.it.device.is_heating

    journey(tmp_path, ready(), steps, auto_off_minutes=5, auto_off_warning_minutes=2)


def test_a_machine_without_the_configuration_stays_on(tmp_path):
    async def steps(room):
        room.grant()
        await room.until(lambda: room.it.clock.now_ns > 1_900_000_000_000)
        assert room.it.device.state == "ready"
        assert not room.ended("Status.PowerOff")

    journey(tmp_path, ready(), steps)


def test_alarms_are_reset_five_times_in_a_quarter_of_an_hour(tmp_path):
    async def steps(room):
        room.grant()
        for _ in range(5):
            assert (await room.answered("Alarm.ResetAll"))["remaining"] == []
        with pytest.raises(CommandRefused, match="reset 5 times") as refused:
            await room.answered("Alarm.ResetAll")
        assert refused.value.kind == "tooMany"
        await room.until(lambda: room.it.clock.now_ns > 1_920_000_000_000)
        assert (await room.answered("Alarm.ResetAll"))["remaining"] == []

    journey(tmp_path, ready(), steps)


def test_a_board_is_booked_out_and_an_alarm_taken_notice_of_without_remote_control(tmp_path):
    async def steps(room):
        room.it.device.insert_board("PCB1")
        await room.until(room.it.boards, 0.1)
        await room.until(lambda: room.it.boards()[0].length_mm, 0.1)
        board = room.it.boards()[0].id
        answer = await room.answered("Board.Remove", id=board, reason="it fell down")
        assert answer == {"machine": "RO0001", "boards": [board]}
        for conveyor in room.it.device.conveyors.values():
            conveyor.boards.clear()
        room.it.fault("air-lost@0+3")
        await room.until(room.it.alarms)
        alarm = next(alarm for alarm in room.it.alarms() if alarm.code == "E082")
        answer = await room.answered("Alarm.Acknowledge", id=alarm.id)
        assert (answer["id"], answer["acknowledgedBy"]) == (alarm.id, "anna")
        assert (await room.it.archive.alarms.get(alarm.id)).acknowledged_by == "anna"
        assert await room.answered("Alarm.Acknowledge", id=alarm.id) == answer
        assert sum(event.topic == "Alarm.Acknowledged" for event in room.it.events) == 1
        with pytest.raises(CommandRefused) as refused:
            await room.answered("Alarm.Acknowledge", id="nobody's")
        assert refused.value.kind == "notFound"
        assert await room.answered("Board.ConfirmEmpty", reason="looked") == {"machine": "RO0001", "boards": []}

    journey(tmp_path, ready(), steps)
