"""What the server says of its history: HistoryServerCapabilities."""

from __future__ import annotations

from asyncua import ua
from asyncua.server.address_space import AddressSpace

from edgeagent.publish.opcua.nodes import good, standard

_O = ua.ObjectIds
_CAN = (_O.HistoryServerCapabilities_AccessHistoryDataCapability,
        _O.HistoryServerCapabilities_AccessHistoryEventsCapability)  # fmt: skip
_CANNOT = (
    _O.HistoryServerCapabilities_InsertDataCapability, _O.HistoryServerCapabilities_ReplaceDataCapability,
    _O.HistoryServerCapabilities_UpdateDataCapability, _O.HistoryServerCapabilities_DeleteRawCapability,
    _O.HistoryServerCapabilities_DeleteAtTimeCapability, _O.HistoryServerCapabilities_InsertEventCapability,
    _O.HistoryServerCapabilities_ReplaceEventCapability, _O.HistoryServerCapabilities_UpdateEventCapability,
    _O.HistoryServerCapabilities_DeleteEventCapability, _O.HistoryServerCapabilities_InsertAnnotationCapability,
    _O.HistoryServerCapabilities_ServerTimestampSupported,
)  # fmt: skip
_MOST = (_O.HistoryServerCapabilities_MaxReturnDataValues, _O.HistoryServerCapabilities_MaxReturnEventValues)


def describe(space: AddressSpace, most: int) -> None:
    """Say that values and events can be read, at most so many in an answer, and nothing can be changed."""
    told = {number: good(number in _CAN, ua.VariantType.Boolean) for number in (*_CAN, *_CANNOT)}
    told |= {number: good(most, ua.VariantType.UInt32) for number in _MOST}
    for number, value in told.items():
        space[standard(number)].attributes[ua.AttributeIds.Value].value = value
