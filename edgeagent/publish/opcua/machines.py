"""A machine's nodes, made by walking its description and its points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from asyncua import ua
from asyncua.server.address_space import AddressSpace, AttributeValue

from edgeagent.model.boards import BoardInProcess, BoardRecord
from edgeagent.model.functions.machines import MachineStatus
from edgeagent.model.functions.recipes import RecipeListed
from edgeagent.model.recipes import RunningRecipe
from edgeagent.publish.opcua.companion import MACHINE_COMPONENTS, MACHINES, Companions
from edgeagent.publish.opcua.components import Components
from edgeagent.publish.opcua.fields import Field, fields
from edgeagent.publish.opcua.identification import IdentificationNodes, StateNodes
from edgeagent.publish.opcua.node_ids import NodeIds
from edgeagent.publish.opcua.nodes import (
    ADD_IN,
    COMPONENT,
    EVENT_HISTORY,
    EVENTS,
    ORGANIZES,
    Builder,
    Naming,
    Parent,
    standard,
)  # fmt: skip
from edgeagent.publish.opcua.own_types import MACHINE
from edgeagent.publish.opcua.port import ServedMachine
from edgeagent.publish.opcua.record_nodes import Maker, RecordNodes, RecordsNodes

_FOLDER = standard(ua.ObjectIds.FolderType)
_ALL_OF_A_BOARD = tuple(field for field in fields(BoardRecord) if not field.is_array)


class MachineNodes(NamedTuple):
    """Where everything of a machine is shown.

    Attributes:
        places: of its points' values, by column. parts: object ("zone/1/top") → its node.
        alarms: the folder below which its conditions stand.
        status, lanes, inside, last, results, running, kept: records, as MachineAnswers gives them.
    """

    id: str
    node: ua.NodeId
    places: Sequence[AttributeValue]
    parts: dict[str, ua.NodeId]
    alarms: ua.NodeId
    identification: IdentificationNodes
    state: StateNodes
    status: RecordNodes
    lanes: dict[int, RecordNodes]
    inside: RecordsNodes
    last: RecordNodes
    results: RecordsNodes
    running: RecordNodes
    kept: RecordsNodes

    @property
    def records(self) -> tuple[RecordNodes | RecordsNodes, ...]:
        """All of them."""
        return (self.status, *self.lanes.values(), self.inside, self.last, self.results, self.running, self.kept)


def add_machine(space: AddressSpace, its: ServedMachine, node_ids: NodeIds, companions: Companions) -> MachineNodes:
    """Make all nodes of a machine but for its methods."""
    maker = Maker(Builder(space), node_ids)
    machine = maker.object(
        its.id, its.id, Parent(ORGANIZES, companions.of_machinery(MACHINES)), node_ids.of_type(MACHINE),
        f"{its.description.manufacturer} {its.description.model}", EVENTS | EVENT_HISTORY,
    )  # fmt: skip
    blocks = maker.builder.object(
        node_ids.of_node(f"{its.id}/MachineryBuildingBlocks"), Naming(companions.name("M:MachineryBuildingBlocks")),
        Parent(COMPONENT, machine), _FOLDER,
    )  # fmt: skip
    identification = IdentificationNodes(maker, companions, its, machine)
    components = maker.builder.object(
        node_ids.of_node(f"{its.id}/Components"), Naming(companions.name("M:Components")), Parent(ADD_IN, machine),
        companions.of_machinery(MACHINE_COMPONENTS),
    )  # fmt: skip
    for block in (identification.node, components):
        maker.builder.refer(blocks, ADD_IN, block)
    tree = Components(maker, its, components)
    boards = maker.object(f"{its.id}/boards", "Boards", Parent(COMPONENT, machine), _FOLDER)
    recipes = maker.object(f"{its.id}/recipes", "Recipes", Parent(COMPONENT, machine), _FOLDER)
    return MachineNodes(
        its.id, machine, tree.add_points(), tree.parts,
        maker.object(f"{its.id}/alarms", "Alarms", Parent(COMPONENT, machine), _FOLDER),
        identification, StateNodes(maker, companions, its.id, blocks),
        maker.record(f"{its.id}/status", "Status", Parent(COMPONENT, machine), _without(MachineStatus, "Lanes")),
        tree.add_lanes(),
        maker.records(f"{its.id}/boards/inside", "InProcess", Parent(COMPONENT, boards), fields(BoardInProcess),
                      "The boards in the tunnel, first in first"),
        maker.record(f"{its.id}/boards/last", "LastResult", Parent(COMPONENT, boards), fields(BoardRecord),
                     "The record of the board that entered last of those that left"),
        maker.records(f"{its.id}/boards/results", "Results", Parent(COMPONENT, boards), _ALL_OF_A_BOARD,
                      "Boards that left, newest first"),
        maker.record(f"{its.id}/recipes/running", "Current", Parent(COMPONENT, recipes), fields(RunningRecipe),
                     "The recipe that the machine runs"),
        maker.records(f"{its.id}/recipes/kept", "Known", Parent(COMPONENT, recipes), fields(RecipeListed),
                      "What runs first, then the newest kept version of each"),
    )  # fmt: skip


def _without(record: type, *left_out: str) -> tuple[Field, ...]:
    return tuple(field for field in fields(record) if field.name not in left_out)
