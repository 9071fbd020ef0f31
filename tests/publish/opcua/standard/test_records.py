"""The records say of every standard node exactly what asyncua's own loader says."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from asyncua import ua
from asyncua.server.address_space import NodeData

from edgeagent.publish.opcua.standard import make
from edgeagent.publish.opcua.standard.records import FILE, Archive, Records


@pytest.fixture(scope="module")
def stock() -> Iterator[dict[ua.NodeId, NodeData]]:
    yield make.stock()


def values(node: NodeData) -> list[tuple[ua.AttributeIds, ua.DataValue, Any, type]]:
    found = []
    for number, attribute in node.attributes.items():
        variant = attribute.value.Value
        inner = variant.Value[0] if isinstance(variant.Value, list) and variant.Value else variant.Value
        kind = ua.NodeId if isinstance(inner, ua.NodeId) else type(inner)
        found.append((number, attribute.value, variant.Dimensions, kind))
    return found


def test_every_standard_node_is_made_with_the_attributes_and_references_that_asyncua_loads(stock):
    records = Records()
    assert [ua.NodeId(number) for number in records.identifiers] == sorted(stock)
    for nodeid, theirs in stock.items():
        ours = records.made(nodeid)
        assert ours.nodeid == nodeid
        assert values(ours) == values(theirs)
        assert ours.references == theirs.references
        assert ours.call is theirs.call is None
        assert ours.is_as_recorded


def test_the_values_are_the_same_bytes_on_the_wire(stock):
    records = Records()
    for nodeid, theirs in stock.items():
        if ua.AttributeIds.Value in theirs.attributes:
            ours = records.made(nodeid).attributes[ua.AttributeIds.Value].value
            expected = theirs.attributes[ua.AttributeIds.Value].value
            assert ua.ua_binary.struct_to_binary(ours) == ua.ua_binary.struct_to_binary(expected)


def test_the_file_is_what_its_script_makes_of_the_installed_asyncua(stock):
    made = msgspec.msgpack.decode(make.archive(stock), type=Archive)
    shipped = Records()
    assert list(shipped.identifiers) == made.identifiers
    assert (make.records.FILE, len(shipped)) == (FILE, len(stock))
    assert [ua.NodeId(number) in stock for number in (84, 85, 2253)] == [True, True, True]


def test_what_is_no_standard_node_has_no_record():
    records = Records()
    for unknown in (ua.NodeId(0), ua.NodeId(5, 1), ua.NodeId("Server"), ua.NodeId(4_000_000_000), ua.NodeId(2253, 2)):
        assert not records.has(unknown)
        assert records.made(unknown) is None
    assert records.has(ua.NodeId(2253))
