"""A job to its end: when control is withdrawn, when it is stopped, when the link or the agent dies at any moment."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime

import pytest

from edgeagent.clock import iso
from edgeagent.control.procedure import Failed, NotConfirmed, Procedure, Stopped, Unknown, Withdrawn
from edgeagent.errors import BadAnswer, Broken, CommandRefused, NotWritable, Refused, Silent, Unreachable
from edgeagent.model.callers import Caller
from edgeagent.model.commands import Job
from edgeagent.model.users import Certificate
from tests.control.bench import ENGINEER, SETPOINT, bench
from tests.control.test_executor import SET, on_bench

OTHER = "zone/4/top/setpoint"


def staged(**more):
    """A procedure in stages: a write, a wait until the test lets it go on, another write; and then it is safe."""

    class Staged(Procedure):
        takes_long = True
        gate = asyncio.Event()
        interlocked = ""

        def __init__(self, it, asked, context):
            self.it = it

        @property
        def safe(self):
            return frozenset((SETPOINT,))

        def interlocks(self):
            if Staged.interlocked:
                yield Staged.interlocked

        async def run(self, work):
            await work.step("first")
            await work.write(SETPOINT, 170.0)
            await work.step("second")
            try:
                await work.until(Staged.gate.is_set, more.get("timeout_s", 600))
                await work.write(OTHER, 180.0)
            except (Stopped, Withdrawn) as error:
                with pytest.raises(type(error)):
                    await work.write(OTHER, 181.0)
                await work.write(SETPOINT, 165.0)
                raise
            return "both stand"

        async def resume(self, work):
            await work.step("third")
            if more.get("writes_again"):
                await work.write(SETPOINT, 165.0)
            value = (await work.read(SETPOINT))[SETPOINT]
            raise Unknown(f"it shows {value}")

    return Staged


def on_stages(tmp_path, work, caller=ENGINEER, /, **more):
    stage = staged(**more)

    async def go():
        stage.gate = asyncio.Event()
        async with bench(tmp_path, procedures={SET: stage}) as it:
            it.grant()
            answer = await it.set(178.0, caller, requestId="a")
            await it.until(lambda: (SETPOINT, 170.0) in it.reach.wrote)
            await work(it, stage, answer["id"])

    asyncio.run(go())


def test_a_stage_that_is_over_is_followed_by_the_next(tmp_path):
    async def work(it, stage, job):
        assert (await it.job(job))["state"] == "running"
        stage.gate.set()
        ended = await it.ended(job)
        assert (ended["state"], ended["reason"]) == ("done", "both stand")
        assert it.reach.wrote == [(SETPOINT, 170.0), (OTHER, 180.0)]

    on_stages(tmp_path, work)


def test_who_may_start_a_job_may_stop_it_and_it_comes_to_its_safe_state(tmp_path):
    async def work(it, stage, job):
        operator = Caller("shift", "operator", "lines", "", is_authenticated=True)
        assert (await it.refused("Command.Stop", operator, job=job)).kind == "forbidden"
        anybody = Caller("loopback", "viewer", "lines", "")
        assert (await it.refused("Command.Stop", anybody, job=job)).kind == "unauthenticated"
        only = Caller("power", "-", "lines", "", frozenset((SET,)), is_authenticated=True)
        assert (await it.call("Command.Stop", only, job=job))["state"] == "running"
        ended = await it.ended(job)
        assert (ended["state"], ended["reason"]) == ("stopped", "power stopped it.")
        assert it.reach.wrote == [(SETPOINT, 170.0), (SETPOINT, 165.0)]
        assert (await it.refused("Command.Stop", ENGINEER, job=job)).kind == "notFound"
        assert [e["outcome"] for e in await it.told("Command.Executed")] == ["stopped"]

    on_stages(tmp_path, work)


def test_a_lease_that_ends_brings_the_job_to_its_safe_state(tmp_path):
    async def work(it, stage, job):
        it.remote.release("console:anna")
        ended = await it.ended(job)
        assert ended["state"] == "stopped"
        assert "Control became local" in ended["reason"]
        assert it.reach.wrote == [(SETPOINT, 170.0), (SETPOINT, 165.0)]

    on_stages(tmp_path, work)


def test_once_the_machines_own_switch_is_off_nothing_at_all_is_written(tmp_path):
    async def work(it, stage, job):
        it.device.remote = False
        ended = await it.ended(job)
        assert ended["state"] == "stopped"
        assert "could not be brought to a safe state: the switch at its panel says so" in ended["reason"]
        assert it.reach.wrote == [(SETPOINT, 170.0)]
        assert [(e["from"], e["to"], e["by"]) for e in await it.told("Status.ControlChanged")][-1] == (
            "remote", "local", "machine")

    on_stages(tmp_path, work)


def test_an_interlock_that_no_longer_holds_keeps_the_next_stage_from_being_written(tmp_path):
    async def work(it, stage, job):
        stage.interlocked = "A board is inside."
        stage.gate.set()
        ended = await it.ended(job)
        assert (ended["state"], ended["reason"]) == ("stopped", "A board is inside.")
        assert it.reach.wrote == [(SETPOINT, 170.0), (SETPOINT, 165.0)]

    on_stages(tmp_path, work)


def test_a_job_that_ran_when_the_agent_died_ends_with_what_is_there_and_commands_nothing(tmp_path):
    async def work(it, stage, job):
        await it.die_and_start_again()
        ended = await it.ended(job)
        assert (ended["state"], ended["reason"]) == ("unknown", "it shows 170.0")
        steps = [step["text"] for step in ended["steps"]]
        assert (steps[0], steps[-1]) == ("first", "third")
        assert [e["job"] for e in await it.told("Command.Executed")] == [job]
        assert (await it.set(requestId="a"))["id"] == job

    on_stages(tmp_path, work)


def test_after_a_restart_a_job_writes_only_when_control_is_remote_again(tmp_path):
    async def work(it, stage, job):
        await it.die_and_start_again()
        ended = await it.ended(job)
        assert (ended["state"], "local" in ended["reason"]) == ("stopped", True)
        assert it.reach.wrote == [(SETPOINT, 170.0)]

    on_stages(tmp_path, work, writes_again=True)


CARD = Certificate("ab" * 32, "mes.plant", datetime(2099, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("user_or_proof", ["mes", "0d5e1a7c", CARD.fingerprint])
def test_after_a_restart_a_job_of_a_user_who_was_revoked_meanwhile_writes_nothing(tmp_path, user_or_proof):
    by_card = dataclasses.replace(ENGINEER, token="", certificate=CARD)

    async def work(it, stage, job):
        it.revoked.add(user_or_proof)
        await it.die_and_start_again()
        it.grant()
        ended = await it.ended(job)
        assert (ended["state"], "may not command it any more" in ended["reason"]) == ("stopped", True), ended
        assert it.reach.wrote == [(SETPOINT, 170.0)]

    on_stages(tmp_path, work, by_card if user_or_proof == CARD.fingerprint else ENGINEER, writes_again=True)


def test_a_user_who_is_revoked_while_a_job_runs_writes_nothing_but_what_is_safe(tmp_path):
    async def work(it, stage, job):
        it.revoked.add("mes")
        stage.gate.set()
        ended = await it.ended(job)
        assert (ended["state"], "may not command it any more" in ended["reason"]) == ("stopped", True), ended
        assert it.reach.wrote == [(SETPOINT, 170.0), (SETPOINT, 165.0)]
        assert (await it.refused("Command.Stop", job=job)).kind in ("notFound", "unauthenticated")

    on_stages(tmp_path, work)


def test_an_agent_that_dies_at_any_step_tells_the_truth_of_its_job(tmp_path):
    """Die after each number of turns of the loop; whatever was written by then is known, or told as unknown."""

    async def go(turns: int) -> str:
        async with bench(tmp_path / str(turns)) as it:
            it.grant()
            asked = asyncio.ensure_future(it.set(178.0, requestId="a"))
            for _ in range(turns):
                if turns > 3:
                    await asyncio.sleep(0.0005)
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            await it.die_and_start_again()
            jobs, _ = await it.archive.jobs.find()
            if not jobs:
                assert not it.reach.wrote, "what was never recorded was never written"
                return "nothing"
            job = await it.ended((await it.set(178.0, requestId="a"))["id"])
            stands = it.device.read(SETPOINT)
            assert len(it.reach.wrote) <= 1, "nothing is written twice"
            if job["state"] == "done":
                assert stands == 178.0
            else:
                assert job["state"] == "failed", job
                assert stands == 165.0
            assert len(await it.told("Command.Executed")) == 1
            return job["state"]

    states = {asyncio.run(go(turns)) for turns in (0, 1, 2, 4, 8, 16, 32, 64)}
    assert states <= {"nothing", "failed", "done"}


def test_a_link_that_dies_between_the_write_and_the_read_back_leaves_it_unknown(tmp_path):
    async def work(it):
        it.grant()
        it.reach.meets = lambda path, value: setattr(it.reach, "is_dark", True)
        job = await it.ended((await it.set(178.0))["id"])
        assert job["state"] == "unknown"
        assert "did not answer in time" in job["reason"]
        assert len(it.reach.wrote) == 1, "it is not written a second time"

    on_bench(tmp_path, work)


@pytest.mark.parametrize(("raised", "state"), [
    (Silent("no answer"), "unknown"), (BadAnswer("odd"), "unknown"), (Broken("cut off"), "unknown"),
    (Refused("illegal value", 3), "failed"), (NotWritable("never"), "failed"), (Unreachable("not known"), "failed"),
])
def test_a_write_that_may_have_arrived_is_unknown_and_one_that_surely_did_not_failed(tmp_path, raised, state):
    async def work(it):
        def meets(*_):
            raise raised

        it.grant()
        it.reach.meets = meets
        assert (await it.ended((await it.set(178.0))["id"]))["state"] == state

    on_bench(tmp_path, work)


def test_a_value_that_the_machine_does_not_take_is_not_confirmed(tmp_path):
    async def work(it):
        it.grant()
        it.reach.deaf = {SETPOINT}
        job = await it.ended((await it.set(178.0))["id"])
        assert (job["state"], "it is as it was" in job["reason"]) == ("failed", True), job

    on_bench(tmp_path, work)


def test_a_value_that_the_machine_takes_for_another_is_put_back_and_said(tmp_path):
    async def work(it):
        it.grant()
        write = it.reach.write

        async def off_by_one(path, value, allows):
            await write(path, value + 1 if value == 178.0 else value, allows)

        it.reach.write = off_by_one
        job = await it.ended((await it.set(178.0))["id"])
        assert job["state"] == "failed"
        assert job["reason"].endswith("the former value 165.0 was put back.")
        assert it.device.read(SETPOINT) == 165.0

    on_bench(tmp_path, work)


@pytest.mark.parametrize(("raised", "state", "reason"), [
    (Failed("It did not."), "failed", "It did not."),
    (NotConfirmed("No."), "failed", "No."),
    (Unknown("Who knows."), "unknown", "Who knows."),
    (Silent("no answer"), "failed", "Nothing was written: no answer."),
    (CommandRefused("notFound", "There is none."), "refused", "There is none."),
    (ZeroDivisionError(), "failed", "Nothing was written: the agent failed; its log tells more."),
])
def test_each_way_to_end_is_told_as_it_is(tmp_path, raised, state, reason):
    class Ends(Procedure):
        def __init__(self, *_):
            pass

        async def run(self, work):
            raise raised

    async def work(it):
        it.grant()
        job = await it.ended((await it.set())["id"])
        assert (job["state"], job["reason"]) == (state, reason)

    on_bench(tmp_path, work, procedures={SET: Ends})


def test_a_pulse_is_taken_back_and_its_confirmation_waited_for(tmp_path):
    class Off(Procedure):
        def __init__(self, *_):
            pass

        async def run(self, work):
            await work.command("powerOff")

    async def work(it):
        it.grant()
        job = await it.ended((await it.set())["id"])
        assert job["state"] == "done", job
        assert it.reach.wrote == [("command/powerOff", 1.0), ("command/powerOff", 0.0)]
        assert it.device.state == "off"

    on_bench(tmp_path, work, procedures={SET: Off})


def test_a_command_that_the_machine_does_not_do_is_not_confirmed(tmp_path):
    class Off(Procedure):
        def __init__(self, *_):
            pass

        async def run(self, work):
            await work.command("powerOff")

    async def work(it):
        it.grant()
        it.reach.deaf = {"command/powerOff"}
        job = await it.ended((await it.set())["id"])
        assert (job["state"], "did not do powerOff within" in job["reason"]) == ("failed", True)

    on_bench(tmp_path, work, procedures={SET: Off})


def test_a_job_of_a_machine_that_is_served_no_more_ends_unknown_and_is_told(tmp_path):
    async def work(it):
        job = Job(id="01J", function=SET, machine="RO0009", request_id=None, by="mes", state="running",
                  accepted_at=iso(it.clock.wall_ns()))
        await it.room._records.keep(job)
        await it.die_and_start_again()
        ended = await it.ended("01J")
        assert (ended["state"], "does not serve RO0009" in ended["reason"]) == ("unknown", True)
        (told,) = await it.told("Command.Executed")
        assert (told["job"], told["outcome"]) == ("01J", "unknown")

    on_bench(tmp_path, work)


@pytest.mark.parametrize("what", ["audit", "answer"])
def test_an_end_that_cannot_be_told_leaves_the_machine_free(tmp_path, what):
    class Ends(Procedure):
        takes_long = answers_when_done = True

        def __init__(self, *_):
            pass

        async def run(self, work):
            return None

        def answer(self, job):
            return 1 / 0 if what == "answer" else job

    async def work(it):
        it.grant()
        write = it.audit.write

        async def odd(*entries):
            if what == "audit" and entries[0].kind == "outcome":
                raise ValueError("NaN")
            await write(*entries)

        it.audit.write = odd
        if what == "answer":
            assert (await it.refused(SET, **it.asks())).kind == "internal"
        else:
            assert (await it.set())["state"] == "done"
        assert not it.room.executor.jobs

    on_bench(tmp_path, work, procedures={SET: Ends})


def test_a_tunnel_that_was_taken_for_empty_when_the_agent_died_is_not_said_to_be_untouched(tmp_path):
    async def work(it):
        write, reached = it.audit.write, asyncio.Event()

        async def stuck(*entries):
            if entries[0].kind == "outcome":
                reached.set()
                await asyncio.Event().wait()
            await write(*entries)

        it.audit.write = stuck
        call = asyncio.create_task(it.call("Board.ConfirmEmpty", reason="looked"))
        await reached.wait()
        (running,) = it.room.executor.jobs
        it.audit.write = write
        await it.die_and_start_again()
        with pytest.raises(CommandRefused, match="about to end"):
            await call
        job = await it.ended(running.job.id)
        assert (job["state"], "0 boards count as inside now" in job["reason"]) == ("unknown", True), job

    on_bench(tmp_path, work)


def test_a_job_that_is_taken_up_keeps_the_token_of_its_caller(tmp_path):
    """A token that is revoked while the agent is down commands nothing any more."""
    async def work(it):
        it.grant()
        await it.set(178.0, dataclasses.replace(ENGINEER, token="t1"))
        (running,) = it.room.executor.jobs
        await running.begin()
        await it.die_and_start_again()
        (running,) = it.room.executor.jobs
        assert (running.caller.name, running.caller.token) == ("mes", "t1")
        await it.ended(running.job.id)

    on_bench(tmp_path, work)


def a_board_enters(it, stage):
    stage.interlocked = "A board is inside."


def the_switch_is_turned(it, stage):
    it.device.remote = False
    it.run(0.3)


def the_lease_runs_out(it, stage):
    it.remote.release("console:anna")


def the_user_is_revoked(it, stage):
    it.revoked.add("mes")


def somebody_stops_it(it, stage):
    (running,) = it.room.executor.jobs
    running.stopped_by = "anna"
    running.stop_asked.set()


@pytest.mark.parametrize("happens", [a_board_enters, the_switch_is_turned, the_lease_runs_out, the_user_is_revoked,
                                     somebody_stops_it])
def test_what_happens_while_a_write_waits_for_its_turn_on_the_wire_keeps_it_back(tmp_path, happens):
    async def work(it, stage, job):
        it.reach.waits = lambda path, _: happens(it, stage) if path == OTHER else None
        stage.gate.set()
        ended = await it.ended(job)
        assert ended["state"] == "stopped", ended
        assert OTHER not in dict(it.reach.wrote)
        safe = [] if happens is the_switch_is_turned else [(SETPOINT, 165.0)]
        assert it.reach.wrote == [(SETPOINT, 170.0), *safe]

    on_stages(tmp_path, work)


@pytest.mark.parametrize("error", [Refused("it refused", 3), Unreachable("no connection"), NotWritable("never")])
def test_the_same_value_set_at_the_panel_after_a_write_that_surely_failed_is_the_machines(tmp_path, error):
    async def work(it):
        it.grant()
        it.reach.meets = lambda *_: fails(error)
        ended = await it.ended((await it.set(178.0))["id"])
        assert ended["state"] == "failed", ended
        it.device.write(SETPOINT, 178.0)
        it.run(5)
        await it.settled()
        assert [(e["by"], e["changes"][0]["to"]) for e in await it.told("Recipe.SettingChanged")] == [
            ("machine", 178.0)]

    on_bench(tmp_path, work)


@pytest.mark.parametrize("error", [Silent("no answer"), BadAnswer("another"), Broken("the connection broke")])
def test_a_value_that_may_have_been_written_is_the_callers_where_it_comes(tmp_path, error):
    async def work(it):
        it.grant()
        it.reach.meets = lambda *_: fails(error)
        ended = await it.ended((await it.set(178.0))["id"])
        assert ended["state"] == "unknown", ended
        it.device.write(SETPOINT, 178.0)
        it.run(5)
        await it.settled()
        assert [e["by"] for e in await it.told("Recipe.SettingChanged")] == ["mes"]

    on_bench(tmp_path, work)


def fails(error):
    raise error
