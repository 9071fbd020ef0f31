"""What an agent with an oven shows over OPC UA, against what it tells over JSON-RPC at the same time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from edgeagent.publish.opcua.node_ids import MACHINES_URI, TYPES_URI, NodeIds
from tests.journeys.test_opcua import STATUS, Factory, factory

TEMPERATURE = "zone/1/top/temperature"


async def ids_of(client: Client) -> NodeIds:
    uris = await client.get_namespace_array()
    return NodeIds(uris.index(TYPES_URI), uris.index(MACHINES_URI))


async def let_in(its: Factory) -> Client:
    token = await its.add_user("scada", "viewer")
    await its.refused("scada", token)
    await its.trust()
    return await its.client("scada", token)


@pytest.mark.slow
def test_values_history_and_events_are_those_that_json_rpc_tells(tmp_path: Path) -> None:
    async def body() -> None:
        async with factory(tmp_path) as its, await let_in(its) as client:
            mes = await its.plant.client()
            ids = await ids_of(client)
            told = (await mes.call("Status.GetValues"))["values"]
            paths = [f"{each['object']}/{each['name']}" for each in told]
            nodes = {path: client.get_node(ids.of_node(f"RO0001/{path}")) for path in paths}
            await agree(client, mes, nodes)
            await compare_history(nodes[TEMPERATURE])
            await compare_events(client, mes)
            mes.close()

    asyncio.run(body())


async def agree(client: Client, mes: Any, nodes: dict[str, Any]) -> None:
    """Both tell the same of every point, what moves in between looked at again."""
    async with asyncio.timeout(60):
        left = dict(nodes)
        while left:
            before = await shown(mes)
            wanted = [ua.ReadValueId(node.nodeid, ua.AttributeIds.Value) for node in left.values()]
            asked = ua.ReadParameters(0.0, ua.TimestampsToReturn.Source, wanted)
            read = dict(zip(left, await client.uaclient.read(asked), strict=True))
            after = await shown(mes)
            for path, value in read.items():
                seen = value.Value.Value, value.StatusCode.name.replace("BadWaitingForInitialData", "Bad")
                if seen in (before[path], after[path]):
                    del left[path]


async def shown(mes: Any) -> dict[str, tuple[Any, str]]:
    values = (await mes.call("Status.GetValues"))["values"]
    return {
        f"{each['object']}/{each['name']}": (None, "Bad") if each["value"] is None else (
            None if each["quality"] == "bad" else each["value"], STATUS[each["quality"]])
        for each in values
    }  # fmt: skip


async def compare_history(node: Any) -> None:
    """The last seconds, row after row, as long as the agent runs."""
    now = datetime.now(UTC)
    found: list[ua.DataValue] = []
    async with asyncio.timeout(60):
        while len(found) < 20:
            found = await node.read_raw_history(now - timedelta(seconds=60), datetime.now(UTC))
            await asyncio.sleep(0.2)
    times = [each.SourceTimestamp for each in found]
    assert times == sorted(set(times))
    good = [each for each in found if each.StatusCode.is_good()]
    assert len(good) > 10
    assert all(0 < each.Value.Value < 350 for each in good)
    newest = await node.read_raw_history(datetime.now(UTC), now - timedelta(seconds=60), 5)
    assert newest[0].SourceTimestamp >= times[-1]
    assert len(newest) == 5


async def compare_events(client: Client, mes: Any) -> None:
    """All events of the journal, in order."""
    events = (await mes.call("Event.Read", **{"from": "beginning", "limit": 1000}))["events"]
    since, until = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    found = await client.nodes.server.read_event_history(since, until, evtypes=[ua.ObjectIds.BaseEventType])
    times = [each.Time.isoformat(timespec="milliseconds").replace("+00:00", "Z") for each in found]
    assert times[: len(events)] == [each["time"] for each in events]
    assert {each.SourceName for each in found} >= {"RO0001"}
