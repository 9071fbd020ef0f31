"""The standard address space as compressed records, and one of its nodes made from them.

A record holds what asyncua's own loader would have put into memory: attributes in the library's order, references in
that of the standard. Blocks of records are compressed together; a block that was just read is kept, as browsing goes
from neighbour to neighbour.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.server.address_space import AttributeValue, NodeData
from asyncua.ua import ua_binary, uaprotocol_auto

FILE = "nodes.bin"
"""In this package; made by `python -m edgeagent.publish.opcua.standard.make`."""

BLOCK = 32
"""Records that are compressed together."""

_KEPT_BLOCKS = 4

TYPES = {
    ua.AttributeIds.NodeId: ua.VariantType.NodeId,
    ua.AttributeIds.NodeClass: ua.VariantType.Int32,
    ua.AttributeIds.BrowseName: ua.VariantType.QualifiedName,
    ua.AttributeIds.DisplayName: ua.VariantType.LocalizedText,
    ua.AttributeIds.Description: ua.VariantType.LocalizedText,
    ua.AttributeIds.WriteMask: ua.VariantType.UInt32,
    ua.AttributeIds.UserWriteMask: ua.VariantType.UInt32,
    ua.AttributeIds.IsAbstract: ua.VariantType.Boolean,
    ua.AttributeIds.Symmetric: ua.VariantType.Boolean,
    ua.AttributeIds.InverseName: ua.VariantType.LocalizedText,
    ua.AttributeIds.EventNotifier: ua.VariantType.Byte,
    ua.AttributeIds.DataType: ua.VariantType.NodeId,
    ua.AttributeIds.ValueRank: ua.VariantType.Int32,
    ua.AttributeIds.ArrayDimensions: ua.VariantType.UInt32,
    ua.AttributeIds.AccessLevel: ua.VariantType.Byte,
    ua.AttributeIds.UserAccessLevel: ua.VariantType.Byte,
    ua.AttributeIds.MinimumSamplingInterval: ua.VariantType.Double,
    ua.AttributeIds.Historizing: ua.VariantType.Boolean,
    ua.AttributeIds.Executable: ua.VariantType.Boolean,
    ua.AttributeIds.UserExecutable: ua.VariantType.Boolean,
    ua.AttributeIds.DataTypeDefinition: ua.VariantType.Null,
}
"""Of each attribute but Value; a DataTypeDefinition is null in the standard address space as asyncua has it."""

Text = tuple[str | None, str | None]
"""Text and locale."""


class Reference(msgspec.Struct, frozen=True, array_like=True):
    """A ReferenceDescription whose NodeIds are identifiers of namespace 0, 0 for none."""

    reference_type: int
    is_forward: bool
    target: int
    browse_name: str
    display_name: Text
    node_class: int
    type_definition: int


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One node.

    Attributes:
        attributes: by AttributeId, in order; a NodeId as its identifier, a QualifiedName as its name, a LocalizedText
            as `Text`, Value as a Variant in OPC UA Binary, everything else as it is.
    """

    identifier: int
    attributes: dict[int, Any]
    references: list[Reference]


class Archive(msgspec.Struct, frozen=True):
    """The file: identifiers rising; blocks hold their records in the same order."""

    library: str
    identifiers: list[int]
    blocks: list[bytes]


class StandardNode(NodeData):
    """A node that was made from its record, and remembers what it was made with."""

    def __init__(self, record: Record) -> None:
        super().__init__(standard_id(record.identifier))
        self.attributes = {
            ua.AttributeIds(number): AttributeValue(ua.DataValue(_variant(number, raw)))
            for number, raw in record.attributes.items()
        }
        self.references = [_description(reference) for reference in record.references]
        self._made_values = tuple(attribute.value for attribute in self.attributes.values())
        self._made_references = tuple(self.references)

    @property
    def is_as_recorded(self) -> bool:
        """Nothing was written, linked or taken away since, and nobody listens for changes: it can be made again."""
        return (
            self.call is None
            and len(self.references) == len(self._made_references)
            and all(now is made for now, made in zip(self.references, self._made_references, strict=True))
            and len(self.attributes) == len(self._made_values)
            and all(
                attribute.value is made
                and attribute.value_callback is None
                and attribute.value_setter is None
                and not attribute.datachange_callbacks
                for attribute, made in zip(self.attributes.values(), self._made_values, strict=True)
            )
        )


class Records:
    """All nodes of the standard address space, each made anew when it is asked for."""

    def __init__(self) -> None:
        archive = msgspec.msgpack.decode(Path(__file__).with_name(FILE).read_bytes(), type=Archive)
        self._identifiers = array("I", archive.identifiers)
        self._blocks = archive.blocks
        self._block = lru_cache(_KEPT_BLOCKS)(self._read)

    def __len__(self) -> int:
        return len(self._identifiers)

    @property
    def identifiers(self) -> array[int]:
        """Of all nodes, rising; all are numbers of namespace 0."""
        return self._identifiers

    def has(self, nodeid: ua.NodeId) -> bool:
        """A node of the standard address space has this NodeId."""
        return self._position(nodeid) is not None

    def made(self, nodeid: ua.NodeId) -> StandardNode | None:
        """Make the node from its record; None where the standard has no such node."""
        position = self._position(nodeid)
        if position is None:
            return None
        block, row = divmod(position, BLOCK)
        return StandardNode(msgspec.msgpack.decode(self._block(block)[row], type=Record))

    def _position(self, nodeid: ua.NodeId) -> int | None:
        identifier = nodeid.Identifier
        if nodeid.NamespaceIndex or not isinstance(identifier, int):
            return None
        position = bisect_left(self._identifiers, identifier)
        if position == len(self._identifiers) or self._identifiers[position] != identifier:
            return None
        return position

    def _read(self, block: int) -> list[bytes]:
        return msgspec.msgpack.decode(zlib.decompress(self._blocks[block]), type=list[bytes])


@lru_cache(512)
def standard_id(identifier: int) -> ua.NodeId:
    """The NodeId of this number in namespace 0; the same object for the same number, never to be changed."""
    return ua.NodeId(identifier)  # type: ignore[arg-type] # asyncua says UInt32, its class for the wire


def _variant(number: int, raw: Any) -> ua.Variant:
    if number == ua.AttributeIds.Value:
        variant = ua_binary.variant_from_binary(Buffer(raw))
        if isinstance(variant.Value, list):
            variant.Value = [_argument(value) for value in variant.Value]
        return variant
    kind = TYPES[ua.AttributeIds(number)]
    if number == ua.AttributeIds.NodeClass:
        raw = ua.NodeClass(raw)
    elif kind == ua.VariantType.NodeId:
        raw = standard_id(raw)
    elif kind == ua.VariantType.QualifiedName:
        raw = ua.QualifiedName(raw)
    elif kind == ua.VariantType.LocalizedText:
        raw = ua.LocalizedText(*raw)
    return ua.Variant(raw, kind, is_array=number == ua.AttributeIds.ArrayDimensions)


def _argument(value: Any) -> Any:
    # asyncua reads an Argument as the class of which its ua.Argument is a subclass.
    if type(value) is not uaprotocol_auto.Argument:
        return value
    return ua.Argument(value.Name, value.DataType, value.ValueRank, value.ArrayDimensions, value.Description)


def _description(reference: Reference) -> ua.ReferenceDescription:
    return ua.ReferenceDescription(
        ReferenceTypeId=standard_id(reference.reference_type),
        IsForward=reference.is_forward,
        NodeId=standard_id(reference.target),
        BrowseName=ua.QualifiedName(reference.browse_name),
        DisplayName=ua.LocalizedText(*reference.display_name),
        NodeClass=ua.NodeClass(reference.node_class),
        TypeDefinition=standard_id(reference.type_definition),
    )
