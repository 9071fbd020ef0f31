"""Changed values to many clients: each is told what it asked for, at a fraction of the cost.

Needed for asyncua 2.1.0 because it copies each written value deeply for every item that monitors it, encodes the same
value anew for every client, compares with what was written last instead of what the client was told last, so that a
slow drift stays within a deadband for ever, and keeps a changed status back if the value did not move. That values are
kept and encoded once rests on one rule: a DataValue that was written is never changed, a new one takes its place.
"""

from __future__ import annotations

import copy
import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from asyncua import ua
from asyncua.server.monitored_item_service import MonitoredItemData, MonitoredItemService
from asyncua.ua import uaprotocol_auto  # ua.DataChangeFilter is a class of its own, which is never what a client sent
from asyncua.ua.ua_binary import struct_to_binary
from asyncua.ua.uatypes import datetime_to_win_epoch

from edgeagent.publish.opcua.standard.records import standard_id

_UNCHANGING = (float, int, str, bool, bytes, datetime, type(None))
"""Classes of values that nobody can change from inside; a copy is kept of anything else."""

_MOST_ENCODED = 1024
"""Values whose encoding is kept for the next client, about 200 bytes each."""

_TYPE = standard_id(ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary)
_NUMBER = struct.Struct("<BBdIqq")
_ALL_BUT_PICOSECONDS = 0b1111
_NO_DIAGNOSTICS = struct.pack("<i", 0)

_encoded: dict[int, tuple[ua.DataValue, bytes]] = {}


class CheapItems(MonitoredItemService):
    """The items of one subscription, each of which remembers what its client was told last."""

    async def datachange_callback(self, handle: int, value: ua.DataValue, error: ua.StatusCode | None = None) -> None:
        """See asyncua."""
        if error:
            await self.trigger_statuschange(error)
            return
        number = self._monitored_datachange[handle]
        item = self._monitored_items[number]
        value = self.shown(item, value)
        if item.mode == ua.MonitoringMode.Disabled or not is_told(item.mvalue.current_dvalue, value, item.filter):
            return
        is_safe = value.Value is None or isinstance(value.Value.Value, _UNCHANGING)
        item.mvalue.current_dvalue = value if is_safe else copy.deepcopy(value)
        notification = ua.MonitoredItemNotification(item.client_handle, value)
        await self.isub.enqueue_datachange_event(number, notification, item.queue_size)

    def shown(self, item: MonitoredItemData, value: ua.DataValue) -> ua.DataValue:
        """What of a value this item asked for: all of it."""
        return value


class Changes(ua.ExtensionObject):
    """A DataChangeNotification that is encoded already; a value that another client was sent is not encoded again."""

    __slots__ = ("count",)

    def __init__(self, items: Sequence[ua.MonitoredItemNotification]) -> None:
        parts = [struct.pack("<i", len(items))]
        for item in items:
            parts += (struct.pack("<I", item.ClientHandle), _encoding(item.Value))
        body = b"".join([*parts, _NO_DIAGNOSTICS])
        super().__init__(_TYPE, body)  # type: ignore[arg-type] # asyncua says ByteString, a class of bytes
        self.count = len(items)


def is_told(last: ua.DataValue | None, now: ua.DataValue, data_filter: object) -> bool:
    """A client that was told `last` wants to know of `now`.

    Source: OPC 10000-4, DataChangeFilter; a percent deadband was made an absolute one when it was asked for.
    """
    if last is None or last.StatusCode != now.StatusCode:
        return True
    if not isinstance(data_filter, uaprotocol_auto.DataChangeFilter):
        return last.Value != now.Value
    trigger = data_filter.Trigger
    if trigger == ua.DataChangeTrigger.Status:
        return False
    if data_filter.DeadbandType == ua.DeadbandType.Absolute:
        return last.Value != now.Value and _is_beyond(_inner(last), _inner(now), data_filter.DeadbandValue)
    if trigger == ua.DataChangeTrigger.StatusValueTimestamp and (
        last.SourceTimestamp != now.SourceTimestamp or last.SourcePicoseconds != now.SourcePicoseconds
    ):
        return True
    return last.Value != now.Value


def _inner(value: ua.DataValue) -> Any:
    return value.Value.Value if value.Value is not None else None


def _is_beyond(last: Any, now: Any, deadband: float) -> bool:
    if isinstance(last, list) and isinstance(now, list) and len(last) == len(now):
        return any(_is_beyond(before, after, deadband) for before, after in zip(last, now, strict=True))
    if isinstance(last, int | float) and isinstance(now, int | float):
        return not abs(now - last) <= deadband  # NaN is beyond all
    return bool(last != now)


def _encoding(value: ua.DataValue) -> bytes:
    known = _encoded.get(id(value))
    if known is not None:
        return known[1]
    if len(_encoded) >= _MOST_ENCODED:
        _encoded.clear()
    encoding = _encoding_of_number(value) or struct_to_binary(value)
    _encoded[id(value)] = (value, encoding)  # holds the value, so that its id is no other's
    return encoding


def _encoding_of_number(value: ua.DataValue) -> bytes | None:
    """Encode what nearly all values are, a Double with both times; None for any other (OPC 10000-6, 5.2.2.17)."""
    variant, code, source, server = value.Value, value.StatusCode, value.SourceTimestamp, value.ServerTimestamp
    if (
        variant is None or code is None or source is None or server is None
        or variant.VariantType is not ua.VariantType.Double or type(variant.Value) is not float
        or value.SourcePicoseconds is not None or value.ServerPicoseconds is not None
    ):  # fmt: skip
        return None
    times = datetime_to_win_epoch(source), datetime_to_win_epoch(server)
    return _NUMBER.pack(_ALL_BUT_PICOSECONDS, ua.VariantType.Double, variant.Value, code.value, *times)
