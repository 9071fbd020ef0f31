"""What a client finds when it browses for machines, and what it reads there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import Node, ua

from edgeagent.model.terms import StateTerm
from edgeagent.publish.opcua.identification import ITEM_STATES, OPERATION_MODES
from tests.publish.opcua.clients import Application
from tests.publish.opcua.fakes import NOW_NS, served
from tests.publish.opcua.ovens import Body, Oven, said, serving, until

At = Callable[[Body], None]


async def names(node: Node, reference: int = ua.ObjectIds.HierarchicalReferences) -> list[str]:
    return [each.BrowseName.Name for each in await node.get_references(reference, ua.BrowseDirection.Forward)]


async def child(node: Node, *path: str) -> Node:
    """The only node that has these names below another, whatever their namespaces."""
    for name in path:
        below = await node.get_references(ua.ObjectIds.HierarchicalReferences, ua.BrowseDirection.Forward)
        found = {each.NodeId for each in below if each.BrowseName.Name == name}
        [node_id] = found
        node = Node(node.session, node_id)
    return node


def test_a_client_finds_the_machine_as_opc_ua_for_machinery_says(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        machines = await child(oven.client.nodes.objects, "Machines")
        assert machines.nodeid.to_string() == "ns=3;i=1001"
        machine = await child(machines, "RO0001")
        blocks = await child(machine, "MachineryBuildingBlocks")
        assert sorted(await names(blocks, ua.ObjectIds.HasAddIn)) == [
            "Components", "Identification", "MachineryItemState", "MachineryOperationMode"]  # fmt: skip
        assert await child(machine, "Identification") == await child(blocks, "Identification")
        kinds = [(await (await child(blocks, each)).read_type_definition()).to_string() for each in (
            "Identification", "Components", "MachineryItemState", "MachineryOperationMode")]  # fmt: skip
        assert kinds == ["ns=3;i=1012", "ns=3;i=1006", "ns=3;i=1002", "ns=3;i=1008"]

    at_oven(body)


def test_namespaces_have_their_official_uris(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        assert (await oven.client.get_namespace_array())[2:] == [
            "http://opcfoundation.org/UA/DI/", "http://opcfoundation.org/UA/Machinery/", "urn:edgeagent:types",
            "urn:edgeagent:machines"]  # fmt: skip

    at_oven(body)


def test_a_machine_says_who_it_is(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        its = await child(oven.node("RO0001"), "Identification")
        told = {each.BrowseName.Name: await Node(its.session, each.NodeId).read_value()
                for each in await its.get_references(ua.ObjectIds.HasProperty)}  # fmt: skip
        assert told == {
            "ProductInstanceUri": "urn:edgeagent:machine:RO0001", "Manufacturer": ua.LocalizedText("edgeagent"),
            "SerialNumber": "SIM-0001", "Model": ua.LocalizedText("Simulated oven, 10+2 zones"),
            "SoftwareRevision": "1.4.2", "DeviceClass": "reflow", "ComponentName": ua.LocalizedText("RO0001"),
        }  # fmt: skip

    at_oven(body)


def test_zones_and_lanes_are_components_with_their_places(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        components = await child(oven.node("RO0001"), "Components")
        found = await names(components)
        assert [name for name in found if name.startswith("Zone")] == [f"Zone{number}" for number in range(1, 13)]
        zone = await child(components, "Zone2")
        assert await zone.read_type_definition() == oven.model.node_ids.of_type("ZoneType")
        its = oven.port.machines[0].description.zones[1]
        assert await (await child(zone, "PositionMm")).read_value() == its.position_mm
        assert await (await child(zone, "LengthMm")).read_value() == its.length_mm
        assert await (await child(zone, "Kind")).read_value() == "heated"
        lane = await child(components, "Lane1")
        assert await lane.read_type_definition() == oven.model.node_ids.of_type("LaneType")
        assert await (await child(lane, "OutletMm")).read_value() == 4710.0
        assert await (await child(lane, "Status", "Busy")).read_value() is False

    at_oven(body)


@pytest.mark.parametrize(("path", "code", "unit", "low", "high"), [
    ("zone/1/top/temperature", 4408652, "°C", -20.0, 400.0), ("oxygen/1/concentration", 13625, "ppm", 0.0, 250000.0),
    ("conveyor/1/speed", -1, "cm/min", 0.0, 300.0), ("zone/1/top/setpoint", 4408652, "°C", 0.0, 350.0),
])  # fmt: skip
def test_measured_values_and_setpoints_are_analog_items(
    at_oven: At, path: str, code: int, unit: str, low: float, high: float
) -> None:
    async def body(oven: Oven) -> None:
        node = oven.node(f"RO0001/{path}")
        assert (await node.read_type_definition()).Identifier == ua.ObjectIds.AnalogUnitRangeType
        its = await (await child(node, "EngineeringUnits")).read_value()
        assert (its.UnitId, its.DisplayName.Text) == (code, unit)
        assert its.NamespaceUri == ("urn:edgeagent:units" if code == -1 else
                                    "http://www.opcfoundation.org/UA/units/un/cefact")  # fmt: skip
        assert await (await child(node, "EURange")).read_value() == ua.Range(low, high)

    at_oven(body)


@pytest.mark.parametrize(("measured", "setpoint"), [
    ("zone/1/top/temperature", "zone/1/top/setpoint"), ("oxygen/1/concentration", "oxygen/1/setpoint"),
    ("conveyor/1/speed", "conveyor/1/speedSetpoint"), ("conveyor/1/width", "conveyor/1/widthSetpoint"),
])  # fmt: skip
def test_a_setpoint_stands_below_what_it_is_for(at_oven: At, measured: str, setpoint: str) -> None:
    async def body(oven: Oven) -> None:
        assert await child(oven.node(f"RO0001/{measured}"), "Setpoint") == oven.node(f"RO0001/{setpoint}")

    at_oven(body)


def test_every_value_is_what_the_port_says(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        [machine] = oven.port.machines
        given: dict[str, Any] = {}
        for point in machine.points:
            number = float(point.index + 1) if point.high is None else min(point.index + 1.5, point.high)
            whole = int(number) if point.decimals == 0 else number
            plain = point.index % 2 == 0 if point.is_bit else whole
            given[point.path] = f"text {point.index}" if point.is_text else plain
            oven.port.change(point.path, given[point.path])
        await oven.model.settled()
        nodes = [oven.node(f"RO0001/{path}") for path in given]
        read = await oven.client.read_values(nodes)
        assert dict(zip(given, read, strict=True)) == given
        kinds = [(await node.read_data_type()).Identifier for node in nodes[:20]]
        told = [(await node.read_data_value()).Value.VariantType.value for node in nodes[:20]]
        assert kinds == told

    at_oven(body)


def test_a_client_can_write_nothing(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        for key in ("RO0001/zone/1/top/setpoint", "RO0001/status/State", "RO0001/Identification/Model"):
            with pytest.raises(ua.UaStatusCodeError):
                await oven.node(key).write_value("x")

    at_oven(body)


def test_every_state_of_a_machine_has_its_counterparts() -> None:
    [meta] = [each for each in StateTerm.__metadata__ if each.extra_json_schema]  # type: ignore[attr-defined]
    states = meta.extra_json_schema["enum"]
    assert set(ITEM_STATES) == set(states)
    assert set(OPERATION_MODES) <= set(states)


@pytest.mark.parametrize(("state", "item", "mode"), [
    ("running", "Executing", "Processing"), ("warmingUp", "NotExecuting", "Setup"), ("unknown", "NotAvailable", "None"),
    ("maintenance", "OutOfService", "Maintenance"), ("somethingNew", "NotAvailable", "None"),
])  # fmt: skip
def test_a_change_of_state_is_shown(at_oven: At, state: str, item: str, mode: str) -> None:
    async def body(oven: Oven) -> None:
        status = said("Status.Get")
        status["machines"][0]["state"] = state
        oven.port.answers["Status.Get"] = status
        await oven.tell("Status.MachineStatusChanged", {"from": "ready", "to": state, "reason": ""})
        current = oven.node("RO0001/MachineryItemState/CurrentState")
        await until(oven.node("RO0001/status/State"), state)
        assert (await current.read_value()).Text == item
        node = Node(current.session, await oven.node("RO0001/MachineryItemState/CurrentState/Id").read_value())
        assert (await node.read_browse_name()).Name == item
        assert (await oven.node("RO0001/MachineryOperationMode/CurrentState").read_value()).Text == mode

    at_oven(body)


def test_the_running_recipe_and_the_known_ones_are_shown(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        running = said("Recipe.GetCurrentName") | {"name": "SAC305-B", "version": None}
        oven.port.answers["Recipe.GetCurrentName"] = running
        kept = said("Recipe.List")["recipes"]
        oven.port.answers["Recipe.List"] = {"recipes": [kept[0], kept[0] | {"name": "SAC305-B", "version": 7}]}
        await oven.tell("Recipe.Started")
        await until(oven.node("RO0001/recipes/kept/Name"), ["SAC305-A", "SAC305-B"])
        assert await oven.node("RO0001/recipes/kept/Version").read_value() == [3, 7]
        await until(oven.node("RO0001/recipes/running/Name"), "SAC305-B")
        version = await oven.node("RO0001/recipes/running/Version").read_data_value(raise_on_bad_status=False)
        assert version.StatusCode.name == "BadNoData"
        since = await oven.node("RO0001/recipes/running/Since").read_value()
        assert since == datetime(2026, 11, 21, 22, 10, 1, tzinfo=UTC)

    at_oven(body)


def test_boards_inside_are_shown_and_followed_as_they_move(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        board = said("Event.Snapshot")["machines"][0]["boards"][0]
        places = iter(range(1000, 100_000))
        oven.port.answers["Board.GetInProcess"] = lambda *_: {
            "machines": [{"machine": "RO0001", "boards": [board | {"positionMm": float(next(places))}]}]}  # fmt: skip
        await oven.tell("Board.ProcessStarted")
        await until(oven.node("RO0001/boards/inside/Id"), [board["id"]])
        assert json.loads((await oven.node("RO0001/boards/inside/Barcodes").read_value())[0])[0]["code"] == "PCB0004"
        position = oven.node("RO0001/boards/inside/PositionMm")
        [first] = await position.read_value()
        await until(position, lambda value: value != [first])
        oven.port.answers["Board.GetInProcess"] = said("Board.GetInProcess")
        await oven.tell("Board.ProcessCompleted")
        await until(oven.node("RO0001/boards/inside/Id"), [])

    at_oven(body)


def test_the_last_results_are_shown_with_their_records_fields(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        [board] = said("Board.Find")["boards"]
        older = board | {"id": "01M802J04JCNJBH8DBSMD6J5P6"}
        oven.port.answers["Board.Find"] = {"boards": [board, older], "cursor": None}
        await oven.tell("Board.ProcessCompleted")
        await until(oven.node("RO0001/boards/results/Id"), [board["id"], older["id"]])
        assert await oven.node("RO0001/boards/results/VerdictProcess").read_value() == ["pass", "pass"]
        last = oven.node("RO0001/boards/last")
        read = {name: await (await child(last, name)).read_value() for name in (
            "Id", "ProfilePeak", "VerdictReasons", "ExitedAt", "ProcessReady", "SamplesGood")}  # fmt: skip
        assert read == {
            "Id": board["id"], "ProfilePeak": 244.1, "VerdictReasons": board["verdict"]["reasons"],
            "ExitedAt": datetime(2026, 11, 21, 22, 16, 42, 850_000, tzinfo=UTC), "ProcessReady": True,
            "SamplesGood": 3865,
        }  # fmt: skip
        assert json.loads(await (await child(last, "Zones")).read_value()) == board["zones"]
        waves = await (await child(last, "Waves")).read_data_value(raise_on_bad_status=False)
        assert waves.StatusCode.name == "BadNoData"

    at_oven(body)


def test_a_wave_machines_zones_are_made_of_what_they_share(tmp_path: Path, application: Application) -> None:
    async def main() -> None:
        machine = served("WS0001", "wave")
        async with serving(tmp_path, application, (machine,)) as oven:
            components = await child(oven.node("WS0001"), "Components")
            for zone in machine.description.zones:
                node = oven.node(f"WS0001/zones/{zone.number}")
                parts = set(await names(node, ua.ObjectIds.Organizes))
                if not parts:
                    node = oven.node(f"WS0001/{'/'.join(zone.objects[0].split('/')[:2])}")
                assert await node.read_type_definition() == oven.model.node_ids.of_type("ZoneType")
                assert await (await child(node, "Number")).read_value() == zone.number
            flow = oven.node("WS0001/flux/1/flow")
            oven.port.change("flux/1/flow", 31.5, time_ns=NOW_NS, machine="WS0001")
            await oven.model.settled()
            assert await flow.read_value() == 31.5
            assert await child(components, "Flux1", "Flow") == flow
            assert await child(flow, "Setpoint") == oven.node("WS0001/flux/1/flowSetpoint")

    asyncio.run(main())


def test_two_machines_are_kept_apart(tmp_path: Path, application: Application) -> None:
    async def main() -> None:
        machines = served("RO0001"), served("RO0002", "reflow12")
        async with serving(tmp_path, application, machines) as oven:
            oven.port.change("zone/1/top/temperature", 101.0, machine="RO0001")
            oven.port.change("zone/1/top/temperature", 102.0, machine="RO0002")
            await oven.model.settled()
            for name, value in (("RO0001", 101.0), ("RO0002", 102.0)):
                assert await oven.node(f"{name}/zone/1/top/temperature").read_value() == value
                assert await oven.node(f"{name}/alarms/E217/Retain").read_value() is True
                assert (await oven.node(f"{name}/Identification/ComponentName").read_value()).Text == name
            status = said("Status.Get")
            status["machines"][0] |= {"machine": "RO0002", "state": "running"}
            first = oven.port.answers["Status.Get"]
            oven.port.answers["Status.Get"] = lambda asked, _: (
                status if asked["machine"] == "RO0002" else first(asked, _))  # fmt: skip
            await oven.tell("Status.MachineStatusChanged", machine="RO0002")
            await until(oven.node("RO0002/status/State"), "running")
            assert await oven.node("RO0001/status/State").read_value() == "ready"

    asyncio.run(main())
