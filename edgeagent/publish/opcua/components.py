"""The parts of a machine that have values: zones, lanes, instruments and all others, and a variable for each point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AttributeValue

from edgeagent.model.functions.machines import LaneStatus, ZoneDescription
from edgeagent.model.points import Point, Quality
from edgeagent.publish.opcua.fields import fields
from edgeagent.publish.opcua.nodes import COMPONENT, HISTORY, ORGANIZES, PROPERTY, READ, Naming, Parent, good, standard
from edgeagent.publish.opcua.own_types import COMPONENT as COMPONENT_TYPE
from edgeagent.publish.opcua.own_types import LANE, ZONE
from edgeagent.publish.opcua.port import ServedMachine
from edgeagent.publish.opcua.record_nodes import Maker, RecordNodes
from edgeagent.publish.opcua.units import engineering_units
from edgeagent.publish.opcua.values import data_value, variant_type

_V = ua.VariantType


class Components:
    """Zones, lanes, instruments and whatever else has values.

    Attributes:
        parts: object → its node; "zone/1/top" is the part Top of the component Zone1.
    """

    def __init__(self, maker: Maker, its: ServedMachine, components: ua.NodeId) -> None:
        self._maker = maker
        self._its = its
        self._components = components
        self.parts: dict[str, ua.NodeId] = {}
        self._zones = {_component(z.objects[0]): z for z in its.description.zones if _is_whole(z.objects, its)}
        self._lanes = {f"lane/{lane.number}": lane for lane in its.description.lanes}
        for path in sorted((each.object for each in its.objects), key=_by_number):
            self._part(path)
        for zone in its.description.zones:
            if zone not in self._zones.values():
                self._add_zone_of_others(zone)

    def add_points(self) -> list[AttributeValue]:
        """Add a variable for each point, setpoints below what they are for."""
        points = self._its.points
        measured = {point.path: point for point in points if point.kind == "measured"}
        owners = {point.path: _measured_for(point, measured) for point in points if point.kind == "setpoint"}
        owners_first = sorted(points, key=lambda point: owners.get(point.path) is not None)
        places = {point.index: self._variable(point, owners.get(point.path)) for point in owners_first}
        return [places[point.index] for point in points]

    def add_lanes(self) -> dict[int, RecordNodes]:
        """Add the status of each lane."""
        lanes = {}
        for path, lane in self._lanes.items():
            key = f"{self._its.id}/{path}/status"
            its = tuple(field for field in fields(LaneStatus) if field.name != "Lane")
            lanes[lane.number] = self._maker.record(key, "Status", Parent(COMPONENT, self._part(path)), its)
        return lanes

    def _part(self, path: str) -> ua.NodeId:
        """The node of an object, made where it is not there yet, as all above it."""
        if path in self.parts:
            return self.parts[path]
        above = path.rpartition("/")[0]
        name = _name(path.removeprefix(above))
        if not _is_component(path):
            parent = Parent(COMPONENT, self._part(above))
            made = self._maker.object(self._key(path), name, parent, self._type(COMPONENT_TYPE))
        else:
            made = self._add_component(path)
        self.parts[path] = made
        return made

    def _add_component(self, path: str) -> ua.NodeId:
        zone, lane = self._zones.get(path), self._lanes.get(path)
        type_ = ZONE if zone else LANE if lane else COMPONENT_TYPE
        parent = Parent(COMPONENT, self._components)
        made = self._maker.object(self._key(path), _name(path), parent, self._type(type_))
        if zone:
            self._add_zone_properties(path, made, zone)
        if lane:
            self._add_property(path, made, "Number", lane.number)
            self._add_property(path, made, "InletMm", lane.inlet_mm)
            self._add_property(path, made, "OutletMm", lane.outlet_mm)
        sources = {self._its.groups[p.group].source for p in self._its.points if _component(p.object) == path}
        for source in sources - {0}:
            self._add_property(path, made, "Instrument", self._its.description.instruments[source - 1])
        return made

    def _add_zone_of_others(self, zone: ZoneDescription) -> None:
        """A zone that is no object of its own: its parts are those of several, or shared with another zone."""
        key = f"zones/{zone.number}"
        made = self._maker.object(
            self._key(key), f"Zone{zone.number}", Parent(COMPONENT, self._components), self._type(ZONE)
        )
        self._add_zone_properties(key, made, zone)
        for part in zone.objects:
            self._maker.builder.refer(made, ORGANIZES, self._part(part))

    def _add_zone_properties(self, path: str, node: ua.NodeId, zone: ZoneDescription) -> None:
        self._add_property(path, node, "Number", zone.number)
        self._add_property(path, node, "Kind", zone.kind)
        self._add_property(path, node, "PositionMm", zone.position_mm)
        self._add_property(path, node, "LengthMm", zone.length_mm)

    def _add_property(self, path: str, owner: ua.NodeId, name: str, value: float | str) -> None:
        kind = _V.String if isinstance(value, str) else _V.Int32 if isinstance(value, int) else _V.Double
        self._maker.builder.variable(
            self._maker.node_ids.of_node(f"{self._key(path)}/{name}"), Naming(self._maker.name(name)),
            Parent(PROPERTY, owner), standard(ua.ObjectIds.PropertyType), good(value, kind), standard(kind.value),
        )  # fmt: skip

    def _variable(self, point: Point, owner: Point | None) -> AttributeValue:
        above = self.parts[point.object]
        name = _name(point.name)
        if owner is not None:
            above, name = self._maker.node_ids.of_node(self._key(owner.path)), "Setpoint"
        node_id = self._maker.node_ids.of_node(self._key(point.path))
        is_historic = point.index in self._its.historic
        place = self._maker.builder.variable(
            node_id, Naming(self._maker.name(name), description=point.text), Parent(COMPONENT, above),
            standard(_variable_type(point)), data_value(point, None, Quality.BAD, 0),
            standard(variant_type(point).value), access=READ | HISTORY if is_historic else READ,
        )  # fmt: skip
        self._add_range_and_unit(point, node_id)
        return place

    def _add_range_and_unit(self, point: Point, node_id: ua.NodeId) -> None:
        told: dict[str, tuple[Any, int]] = {}
        if point.unit is not None:
            told["EngineeringUnits"] = engineering_units(point.unit), ua.ObjectIds.EUInformation
        if _has_range(point):
            told["EURange"] = ua.Range(Low=point.low, High=point.high), ua.ObjectIds.Range
        for name, (value, data_type) in told.items():
            self._maker.builder.variable(
                self._maker.node_ids.of_node(f"{self._key(point.path)}/{name}"), Naming(ua.QualifiedName(name)),
                Parent(PROPERTY, node_id), standard(ua.ObjectIds.PropertyType), good(value, _V.ExtensionObject),
                standard(data_type),
            )  # fmt: skip

    def _key(self, path: str) -> str:
        return f"{self._its.id}/{path}"

    def _type(self, name: str) -> ua.NodeId:
        return self._maker.node_ids.of_type(name)


def _measured_for(setpoint: Point, measured: dict[str, Point]) -> Point | None:
    """What a setpoint is for: "speedSetpoint" for "speed", "setpoint" for the first value of its object in its unit."""
    if setpoint.name != "setpoint":
        return measured.get(f"{setpoint.object}/{setpoint.name.removesuffix('Setpoint')}")
    same = (p for p in measured.values() if p.object == setpoint.object and p.unit == setpoint.unit)
    return next(same, None)


def _variable_type(point: Point) -> int:
    if point.unit is not None:
        return ua.ObjectIds.AnalogUnitRangeType if _has_range(point) else ua.ObjectIds.AnalogUnitType
    if point.kind != "state" and _has_range(point):
        return ua.ObjectIds.AnalogItemType
    return ua.ObjectIds.BaseDataVariableType


def _has_range(point: Point) -> bool:
    return point.low is not None and point.high is not None and (point.unit is not None or point.kind != "state")


def _is_whole(objects: Sequence[str], its: ServedMachine) -> bool:
    """Whether a zone is one component, which belongs to no other zone."""
    components = {_component(each) for each in objects}
    others = {_component(each) for zone in its.description.zones if zone.objects != objects for each in zone.objects}
    return len(components) == 1 and not components & others


def _component(path: str) -> str:
    """The component that an object belongs to: "zone/1" of "zone/1/top", "hood" of "hood"."""
    parts = path.split("/")
    return "/".join(parts[: 2 if parts[1:2] and parts[1].isdigit() else 1])


def _by_number(path: str) -> list[tuple[int, str]]:
    """Sorts zone/2 before zone/10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in path.split("/")]


def _is_component(path: str) -> bool:
    return _component(path) == path


def _name(path: str) -> str:
    """A name as OPC UA has it: "zone/1" → "Zone1", "heaterFault" → "HeaterFault"."""
    return "".join(part[:1].upper() + part[1:] for part in path.split("/"))
