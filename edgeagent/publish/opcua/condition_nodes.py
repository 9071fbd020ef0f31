"""Conditions as nodes, for clients that browse for them; a condition is there while somebody has to do with it."""

from __future__ import annotations

from datetime import UTC, datetime

from asyncua import ua
from asyncua.server.address_space import AddressSpace, AttributeValue

from edgeagent.publish.opcua.conditions import Condition
from edgeagent.publish.opcua.happenings import Happening
from edgeagent.publish.opcua.machines import MachineNodes
from edgeagent.publish.opcua.node_ids import NodeIds
from edgeagent.publish.opcua.nodes import COMPONENT, PROPERTY, Builder, Naming, Parent, standard
from edgeagent.publish.opcua.own_types import ALARM
from edgeagent.publish.opcua.values import put, stamped

_O = ua.ObjectIds
_VARIABLES = {
    "EventId": (_O.PropertyType, _O.ByteString), "SourceName": (_O.PropertyType, _O.String),
    "Time": (_O.PropertyType, _O.UtcTime), "Message": (_O.PropertyType, _O.LocalizedText),
    "Severity": (_O.PropertyType, _O.UInt16), "ConditionName": (_O.PropertyType, _O.String),
    "Retain": (_O.PropertyType, _O.Boolean), "EnabledState": (_O.TwoStateVariableType, _O.LocalizedText),
    "EnabledState/Id": (_O.PropertyType, _O.Boolean), "AckedState": (_O.TwoStateVariableType, _O.LocalizedText),
    "AckedState/Id": (_O.PropertyType, _O.Boolean), "ActiveState": (_O.TwoStateVariableType, _O.LocalizedText),
    "ActiveState/Id": (_O.PropertyType, _O.Boolean),
}  # fmt: skip
"""Those fields of the condition's event that are nodes: type and data type."""

_ACKNOWLEDGE = _O.AcknowledgeableConditionType_Acknowledge


class ConditionNodes:
    """Makes, writes and takes away the nodes of conditions."""

    def __init__(self, space: AddressSpace, node_ids: NodeIds) -> None:
        self._builder = Builder(space)
        self._node_ids = node_ids
        self._places: dict[ua.NodeId, dict[str, AttributeValue]] = {}

    async def show(
        self, node_id: ua.NodeId, condition: Condition, happening: Happening, nodes: MachineNodes
    ) -> None:  # fmt: skip
        """Show a condition as it is now."""
        if node_id not in self._places:
            self._places[node_id] = self._made(node_id, condition, happening, nodes)
        now = datetime.now(UTC)
        for name, place in self._places[node_id].items():
            await put(place, stamped(happening.fields[name], ua.StatusCode(), happening.Time, now))

    def remove(self, node_id: ua.NodeId) -> None:
        """Take a condition away."""
        key = self._node_ids.name(node_id)
        names = self._places.pop(node_id)
        self._builder.remove([*(self._node_ids.of_node(f"{key}/{name}") for name in reversed(names)), node_id])

    def _made(
        self, node_id: ua.NodeId, condition: Condition, happening: Happening, nodes: MachineNodes
    ) -> dict[str, AttributeValue]:  # fmt: skip
        name = ua.QualifiedName(condition.alarm.code, node_id.NamespaceIndex)
        naming = Naming(name, description=condition.alarm.text)
        self._builder.object(node_id, naming, Parent(COMPONENT, nodes.alarms), self._node_ids.of_type(ALARM))
        self._builder.refer(node_id, COMPONENT, standard(_ACKNOWLEDGE), both_ways=False)
        return {name: self._variable(condition.key, name, happening) for name in _VARIABLES}

    def _variable(self, key: str, name: str, happening: Happening) -> AttributeValue:
        type_, data_type = _VARIABLES[name]
        above, _, own = name.rpartition("/")
        parent = self._node_ids.of_node(f"{key}/{above}" if above else key)
        reference = PROPERTY if type_ == _O.PropertyType else COMPONENT
        return self._builder.variable(
            self._node_ids.of_node(f"{key}/{name}"), Naming(ua.QualifiedName(own)), Parent(reference, parent),
            standard(type_), ua.DataValue(happening.fields[name]), standard(data_type),
        )  # fmt: skip
