"""What is wrong with the agent itself stands as an alarm at its machines, and is taken notice of as any other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.journeys.floor import PATIENT, floor, outcome

MACHINES = ("RO0001", "RO0002")


def test_a_fault_of_the_agent_is_an_alarm_of_every_machine(tmp_path: Path) -> None:
    async def go() -> None:
        async with floor(tmp_path, *MACHINES, maps=dict.fromkeys(MACHINES, PATIENT)) as it:
            it.knows("anna", role="operator")
            it.store.with_name("store.sqlite3.restore-refused").touch()
            await it.until(lambda: all(unit.alarms() for unit in it.agent.units))
            async with it.caller("lines", it.tokens["anna"]) as anna:
                active = (await anna.call("Alarm.GetActive"))["result"]["alarms"]
                assert [(each["machine"], each["alarm"]["code"], each["alarm"]["object"]) for each in active] == [
                    (machine, "restoreRefused", "agent/store") for machine in MACHINES]  # fmt: skip
                alarm = active[1]["alarm"]
                snapshot = (await anna.call("Event.Snapshot", machine="RO0002"))["result"]
                assert [each["id"] for each in snapshot["machines"][0]["alarms"]] == [alarm["id"]]
                assert snapshot["machines"][0]["status"]["alarms"] == 1
                answer = await anna.call("Alarm.Acknowledge", machine="RO0002", id=alarm["id"])
                assert answer["result"]["acknowledgedBy"] == "anna"
                await it.grant("RO0002")
                answer = await anna.call("Alarm.Reset", machine="RO0002", id=alarm["id"])
                assert outcome(answer) == "interlocked"
                assert await topics(anna) == ["Alarm.Raised", "Alarm.Acknowledged"]
                history = (await anna.call("Alarm.GetHistory", machine="RO0002"))["result"]["alarms"]
                assert [(each["acknowledgedBy"], each["stands"]) for each in history] == [("anna", True)]

    async def topics(caller: Any) -> list[str]:
        parameters = {"from": "beginning", "topics": ["Alarm.*"], "machines": ["RO0002"]}
        return [each["method"] for each in (await caller.call("Event.Read", **parameters))["result"]["events"]]

    asyncio.run(go())
