"""Our own types: of machines and their parts, and of each event that the agent tells, with its record's fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from asyncua import ua
from asyncua.server.address_space import AddressSpace

from edgeagent.model.events import TOPICS, AlarmTold
from edgeagent.publish.opcua.fields import Field, fields
from edgeagent.publish.opcua.node_ids import NodeIds
from edgeagent.publish.opcua.nodes import MODELLING_RULE, PROPERTY, SUBTYPE, Builder, Naming, Parent, standard

MACHINE, COMPONENT, ZONE, LANE = "SolderingMachineType", "ComponentType", "ZoneType", "LaneType"
RECORD, RECORDS = "RecordType", "RecordsType"
ALARM, EVENT = "MachineAlarmType", "AgentEventType"

_OBJECTS = {
    MACHINE: ("", "A reflow oven or wave machine"),
    COMPONENT: ("", "A part of a machine that has values"),
    ZONE: (COMPONENT, "A zone; places in mm from the tunnel's entrance"),
    LANE: (COMPONENT, "A lane; places of its barriers in mm from the tunnel's entrance"),
    RECORD: ("", "One record, a variable for each of its fields"),
    RECORDS: ("", "Several records: of each field an array, all of the same length"),
}
"""Type → supertype, where it is none of OPC UA's own, and what it is."""

_OF_EVERY_EVENT = (
    Field(("machine",), "text"), Field(("stream",), "text"), Field(("sequence",), "json"), Field(("clock",), "text"),
)  # fmt: skip
"""What is said beside an event's data; a sequence is told as text, for it outgrows Int32."""

_OPTIONAL = ua.ObjectIds.ModellingRule_Optional


class EventType(NamedTuple):
    """A type of events.

    Attributes:
        supertypes: identifiers in namespace 0 and names of ours, next one first.
        fields: of the event's data.
    """

    name: str
    text: str
    supertypes: tuple[int | str, ...]
    fields: tuple[Field, ...]


def _event_types() -> dict[str, EventType]:
    base = ua.ObjectIds.BaseEventType
    types = {EVENT: EventType(EVENT, "Something that the agent tells", (base,), _OF_EVERY_EVENT)}
    condition = (
        ua.ObjectIds.AlarmConditionType, ua.ObjectIds.AcknowledgeableConditionType, ua.ObjectIds.ConditionType, base,
    )  # fmt: skip
    types[ALARM] = EventType(ALARM, "An alarm of a machine", condition, fields(AlarmTold))
    for name, topic in TOPICS.items():
        if topic.durable and topic.data is not AlarmTold:
            its = type_name(name)
            types[its] = EventType(its, topic.text[:1].upper() + topic.text[1:], (EVENT, base), fields(topic.data))
    return types


def type_name(topic: str) -> str:
    """The type of an event: Board.Lost → BoardLostEventType."""
    return ALARM if TOPICS[topic].data is AlarmTold else f"{topic.replace('.', '')}EventType"


EVENT_TYPES = _event_types()
"""Name → type, supertypes first."""


def names() -> Iterator[str]:
    """The names of all nodes that are ours and belong to a type, as the stored list has them."""
    yield from _OBJECTS
    for event in EVENT_TYPES.values():
        yield event.name
        yield from (f"{event.name}/{field.name}" for field in event.fields)


def add_types(space: AddressSpace, node_ids: NodeIds) -> None:
    """Add all of them."""
    builder = Builder(space)
    for name, (supertype, text) in _OBJECTS.items():
        parent = node_ids.of_type(supertype) if supertype else standard(ua.ObjectIds.BaseObjectType)
        builder.object_type(node_ids.of_type(name), _naming(name, node_ids, text), Parent(SUBTYPE, parent))
    for event in EVENT_TYPES.values():
        parent = supertypes(event, node_ids)[0]
        builder.object_type(
            node_ids.of_type(event.name), _naming(event.name, node_ids, event.text), Parent(SUBTYPE, parent),
            is_abstract=event.name == EVENT,
        )  # fmt: skip
        _add_fields(builder, node_ids, event.name, event.fields)
        builder.refer(node_ids.of_type(MACHINE), ua.ObjectIds.GeneratesEvent, node_ids.of_type(event.name))


def supertypes(event: EventType, node_ids: NodeIds) -> tuple[ua.NodeId, ...]:
    """All types that an event of this type is of as well, next one first."""
    return tuple(node_ids.of_type(each) if isinstance(each, str) else standard(each) for each in event.supertypes)


def _add_fields(builder: Builder, node_ids: NodeIds, owner: str, its: Iterable[Field]) -> None:
    parent = Parent(PROPERTY, node_ids.of_type(owner))
    for field in its:
        node_id = node_ids.of_type(f"{owner}/{field.name}")
        builder.variable(
            node_id, _naming(field.name, node_ids), parent, standard(ua.ObjectIds.PropertyType), ua.DataValue(),
            field.data_type, field.is_array,
        )  # fmt: skip
        builder.refer(node_id, MODELLING_RULE, standard(_OPTIONAL), both_ways=False)


def _naming(name: str, node_ids: NodeIds, text: str = "") -> Naming:
    return Naming(ua.QualifiedName(name, node_ids.types), description=text)
