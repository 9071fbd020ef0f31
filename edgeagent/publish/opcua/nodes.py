"""Makes nodes straight in the address space, and small: what nodes have in common is in memory once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from asyncua import ua
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData

PROPERTY = ua.ObjectIds.HasProperty
COMPONENT = ua.ObjectIds.HasComponent
ORGANIZES = ua.ObjectIds.Organizes
ADD_IN = ua.ObjectIds.HasAddIn
SUBTYPE = ua.ObjectIds.HasSubtype
TYPE_DEFINITION = ua.ObjectIds.HasTypeDefinition
MODELLING_RULE = ua.ObjectIds.HasModellingRule

READ = 1 << ua.AccessLevel.CurrentRead
HISTORY = 1 << ua.AccessLevel.HistoryRead
EVENTS = 1 << ua.EventNotifier.SubscribeToEvents
EVENT_HISTORY = 1 << ua.EventNotifier.HistoryRead

_A = ua.AttributeIds
_V = ua.VariantType


class Parent(NamedTuple):
    """Below which node, and by which reference (an identifier of namespace 0)."""

    reference: int
    node_id: ua.NodeId


class Naming(NamedTuple):
    """What a node is called: its browse name; for people its display name, where it is another, and a description."""

    name: ua.QualifiedName
    display: str = ""
    description: str = ""


@cache
def standard(identifier: int) -> ua.NodeId:
    """The NodeId of this number in namespace 0."""
    return ua.NodeId(identifier)  # type: ignore[arg-type]  # asyncua says Int32, its class for the wire


def good(value: Any, kind: ua.VariantType, is_array: bool = False) -> ua.DataValue:
    """A value that does not change."""
    return ua.DataValue(ua.Variant(value, kind, is_array=is_array))


class Builder:
    """Adds nodes and references in both directions; asyncua's own way takes some ten times the memory."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._shared: dict[Any, AttributeValue] = {}

    def object(
        self, node_id: ua.NodeId, naming: Naming, parent: Parent, type_definition: ua.NodeId, notifies: int = 0
    ) -> ua.NodeId:
        """Add an object; `notifies` is its EventNotifier."""
        node = self._node(node_id, ua.NodeClass.Object, naming)
        node.attributes[_A.EventNotifier] = self._same(notifies, _V.Byte)
        return self._added(node, parent, type_definition)

    def object_type(self, node_id: ua.NodeId, naming: Naming, parent: Parent, is_abstract: bool = False) -> ua.NodeId:
        """Add a type of objects or events."""
        node = self._node(node_id, ua.NodeClass.ObjectType, naming)
        node.attributes[_A.IsAbstract] = self._same(is_abstract, _V.Boolean)
        return self._added(node, parent, None)

    def variable(
        self, node_id: ua.NodeId, naming: Naming, parent: Parent, type_definition: ua.NodeId, value: ua.DataValue,
        data_type: ua.NodeId, is_array: bool = False, access: int = READ,
    ) -> AttributeValue:  # fmt: skip
        """Add a variable; return the place of its value."""
        node = self._node(node_id, ua.NodeClass.Variable, naming)
        its = node.attributes
        its[_A.DataType] = self._same(data_type, _V.NodeId)
        its[_A.ValueRank] = self._same(1 if is_array else -1, _V.Int32)
        if is_array:
            its[_A.ArrayDimensions] = self._same((0,), _V.UInt32, is_array=True)
        its[_A.AccessLevel] = its[_A.UserAccessLevel] = self._same(access, _V.Byte)
        its[_A.MinimumSamplingInterval] = self._same(0.0, _V.Double)
        its[_A.Historizing] = self._same(bool(access & HISTORY), _V.Boolean)
        place = its[_A.Value] = AttributeValue(value)
        self._added(node, parent, type_definition)
        return place

    def refer(self, source: ua.NodeId, reference: int, target: ua.NodeId, both_ways: bool = True) -> None:
        """Add a reference."""
        self._reference(source, reference, target, is_forward=True)
        if both_ways:
            self._reference(target, reference, source, is_forward=False)

    def remove(self, node_ids: Iterable[ua.NodeId]) -> None:
        """Take nodes away again, and every reference to them from what is next to them."""
        for node_id in node_ids:
            node = self._space[node_id]
            for neighbour in {reference.NodeId for reference in node.references if reference.NodeId.NamespaceIndex}:
                if (its := self._space.get(neighbour)) is not None:
                    its.references[:] = [each for each in its.references if each.NodeId != node_id]
            for handle in tuple(node.attributes[_A.Value].datachange_callbacks) if _A.Value in node.attributes else ():
                self._space.delete_datachange_callback(handle)
            del self._space[node_id]

    def _node(self, node_id: ua.NodeId, node_class: ua.NodeClass, naming: Naming) -> NodeData:
        node = NodeData(node_id)
        node.attributes = {
            _A.NodeId: _ITSELF,
            _A.NodeClass: self._same(node_class, _V.Int32),
            _A.BrowseName: self._same(naming.name, _V.QualifiedName),
            _A.DisplayName: self._same(ua.LocalizedText(naming.display or naming.name.Name), _V.LocalizedText),
            _A.Description: self._same(ua.LocalizedText(naming.description or None), _V.LocalizedText),
            _A.WriteMask: self._same(0, _V.UInt32),
            _A.UserWriteMask: self._same(0, _V.UInt32),
        }
        return node

    def _added(self, node: NodeData, parent: Parent, type_definition: ua.NodeId | None) -> ua.NodeId:
        if node.nodeid in self._space:
            raise ValueError(f"{node.nodeid} is there already")
        self._space[node.nodeid] = node
        if type_definition is not None:
            self.refer(node.nodeid, TYPE_DEFINITION, type_definition, both_ways=False)
        self.refer(parent.node_id, parent.reference, node.nodeid)
        return node.nodeid

    def _reference(self, source: ua.NodeId, reference: int, target: ua.NodeId, is_forward: bool) -> None:
        its = self._space[target]
        node_class = _plain(its, _A.NodeClass)
        made = ua.ReferenceDescription(
            ReferenceTypeId=standard(reference), IsForward=is_forward, NodeId=its.nodeid,
            BrowseName=_plain(its, _A.BrowseName), DisplayName=_plain(its, _A.DisplayName), NodeClass=node_class,
            TypeDefinition=_type_of(its) if node_class in _INSTANCES else _NOTHING,
        )  # fmt: skip
        self._space[source].references.append(made)

    def _same(self, value: Any, kind: ua.VariantType, is_array: bool = False) -> AttributeValue:
        """The one attribute in memory that has this value; nobody ever writes it."""
        key = (kind, str(value))
        if key not in self._shared:
            self._shared[key] = AttributeValue(good(list(value) if is_array else value, kind, is_array))
        return self._shared[key]


_INSTANCES = (ua.NodeClass.Object, ua.NodeClass.Variable)
_NOTHING = ua.NodeId()
_ITSELF = AttributeValue(ua.DataValue())
_ITSELF.value_callback = lambda node_id, _: good(node_id, _V.NodeId)
"""A node's own NodeId, which whoever asks knows."""


def _plain(node: NodeData, attribute: ua.AttributeIds) -> Any:
    value = node.attributes[attribute].value
    assert value is not None
    assert value.Value is not None
    return value.Value.Value


def _type_of(node: NodeData) -> ua.NodeId:
    wanted = standard(TYPE_DEFINITION)
    return next((r.NodeId for r in node.references if r.IsForward and r.ReferenceTypeId == wanted), _NOTHING)
