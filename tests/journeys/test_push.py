"""An MES that is pushed to: the agent of a simulated oven tells it everything, whatever becomes of either."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from edgeagent import config
from edgeagent.errors import AgentRefused
from edgeagent.tools import check, push
from firmware_iface.simulated.faults import parse
from tests.journeys.floor import PATIENT, Floor, floor
from tests.journeys.plant import Plant, plant
from tests.publish.push.mes import Mes, Post, an_mes, until

SPEED = 20.0


@asynccontextmanager
async def pushing(folder: Path, mes: Mes, **more: Any) -> AsyncIterator[Floor]:
    """A floor whose agent pushes to an MES."""
    target = msgspec.convert(
        {"name": "mes", "url": f"http://127.0.0.1:{mes.port}/events", "timeout_s": 20.0, **more}, config.PushTable)
    outlets = config.OpenAppsTable(http=config.HttpTable(port=0), lines=config.LinesTable(port=0), push=(target,))
    async with floor(folder, maps={"RO0001": PATIENT}, openapps=outlets) as it:
        yield it


async def command(it: Floor, capsys: pytest.CaptureFixture[str], what: str, **options: Any) -> str:
    """What `edgeagent push` prints."""
    given = {"target": None, "json": False, "store": it.store, "config": None, **options}
    await asyncio.to_thread(push.push, argparse.Namespace(what=what, **given))
    return capsys.readouterr().out


async def alarms(it: Floor) -> list[tuple[str, str]]:
    async with it.caller("lines") as anybody:
        found = (await anybody.call("Alarm.GetActive"))["result"]["alarms"]
    return [(each["alarm"]["object"], each["alarm"]["code"]) for each in found]


def test_a_stopped_line_is_an_alarm_is_told_everywhere_and_is_helped_from_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # what runs tests beside one another sets it, and lines are cut

    async def go() -> None:
        async with an_mes(lambda _: web.Response(status=401, text="who are you?")) as mes, pushing(tmp_path, mes) as it:
            line_ = await stopped(it, capsys)
            head = line_["head"]
            assert line_["reason"] == "HTTP 401: it does not know the token (who are you?)"
            await until(lambda: it.unit().alarms())
            assert await alarms(it) == [("agent/push/mes", "pushStopped")]
            alive, parts = it.agent.health.ready()
            assert alive
            assert "HTTP 401: it does not know the token" in parts["push/mes"]
            assert not it.agent.health.faults()
            with pytest.raises(AgentRefused, match=f"stands at event {head}, not {head + 1}"):
                await command(it, capsys, "skip", sequence=head + 1, reason="trial")
            text = await command(it, capsys, "skip", sequence=head, reason="the line is set up")
            assert "1 set aside:" in text
            assert "console:" in text
            assert "the line is set up" in text
            mes.does = lambda _: 204
            text = await command(it, capsys, "retry")
            await until(lambda: mes.taken)
            await until(lambda: it.agent.health.ready()[1]["push/mes"] is None)
            assert head not in mes.taken
            await command(it, capsys, "retry", sequence=head)
            await until(lambda: head in mes.taken)
            async with asyncio.timeout(60):  # it was taken, and the agent has not heard of that yet
                while "set aside" in await command(it, capsys, "status"):
                    pass
            with pytest.raises(AgentRefused, match="is not one that is set aside"):
                await command(it, capsys, "retry", sequence=head)
            with pytest.raises(AgentRefused, match="There is no push target 'plant'; there are mes"):
                await command(it, capsys, "status", target="plant")
            numbers = [number for number in mes.taken if number != head]
            assert numbers == sorted(set(numbers))

    asyncio.run(go())
    entries = [json.loads(text) for file in tmp_path.glob("*.audit.*") if file.suffix[1:].isdigit()
               for text in file.read_bytes().splitlines()]
    told = [(each["kind"], each["function"], each.get("outcome")) for each in map(body, entries)
            if str(each.get("function")).startswith("Push.")]
    assert told == [
        ("command", "Push.Skip", None), ("outcome", "Push.Skip", "failed"),
        ("command", "Push.Skip", None), ("outcome", "Push.Skip", "done"),
        ("command", "Push.Retry", None), ("outcome", "Push.Retry", "done"),
        ("command", "Push.Retry", None), ("outcome", "Push.Retry", "done"),
    ]  # fmt: skip


def body(entry: dict[str, Any]) -> dict[str, Any]:
    return entry.get("entry", entry)


async def stopped(it: Floor, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            (standing,) = json.loads(await command(it, capsys, "status", json=True))["targets"]
            if standing["state"] == "stopped":
                return standing
            await asyncio.sleep(0.01)


def test_the_end_of_a_fault_is_told_and_reaches_the_mes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeagent.own_alarms._REST_NS", 0)

    async def go() -> None:
        async with an_mes(lambda _: 503) as mes, pushing(tmp_path, mes, topics=["Alarm.*", "Status.*"]) as it:
            await until(lambda: it.unit().alarms())
            mes.does = lambda _: 204
            await until(lambda: not it.unit().alarms())
            await until(lambda: any(each["method"] == "Alarm.Cleared" for post in mes.posts for each in post.events))
            told = [each["params"]["data"]["alarm"]["object"] for post in mes.posts if post.status == 204
                    for each in post.events if each["method"].startswith("Alarm.")]
            assert told == ["agent/push/mes"] * 2

    asyncio.run(go())


def test_nobody_on_the_network_can_ask_for_or_help_a_line(tmp_path: Path) -> None:
    async def go() -> None:
        async with an_mes() as mes, pushing(tmp_path, mes) as it:
            it.knows("root", role="administrator")
            async with it.caller("lines", it.tokens["root"]) as root:
                for name in ("Push.Status", "Push.Retry", "Push.Skip"):
                    assert (await root.call(name))["error"]["data"]["kind"] == "methodNotFound"
                (standing,) = (await root.call("Event.Consumers"))["result"]["consumers"]
                assert (standing["name"], standing["owner"], standing["connected"]) == (
                    "push:mes", "agent:push", True)  # fmt: skip

    asyncio.run(go())


def test_the_check_of_a_configuration_names_files_and_topics_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "agent.toml"
    machine = '[[machines]]\nid = "A"\n[[machines.sources]]\nkind = "modbus-tcp"\nmap = "reflow10"\nhost = "oven"\n'
    file.write_text(f"""[openapps.http]\nport = 0\n[openapps.lines]\nport = 0\n{machine}
[[openapps.push]]\nname = "well"\nurl = "http://localhost:1/"
[[openapps.push]]\nname = "mes"\nurl = "https://mes/"\ntoken = "file:nothing"\ntopics = ["Bored.*", "Alarm.*"]
""")
    assert not check.check(file, as_json=True)
    found = {(each["what"], each["text"]): each["mend"] for each in json.loads(capsys.readouterr().out)["surroundings"]}
    assert found["push well", "http://localhost:1/ can be told all events"] == ""
    assert found["push mes", "topics: Bored.* is no event that is kept"]
    assert found["push mes", f"token: {tmp_path}/nothing cannot be read: No such file or directory"]


@pytest.mark.slow
def test_agent_and_mes_are_killed_in_turn_and_every_event_comes_in_order_and_none_is_left_out(tmp_path: Path) -> None:
    async def go() -> None:
        async with an_mes() as mes:
            settings = f'[[openapps.push]]\nname = "mes"\nurl = "http://127.0.0.1:{mes.port}/"\nbatch_events = 3\n'
            async with plant(tmp_path, SPEED, settings=settings) as the_plant:
                for number in range(1, 4):
                    await the_plant.start_agent()
                    told = max(mes.taken, default=0)
                    the_plant.machine.add_fault(parse(f"thermocouple-open:zone/{number}/top@{the_plant.machine.time}"))
                    await until(lambda told=told: max(mes.taken, default=0) > told)
                    await mes.stop()
                    the_plant.machine.add_fault(parse(f"thermocouple-open:zone/{number}/bottom@{the_plant.machine.time}"))
                    await happened(the_plant, max(mes.taken))
                    await the_plant.kill_agent()
                    await mes.start()
                await the_plant.start_agent()
                last = await happened(the_plant, 0)
                await until(lambda: last in mes.taken)
                client = await the_plant.client()
                stored = (await client.call("Event.Read", **{"from": "beginning", "limit": 1000}))["events"]
                client.close()
            check_all(mes, [each for each in stored if each["sequence"] <= last])

    asyncio.run(go())


async def happened(the_plant: Plant, after: int) -> int:
    """The newest sequence, once it is beyond a number."""
    client = await the_plant.client()
    async with asyncio.timeout(60):
        while (sequence := (await client.call("Event.Snapshot"))["sequence"]) <= after:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    client.close()
    return int(sequence)


def check_all(mes: Mes, stored: list[dict[str, Any]]) -> None:
    """Nothing is left out or overtaken; what comes twice is the same, and ends with what was not noted."""
    highest, first = 0, dict[int, Any]()
    posts: list[Post] = [post for post in mes.posts if post.status == 204]
    for post in posts:
        for told in post.events:
            params = told["params"]
            assert params["sequence"] <= highest + 1, "none is left out"
            assert highest - params["sequence"] < 3, "no more than one batch comes again"
            assert first.setdefault(params["sequence"], told) == told, "what comes again is the same"
            highest = max(highest, params["sequence"])
    for each in stored:
        told = first[each["sequence"]]
        assert (told["method"], told["params"]["time"], told["params"]["data"]) == (
            each["method"], each["time"], each["data"])
