"""What happened, as OPC UA tells it: a durable event of the agent, with the fields of its type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from asyncua import ua

from edgeagent.model.events import TOPICS
from edgeagent.publish.opcua.fields import Field, moment
from edgeagent.publish.opcua.node_ids import NodeIds
from edgeagent.publish.opcua.nodes import standard
from edgeagent.publish.opcua.own_types import EVENT, EVENT_TYPES, supertypes, type_name

_V = ua.VariantType
_SEVERITIES = {"Board.Lost": 600, "Board.Unexpected": 500, "Status.MachineBlockedChanged": 400, "Command.Executed": 300}
_SEVERITY = 200
"""Of all others: nothing is wrong."""

SERVER = standard(ua.ObjectIds.Server)


class Happening:
    """One event as asyncua's subscriptions take it.

    Attributes:
        types: of which the event is. notifiers: nodes that tell it. emitting_node: the one that tells it now.
        fields: "Message", "ActiveState/Id", ... → value.
    """

    def __init__(
        self, types: Sequence[ua.NodeId], fields: dict[str, ua.Variant], notifiers: Sequence[ua.NodeId] = (SERVER,)
    ) -> None:  # fmt: skip
        self.types = frozenset(types)
        self.notifiers = tuple(notifiers)
        self.emitting_node = self.notifiers[0]
        self.fields = {"EventType": ua.Variant(types[0], _V.NodeId), **fields}

    def __getattr__(self, name: str) -> Any:
        """A field's value, for the filter of a subscription; None where it has none of this name."""
        if name.startswith("__") or "fields" not in self.__dict__:
            raise AttributeError(name)
        field = self.fields.get(name)
        return None if field is None else field.Value

    def is_of(self, type_: ua.NodeId) -> bool:
        """Whether it is of this type, or of one that is derived from it."""
        return type_ in self.types

    def to_event_fields(self, wanted: Iterable[str]) -> list[ua.Variant]:
        """The fields of these names; null for one that the event has not."""
        return [self.fields.get(name, _NULL) for name in wanted]


CONDITION_ID = "NodeId"
"""The field by which a condition's event tells its condition."""

_LONGEST_NAME = 64
"""No field has a longer name."""

_NULL = ua.Variant()


def wanted_fields(select_clauses: Iterable[ua.SimpleAttributeOperand]) -> tuple[str, ...]:
    """Names of the fields that a client wants, "" for what no event has: an item keeps them, and not the clauses."""
    once: dict[str, str] = {}
    names = map(_wanted, select_clauses)
    return tuple(once.setdefault(name, name) if _may_be_one(name) else "" for name in names)


def _may_be_one(name: str) -> bool:
    return len(name) <= _LONGEST_NAME and name.isascii()


def _wanted(clause: ua.SimpleAttributeOperand) -> str:
    if clause.BrowsePath:
        is_value = clause.AttributeId == ua.AttributeIds.Value
        return "/".join(part.Name or "" for part in clause.BrowsePath) if is_value else ""
    return CONDITION_ID if clause.AttributeId == ua.AttributeIds.NodeId else ""


def base_fields(
    event_id: bytes, source: ua.NodeId, source_name: str, time: str, message: str, severity: int
) -> dict[str, ua.Variant]:
    """The fields that every event has, but for its type."""
    when = ua.Variant(moment(time), _V.DateTime)
    return {
        "EventId": ua.Variant(event_id, _V.ByteString),
        "SourceNode": ua.Variant(source, _V.NodeId),
        "SourceName": ua.Variant(source_name, _V.String),
        "Time": when,
        "ReceiveTime": when,
        "Message": ua.Variant(ua.LocalizedText(message), _V.LocalizedText),
        "Severity": ua.Variant(severity, _V.UInt16),
    }


def event_id(*parts: object) -> bytes:
    """An EventId that is the same whenever the same event is told: now, in the history, after a restart."""
    return blake2b("/".join(map(str, parts)).encode(), digest_size=16).digest()


def record_fields(its: Sequence[Field], record: Mapping[str, Any]) -> dict[str, ua.Variant]:
    """The fields of an event's data."""
    return {field.name: field.of(record) for field in its}


def happening(event: Mapping[str, Any], node_ids: NodeIds, notifiers: Sequence[ua.NodeId]) -> Happening:
    """Make an event of what was told, {method, stream, sequence, time, clock, machine, data}; not for alarms."""
    topic, data = event["method"], event["data"]
    its = EVENT_TYPES[type_name(topic)]
    message = TOPICS[topic].text if not data.get("reason") else f"{TOPICS[topic].text}: {data['reason']}"
    machine = event["machine"]
    fields = base_fields(
        event_id(event["stream"], event["sequence"]), node_ids.of_node(machine), machine, event["time"],
        message[:1].upper() + message[1:], _SEVERITIES.get(topic, _SEVERITY),
    )  # fmt: skip
    fields |= record_fields(EVENT_TYPES[EVENT].fields, event) | record_fields(its.fields, data)
    return Happening((node_ids.of_type(its.name), *supertypes(its, node_ids)), fields, notifiers)
