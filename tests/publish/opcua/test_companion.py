"""The companion types as they are in the address space, against the official node sets and a list made from them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from asyncua import ua
from asyncua.server.address_space import NodeData

from edgeagent.publish.opcua import companion
from edgeagent.publish.opcua.companion import DI_URI, MACHINERY_URI, Companions
from edgeagent.publish.opcua.standard.space import LazySpace

OFFICIAL = Path(__file__).parents[4] / "shared" / "nodesets"
FILES = ("Opc.Ua.Di.NodeSet2.xml", "Opc.Ua.Machinery.NodeSet2.xml")
LIST = Path(__file__).with_name("companion_nodes.txt")
"""What `derived` makes of the official files, for the nodes that we have."""

ITS = Companions(2, 3)
LETTERS = {"http://opcfoundation.org/UA/": "0", DI_URI: "D", MACHINERY_URI: "M"}
SUBTYPE = "45"
TAG = "{http://opcfoundation.org/UA/2011/03/UANodeSet.xsd}"
LEFT_OUT = {"D6242", "D6243", "D6246", "D15006", "D15007", "D15008", "D15031", "D15032", "D15033",
            "M6035", "M6036", "M6037"}  # fmt: skip
"""Optional nodes of what we have, that we have not."""


class Described(NamedTuple):
    """A node: class, name and whether it is abstract; data type and rank; and forward references to what we have."""

    node_class: str
    name: str
    is_abstract: bool
    data_type: str
    rank: int
    references: tuple[str, ...]

    def line(self) -> str:
        return " ".join(map(str, (*self[:5], *self.references)))


def of_ours() -> dict[str, Described]:
    space = LazySpace()
    companion.add_types(space, ITS)
    nodes = {written(node.nodeid): node for node in space.nodes.changed if node.nodeid.NamespaceIndex}
    return {number: described(node, space) for number, node in nodes.items()}


def described(node: NodeData, space: LazySpace) -> Described:
    def plain(attribute: ua.AttributeIds, default: object = None) -> object:
        its = node.attributes.get(attribute)
        return default if its is None or its.value is None else its.value.Value.Value  # type: ignore[union-attr]

    name = plain(ua.AttributeIds.BrowseName)
    data_type = plain(ua.AttributeIds.DataType)
    forward = {f"{r.ReferenceTypeId.Identifier}>{written(r.NodeId)}" for r in node.references if r.IsForward}
    for back in (r for r in node.references if not r.IsForward):
        there = space[back.NodeId].references
        assert any(r.NodeId == node.nodeid and r.IsForward and r.ReferenceTypeId == back.ReferenceTypeId for r in there)
        if not back.NodeId.NamespaceIndex:
            forward.add(f"{back.ReferenceTypeId.Identifier}<{written(back.NodeId)}")
    return Described(
        ua.NodeClass(plain(ua.AttributeIds.NodeClass)).name, f"{'0_DM'[name.NamespaceIndex]}:{name.Name}",
        bool(plain(ua.AttributeIds.IsAbstract, False)), written(data_type) if data_type else "-",
        plain(ua.AttributeIds.ValueRank, -1), tuple(sorted(forward)),
    )  # fmt: skip


def written(node_id: ua.NodeId) -> str:
    return f"{('', '', 'D', 'M')[node_id.NamespaceIndex]}{node_id.Identifier}"


def derived(wanted: set[str]) -> dict[str, Described]:
    """The wanted nodes of the official files."""
    nodes: dict[str, tuple[ElementTree.Element, str]] = {}
    references: set[tuple[str, str, str]] = set()
    for file in FILES:
        root = ElementTree.parse(OFFICIAL / file).getroot()
        uris = ["http://opcfoundation.org/UA/", *(uri.text or "" for uri in root.find(f"{TAG}NamespaceUris") or ())]
        aliases = {alias.get("Alias"): alias.text or "" for alias in root.find(f"{TAG}Aliases") or ()}

        def short(node_id: str, uris: list[str] = uris, aliases: dict[str | None, str] = aliases) -> str:
            namespace, _, number = aliases.get(node_id, node_id).rpartition(";")
            letter = LETTERS[uris[int(namespace[3:] or 0)]]
            return f"{letter.strip('0')}{number[2:]}"

        for node in root:
            if (number := node.get("NodeId")) is None:
                continue
            space, _, name = (node.get("BrowseName") or "").partition(":")
            full = f"{LETTERS[uris[int(space)]]}:{name}" if space.isdigit() else f"0:{node.get('BrowseName')}"
            nodes[short(number)] = node, full
            for reference in node.find(f"{TAG}References") or ():
                ends = short(number), short(reference.text or "")
                is_forward = reference.get("IsForward", "true") == "true"
                references.add((short(reference.get("ReferenceType") or ""), *(ends if is_forward else ends[::-1])))
            data_type = node.get("DataType")
            node.set("DataType", "-" if node.tag != f"{TAG}UAVariable" else short(data_type or "i=24"))
    return {number: _official(number, *nodes[number], references, wanted) for number in wanted}


def _official(
    number: str, node: ElementTree.Element, name: str, references: set[tuple[str, str, str]], wanted: set[str]
) -> Described:
    all_forward = {(kind, target) for kind, source, target in references if source == number}
    missing = {(kind, target) for kind, target in all_forward if not target.isdigit() and target not in wanted}
    assert all(kind == SUBTYPE or target in LEFT_OUT for kind, target in missing), missing
    forward = {f"{kind}>{target}" for kind, target in all_forward - missing}
    forward |= {f"{kind}<{source}" for kind, source, target in references if target == number and source.isdigit()}
    return Described(
        node.tag.removeprefix(f"{TAG}UA"), name, node.get("IsAbstract") == "true", node.get("DataType") or "",
        int(node.get("ValueRank", -1)), tuple(sorted(forward)),
    )  # fmt: skip


def test_the_companion_types_are_those_of_the_list_that_was_made_from_the_official_files() -> None:
    lines = {number: its.line() for number, its in of_ours().items()}
    assert lines == dict(line.split(" ", 1) for line in LIST.read_text("ascii").splitlines())


@pytest.mark.skipif(not OFFICIAL.exists(), reason="the official node sets are not in this checkout")
def test_the_companion_types_are_those_of_the_official_files() -> None:
    ours = of_ours()
    assert ours == derived(set(ours))


@pytest.mark.parametrize(("machine", "name", "number"), [
    (companion.ITEM_STATE, "Executing", 5006), (companion.OPERATION_MODE, "None", 5024)])  # fmt: skip
def test_a_state_is_found_by_its_name(machine: int, name: str, number: int) -> None:
    assert ITS.state(machine, name) == ua.NodeId(number, 3)


def test_nothing_is_read_from_a_file_at_run_time() -> None:
    files = {each.name for each in resources.files("edgeagent.publish.opcua").iterdir()}
    assert not {name for name in files if name.endswith(".xml")}
