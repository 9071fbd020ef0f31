"""A recipe is written, read back, named, and waited for; what goes wrong half-way is put back, or told exactly."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from edgeagent.config import ControlTable
from edgeagent.errors import Silent
from firmware_iface.simulated.faults import parse
from tests.control.bench import OVEN, bench
from tests.control.test_recipes import recipe

CHANGED = {"zone/1/top/setpoint": 132.0, "zone/2/top/setpoint": 147.0, "zone/3/top/setpoint": 167.0}
"""2 °C more in three zones: within the tolerance from the beginning."""

FAR = {"zone/1/top/setpoint": 140.0}


def on_bench(tmp_path, work, **more):
    async def go():
        async with bench(tmp_path, **more) as it:
            it.device.advance(600)
            it.run(3)
            it.grant()
            await work(it)

    asyncio.run(go())


async def started(it, changed=CHANGED, **more):
    await it.call("Recipe.Create", recipe=recipe(**changed) | more)
    return (await it.call("Recipe.Start", name="LEAD-FREE"))["id"]


async def passes(it, seconds):
    """Let time pass, and let the job look at each beat."""
    end = it.clock.now_ns + round(seconds * 1e9)
    await it.until(lambda: it.clock.now_ns >= end)


def wrote(it):
    return [path for path, _ in it.reach.wrote]


def stands(it, paths=CHANGED):
    return {path: it.device.read(path) for path in paths}


def texts(job):
    return [step["text"] for step in job["steps"]]


def test_only_what_differs_is_written_in_order_and_read_back_and_it_ends_when_the_oven_has_settled(tmp_path):
    async def work(it):
        id_ = await started(it)
        job = await it.ended(id_)
        assert (job["state"], job["reason"]) == ("done", None)
        assert wrote(it) == [*CHANGED, "recipe/version", "recipe/name"]
        assert stands(it) == CHANGED
        assert texts(job)[:4] == [
            "reads what the machine is set to",
            f"writes 3 of {len(recipe()['settings'])} settings, the others stand already",
            "reads everything back", "says that it is recipe LEAD-FREE version 1"]
        assert texts(job)[4] == ("waits until the machine is ready for it, 60 minutes at most: everything is within "
                                 "its tolerance, and must stay there for 5 s")
        assert it.unit.recipe()[0].name == "LEAD-FREE" and it.unit.recipe()[0].version == 1
        assert (await it.told("Recipe.Started"))[1:] == [
            {"recipe": "LEAD-FREE", "version": 1, "previous": "SAC305-A", "by": "mes"}]
        assert {e["by"] for e in await it.told("Recipe.SettingChanged")} <= {"mes"}
        assert [e["outcome"] for e in await it.told("Command.Executed") if e["function"] == "Recipe.Start"] == ["done"]

    on_bench(tmp_path, work)


def test_a_change_at_the_panel_in_the_middle_is_the_machines_and_ours_is_ours(tmp_path):
    async def work(it):
        def at_the_panel(path, _):
            if path == "zone/2/top/setpoint":
                it.device.write("zone/5/top/setpoint", 187.0)

        it.reach.meets = at_the_panel
        job = await it.ended(await started(it))
        assert job["state"] == "failed" and "zone/5/top/setpoint is 187, wanted 185, before 185" in job["reason"]
        assert "zone/5/top/setpoint" not in wrote(it), "what somebody set at the panel is left alone"
        assert stands(it) == {"zone/1/top/setpoint": 130.0, "zone/2/top/setpoint": 145.0, "zone/3/top/setpoint": 165.0}
        by = {(c["object"], e["by"]) for e in await it.told("Recipe.SettingChanged") for c in e["changes"]}
        assert ("zone/5/top", "machine") in by
        assert {who for object_, who in by if object_ in ("zone/1/top", "zone/2/top", "zone/3/top")} == {"mes"}

    on_bench(tmp_path, work)


def test_a_setting_that_the_oven_does_not_take_brings_back_what_stood_before(tmp_path):
    async def work(it):
        before = stands(it)
        it.reach.deaf.add("zone/3/top/setpoint")
        job = await it.ended(await started(it))
        assert job["state"] == "failed"
        assert job["reason"] == ("The machine did not take everything that was written. "
                                 "Everything stands as it did before.")
        assert stands(it) == before
        assert wrote(it) == [*CHANGED, "zone/2/top/setpoint", "zone/1/top/setpoint"], "the last first"
        assert it.unit.recipe()[0].name == "SAC305-A"
        assert [e["by"] for e in await it.told("Recipe.Started")] == ["machine"]

    on_bench(tmp_path, work)


def test_what_cannot_be_put_back_is_told_with_what_is_wanted_and_what_stands(tmp_path):
    async def work(it):
        def refuses(path, value):
            if path == "zone/3/top/setpoint" or (path == "zone/1/top/setpoint" and value == 130.0):
                raise Silent("it did not answer in time")

        it.reach.meets = refuses
        job = await it.ended(await started(it))
        assert job["state"] == "failed"
        assert "zone/1/top/setpoint is 132, wanted 132, before 130" in job["reason"]
        assert "could not all be written back: it did not answer in time" in job["reason"]
        assert stands(it) == {"zone/1/top/setpoint": 132.0, "zone/2/top/setpoint": 145.0, "zone/3/top/setpoint": 165.0}

    on_bench(tmp_path, work)


def test_an_oven_that_falls_silent_half_way_leaves_the_outcome_unknown_and_says_so(tmp_path):
    async def work(it):
        def dies(path, _):
            it.reach.is_dark |= path == "zone/2/top/setpoint"

        it.reach.meets = dies
        job = await it.ended(await started(it))
        assert job["state"] == "unknown" and "zone/1/top/setpoint is unknown, wanted 132, before 130" in job["reason"]

    on_bench(tmp_path, work)


def test_boards_inside_refuse_it_and_nothing_is_written(tmp_path):
    async def work(it):
        it.device.insert_board("PCB0001", 180.0)
        await it.until(it.unit.boards)
        await it.call("Recipe.Create", recipe=recipe(**CHANGED))
        refused = await it.refused("Recipe.Start", name="LEAD-FREE")
        assert refused.kind == "interlocked" and "1 board is inside lane 1" in refused.reason
        assert it.reach.wrote == []

    on_bench(tmp_path, work)


def test_where_it_is_configured_so_it_waits_for_the_lane_to_be_empty(tmp_path):
    async def work(it):
        it.device.insert_board("PCB0001", 180.0)
        await it.until(it.unit.boards)
        id_ = await started(it)
        await it.until(lambda: not it.unit.boards() or it.reach.wrote)
        assert it.reach.wrote == []
        job = await it.ended(id_)
        assert job["state"] == "done" and texts(job)[0].startswith("waits for an empty lane: 1 board is inside lane 1")
        assert wrote(it)[:3] == list(CHANGED)

    on_bench(tmp_path, work, settings=ControlTable(enabled=True, recipe_change="wait"))


def test_it_waits_no_longer_than_configured(tmp_path):
    async def work(it):
        it.device.insert_board("PCB0001", 180.0)
        await it.until(it.unit.boards)
        job = await it.ended(await started(it))
        assert job["state"] == "failed" and "within 0.5 minutes no lane became empty" in job["reason"]
        assert it.reach.wrote == []

    on_bench(tmp_path, work, settings=ControlTable(enabled=True, recipe_change="wait", recipe_wait_minutes=0.5))


def test_a_board_that_comes_while_it_is_written_stops_it_and_nothing_moves_over_the_board(tmp_path):
    async def work(it):
        def board(path, _):
            if path == "zone/2/top/setpoint" and not it.unit.boards():
                it.device.insert_board("PCB0001", 180.0)
                while not it.unit.boards():
                    it.run(1)

        it.reach.meets = board
        job = await it.ended(await started(it))
        assert job["state"] == "stopped" and "1 board is inside lane 1" in job["reason"]
        assert wrote(it) == ["zone/1/top/setpoint", "zone/2/top/setpoint"]
        assert "zone/1/top/setpoint is 132, wanted 132, before 130" in job["reason"]

    on_bench(tmp_path, work)


def enters(it):
    it.device.insert_board("PCB0001", 180.0)
    while not it.unit.boards():
        it.run(1)


def test_what_stood_before_is_not_put_back_over_a_board_even_where_all_settings_are_as_the_recipe_wants_them(tmp_path):
    async def work(it):
        it.reach.deaf = {"recipe/name"}
        it.reach.meets = lambda path, _: enters(it) if path == "recipe/name" and not it.unit.boards() else None
        job = await it.ended(await started(it))
        assert job["state"] == "failed", job
        assert "could not all be written back: 1 board is inside lane 1" in job["reason"]
        assert stands(it) == CHANGED

    on_bench(tmp_path, work)


def test_a_recipe_that_a_command_takes_over_is_not_taken_over_above_a_board(tmp_path):
    takes_over = replace(OVEN.command("alarmReset"), name="recipeStart", confirm=())

    async def work(it):
        it.reach.meets = lambda path, _: enters(it) if path == "recipe/name" and not it.unit.boards() else None
        job = await it.ended(await started(it))
        assert job["state"] == "stopped" and "1 board is inside lane 1" in job["reason"]
        assert "command/alarmReset" not in wrote(it)

    on_bench(tmp_path, work, register_map=replace(OVEN, commands=(*OVEN.commands, takes_over)))


def test_a_board_that_enters_while_the_former_settings_are_put_back_ends_that(tmp_path):
    async def work(it):
        def meets(path, value):
            if (path, value) == ("zone/2/top/setpoint", 147.0):
                (job,) = it.room.executor.jobs
                job.stopped_by = "anna"
                job.stop_asked.set()
            if (path, value) == ("zone/2/top/setpoint", 145.0):
                enters(it)

        it.reach.meets = meets
        job = await it.ended(await started(it))
        assert job["state"] == "stopped"
        assert "could not all be written back: 1 board is inside lane 1" in job["reason"]
        assert wrote(it)[-1] == "zone/2/top/setpoint", "the one that was on its way, and no other"
        assert it.device.read("zone/1/top/setpoint") == 132.0

    on_bench(tmp_path, work)


def test_a_stop_while_the_former_settings_are_put_back_does_not_leave_half_of_them(tmp_path):
    async def work(it):
        before = stands(it)

        def meets(path, value):
            if (path, value) == ("zone/2/top/setpoint", 145.0):
                (job,) = it.room.executor.jobs
                job.stopped_by = "anna"
                job.stop_asked.set()

        it.reach.deaf = {"zone/3/top/setpoint"}
        it.reach.meets = meets
        job = await it.ended(await started(it))
        assert (job["state"], stands(it)) == ("failed", before), job

    on_bench(tmp_path, work)


def test_boards_that_enter_before_the_oven_is_settled_are_not_ready_and_it_says_how_far_it_is(tmp_path):
    async def work(it):
        id_ = await started(it, FAR, settlingSeconds=60)
        await it.until(lambda: it.unit.recipe()[0].name == "LEAD-FREE")
        it.device.insert_board("PCB0001", 180.0)
        await it.until(it.unit.boards)
        job = await it.ended(id_)
        assert job["state"] == "done"
        assert any("values are within their tolerance; zone/1/top/temperature is 1" in text for text in texts(job))
        [entered] = await it.told("Board.ProcessStarted")
        assert entered["board"]["processReady"] is False
        it.device.insert_board("PCB0002", 180.0)
        await it.until(lambda: len(it.unit.boards()) == 2)
        assert [e["board"]["processReady"] for e in await it.told("Board.ProcessStarted")] == [False, True]

    on_bench(tmp_path, work)


def test_an_oven_that_does_not_come_to_it_in_time_fails_with_what_is_not_there(tmp_path):
    async def work(it):
        id_ = await started(it, {"zone/1/top/setpoint": 340.0})
        await it.until(lambda: it.unit.recipe()[0].name == "LEAD-FREE")
        await passes(it, 1)
        it.clock.now_ns += 7_200_000_000_000
        it.run(1)
        job = await it.ended(id_)
        assert job["state"] == "failed" and "zone/1/top/temperature is" in job["reason"]
        assert "was not ready for it in 60 minutes" in job["reason"]
        assert it.device.read("zone/1/top/setpoint") == 340.0, "it is written, and stands"

    on_bench(tmp_path, work)


def test_a_stop_while_it_waits_leaves_the_recipe_and_a_stop_while_it_writes_brings_back_the_former(tmp_path):
    async def work(it):
        before = stands(it)
        jobs = []

        write = it.reach.write

        async def stopped(path, value, allows):
            await write(path, value, allows)
            if path == "zone/2/top/setpoint" and value == CHANGED[path]:
                await it.call("Command.Stop", job=jobs[0])

        it.reach.write = stopped
        jobs.append(await started(it))
        job = await it.ended(jobs[0])
        assert (job["state"], stands(it)) == ("stopped", before)
        assert job["reason"] == "mes stopped it. Everything stands as it did before."
        it.reach.write = write
        await it.call("Recipe.Update", recipe=recipe(**CHANGED) | {"settlingSeconds": 600})
        jobs[:] = [(await it.call("Recipe.Start", name="LEAD-FREE"))["id"]]
        await it.until(lambda: it.unit.recipe()[0].version == 2)
        await passes(it, 1)
        await it.call("Command.Stop", job=jobs[0])
        job = await it.ended(jobs[0])
        assert job["state"] == "stopped" and job["reason"].endswith("The recipe is written and stands.")
        assert stands(it) == CHANGED

    on_bench(tmp_path, work)


def test_to_wait_for_the_oven_needs_no_remote_control_and_can_still_be_stopped(tmp_path):
    async def work(it):
        id_ = await started(it, settlingSeconds=600)
        await it.until(lambda: it.unit.recipe()[0].name == "LEAD-FREE")
        it.device.remote = False
        await it.until(lambda: it.unit.status().control == "local")
        await passes(it, 5)
        assert (await it.job(id_))["state"] == "running"
        await it.call("Command.Stop", job=id_)
        job = await it.ended(id_)
        assert (job["state"], job["reason"]) == ("stopped", "mes stopped it. The recipe is written and stands.")

    on_bench(tmp_path, work)


def test_remote_control_that_ends_at_the_panel_while_it_is_written_leaves_it_and_says_what_stands(tmp_path):
    async def work(it):
        def switched(path, _):
            if path == "zone/2/top/setpoint":
                it.device.remote = False
                it.run(3)

        it.reach.meets = switched
        job = await it.ended(await started(it))
        assert job["state"] == "stopped" and wrote(it) == ["zone/1/top/setpoint", "zone/2/top/setpoint"]
        assert "zone/1/top/setpoint is 132, wanted 132, before 130" in job["reason"]
        assert "zone/2/top/setpoint is 147, wanted 147, before 145" in job["reason"]
        assert "could not be brought to a safe state" in job["reason"]

    on_bench(tmp_path, work)


@pytest.mark.parametrize(("state", "reason"), [("coolingDown", "is coolingDown"), ("off", "is off")])
def test_a_machine_that_cannot_come_to_a_recipe_is_not_given_one(tmp_path, state, reason):
    async def work(it):
        it.device.switch_off() if state == "off" else it.device.cool_down()
        await it.until(lambda: it.unit.status().state == state)
        await it.call("Recipe.Create", recipe=recipe(**CHANGED))
        refused = await it.refused("Recipe.Start", name="LEAD-FREE")
        assert (refused.kind, reason in refused.reason) == ("interlocked", True)

    on_bench(tmp_path, work)


async def killed(it, when):
    """The agent dies at the write of a path, or once all of it stands."""
    reached = asyncio.Event()
    holds = asyncio.Event()
    write = it.reach.write

    async def stuck(path, value, allows):
        if path == when:
            reached.set()
            await holds.wait()
        await write(path, value, allows)

    it.reach.write = stuck
    id_ = await started(it, settlingSeconds=60)
    await it.until(lambda: reached.is_set() or (when is None and it.unit.recipe()[0].name == "LEAD-FREE"))
    it.reach.write = write
    await it.die_and_start_again()
    return id_


@pytest.mark.parametrize(("when", "state", "reason"), [
    ("zone/1/top/setpoint", "failed", "nothing changed"),
    ("zone/3/top/setpoint", "failed", "zone/2/top/setpoint is 147, wanted 147, before 145"),
    ("recipe/version", "stopped", "All its settings stand, its name could not be told"),
    (None, "done", None),
])  # fmt: skip
def test_after_a_restart_it_looks_what_stands_and_writes_nothing_without_remote_control(tmp_path, when, state, reason):
    async def work(it):
        id_ = await killed(it, when)
        count = len(it.reach.wrote)
        job = await it.ended(id_)
        assert job["state"] == state, job
        assert (job["reason"] is None) if reason is None else (reason in job["reason"])
        assert len(it.reach.wrote) == count

    on_bench(tmp_path, work)


def test_a_restart_before_anything_was_written_is_told_as_that(tmp_path):
    async def work(it):
        it.device.insert_board("PCB0001", 180.0)
        await it.until(it.unit.boards)
        id_ = await started(it)
        it.run(1)
        await asyncio.sleep(0.05)
        await it.die_and_start_again()
        job = await it.ended(id_)
        assert job["state"] == "failed" and "before" in job["reason"]

    on_bench(tmp_path, work, settings=ControlTable(enabled=True, recipe_change="wait"))


def test_an_agent_that_died_before_the_end_of_a_started_recipe_was_recorded_does_not_deny_it(tmp_path):
    async def work(it):
        write = it.audit.write

        async def stuck(*entries):
            if entries[0].kind == "outcome":
                await asyncio.Event().wait()
            await write(*entries)

        id_ = await started(it)
        it.audit.write = stuck
        (running,) = it.room.executor.jobs
        await it.until(lambda: running.job.ended_at)
        it.audit.write = write
        await it.die_and_start_again()
        job = await it.ended(id_)
        assert (job["state"], job["reason"]) == ("done", None)

    on_bench(tmp_path, work)


def test_a_board_that_enters_while_the_agent_is_restarted_is_not_ready_as_long_as_the_oven_is_not(tmp_path):
    async def work(it):
        id_ = await started(it, settlingSeconds=300)
        await it.until(lambda: it.unit.recipe()[0].name == "LEAD-FREE" and it.unit.status().state == "ready")
        await it.room.close()
        assert it.unit.pipeline._memory.state.held, "it is kept with the machine's checkpoint"
        it.device.insert_board("PCB0001", 180.0)
        while not it.unit.boards():
            it.run(0.1)
        await it.die_and_start_again()
        assert [board["board"]["processReady"] for board in await it.told("Board.ProcessStarted")] == [False]
        assert (await it.ended(id_))["state"] == "done"

    on_bench(tmp_path, work)


def test_a_hold_of_a_job_that_is_gone_ends_with_the_next_start(tmp_path):
    async def work(it):
        it.unit.hold_ready("recipe LEAD-FREE version 1 is not settled yet")
        await it.die_and_start_again()
        it.device.insert_board("PCB0001", 180.0)
        await it.until(it.unit.boards)
        assert [board["board"]["processReady"] for board in await it.told("Board.ProcessStarted")] == [True]

    on_bench(tmp_path, work)


def test_an_oven_in_emergency_stop_is_not_ready_for_a_recipe_however_warm_it_still_is(tmp_path):
    async def work(it):
        id_ = await started(it, settlingSeconds=10)
        await it.until(lambda: it.unit.recipe()[0].name == "LEAD-FREE")
        it.device.add_fault(parse(f"emergency-stop@{it.device.time}+20"))
        await it.until(lambda: it.unit.status().state == "emergencyStop")
        await passes(it, 11)
        assert it.unit.status().state == "emergencyStop"
        assert (await it.job(id_))["state"] == "running"

    on_bench(tmp_path, work)
