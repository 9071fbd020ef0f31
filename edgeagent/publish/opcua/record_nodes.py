"""Records as nodes: of one record a variable for each field, of several an array for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from asyncua import ua
from asyncua.server.address_space import AttributeValue

from edgeagent.publish.opcua.fields import Field, columns
from edgeagent.publish.opcua.node_ids import NodeIds
from edgeagent.publish.opcua.nodes import COMPONENT, Builder, Naming, Parent, standard
from edgeagent.publish.opcua.own_types import RECORD, RECORDS
from edgeagent.publish.opcua.values import put, stamped

_NO_DATA = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadNoData))
_LAST_KNOWN = ua.StatusCode(ua.UInt32(ua.StatusCodes.UncertainLastUsableValue))
_WAITING = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadWaitingForInitialData))
_DATA_VARIABLE = standard(ua.ObjectIds.BaseDataVariableType)


class Maker(NamedTuple):
    """What makes nodes of a machine."""

    builder: Builder
    node_ids: NodeIds

    def name(self, name: str) -> ua.QualifiedName:
        """A name of ours."""
        return ua.QualifiedName(name, self.node_ids.machines)

    def object(
        self, key: str, name: str, parent: Parent, type_: ua.NodeId, text: str = "", notifies: int = 0
    ) -> ua.NodeId:  # fmt: skip
        """Add an object of ours."""
        naming = Naming(self.name(name), description=text)
        return self.builder.object(self.node_ids.of_node(key), naming, parent, type_, notifies)

    def record(self, key: str, name: str, parent: Parent, fields: Sequence[Field], text: str = "") -> RecordNodes:
        """Add an object that shows one record."""
        made = self.object(key, name, parent, self.node_ids.of_type(RECORD), text)
        return RecordNodes({f: self._variable(f, key, made, f.data_type, f.is_array) for f in fields})

    def records(self, key: str, name: str, parent: Parent, fields: Sequence[Field], text: str = "") -> RecordsNodes:
        """Add an object that shows several records; no field may have several values itself."""
        made = self.object(key, name, parent, self.node_ids.of_type(RECORDS), text)
        return RecordsNodes({f: self._variable(f, key, made, f.data_type, is_array=True) for f in fields})

    def _variable(
        self, field: Field, key: str, owner: ua.NodeId, data_type: ua.NodeId, is_array: bool
    ) -> AttributeValue:  # fmt: skip
        return self.builder.variable(
            self.node_ids.of_node(f"{key}/{field.name}"), Naming(self.name(field.name)), Parent(COMPONENT, owner),
            _DATA_VARIABLE, ua.DataValue(None, _WAITING), data_type, is_array,
        )  # fmt: skip


class RecordNodes:
    """One record; a field without a value has bad status, BadNoData."""

    def __init__(self, places: Mapping[Field, AttributeValue]) -> None:
        self._places = places
        self._shown: dict[Field, ua.Variant] = {}

    async def show(self, record: Mapping[str, Any]) -> None:
        """Write what changed."""
        now = datetime.now(UTC)
        for field, place in self._places.items():
            value = field.of(record)
            if self._shown.get(field) != value:
                self._shown[field] = value
                has_value = value.VariantType is not ua.VariantType.Null
                code = ua.StatusCode() if has_value else _NO_DATA
                await put(place, stamped(value, code, now, now))

    async def doubt(self, is_in_doubt: bool) -> None:
        """Say that nobody knows whether this is still so, or that it is."""
        await _doubt(self._places.values(), is_in_doubt)


class RecordsNodes:
    """Several records, the same place in each array."""

    def __init__(self, places: Mapping[Field, AttributeValue]) -> None:
        self._places = places
        self._shown: dict[str, str] = {}

    async def show(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write what changed."""
        now = datetime.now(UTC)
        lists = columns(tuple(self._places), records)
        for field, place in self._places.items():
            values = lists[field.name]
            if self._shown.get(field.name) != str(values):
                self._shown[field.name] = str(values)
                value = ua.Variant(values, field.variant_type or ua.VariantType.Variant, is_array=True)
                await put(place, stamped(value, ua.StatusCode(), now, now))

    async def doubt(self, is_in_doubt: bool) -> None:
        """Say that nobody knows whether this is still so, or that it is."""
        await _doubt(self._places.values(), is_in_doubt)


async def _doubt(places: Iterable[AttributeValue], is_in_doubt: bool) -> None:
    """Of values that are there, change the status alone."""
    before, after = (ua.StatusCode(), _LAST_KNOWN) if is_in_doubt else (_LAST_KNOWN, ua.StatusCode())
    now = datetime.now(UTC)
    for place in places:
        its = place.value
        if its is not None and its.Value is not None and its.StatusCode == before:
            await put(place, stamped(its.Value, after, its.SourceTimestamp, now))
