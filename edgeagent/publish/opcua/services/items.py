"""Monitored items: their filters checked as they are made, their values cut and stamped as they were asked for.

Needed for asyncua 2.1.0 because it believes any filter, returns the whole value with all timestamps, searches all items
for each that is changed or deleted, and makes a logger for each subscription, which stays for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.server.address_space import AddressSpace
from asyncua.server.monitored_item_service import MonitoredItemData, MonitoredItemValues
from asyncua.ua import uaprotocol_auto  # ua.DataChangeFilter is a class of its own, which is never what a client sent

from edgeagent.publish.opcua.event_filter import Filter, Refused, check_event_filter
from edgeagent.publish.opcua.happenings import Happening, wanted_fields
from edgeagent.publish.opcua.monitoring import CheapItems
from edgeagent.publish.opcua.nodes import standard
from edgeagent.publish.opcua.services import reading
from edgeagent.publish.opcua.turns import Turn

if TYPE_CHECKING:
    from edgeagent.publish.opcua.services.subscriptions import UaSubscription

_ALL_PERCENT = 100.0
_HAS_PROPERTY = standard(ua.ObjectIds.HasProperty)
_EU_RANGE = ua.QualifiedName("EURange")

_log = logging.getLogger("asyncua.server.monitored_item_service")
"""Of all subscriptions; while it is there, nothing but its manager knows the loggers below it."""


class Item(MonitoredItemData):
    """One monitored item: what asyncua holds, and how its values are shown.

    Attributes:
        fields: of an event, that its client wants.
    """

    stamps = ua.TimestampsToReturn.Both
    part: reading.Range = ()
    fields: tuple[str, ...] = ()


class Items(CheapItems):
    """The items of one subscription."""

    isub: UaSubscription
    _monitored_items: dict[int, Item]  # type: ignore[assignment] # its own are the same and more

    def __init__(self, subscription: UaSubscription, space: AddressSpace) -> None:
        super().__init__(subscription, space)
        logging.root.manager.loggerDict.pop(self.logger.name, None)
        self.logger = _log
        self._begun: Item | None = None

    def __len__(self) -> int:
        return len(self._monitored_items)

    @property
    def listening(self) -> int:
        """How many wait for events."""
        return sum(map(len, self._monitored_events.values()))

    def handles(self) -> list[tuple[int, int]]:
        """Number and client's handle of each."""
        return [(number, item.client_handle or 0) for number, item in self._monitored_items.items()]

    async def create(
        self, asked: ua.MonitoredItemCreateRequest, stamps: ua.TimestampsToReturn
    ) -> ua.MonitoredItemCreateResult:  # fmt: skip
        """Make one item."""
        wanted = asked.ItemToMonitor
        is_event = wanted.AttributeId == ua.AttributeIds.EventNotifier
        try:
            part = self._checked(wanted, asked.RequestedParameters.Filter, is_event)
        except Refused as refused:
            return ua.MonitoredItemCreateResult(refused.status)
        self._begun = item = Item()
        item.stamps, item.part = stamps, part
        try:
            if is_event:
                result = self._create_events_monitored_item(asked)
                self._listen(item, asked.RequestedParameters.Filter)
            else:
                asked.RequestedParameters.Filter = self._evaluated(wanted, asked.RequestedParameters.Filter)
                result = await self._create_data_change_monitored_item(asked)
        finally:
            self._begun = None
        return result

    def modify(
        self, asked: ua.MonitoredItemModifyRequest, stamps: ua.TimestampsToReturn
    ) -> ua.MonitoredItemModifyResult:  # fmt: skip
        """Change one item."""
        item = self._monitored_items.get(asked.MonitoredItemId)
        if item is None or item.read_value_id is None:
            return ua.MonitoredItemModifyResult(ua.StatusCode(ua.UInt32(ua.StatusCodes.BadMonitoredItemIdInvalid)))
        parameters = asked.RequestedParameters
        is_event = item.read_value_id.AttributeId == ua.AttributeIds.EventNotifier
        try:
            self._checked(item.read_value_id, parameters.Filter, is_event)
        except Refused as refused:
            return ua.MonitoredItemModifyResult(refused.status)
        item.client_handle, item.stamps = parameters.ClientHandle, stamps
        item.queue_size = self._size(parameters.QueueSize, is_event)
        if is_event:
            self._listen(item, parameters.Filter)
        else:
            item.filter = self._evaluated(item.read_value_id, parameters.Filter)
        result = ua.MonitoredItemModifyResult()
        result.RevisedSamplingInterval = self.isub.data.RevisedPublishingInterval
        result.RevisedQueueSize = item.queue_size
        return result

    def _listen(self, item: Item, asked: ua.EventFilter) -> None:
        """Let an item want these events; the select clauses, about 400 bytes each, are not kept."""
        item.filter, item.fields = None, wanted_fields(asked.SelectClauses)
        item.where_clause_evaluator = Filter(self.logger, self.aspace, asked.WhereClause)

    def told(self, number: int, happening: Happening) -> ua.EventFieldList:
        """What an item is told of a happening, if it is told."""
        item = self._monitored_items[number]
        return ua.EventFieldList(item.client_handle or 0, happening.to_event_fields(item.fields))

    def refresh(self, number: int, happenings: Iterable[tuple[Happening, bool]]) -> None:
        """Tell an item what it wants of these, as its client takes them; with each, whether it is the last one."""
        told = ((self.told(number, each) if self._wants(number, each) else None, last) for each, last in happenings)
        self.isub.events.refresh(number, told)

    def is_refreshing(self) -> bool:
        """Whether what an item was told so is not all taken yet."""
        return any(map(self.isub.events.is_refreshing, self._monitored_items))

    def _wants(self, number: int, happening: Happening) -> bool:
        item = self._monitored_items.get(number)
        clause = item.where_clause_evaluator if item is not None and item.mode != ua.MonitoringMode.Disabled else None
        return clause is not None and clause.eval(happening)

    def listening_at(self, notifier: ua.NodeId) -> tuple[int, ...]:
        """The items that wait for what a node tells."""
        return tuple(self._monitored_events.get(notifier, ()))

    async def tell(self, number: int, happening: Happening) -> None:
        """Tell an item of a happening that it wants; nothing where it is gone."""
        if self._wants(number, happening):
            size = self._monitored_items[number].queue_size
            await self.isub.enqueue_event(number, self.told(number, happening), size)

    async def send_again(self, turn: Turn) -> None:
        """Let each item report its value, as if it had just been made."""
        for item in tuple(self._monitored_items.values()):
            wanted = item.read_value_id
            if item.callback_handle is not None and wanted is not None and item.mode == ua.MonitoringMode.Reporting:
                item.mvalue = MonitoredItemValues()
                await self.trigger_datachange(item.callback_handle, wanted.NodeId, wanted.AttributeId)
                await turn.between()

    def shown(self, item: MonitoredItemData, value: ua.DataValue) -> ua.DataValue:
        """The part of a value that was asked for, with the times that were asked for."""
        return reading.shown(value, item.stamps, item.part) if isinstance(item, Item) else value

    def _make_monitored_item_common(
        self, params: ua.MonitoredItemCreateRequest
    ) -> tuple[ua.MonitoredItemCreateResult, MonitoredItemData]:  # fmt: skip
        result, made = super()._make_monitored_item_common(params)
        item = self._begun or Item()
        stamps, part = item.stamps, item.part
        item.__dict__.update(made.__dict__, stamps=stamps, part=part)
        is_event = params.ItemToMonitor.AttributeId == ua.AttributeIds.EventNotifier
        item.queue_size = result.RevisedQueueSize = self._size(params.RequestedParameters.QueueSize, is_event)
        return result, item

    def _size(self, asked: int, is_event: bool) -> int:
        """Values that wait: one, if nothing else is asked for; of events as many as may, for each of them counts."""
        most = self.isub.max_queue_size
        if asked <= 1:
            return most if is_event else 1
        return min(asked, most)

    def _delete_monitored_items(self, mid: int) -> ua.StatusCode:
        item = self._monitored_items.pop(mid, None)
        if item is None:
            return ua.StatusCode(ua.UInt32(ua.StatusCodes.BadMonitoredItemIdInvalid))
        self.isub.forget(mid)
        if item.callback_handle is not None:
            self._monitored_datachange.pop(item.callback_handle, None)
            self.aspace.delete_datachange_callback(item.callback_handle)
        elif item.read_value_id is not None:
            node = item.read_value_id.NodeId
            listening = self._monitored_events.get(node, [])
            if mid in listening:
                listening.remove(mid)
            if not listening:
                self._monitored_events.pop(node, None)
        return ua.StatusCode()

    def _checked(self, wanted: ua.ReadValueId, asked: Any, is_event: bool) -> reading.Range:
        """The part of the value that is wanted, if the filter can be evaluated; raises Refused."""
        if is_event:
            check_event_filter(asked)
            return ()
        if status := reading.encoding_problem(wanted):
            raise Refused(status)
        try:
            part = reading.parsed(wanted.IndexRange)
        except reading.WrongRange as wrong:
            raise Refused(wrong.status) from None
        if isinstance(asked, uaprotocol_auto.DataChangeFilter):
            self._check_deadband(wanted, asked)
        elif not _is_nothing(asked):
            raise Refused(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
        return part

    def _check_deadband(self, wanted: ua.ReadValueId, asked: uaprotocol_auto.DataChangeFilter) -> None:
        if wanted.AttributeId != ua.AttributeIds.Value:
            raise Refused(ua.StatusCodes.BadFilterNotAllowed)
        if asked.DeadbandType == ua.DeadbandType.None_:
            return
        is_percent = asked.DeadbandType == ua.DeadbandType.Percent
        if asked.DeadbandType != ua.DeadbandType.Absolute and not is_percent:
            raise Refused(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
        if not asked.DeadbandValue >= 0 or (is_percent and asked.DeadbandValue > _ALL_PERCENT):
            raise Refused(ua.StatusCodes.BadDeadbandFilterInvalid)
        content = self.aspace.read_attribute_value(wanted.NodeId, wanted.AttributeId).Value
        if content is None or isinstance(content.Value, bool) or not isinstance(content.Value, int | float | None):
            raise Refused(ua.StatusCodes.BadFilterNotAllowed)
        if is_percent and self._range_of(wanted.NodeId) is None:
            raise Refused(ua.StatusCodes.BadMonitoredItemFilterUnsupported)

    def _evaluated(self, wanted: ua.ReadValueId, asked: Any) -> Any:
        """A filter that was checked, with the width of a percent deadband in the unit of its value."""
        its = self._range_of(wanted.NodeId) if _is_percent(asked) else None
        if its is None:
            return asked
        width = asked.DeadbandValue / _ALL_PERCENT * (its.High - its.Low)
        return uaprotocol_auto.DataChangeFilter(asked.Trigger, ua.DeadbandType.Absolute, width)

    def _range_of(self, node_id: ua.NodeId) -> ua.Range | None:
        """The EURange of a value; None where it has none."""
        for each in self.aspace[node_id].references:
            if each.IsForward and each.ReferenceTypeId == _HAS_PROPERTY and each.BrowseName == _EU_RANGE:
                content = self.aspace.read_attribute_value(each.NodeId, ua.AttributeIds.Value).Value
                return content.Value if content is not None and isinstance(content.Value, ua.Range) else None
        return None


def _is_percent(asked: Any) -> bool:
    return isinstance(asked, uaprotocol_auto.DataChangeFilter) and asked.DeadbandType == ua.DeadbandType.Percent


def _is_nothing(asked: Any) -> bool:
    return asked is None or (isinstance(asked, ua.ExtensionObject) and asked.TypeId.is_null())
