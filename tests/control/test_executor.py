"""A command from its request to its end: answered at once, done once, recorded, and told."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3

import pytest

from edgeagent.clock import iso
from edgeagent.config import ControlTable
from edgeagent.control.executor import KEPT_NS
from edgeagent.errors import StoreError
from edgeagent.model.callers import Caller
from edgeagent.store.salvaged import Salvaged, Table, keep
from tests.control.bench import ENGINEER, SETPOINT, bench

SET = "Configuration.SetObjectParameter"


def on_bench(tmp_path, work, **more):
    async def go():
        async with bench(tmp_path, **more) as it:
            await work(it)

    asyncio.run(go())


def test_a_command_is_answered_at_once_done_read_back_and_told(tmp_path):
    async def work(it):
        it.grant()
        answer = await it.set(178.0, requestId="4711")
        assert (answer["state"], answer["by"], answer["requestId"]) == ("accepted", "mes", "4711")
        job = await it.ended(answer["id"])
        assert (job["state"], job["reason"]) == ("done", None)
        assert [step["text"] for step in job["steps"]] == [f"{SETPOINT} is written", f"{SETPOINT} is read back"]
        assert all(step["startedAt"] <= step["endedAt"] for step in job["steps"])
        assert it.device.read(SETPOINT) == 178.0
        assert it.reach.wrote == [(SETPOINT, 178.0)]
        assert await it.told("Command.Executed") == [{
            "job": answer["id"], "requestId": "4711", "function": SET, "by": "mes", "outcome": "done", "reason": None}]
        assert [(e["by"], e["changes"][0]["to"]) for e in await it.told("Recipe.SettingChanged")] == [("mes", 178.0)]
        assert it.audit.kinds() == ["grant", "grant", "command", "write", "outcome"]
        command, write, outcome = it.audit.entries[2:]
        assert command.before == {SETPOINT: 165.0}
        assert (write.values, write.before, write.who) == ({SETPOINT: 178.0}, {SETPOINT: 165.0}, "mes")
        assert (outcome.outcome, outcome.after) == ("done", {SETPOINT: 178.0})

    on_bench(tmp_path, work)


def test_the_same_request_again_is_answered_as_the_first_was_and_does_nothing(tmp_path):
    async def work(it):
        it.grant()
        first, second = await asyncio.gather(it.set(178.0, requestId="a"), it.set(178.0, requestId="a"))
        assert first == second, "the second waits while the first is being decided"
        await it.ended(first["id"])
        late = await it.set(178.0, requestId="a", notAfter=iso(it.clock.wall_ns() - 1_000_000_000))
        assert late == first, "whoever asks again because the answer was lost is told what became of it"
        assert len(it.reach.wrote) == 1
        clash = await it.refused(SET, **it.asks(179.0), requestId="a")
        assert clash.kind == "invalidParameters"
        other = await it.set(179.0, Caller("other", "engineer", "http", "", is_authenticated=True), requestId="a")
        assert other["id"] != first["id"], "a key belongs to its caller"
        await it.ended(other["id"])
        it.clock.now_ns += KEPT_NS
        it.run(20)  # the oven's heartbeat is seen to move again
        it.unit.confirm_empty(None, "looked", "anna")
        it.grant()
        assert (await it.set(178.0, requestId="a"))["id"] != first["id"]

    on_bench(tmp_path, work)


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("hours", [25, -25])
def test_a_clock_that_is_set_forgets_no_request(tmp_path, hours, is_restarted):
    async def work(it):
        it.grant()
        first = await it.set(178.0, requestId="a")
        await it.ended(first["id"])
        it.clock.ahead_ns += hours * 3600 * 1_000_000_000
        it.room._archive.requests.forget(it.archive.steady.now_ns() - KEPT_NS)
        if is_restarted:
            await it.die_and_start_again()
        assert (await it.set(178.0, requestId="a"))["id"] == first["id"]
        assert len(it.reach.wrote) == 1

    on_bench(tmp_path, work)


def test_a_repeated_request_is_known_after_a_restart(tmp_path):
    async def work(it):
        it.grant()
        first = await it.set(178.0, requestId="a")
        await it.ended(first["id"])
        await it.die_and_start_again()
        assert await it.set(178.0, requestId="a") == first
        assert len(it.reach.wrote) == 1

    on_bench(tmp_path, work)


@pytest.mark.parametrize("why", ["is damaged on disk", "being taken over from a damaged file"])
def test_a_request_that_may_have_been_asked_for_before_is_not_run_once_more(tmp_path, why):
    def damaged(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE requests SET crc = crc + 1")

    def to_come(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM requests")
        keep(connection, Salvaged("", "", "a trial", {"requests": Table()}))

    async def work(it):
        it.grant()
        await it.ended((await it.set(178.0, requestId="a"))["id"])
        await it.archive.database.write(damaged if "on disk" in why else to_come)
        with pytest.raises(StoreError, match=why):
            await it.set(178.0, requestId="a")
        assert len(it.reach.wrote) == 1

    on_bench(tmp_path, work)


def test_a_refusal_is_recorded_told_and_given_again(tmp_path):
    async def work(it):
        refused = await it.refused(SET, **it.asks(), requestId="a")
        assert refused.kind == "notRemote"
        it.grant()
        again = await it.refused(SET, **it.asks(), requestId="a")
        assert (again.kind, again.reason) == (refused.kind, refused.reason)
        (told,) = await it.told("Command.Executed")
        assert (told["outcome"], told["reason"]) == ("refused", refused.reason)
        assert (await it.job(told["job"]))["state"] == "refused"
        assert it.audit.kinds() == ["grant", "refusal", "grant"]
        assert not it.reach.wrote

    on_bench(tmp_path, work)


@pytest.mark.parametrize(("change", "kind"), [
    ({"is_authenticated": False, "role": "viewer"}, "unauthenticated"),
    ({"role": "operator"}, "forbidden"),
    ({"functions": frozenset({"Recipe.Start"})}, "forbidden"),
])
def test_who_may_not_is_refused_without_a_job(tmp_path, change, kind):
    async def work(it):
        it.grant()
        assert (await it.refused(SET, dataclasses.replace(ENGINEER, **change), **it.asks())).kind == kind
        assert await it.told("Command.Executed") == []
        assert not it.reach.wrote

    on_bench(tmp_path, work)


@pytest.mark.parametrize(("path", "value", "kind", "words"), [
    ("zone/3/top/temperature", 100.0, "outOfRange", "only read"),
    ("zone/3/top/setpoint", 900.0, "outOfRange", "900"),
    ("zone/3/top/setpoint", 177.77, "outOfRange", "177.77"),
    ("zone/3/top/setpoint", "hot", "outOfRange", "number"),
    ("zone/99/top/setpoint", 177.0, "notFound", "zone/99"),
    ("command/powerOn", True, "outOfRange", "a function of its own"),
    ("machine/horn", 1.0, "outOfRange", "a function of its own"),
    ("recipe/version", 7.0, "outOfRange", "is no parameter"),
])
def test_what_the_machine_cannot_do_is_refused(tmp_path, path, value, kind, words):
    async def work(it):
        it.grant()
        refused = await it.refused(SET, **it.asks(value, path))
        assert (refused.kind, words in refused.reason) == (kind, True), refused.reason
        assert not it.reach.wrote

    on_bench(tmp_path, work)


def test_boards_inside_keep_heat_and_width_where_they_are(tmp_path):
    async def work(it):
        it.grant()
        it.device.insert_board("PCB1", 180.0)
        await it.until(it.unit.boards)
        for path in (SETPOINT, "conveyor/1/speedSetpoint", "conveyor/1/widthSetpoint"):
            if path in it.unit.machine.column:
                refused = await it.refused(SET, **it.asks(100.0, path))
                assert (refused.kind, "inside lane 1" in refused.reason) == ("interlocked", True), refused.reason
        assert not it.reach.wrote

    on_bench(tmp_path, work)


@pytest.mark.parametrize("path", [SETPOINT, "conveyor/1/speedSetpoint"])
def test_a_setting_needs_a_tunnel_that_is_known_to_be_empty_as_a_recipe_does(tmp_path, path):
    async def work(it):
        it.grant()
        it.reach.is_dark = True
        it.run(200, 1.0)
        it.reach.is_dark = False
        it.run(3)
        doubt = it.unit.status().lanes[0].doubt
        assert doubt
        refused = await it.refused(SET, **it.asks(it.device.read(path) + 1, path))
        assert (refused.kind, doubt in refused.reason) == ("interlocked", True), refused.reason
        assert not it.reach.wrote

    on_bench(tmp_path, work)


def test_a_command_that_comes_too_late_or_cannot_be_judged_is_refused(tmp_path):
    async def work(it):
        it.grant()
        before = iso(it.clock.wall_ns() - 1_000_000_000)
        assert (await it.refused(SET, **it.asks(), notAfter=before)).kind == "expired"
        it.clock.is_trusted = False
        soon = iso(it.clock.wall_ns() + 60_000_000_000)
        assert (await it.refused(SET, **it.asks(), notAfter=soon)).kind == "expired"
        assert (await it.refused(SET, **it.asks(), notAfter="soon")).kind == "invalidParameters"
        assert (await it.set())["state"] == "accepted"

    on_bench(tmp_path, work)


def test_a_flood_is_refused_and_leaves_no_more_than_a_sum(tmp_path):
    async def work(it):
        kinds = [(await it.refused(SET, **it.asks(), requestId=str(n))).kind for n in range(6)]
        assert kinds == ["notRemote"] * 6
        it.grant()
        assert (await it.refused(SET, **it.asks())).kind == "tooMany"
        assert len(await it.told("Command.Executed")) == 3, "those within the rate"
        it.run(60, 1.0)
        assert (await it.set())["state"] == "accepted"

    on_bench(tmp_path, work, settings=ControlTable(enabled=True, caller_per_minute=3))


def test_what_cannot_be_recorded_is_not_run(tmp_path):
    async def work(it):
        it.grant()
        it.audit.failing = "the disk is full"
        assert (await it.refused(SET, **it.asks(), requestId="a")).kind == "busy"
        it.audit.failing = None
        it.audit.refuses = {"command"}
        assert (await it.refused(SET, **it.asks(), requestId="a")).kind == "busy"
        it.audit.refuses = {"write"}
        job = await it.ended((await it.set(requestId="b"))["id"])
        assert (job["state"], "recorded" in job["reason"]) == ("stopped", True)
        assert not it.reach.wrote
        it.audit.refuses = set()
        assert (await it.set(requestId="c"))["state"] == "accepted"

    on_bench(tmp_path, work)


def test_an_outcome_that_the_disk_refuses_waits_for_it(tmp_path):
    async def work(it):
        it.grant()
        it.audit.refuses = {"outcome"}
        job = await it.ended((await it.set())["id"])
        assert job["state"] == "done"
        assert it.audit.kinds()[-3:] == ["command", "write", "outcome"]
        assert it.audit.entries[-1].after

    on_bench(tmp_path, work)


def test_one_long_command_at_a_time(tmp_path):
    async def work(it):
        it.grant()
        first, *others = await asyncio.gather(*(it.call(SET, **it.asks(170.0 + n)) for n in range(3)),
                                              return_exceptions=True)
        assert first["state"] == "accepted"
        assert [error.kind for error in others] == ["busy", "busy"]
        assert first["id"] in others[0].reason
        await it.ended(first["id"])
        assert len(it.reach.wrote) == 1

    on_bench(tmp_path, work)


def test_offline_is_the_default_and_nothing_is_commanded(tmp_path):
    async def work(it):
        it.room.look()
        refused = await it.refused(SET, **it.asks())
        assert (refused.kind, "switched off" in refused.reason) == ("notRemote", True)
        assert it.unit.status().control == "offline"

    on_bench(tmp_path, work, settings=ControlTable())


def test_a_machine_that_does_not_answer_is_unreachable(tmp_path):
    async def work(it):
        it.grant()
        it.reach.is_dark = True
        it.run(0.3)
        it.clock.now_ns += 10_000_000_000
        assert (await it.refused(SET, **it.asks())).kind in ("unreachable", "notRemote")
        assert not it.reach.wrote

    on_bench(tmp_path, work)


