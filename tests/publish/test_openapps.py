from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeagent.model.alarms import Alarm
from edgeagent.model.boards import BoardTrace
from edgeagent.model.callers import Caller
from edgeagent.model.events import Event, ProcessCompleted
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.functions.forms import CommandParameters
from edgeagent.publish.openapps import events
from edgeagent.publish.openapps.openrpc import document
from edgeagent.store import jobs
from tests.publish.known import TOKEN
from tests.publish.serving import STARTED_NS, Served, event, request, serving
from tests.store.samples import board, job

Run = Callable[..., None]
VIEWER = Caller("test", "viewer", "test", "nowhere")


async def call(served: Served, method: str, **params: Any) -> Any:
    answer = await served.dispatcher.answer(request(method, **params), VIEWER)
    return json.loads(answer or b"")


async def ask(served: Served, method: str, **params: Any) -> Any:
    return (await call(served, method, **params))["result"]


async def refused(served: Served, method: str, **params: Any) -> Any:
    error = (await call(served, method, **params))["error"]
    assert error["data"]["reason"] == error["message"]
    return error


async def board_left(served: Served, name: str = "b1", code: str = "PCB0001") -> None:
    record = board(name, STARTED_NS, (code,))
    trace = BoardTrace(name, [float(n) for n in range(50)], [25.0] * 50, {"zone/1/top": [175.0] * 50})
    told = Event("Board.ProcessCompleted", STARTED_NS, "RO0001", ProcessCompleted(record), record, trace)
    await served.journal.settled(served.journal.append([told]))


ON_A_CONNECTION = {"Event.Subscribe", "Event.Unsubscribe", "Event.Acknowledge", "Event.DeleteConsumer"}
SAMPLES: dict[str, dict[str, Any]] = {
    "Session.Authenticate": {"token": TOKEN},
    "Event.Read": {"from": "beginning"},
    "Configuration.GetObjectParameters": {"object": "zone/1/top"},
    "Recipe.Get": {"name": "SAC305-A", "version": 3},
    "Recipe.Check": {"recipe": {"name": "SAC305-B", "settings": {}, "settlingSeconds": 20.0}},
    "Command.Get": {"job": "j1"},
    "Board.Get": {"id": "b1"},
    "Board.GetTrace": {"id": "b1", "maxPoints": 10},
    "Board.Find": {"barcode": "PCB0001", "since": "2026-01-01T00:00:00+01:00", "until": "2027-01-01T00:00:00Z"},
}


def test_every_function_that_commands_nothing_answers_what_its_type_says(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await board_left(served)
            served.machine.standing = (Alarm("a1", "E1", "too hot", "fault", "zone/1/top", "x", False),)
            await served.archive.database.write(lambda connection: jobs.put(connection, job()))
            looking = {name for name, it in FUNCTIONS.items() if not issubclass(it.parameters, CommandParameters)}
            for name in looking - ON_A_CONNECTION - {"Command.Stop"}:
                result = await ask(served, name, **SAMPLES.get(name, {}))
                msgspec.convert(result, FUNCTIONS[name].result)
                assert result

    asyncio.run(main())


def test_the_machine_is_told_as_its_map_says(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            machine = await ask(served, "Configuration.GetMachine")
            assert machine["zones"][1] == {
                "number": 2, "kind": "heated", "positionMm": 500.0, "lengthMm": 400.0, "objects": ["zone/2/top"],
            }  # fmt: skip
            assert machine["serialNumber"] is None
            described = await ask(served, "Configuration.GetObjects")
            objects = {it["object"]: it["parameters"] for it in described["objects"]}
            assert sorted(objects) == ["lane/1", "recipe", "zone/1/top", "zone/2/top"]
            assert [(it["name"], it["type"], it["writable"]) for it in objects["zone/1/top"]] == [
                ("temperature", "number", False), ("setpoint", "number", True),
            ]  # fmt: skip
            assert [it["type"] for it in objects["lane/1"] + objects["recipe"]] == ["number", "boolean", "string"]
            values = await ask(served, "Status.GetValues", objects=["zone/2/top"])
            assert [it["name"] for it in values["values"]] == ["temperature", "setpoint"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("Status.Get", {"machine": "RO0009"}, -32006),
        ("Configuration.GetObjectParameters", {"object": "zone/9/top"}, -32006),
        ("Status.GetValues", {"objects": ["zone/1/top", "moon"]}, -32006),
        ("Board.Get", {"id": "nobody"}, -32006),
        ("Board.GetTrace", {"id": "nobody"}, -32006),
        ("Board.Find", {"machine": "RO0009"}, -32006),
        ("Event.Read", {"from": "beginning", "machines": ["RO0009"]}, -32006),
        ("Board.Find", {"since": "2026-11-21T21:53:00"}, -32602),
        ("Board.Find", {"since": "yesterday"}, -32602),
        ("Board.Find", {"until": "0001-01-01T00:00:00Z"}, -32005),
        ("Event.Subscribe", {"topics": ["*"]}, -32600),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(
    tmp_path: Path, method: str, params: dict[str, Any], code: int
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            assert (await refused(served, method, **params))["code"] == code

    asyncio.run(main())


def test_the_machine_must_be_named_only_where_there_are_two(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path, machines=("RO0001", "RO0002")) as served:
            error = await refused(served, "Configuration.GetMachine")
            assert error["code"] == -32602
            assert "RO0001, RO0002" in error["message"]
            assert (await ask(served, "Configuration.GetMachine", machine="RO0002"))["id"] == "RO0002"
            assert [it["machine"] for it in (await ask(served, "Status.Get"))["machines"]] == ["RO0001", "RO0002"]

    asyncio.run(main())


def test_a_place_must_be_of_this_stream_and_not_in_the_future(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            served.happen(3)
            stream = served.journal.stream
            other = await refused(served, "Event.Read", **{"from": {"stream": "0" * 16, "sequence": 1}})
            assert (other["code"], other["data"]["stream"]) == (-32006, stream)
            assert '"beginning"' in other["message"]
            late = await refused(served, "Event.Read", **{"from": {"stream": stream, "sequence": 5}})
            assert late["code"] == -32005
            following = await ask(served, "Event.Read", **{"from": {"stream": stream, "sequence": 4}})
            assert (following["events"], following["nextSequence"]) == ([], 4)

    asyncio.run(main())


def test_reading_page_by_page_gives_every_event_once_as_its_notification(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            last = served.journal.append([event(("Alarm.Raised", "Alarm.Cleared")[n % 2]) for n in range(150)])
            await served.journal.settled(last)
            place: Any = "beginning"
            got: list[Any] = []
            while len(got) < 75:
                page = await ask(served, "Event.Read", topics=["Alarm.Cleared"], limit=10, **{"from": place})
                got += page["events"]
                place = {"stream": page["stream"], "sequence": page["nextSequence"]}
            assert [it["sequence"] for it in got] == list(range(2, 151, 2))
            assert [it["previous"] for it in got] == [0, *range(2, 149, 2)]
            assert got[0].keys() == {
                "method", "stream", "sequence", "previous", "time", "clock", "machine", "data",
            }  # fmt: skip

    asyncio.run(main())


def test_an_answer_of_event_read_is_bounded_in_bytes(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            large = [event("Status.MachineStatusChanged", reason="x" * 20_000) for _ in range(300)]
            await served.journal.settled(served.journal.append(large))
            page = await ask(served, "Event.Read", limit=1000, **{"from": "beginning"})
            assert 1 <= len(page["events"]) < 200
            assert page["nextSequence"] == page["events"][-1]["sequence"] + 1

    asyncio.run(main())


def test_a_read_waits_for_the_first_matching_event(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            waiting = asyncio.ensure_future(
                ask(served, "Event.Read", topics=["Alarm.*"], waitMs=60_000, **{"from": "now"})
            )
            await served.journal.settled(served.happen())
            assert not waiting.done()
            served.happen(topic="Alarm.Raised")
            page = await waiting
            assert ([it["sequence"] for it in page["events"]], page["nextSequence"]) == ([2], 3)
            empty = await ask(served, "Event.Read", topics=["Alarm.*"], waitMs=1, **{"from": "now"})
            assert (empty["events"], empty["nextSequence"]) == ([], 3)

    run(main())


def test_the_previous_of_a_read_may_be_on_its_way_to_the_disk(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            place = {"stream": served.journal.stream, "sequence": served.happen(3) + 1}
            waiting = asyncio.ensure_future(ask(served, "Event.Read", waitMs=60_000, **{"from": place}))
            await asyncio.sleep(0)
            served.happen()
            assert [(it["sequence"], it["previous"]) for it in (await waiting)["events"]] == [(4, 3)]

    asyncio.run(main())


def test_waiting_reads_are_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            waiting = [
                asyncio.ensure_future(ask(served, "Event.Read", waitMs=60_000, **{"from": "now"}))
                for _ in range(events.MOST_WAITING)
            ]
            await asyncio.sleep(0)
            error = await refused(served, "Event.Read", waitMs=60_000, **{"from": "now"})
            assert (error["code"], error["data"]["retry"]) == (-32009, True)
            served.happen()
            assert {len(page["events"]) for page in await asyncio.gather(*waiting)} == {1}
            assert (await ask(served, "Event.Read", waitMs=1, **{"from": "now"}))["events"] == []

    asyncio.run(main())


def test_subscribing_after_a_snapshot_misses_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            served.happen(10)
            client = await served.connect()
            snapshot = await client.ask("Event.Snapshot")
            assert snapshot["sequence"] == 10
            assert served.journal.committed_sequence >= 10
            assert len(snapshot["machines"][0]["values"]) == len(served.machine.machine.points)
            served.happen(2)
            place = {"stream": snapshot["stream"], "sequence": snapshot["sequence"] + 1}
            await client.ask("Event.Subscribe", topics=["*"], **{"from": place})
            got = [(await client.message())["params"] for _ in range(2)]
            assert [(it["sequence"], it["previous"]) for it in got] == [(11, 10), (12, 11)]
            await client.close()

    asyncio.run(main())


def test_boards_are_found_page_by_page(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            for n in range(5):
                await board_left(served, f"b{n}")
            found: list[str] = []
            more: dict[str, Any] = {}
            while True:
                page = await ask(served, "Board.Find", barcode="PCB0001", limit=2, **more)
                found += [it["id"] for it in page["boards"]]
                if page["cursor"] is None:
                    break
                more = {"cursor": page["cursor"]}
            assert sorted(found) == ["b0", "b1", "b2", "b3", "b4"]
            assert (await refused(served, "Board.Find", cursor="nonsense!"))["code"] == -32602

    asyncio.run(main())


def test_the_document_names_parameters_as_they_are_on_the_wire() -> None:
    methods = {it["name"]: it for it in document(FUNCTIONS, "0.1.0")["methods"]}
    parameters = [(it["name"], it["required"]) for it in methods["Event.Read"]["params"]]
    assert parameters == [("from", True), ("topics", False), ("machines", False), ("limit", False), ("waitMs", False)]
