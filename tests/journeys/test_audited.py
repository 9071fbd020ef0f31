"""Whoever is refused over a socket is in the audit record: who, from where, what, with which values, and why."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edgeagent.store.audit.segments import raw_lines, segment_files
from tests.journeys.floor import PATIENT, SETPOINT, WAYS, Floor, floor, outcome

SET = "Configuration.SetObjectParameter"
UNKNOWN = "edgeagent_unknown_functions_total"


def refusals(it: Floor) -> list[dict[str, Any]]:
    """What the record tells of refusals, once the agent has ended."""
    entries = [json.loads(line)["entry"] for file in segment_files(it.store) for line in raw_lines(file)]
    return [entry for entry in entries if entry["kind"] == "refusal"]


def on_floor(tmp_path: Path, steps: Any) -> Floor:
    async def go() -> Floor:
        async with floor(tmp_path, maps={"RO0001": PATIENT}) as it:
            it.knows("vera", role="viewer")
            it.knows("anna", role="engineer")
            await steps(it)
        return it

    return asyncio.run(go())


@pytest.mark.parametrize("way", WAYS)
def test_a_call_beyond_what_somebody_may_is_recorded_with_its_values(tmp_path: Path, way: str) -> None:
    async def steps(it: Floor) -> None:
        async with it.caller(way, it.tokens["vera"]) as vera, it.caller(way) as anybody:
            assert outcome(await vera.call(SET, **SETPOINT, value=170.0)) == "forbidden"
            assert outcome(await anybody.call("Recipe.Delete", name="A", requestId="r")) == "unauthenticated"

    vera, anybody = refusals(on_floor(tmp_path, steps))
    assert (vera["who"], vera["role"], vera["function"]) == ("vera", "viewer", SET)
    assert vera["values"] == SETPOINT | {"value": 170.0}
    assert (vera["outcome"], "needs the role engineer" in vera["reason"]) == ("refused", True)
    assert (anybody["who"], anybody["function"], anybody["values"]["name"]) == ("loopback", "Recipe.Delete", "A")
    assert {each["peer"].partition(":")[0] for each in (vera, anybody)} == {"127.0.0.1"}


def test_each_refused_command_of_a_known_user_is_an_entry_of_its_own(tmp_path: Path) -> None:
    async def steps(it: Floor) -> None:
        async with it.caller("lines", it.tokens["anna"]) as anna:
            for value in (170.0, 171.0, 172.0):
                assert outcome(await anna.call(SET, **SETPOINT, value=value)) == "notRemote"

    refused = refusals(on_floor(tmp_path, steps))
    assert [each["values"]["value"] for each in refused] == [170.0, 171.0, 172.0]
    assert not [each for each in refused if "count" in each]


@pytest.mark.parametrize("way", WAYS)
def test_a_call_with_wrong_parameters_is_recorded_where_it_does_more_than_read(tmp_path: Path, way: str) -> None:
    async def steps(it: Floor) -> None:
        async with it.caller(way, it.tokens["anna"]) as anna:
            assert outcome(await anna.call("Board.Get", id=7)) == "invalidParameters"
            assert outcome(await anna.call("Board.Remove", id="x", why="no such name")) == "invalidParameters"
            assert outcome(await anna.call("Status.PowerOn", machine="NONE")) == "notFound"
            assert outcome(await anna.call("Board.ConfirmEmpty", reason="trial", notAfter="soon")) == (
                "invalidParameters")
            assert outcome(await anna.call("Command.Stop", job="none")) == "notFound"

    refused = refusals(on_floor(tmp_path, steps))
    assert [(each["function"], each["who"], each["outcome"]) for each in refused] == [
        (name, "anna", "refused") for name in ("Board.Remove", "Status.PowerOn", "Board.ConfirmEmpty", "Command.Stop")]
    assert refused[0]["values"] == {"id": "x", "why": "no such name"}
    assert "why" in refused[0]["reason"]
    assert refused[1]["values"]["machine"] == "NONE"
    assert "notAfter" in refused[2]["reason"]


def test_a_flood_of_wrong_parameters_is_a_sum_and_functions_that_there_are_not_are_counted_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counted = []

    async def steps(it: Floor) -> None:
        async with it.caller("lines", it.tokens["anna"]) as anna:
            for number in range(50):
                assert outcome(await anna.call("Board.Remove", id=number)) == "invalidParameters"
                assert outcome(await anna.call(f"Board.Burn{number}", id="x")) == "methodNotFound"
        address = it.agent.addresses["HTTP"].removeprefix("http://").partition("/")[0]
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as answer:
            counted.extend(line for line in (await answer.text()).splitlines() if line.startswith(UNKNOWN))

    first, rest = refusals(on_floor(tmp_path, steps))
    assert (first["function"], rest["function"], rest["count"]) == ("Board.Remove", "Board.Remove", 49)
    assert counted == [f"{UNKNOWN} 50.0"]
    assert {record.args[0] for record in caplog.records if "function that there is not" in record.msg} == {"anna"}
