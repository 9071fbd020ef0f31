"""Who a machine is and what it does now, as OPC UA for Machinery has it."""

from __future__ import annotations

from datetime import UTC, datetime

from asyncua import ua
from asyncua.server.address_space import AttributeValue

from edgeagent.model.functions.machines import MachineDescription
from edgeagent.publish.opcua.companion import (
    ITEM_STATE,
    MACHINE_IDENTIFICATION,
    OPERATION_MODE,
    Companions,
)  # fmt: skip
from edgeagent.publish.opcua.nodes import ADD_IN, COMPONENT, PROPERTY, Naming, Parent, standard
from edgeagent.publish.opcua.port import ServedMachine
from edgeagent.publish.opcua.record_nodes import Maker
from edgeagent.publish.opcua.values import put, stamped

_V = ua.VariantType
_PROPERTY = standard(ua.ObjectIds.PropertyType)

_PROPERTIES = {
    "D:ProductInstanceUri": _V.String, "D:Manufacturer": _V.LocalizedText, "D:SerialNumber": _V.String,
    "D:Model": _V.LocalizedText, "D:SoftwareRevision": _V.String, "D:DeviceClass": _V.String,
    "D:ComponentName": _V.LocalizedText,
}  # fmt: skip

ITEM_STATES = {
    "off": "NotAvailable", "standby": "NotExecuting", "starting": "NotExecuting", "warmingUp": "NotExecuting",
    "changeover": "NotExecuting", "coolingDown": "NotExecuting", "ready": "NotExecuting", "running": "Executing",
    "fault": "OutOfService", "emergencyStop": "OutOfService", "maintenance": "OutOfService",
    "unknown": "NotAvailable",
}  # fmt: skip
"""State of a machine → MachineryItemState; one that is new to us is not known."""

OPERATION_MODES = {
    "starting": "Setup", "warmingUp": "Setup", "changeover": "Setup", "coolingDown": "Setup", "ready": "Processing",
    "running": "Processing", "maintenance": "Maintenance",
}  # fmt: skip
"""State of a machine → MachineryOperationMode; None in all others."""


class IdentificationNodes:
    """The add-in Identification of a machine; what the machine does not tell is a text without content."""

    def __init__(self, maker: Maker, companions: Companions, its: ServedMachine, machine: ua.NodeId) -> None:
        key = f"{its.id}/Identification"
        self.node = maker.builder.object(
            maker.node_ids.of_node(key), Naming(companions.name("D:Identification")), Parent(ADD_IN, machine),
            companions.of_machinery(MACHINE_IDENTIFICATION),
        )  # fmt: skip
        self._places = {
            name: maker.builder.variable(
                maker.node_ids.of_node(f"{key}/{name[2:]}"), Naming(companions.name(name)),
                Parent(PROPERTY, self.node), _PROPERTY, ua.DataValue(_variant(kind, None)), standard(kind.value),
            )
            for name, kind in _PROPERTIES.items()
        }  # fmt: skip

    async def show(self, its: MachineDescription, firmware: str | None) -> None:
        """Write what changed."""
        told = {
            "D:ProductInstanceUri": f"urn:edgeagent:machine:{its.id}", "D:Manufacturer": its.manufacturer,
            "D:SerialNumber": its.serial_number, "D:Model": its.model, "D:SoftwareRevision": firmware,
            "D:DeviceClass": its.kind, "D:ComponentName": its.id,
        }  # fmt: skip
        for name, text in told.items():
            await _put_changed(self._places[name], _variant(_PROPERTIES[name], text))


class StateNodes:
    """MachineryItemState and MachineryOperationMode of a machine."""

    def __init__(self, maker: Maker, companions: Companions, machine: str, blocks: ua.NodeId) -> None:
        self._companions = companions
        self._item = self._add(maker, f"{machine}/MachineryItemState", "M:MachineryItemState", ITEM_STATE, blocks)
        self._mode = self._add(
            maker, f"{machine}/MachineryOperationMode", "M:MachineryOperationMode", OPERATION_MODE, blocks
        )

    async def show(self, state: str) -> None:
        """Write what changed."""
        await self._show(self._item, ITEM_STATE, ITEM_STATES.get(state, "NotAvailable"))
        await self._show(self._mode, OPERATION_MODE, OPERATION_MODES.get(state, "None"))

    def _add(
        self, maker: Maker, key: str, name: str, type_: int, blocks: ua.NodeId
    ) -> tuple[AttributeValue, AttributeValue]:  # fmt: skip
        of_node = maker.node_ids.of_node
        node = maker.builder.object(
            of_node(key), Naming(self._companions.name(name)), Parent(ADD_IN, blocks),
            self._companions.of_machinery(type_),
        )  # fmt: skip
        current = maker.builder.variable(
            of_node(f"{key}/CurrentState"), Naming(ua.QualifiedName("CurrentState")), Parent(COMPONENT, node),
            standard(ua.ObjectIds.FiniteStateVariableType), ua.DataValue(_variant(_V.LocalizedText, None)),
            standard(ua.ObjectIds.LocalizedText),
        )  # fmt: skip
        its_id = maker.builder.variable(
            of_node(f"{key}/CurrentState/Id"), Naming(ua.QualifiedName("Id")),
            Parent(PROPERTY, of_node(f"{key}/CurrentState")), _PROPERTY, ua.DataValue(ua.Variant(ua.NodeId())),
            standard(ua.ObjectIds.NodeId),
        )  # fmt: skip
        return current, its_id

    async def _show(self, places: tuple[AttributeValue, AttributeValue], machine: int, state: str) -> None:
        await _put_changed(places[0], _variant(_V.LocalizedText, state))
        await _put_changed(places[1], ua.Variant(self._companions.state(machine, state), _V.NodeId))


def _variant(kind: ua.VariantType, text: str | None) -> ua.Variant:
    return ua.Variant(ua.LocalizedText(text) if kind is _V.LocalizedText else text, kind)


async def _put_changed(place: AttributeValue, value: ua.Variant) -> None:
    if place.value is None or place.value.SourceTimestamp is None or place.value.Value != value:
        now = datetime.now(UTC)
        await put(place, stamped(value, ua.StatusCode(), now, now))
