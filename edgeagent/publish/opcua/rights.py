"""What somebody may see who has a list of functions in place of a role: what these answer, and nothing else."""

from __future__ import annotations

from asyncua import ua
from asyncua.server.address_space import AddressSpace

from edgeagent.publish.opcua.methods import SHOWN
from edgeagent.publish.opcua.port import Identity

SEEN = SHOWN | {"Alarm.GetHistory", "Board.Find", "Recipe.List"}
"""Functions whose answers the machines' nodes show."""

_TOLD = "Event.Subscribe"
_ARGUMENT = ua.NodeId(ua.Int32(ua.ObjectIds.Argument))


def sees_machines(identity: Identity | None) -> bool:
    """Whether it may see the values of the machines' nodes."""
    return identity is not None and (identity.functions is None or set(identity.functions) >= SEEN)


def may_see(identity: Identity | None, space: AddressSpace, wanted: ua.ReadValueId) -> bool:
    """Whether it may have an attribute; events are told by the attribute EventNotifier."""
    if identity is None:
        return False
    if identity.functions is None:
        return True
    is_value = wanted.AttributeId == ua.AttributeIds.Value and wanted.NodeId.NamespaceIndex != 0
    return not is_value or sees_machines(identity) or _is_of_method(space, wanted.NodeId)


def may_hear(identity: Identity | None) -> bool:
    """Whether it may be told events."""
    return identity is not None and (identity.functions is None or _TOLD in identity.functions)


def _is_of_method(space: AddressSpace, node: ua.NodeId) -> bool:
    """Whether it says what a method takes or answers."""
    data_type = space.read_attribute_value(node, ua.AttributeIds.DataType).Value
    return data_type is not None and data_type.Value == _ARGUMENT
