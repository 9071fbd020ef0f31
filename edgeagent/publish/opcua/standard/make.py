"""Makes the records from the address space that the installed asyncua ships: `python -m` this module, then commit."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import asyncua
import msgspec
from asyncua import ua
from asyncua.server.address_space import AddressSpace, NodeData, NodeManagementService
from asyncua.ua import ua_binary

from edgeagent.publish.opcua.standard import records
from edgeagent.publish.opcua.standard.records import Archive, Record, Reference


def stock() -> dict[ua.NodeId, NodeData]:
    """Load the standard address space as asyncua itself does: some seconds, and tens of MB that never come back."""
    from asyncua.server.standard_address_space import standard_address_space  # noqa: PLC0415 - the cost is the reason

    space = AddressSpace()
    standard_address_space.fill_address_space(NodeManagementService(space))
    return space._nodes


def archive(nodes: dict[ua.NodeId, NodeData]) -> bytes:
    """Turn nodes of namespace 0 into the content of the file."""
    made = sorted((_record(node) for node in nodes.values()), key=lambda record: record.identifier)
    encode = msgspec.msgpack.encode
    blocks = [
        zlib.compress(encode([encode(record) for record in made[start : start + records.BLOCK]]), 9)
        for start in range(0, len(made), records.BLOCK)
    ]
    return encode(Archive(f"asyncua {asyncua.__version__}", [record.identifier for record in made], blocks))


def _record(node: NodeData) -> Record:
    attributes: dict[int, Any] = {}
    for number, attribute in node.attributes.items():
        variant = attribute.value.Value if attribute.value is not None else None
        if variant is None:
            raise ValueError(f"{node.nodeid} has no {number.name}")
        attributes[int(number)] = _raw(number, variant)
    return Record(_identifier(node.nodeid), attributes, [_reference(reference) for reference in node.references])


def _raw(number: ua.AttributeIds, variant: ua.Variant) -> Any:
    if number == ua.AttributeIds.Value:
        return ua_binary.variant_to_binary(variant)
    if variant.VariantType != records.TYPES[number]:
        raise ValueError(f"{number.name} is a {variant.VariantType.name}, not a {records.TYPES[number].name}")
    value = variant.Value
    if isinstance(value, ua.NodeId):
        return _identifier(value)
    if isinstance(value, ua.QualifiedName):
        return _name(value)
    if isinstance(value, ua.LocalizedText):
        return _text(value)
    return value


def _reference(description: ua.ReferenceDescription) -> Reference:
    return Reference(
        reference_type=_identifier(description.ReferenceTypeId),
        is_forward=description.IsForward,
        target=_identifier(description.NodeId),
        browse_name=_name(description.BrowseName),
        display_name=_text(description.DisplayName),
        node_class=int(description.NodeClass),
        type_definition=_identifier(description.TypeDefinition),
    )


def _identifier(nodeid: ua.NodeId) -> int:
    if nodeid.NamespaceIndex or not isinstance(nodeid.Identifier, int):
        raise ValueError(f"{nodeid} is no number of namespace 0")
    return nodeid.Identifier


def _name(name: ua.QualifiedName) -> str:
    if name.NamespaceIndex or name.Name is None:
        raise ValueError(f"{name} is no name of namespace 0")
    return name.Name


def _text(text: ua.LocalizedText) -> records.Text:
    return text.Text, text.Locale


if __name__ == "__main__":
    Path(__file__).with_name(records.FILE).write_bytes(archive(stock()))
