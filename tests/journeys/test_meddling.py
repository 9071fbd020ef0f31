"""Somebody at the panel, a dying agent and a silent link meet one parameter that is being written, over real Modbus."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from firmware_iface.simulated.faults import parse
from tests.journeys.floor import PATH, PATIENT, SETPOINT, floor
from tests.journeys.test_power import Engineer, journey

SET = "Configuration.SetObjectParameter"
_WRITES = (5, 6, 15, 16)
"""Function codes."""


def meeting(oven, happens):
    """Let something happen once, after the oven took the first write and before it answers."""
    answer, is_over = oven.answer, False

    def meets(request):
        nonlocal is_over
        answered = answer(request)
        if request[0] in _WRITES and not is_over:
            is_over = True
            happens()
        return answered

    oven.answer = meets


@pytest.mark.parametrize(("at_the_panel", "state", "words", "left"), [
    (200.0, "failed", "shows 200.0 for zone/3/top/setpoint and not 180.0", 165.0),
    (165.0, "failed", "it is as it was", 165.0),
    (180.0, "done", "", 180.0),
])
def test_a_value_that_is_set_at_the_panel_at_the_same_moment_is_told_as_it_is(
    tmp_path, at_the_panel, state, words, left
):
    async def go():
        async with floor(tmp_path, maps={"RO0001": PATIENT}) as it:
            token, oven = it.knows("anna", role="engineer"), it.ovens["RO0001"]
            await it.grant()
            meeting(oven, lambda: oven.write(PATH, at_the_panel))
            async with it.caller("http", token) as anna:
                answer = await anna.call(SET, **SETPOINT, value=180.0)
            job = await it.ended(answer["result"]["id"])
            assert (job["state"], words in (job["reason"] or "")) == (state, True), job
            assert oven.read(PATH) == left
            assert [value for _, value in it.wrote()] == [180.0, 165.0][: 1 + (at_the_panel == 200.0)]

    asyncio.run(go())


def test_a_controller_that_restarts_between_the_write_and_the_read_back_leaves_it_unknown(tmp_path):
    async def go():
        async with floor(tmp_path) as it:
            token, oven = it.knows("anna", role="engineer"), it.ovens["RO0001"]
            await it.grant()

            def restarts():
                oven.add_fault(parse(f"controller-reboot@{oven.time}+4"))
                oven.advance(1.1)

            meeting(oven, restarts)
            async with it.caller("msgpack", token) as anna:
                answer = await anna.call(SET, **SETPOINT, value=180.0)
            job = await it.ended(answer["result"]["id"])
            assert job["state"] == "unknown", job
            assert it.wrote() == [(PATH, 180.0)], "nothing is written a second time"

    asyncio.run(go())


@pytest.mark.slow
def test_an_agent_that_is_killed_between_the_write_and_the_read_back_finds_what_stands(tmp_path):
    async def steps(who: Engineer, the_plant):
        await who.turn_switch()
        meeting(who.oven, the_plant.agent.kill)
        asked: dict = {}
        async with asyncio.timeout(60):
            try:
                for key in count(4711):  # a refusal stays the answer of its key
                    await who.mes.answer("Board.ConfirmEmpty", reason="looked")
                    asked = {**SETPOINT, "value": 178.0, "requestId": str(key)}
                    if "result" in (answer := await who.mes.answer(SET, **asked)):
                        break
                    assert answer["error"]["data"]["kind"] == "interlocked", answer
            except ConnectionError:
                answer = None  # it died before the answer came
        await the_plant.agent.wait()
        who.mes.close()
        assert who.oven.read(PATH) == 178.0
        await who.connect()
        again = await who.mes.call(SET, **asked)
        assert answer is None or again["id"] == answer["result"]["id"], "the same request is the same job"
        job = await who.ended(again["id"])
        assert (job["state"], "178" in job["reason"]) == ("done", True), job
        assert [path for _, path, _ in who.oven.wire.heard].count(PATH) == 1

    journey(tmp_path, steps, is_off=False, speed=1.5)
