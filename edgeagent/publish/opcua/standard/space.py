"""An address space whose standard nodes exist while they are used: 6,000 of them would take 50 MB."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping

from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AddressSpace, NodeData, NodeManagementService

from edgeagent.publish.opcua.standard.records import Records, StandardNode, standard_id

PASSING = 64
"""Standard nodes in memory that can be made again; about 10 KB each, and 0.2 ms to make one."""


class Nodes(MutableMapping[ua.NodeId, NodeData]):
    """All nodes by NodeId: ours as they were added, the standard ones as they are needed.

    A standard node that somebody wrote, linked, monitors or hung something on stays, for as long as this is so; the
    others go, the one that was not used for the longest time first. Whoever holds a node must not change it after
    others were looked up in between.
    """

    def __init__(self, passing: int = PASSING) -> None:
        self._records = Records()
        self._most_passing = passing
        self._passing: OrderedDict[ua.NodeId, StandardNode] = OrderedDict()
        self._kept: dict[ua.NodeId, NodeData] = {}
        self._pinned: set[ua.NodeId] = set()
        self._deleted: set[ua.NodeId] = set()

    def __getitem__(self, nodeid: ua.NodeId) -> NodeData:
        node = self._found(nodeid)
        if node is None:
            raise KeyError(nodeid)
        return node

    def get(self, nodeid: ua.NodeId, default: NodeData | None = None) -> NodeData | None:  # type: ignore[override]
        """The node, or the default; asyncua asks this for every value that it reads or writes."""
        return self._found(nodeid) or default

    def __setitem__(self, nodeid: ua.NodeId, node: NodeData) -> None:
        self._kept[nodeid] = node
        self._pinned.add(nodeid)
        self._passing.pop(nodeid, None)
        self._deleted.discard(nodeid)

    def __delitem__(self, nodeid: ua.NodeId) -> None:
        if nodeid not in self:
            raise KeyError(nodeid)
        self._kept.pop(nodeid, None)
        self._pinned.discard(nodeid)
        self._passing.pop(nodeid, None)
        if self._records.has(nodeid):
            self._deleted.add(nodeid)

    def __contains__(self, nodeid: object) -> bool:
        if not isinstance(nodeid, ua.NodeId):
            return False
        return nodeid in self._kept or (self._records.has(nodeid) and nodeid not in self._deleted)

    def __iter__(self) -> Iterator[ua.NodeId]:
        standard = (standard_id(identifier) for identifier in self._records.identifiers)
        yield from (nodeid for nodeid in standard if nodeid in self)
        yield from [nodeid for nodeid in self._kept if not self._records.has(nodeid)]

    def __len__(self) -> int:
        return len(self._records) - len(self._deleted) + sum(not self._records.has(nodeid) for nodeid in self._kept)

    @property
    def changed(self) -> list[NodeData]:
        """Those that may differ from the standard: every added node, and the standard ones in memory."""
        return [*self._kept.values(), *self._passing.values()]

    def pin(self, nodeid: ua.NodeId) -> None:
        """Keep a node for good: something inside it changed in place, which it cannot see itself."""
        node = self._found(nodeid)
        if node is not None:
            self[nodeid] = node

    def release(self, nodeid: ua.NodeId) -> None:
        """Let a node go, if nothing holds it any longer."""
        node = self._kept.get(nodeid)
        if isinstance(node, StandardNode) and nodeid not in self._pinned and node.is_as_recorded:
            del self._kept[nodeid]
            self._pass(nodeid, node)

    def _found(self, nodeid: ua.NodeId) -> NodeData | None:
        kept = self._kept.get(nodeid)
        if kept is not None:
            return kept
        passing = self._passing.get(nodeid)
        if passing is not None:
            self._passing.move_to_end(nodeid)
            return passing
        if nodeid in self._deleted:
            return None
        made = self._records.made(nodeid)
        if made is not None:
            self._pass(made.nodeid, made)
        return made

    def _pass(self, nodeid: ua.NodeId, node: StandardNode) -> None:
        self._passing[nodeid] = node
        while len(self._passing) > self._most_passing:
            oldest, held = self._passing.popitem(last=False)
            if not held.is_as_recorded:
                self._kept[oldest] = held


class LazySpace(AddressSpace):
    """asyncua's address space over `Nodes`; serve it by `LazyServer`."""

    def __init__(self, passing: int = PASSING) -> None:
        super().__init__()
        self.nodes = Nodes(passing)
        self._nodes = self.nodes  # type: ignore[assignment] # asyncua's own shelf puts a mapping of its own here too

    def delete_datachange_callback(self, handle: int) -> None:
        """Nobody listens to this item any longer."""
        nodeid, _ = self._handle_to_attribute_map.get(handle, (None, None))
        super().delete_datachange_callback(handle)
        if nodeid is not None:
            self.nodes.release(nodeid)

    def _sync_reference_names(
        self, nodeid: ua.NodeId, node: NodeData, attr: ua.AttributeIds, value: ua.DataValue
    ) -> None:  # fmt: skip
        super()._sync_reference_names(nodeid, node, attr, value)
        for reference in node.references:
            self.nodes.pin(reference.NodeId)


class LazyNodeManagement(NodeManagementService):
    """Deletes a node without making the whole standard address space to look who refers to it."""

    def __init__(self, space: LazySpace) -> None:
        super().__init__(space)
        self._nodes = space.nodes

    def _delete_node(self, item: ua.DeleteNodesItem, user: User) -> ua.StatusCode:
        # The standard refers to itself alone: only what changed can refer to a node that was added.
        if user.role == UserRole.Admin and item.DeleteTargetReferences and item.NodeId.NamespaceIndex:
            for node in self._nodes.changed:
                for reference in [found for found in node.references if found.NodeId == item.NodeId]:
                    node.references.remove(reference)
            item = ua.DeleteNodesItem(item.NodeId, DeleteTargetReferences=False)
        return super()._delete_node(item, user)
