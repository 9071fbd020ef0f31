"""Alarm history, counters, recipes and commands, as a caller gets them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from edgeagent.clock import Clock, instant_ns, iso
from edgeagent.model.alarms import Alarm
from edgeagent.model.boards import RecipeName
from edgeagent.model.events import AlarmTold, Event, ProcessCompleted
from edgeagent.model.samples import MeasuredValue
from edgeagent.store import jobs
from tests.publish.serving import STARTED_NS, Served, serving
from tests.publish.test_openapps import ask, refused
from tests.store.samples import board, job

SECOND = 1_000_000_000


async def happened(served: Served, *events: Event) -> None:
    await served.journal.settled(served.journal.append(events))


def alarm(name: str, at_ns: int = STARTED_NS) -> Alarm:
    return Alarm(name, "E405", "zone 3 is too cold", "fault", "zone/3/top", iso(at_ns), False)


def told(topic: str, name: str, machine: str = "RO0001", by: str | None = None) -> Event:
    return Event(topic, STARTED_NS + 60 * SECOND, machine, AlarmTold(alarm(name), by))


def left(name: str, at_ns: int, process: str = "pass", recipe: str | None = "SAC305-A") -> Event:
    record = board(name, at_ns - 300 * SECOND, process=process, recipe=recipe)
    return Event("Board.ProcessCompleted", at_ns, "RO0001", ProcessCompleted(record), record)


def test_the_history_tells_what_stands_what_ended_and_what_ended_while_nobody_looked(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await happened(
                served, told("Alarm.Raised", "a1"), told("Alarm.Cleared", "a1", by="machine"),
                told("Alarm.Raised", "a2"), told("Alarm.Raised", "a3"), told("Alarm.Raised", "a4", machine="RO0009"),
            )  # fmt: skip
            served.machine.standing = (alarm("a3"),)
            answer = await ask(served, "Alarm.GetHistory")
            assert [(it["alarm"]["id"], it["stands"], it["clearedAt"]) for it in answer["alarms"]] == [
                ("a4", None, None), ("a3", True, None), ("a2", False, None),
                ("a1", False, iso(STARTED_NS + 60 * SECOND)),
            ]  # fmt: skip
            assert {it["acknowledgedAt"] for it in answer["alarms"]} == {None}
            mine = await ask(served, "Alarm.GetHistory", machine="RO0001", since=iso(STARTED_NS), limit=2)
            assert [it["alarm"]["id"] for it in mine["alarms"]] == ["a3", "a2"]
            more = await ask(served, "Alarm.GetHistory", machine="RO0001", cursor=mine["cursor"])
            assert ([it["alarm"]["id"] for it in more["alarms"]], more["cursor"]) == (["a1"], None)
            assert (await ask(served, "Alarm.GetHistory", until=iso(STARTED_NS)))["alarms"] == []

    asyncio.run(main())


def test_an_alarm_that_ends_while_its_history_is_read_stood_when_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await happened(served, told("Alarm.Raised", "a1"), told("Alarm.Raised", "a2"))
            served.machine.standing = (alarm("a1"),)
            find = served.archive.alarms.find

            async def meanwhile(**question: Any) -> Any:
                found = await find(**question)
                served.machine.standing = (alarm("a2"),)
                return found

            monkeypatch.setattr(served.archive.alarms, "find", meanwhile)
            answer = await ask(served, "Alarm.GetHistory")
            assert {it["alarm"]["id"]: it["stands"] for it in answer["alarms"]} == {"a1": True, "a2": True}

    asyncio.run(main())


def test_boards_are_counted_by_verdict_and_recipe_from_the_time_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            now = Clock().wall_ns()
            await happened(
                served, left("b1", now - 500 * SECOND), left("b2", now - 400 * SECOND, "fail"),
                left("b3", now - 300 * SECOND, "unknown", None), left("b4", now - 200 * SECOND),
            )  # fmt: skip
            counts = (await ask(served, "Production.GetCounters"))["machines"][0]
            assert [counts[name] for name in ("boards", "pass", "fail", "unknown", "lost", "unexpected")] == [
                4, 2, 1, 1, 0, 0]  # fmt: skip
            assert [(of["recipe"], of["boards"], of["pass"]) for of in counts["recipes"]] == [
                ("SAC305-A", 3, 2), (None, 1, 0)]  # fmt: skip
            assert counts["since"] == iso(now - 500 * SECOND)
            assert counts["seconds"].keys() == {"unknown"}
            later = await ask(served, "Production.GetCounters", since=iso(now - 350 * SECOND), machine="RO0001")
            assert (later["machines"][0]["boards"], later["machines"][0]["since"]) == (2, iso(now - 350 * SECOND))

    asyncio.run(main())


def test_counters_of_an_empty_store_or_of_times_to_come_are_of_no_time_at_all(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path, machines=("RO0001", "RO0002")) as served:
            for more in ({}, {"since": "2261-01-01T00:00:00Z"}):
                machines = (await ask(served, "Production.GetCounters", **more))["machines"]
                assert [it["machine"] for it in machines] == ["RO0001", "RO0002"]
                for it in machines:
                    assert it["since"] == it["until"]
                    assert (it["boards"], it["recipes"], it["seconds"]) == (0, [], {"unknown": 0.0})

    asyncio.run(main())


def random_moments(chance: random.Random, wall_ns: int) -> Iterator[tuple[str, int, int]]:
    """States at monotonic and wall times up to `wall_ns`; now and then the clock is set, or nobody looks."""
    monotonic_ns, wall_ns = 10**15, wall_ns - 10_000 * SECOND
    for _ in range(300):
        passed = chance.choice([1, 1, 1, 30, 500]) * chance.randrange(SECOND)
        monotonic_ns += passed
        wall_ns += passed + (chance.randrange(-100, 50) * SECOND if chance.random() < 0.1 else 0)
        yield chance.choice(["ready", "running", "running", "fault", "unknown"]), monotonic_ns, wall_ns


@pytest.mark.parametrize("seed", range(5))
def test_the_seconds_of_all_states_are_the_time_counted_whatever_the_clock_did(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            now = Clock().wall_ns()
            moments = random_moments(random.Random(seed), now)
            for turn, (state, monotonic_ns, wall_ns) in enumerate(moments):
                served.archive.states.see("RO0001", state, monotonic_ns, wall_ns)
                if turn % 30 == 0:
                    ago_s = random.Random(turn).randrange(1, 6000)
                    since = iso(now - ago_s * SECOND)
                    counts = (await ask(served, "Production.GetCounters", since=since))["machines"][0]
                    whole_ns = instant_ns(counts["until"]) - instant_ns(counts["since"])
                    assert round(1000 * sum(counts["seconds"].values())) == whole_ns // 1_000_000
                    assert min(counts["seconds"].values()) >= 0
            await served.archive.database.write(lambda _: None)
            counts = (await ask(served, "Production.GetCounters"))["machines"][0]
            assert counts["seconds"]["running"] > 0

    asyncio.run(main())


def test_the_current_recipe_is_told_with_its_quality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            current = await ask(served, "Recipe.GetCurrentName")
            assert (current["name"], current["version"], current["quality"]) == ("SAC305-A", 3, "good")
            assert current["since"]
            assert (await ask(served, "Recipe.List"))["recipes"] == [
                {"machine": "RO0001", "name": "SAC305-A", "version": 3, "active": True, "stored": False}
                | dict.fromkeys(("madeAt", "by", "basedOn", "deletedAt", "alloy", "comment"))]  # fmt: skip
            read = served.machine.values
            with monkeypatch.context() as patch:
                patch.setattr(served.machine, "values", lambda objects: tuple(
                    structs.replace(it, quality="stale") for it in read(objects)))  # fmt: skip
                assert (await ask(served, "Recipe.GetCurrentName"))["quality"] == "stale"
                (listed,) = (await ask(served, "Recipe.List"))["recipes"]
                assert (listed["name"], listed["active"]) == ("SAC305-A", None)
            served.machine.running = RecipeName(None, None)
            assert (await ask(served, "Recipe.GetCurrentName"))["name"] is None
            assert (await ask(served, "Recipe.List"))["recipes"] == []

    asyncio.run(main())


def test_a_recipe_has_its_setpoints_as_read_its_tolerances_and_its_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            read = served.machine.values
            monkeypatch.setattr(served.machine, "values", lambda objects: tuple(
                MeasuredValue(it.object, it.name, None, it.unit, "bad", it.time) if it.object == "zone/2/top" else it
                for it in read(objects)))  # fmt: skip
            recipe = await ask(served, "Recipe.Get", name="SAC305-A")
            assert [(it["object"], it["name"], it["value"], it["quality"]) for it in recipe["setpoints"]] == [
                ("zone/1/top", "setpoint", 175.4, "good"), ("zone/2/top", "setpoint", None, "bad")]  # fmt: skip
            assert recipe["tolerances"] == {"zoneCelsius": 5.0, "beltPercent": 2.0, "measurePercent": 10.0,
                                            "oxygenPpm": None, "contactSeconds": None, "zones": {}}  # fmt: skip
            assert (recipe["window"]["liquidus"], recipe["window"]["peak"]) == (217.0, None)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "params", "code", "words"),
    [
        ("Recipe.Get", {"name": "SnPb"}, -32006, "RO0001 runs 'SAC305-A' in version 3; RO0002 runs"),
        ("Recipe.Get", {"name": "SAC305-A", "version": 2}, -32006, "in version 2"),
        ("Recipe.Get", {"name": "SAC305-A"}, -32602, "RO0001, RO0002"),
        ("Recipe.Get", {"name": "SAC305-A", "machine": "RO0009"}, -32006, "no machine 'RO0009'"),
        ("Recipe.List", {"machine": "RO0009"}, -32006, "no machine"),
        ("Production.GetCounters", {"machine": "RO0009"}, -32006, "no machine"),
        ("Production.GetCounters", {"since": "yesterday"}, -32602, "write a time like"),
        ("Alarm.GetHistory", {"machine": "RO0009"}, -32006, "no machine"),
        ("Alarm.GetHistory", {"since": "2026-11-21"}, -32602, "write a time like"),
        ("Alarm.GetHistory", {"until": "0001-01-01T00:00:00Z"}, -32005, "between 1970 and 2262"),
        ("Alarm.GetHistory", {"limit": 201}, -32602, "limit"),
        ("Alarm.GetHistory", {"cursor": "nonsense!"}, -32602, "cursor"),
        ("Command.Get", {"job": "nobody"}, -32006, "no job 'nobody'"),
        ("Command.List", {"state": "tired"}, -32602, "state"),
        ("Command.List", {"machine": "RO0009"}, -32006, "no machine"),
        ("Command.List", {"cursor": "nonsense!"}, -32602, "cursor"),
    ],
)
def test_what_cannot_be_found_is_refused_in_a_sentence(
    tmp_path: Path, method: str, params: dict[str, Any], code: int, words: str
) -> None:
    async def main() -> None:
        async with serving(tmp_path, machines=("RO0001", "RO0002")) as served:
            error = await refused(served, method, **params)
            assert error["code"] == code
            assert words in error["message"]

    asyncio.run(main())


def test_commands_are_found_by_id_state_and_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            for n, state in enumerate(("done", "running", "done")):
                one = job(f"j{n}", STARTED_NS + n * SECOND, state)
                await served.archive.database.write(lambda connection, one=one: jobs.put(connection, one))
            found = await ask(served, "Command.Get", job="j1")
            assert (found["function"], found["requestId"], found["state"]) == ("Recipe.Start", "r1", "running")
            assert [(it["text"], it["startedAt"], it["endedAt"]) for it in found["steps"]] == [
                ("3 of 24 setpoints written", iso(STARTED_NS + SECOND), None)]  # fmt: skip
            page = await ask(served, "Command.List", state="done", limit=1)
            assert [it["id"] for it in page["jobs"]] == ["j2"]
            page = await ask(served, "Command.List", state="done", cursor=page["cursor"])
            assert ([it["id"] for it in page["jobs"]], page["cursor"]) == (["j0"], None)
            since = await ask(served, "Command.List", since=iso(STARTED_NS + SECOND))
            assert [it["id"] for it in since["jobs"]] == ["j2", "j1"]

    asyncio.run(main())
