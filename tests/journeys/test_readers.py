"""What an MES finds of yesterday: alarms with their ends and seconds in each state, also after the agent was away."""

import asyncio
from datetime import datetime

import pytest

from firmware_iface.simulated.faults import parse
from tests.journeys.plant import Client, plant

SPEED = 30.0
AWAY_S = 60


async def wait_for(client: Client, method: str, holds) -> dict:
    """The data of the next notification of a name that is wanted."""
    async with asyncio.timeout(60):
        while True:
            message = await client.notification()
            assert message, "the agent closed the connection"
            if message["method"] == method and holds(message["params"]["data"]):
                return message["params"]["data"]


async def history_of(client: Client, id: str) -> dict:  # noqa: A002
    alarms = (await client.call("Alarm.GetHistory", limit=200))["alarms"]
    return next(it for it in alarms if it["alarm"]["id"] == id)


async def counters_of(client: Client) -> dict:
    counters = (await client.call("Production.GetCounters"))["machines"][0]
    whole = datetime.fromisoformat(counters["until"]) - datetime.fromisoformat(counters["since"])
    assert sum(counters["seconds"].values()) == pytest.approx(whole.total_seconds())
    return counters


def test_a_fault_is_found_in_the_history_and_in_the_seconds_also_after_a_restart(tmp_path):
    asyncio.run(break_a_heater(tmp_path))


async def break_a_heater(folder) -> None:
    async with plant(folder, SPEED) as the_plant:
        oven = the_plant.machine
        await the_plant.start_agent()
        client = await the_plant.client()
        await client.call("Event.Subscribe", topics=["Alarm.*", "Status.*"], **{"from": "beginning"})
        await wait_for(client, "Status.MachineStatusChanged", lambda data: data["to"] == "ready")

        oven.add_fault(parse("heater-dead:zone/3/top"))
        raised = await wait_for(client, "Alarm.Raised", lambda data: data["alarm"]["object"] == "zone/3/top")
        found = await history_of(client, raised["alarm"]["id"])
        assert found == {"machine": "RO0001", "alarm": raised["alarm"], "clearedAt": None, "clearedBy": None,
                         "acknowledgedAt": None, "acknowledgedBy": None, "stands": True}  # fmt: skip
        oven.faults.clear()
        await wait_for(client, "Alarm.Cleared", lambda data: data["alarm"] == raised["alarm"])
        ended = await history_of(client, raised["alarm"]["id"])
        assert (ended["stands"], ended["clearedBy"]) == (False, "machine")
        assert raised["alarm"]["raisedAt"] < ended["clearedAt"]
        before = await counters_of(client)
        assert (before["boards"], before["recipes"]) == (0, [])

        client.close()
        assert await the_plant.end_agent() == 0
        left_s = the_plant.clock.monotonic_ns() / 1e9
        while the_plant.clock.monotonic_ns() / 1e9 < left_s + AWAY_S:
            await the_plant.clock.sleep(1)
        await the_plant.start_agent()
        client = await the_plant.client()
        assert await history_of(client, raised["alarm"]["id"]) == ended
        after = await counters_of(client)
        assert after["since"] == before["since"]
        assert after["seconds"]["unknown"] >= before["seconds"]["unknown"] + AWAY_S
        assert after["seconds"]["ready"] >= before["seconds"]["ready"]
        client.close()
