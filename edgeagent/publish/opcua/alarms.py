"""The alarms of all machines as conditions: told as they change, refreshed when asked, acknowledged by who may."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from asyncua import ua
from asyncua.server.address_space import AddressSpace

from edgeagent.clock import iso
from edgeagent.errors import CommandRefused
from edgeagent.model.alarms import Alarm
from edgeagent.model.functions.alarms import PastAlarm
from edgeagent.publish.opcua.condition_nodes import ConditionNodes
from edgeagent.publish.opcua.conditions import RAISED, Condition, condition_happening, remembered, told
from edgeagent.publish.opcua.events import Events
from edgeagent.publish.opcua.happenings import SERVER, Happening, base_fields
from edgeagent.publish.opcua.machines import MachineNodes
from edgeagent.publish.opcua.methods import STATUS
from edgeagent.publish.opcua.node_ids import NodeIds
from edgeagent.publish.opcua.nodes import standard
from edgeagent.publish.opcua.port import AgentPort

_ACKNOWLEDGE = ua.ObjectIds.AcknowledgeableConditionType_Acknowledge
_REFRESH = ua.ObjectIds.ConditionType_ConditionRefresh
_REFRESH_ITEM = ua.ObjectIds.ConditionType_ConditionRefresh2
_C = ua.StatusCodes

MOST_REMEMBERED = 200
"""Alarms of each machine that are looked at as the process begins: of the newest, it is seen who acknowledged them."""


class Alarms:
    """Conditions of all machines.

    Args:
        session: the session that calls at this moment, as the agent knows it; None where there is none.
        owns: whether a subscription belongs to who calls at this moment.
    """

    def __init__(
        self, port: AgentPort, space: AddressSpace, node_ids: NodeIds, events: Events,
        session: Callable[[], int | None], owns: Callable[[int], bool],
    ) -> None:  # fmt: skip
        self._port = port
        self._space = space
        self._node_ids = node_ids
        self._events = events
        self._session = session
        self._owns = owns
        self._machines: dict[str, MachineNodes] = {}
        self._conditions: dict[ua.NodeId, Condition] = {}
        self._nodes = ConditionNodes(space, node_ids)

    @property
    def retained(self) -> tuple[Condition, ...]:
        """The conditions with which somebody has to do still, in the order in which they came up."""
        return tuple(self._conditions.values())

    def offer_methods(self) -> None:
        """Let clients call Acknowledge, ConditionRefresh and ConditionRefresh2."""
        self._space.add_method_callback(standard(_ACKNOWLEDGE), self.acknowledge)
        self._space.add_method_callback(standard(_REFRESH), self.refresh)
        self._space.add_method_callback(standard(_REFRESH_ITEM), self.refresh_item)

    async def add(self, nodes: MachineNodes, standing: Sequence[Mapping[str, Any]]) -> None:
        """Take up a machine with the alarms that stand there, as its snapshot tells them."""
        self._machines[nodes.id] = nodes
        answer = await self._port.call("Alarm.GetHistory", {"machine": nodes.id, "limit": MOST_REMEMBERED}, None)
        past = msgspec.convert(answer["alarms"], tuple[PastAlarm, ...])
        alarms = msgspec.convert(standing, tuple[Alarm, ...])
        active = {alarm.id for alarm in alarms}
        known = {record.alarm.id for record in past}
        found = [remembered(record, record.alarm.id in active) for record in past]
        found += [Condition(nodes.id, alarm, alarm.raised_at) for alarm in alarms if alarm.id not in known]
        newest: dict[str, Condition] = {}
        for condition in sorted(found, key=lambda each: each.alarm.raised_at):
            newest[condition.key] = condition
        for condition in newest.values():
            await self._keep(condition)

    async def take(self, event: Mapping[str, Any]) -> None:
        """Take what was told of an alarm, and tell it."""
        heard = told(event)
        known = self._conditions.get(self._node_ids.of_node(heard.key))
        if event["method"] == RAISED:
            if known is not None and known.alarm.id == heard.alarm.id:
                return
            condition = heard
        elif known is None or known.alarm.id != heard.alarm.id:
            return
        else:
            condition = known
            if not condition.take(event["method"], event["time"], heard.by):
                return
        await self._keep(condition)
        await self._events.tell(self.happening(condition))

    def happening(self, condition: Condition) -> Happening:
        """The event that tells a condition, at the part of the machine that it is about."""
        nodes = self._machines[condition.machine]
        source = nodes.parts.get(condition.alarm.object, nodes.node)
        return condition_happening(condition, self._node_ids, source, (SERVER, nodes.node))

    async def _keep(self, condition: Condition) -> None:
        node_id = self._node_ids.of_node(condition.key)
        if condition.is_retained or node_id in self._conditions:
            await self._nodes.show(node_id, condition, self.happening(condition), self._machines[condition.machine])
        if condition.is_retained:
            self._conditions[node_id] = condition
        elif self._conditions.pop(node_id, None) is not None:
            self._nodes.remove(node_id)

    # What clients call

    async def acknowledge(self, condition: ua.NodeId, *given: ua.Variant) -> ua.StatusCode:
        """Acknowledge in the name of who calls; the agent's audit says who, and has no place for the comment."""
        if wrong := _wrong(given, ua.VariantType.ByteString, ua.VariantType.LocalizedText):
            return wrong
        session = self._session()
        if session is None:
            return _status(_C.BadUserAccessDenied)
        its = self._conditions.get(condition)
        if its is None or given[0].Value not in its.event_ids:
            return _status(_C.BadNodeIdUnknown if its is None else _C.BadEventIdUnknown)
        if its.is_acknowledged:
            return _status(_C.BadConditionBranchAlreadyAcked)
        asked = {"id": its.alarm.id, "requestId": f"opcua-{secrets.token_hex(8)}"}
        try:
            await self._port.call("Alarm.Acknowledge", asked, session)
        except CommandRefused as refused:
            return _status(STATUS.get(refused.kind, _C.BadInternalError))
        return _status(_C.Good)

    async def refresh(self, _: ua.NodeId, *given: ua.Variant) -> ua.StatusCode:
        """Tell all retained conditions to all items of a subscription."""
        return _wrong(given, ua.VariantType.UInt32) or self._refresh(given[0].Value, None)

    async def refresh_item(self, _: ua.NodeId, *given: ua.Variant) -> ua.StatusCode:
        """Tell all retained conditions to one item of a subscription."""
        wrong = _wrong(given, ua.VariantType.UInt32, ua.VariantType.UInt32)
        return wrong or self._refresh(given[0].Value, given[1].Value)

    def _refresh(self, subscription: int, item: int | None) -> ua.StatusCode:
        items = self._events.listening(subscription) if self._owns(subscription) else None
        if items is None:
            return _status(_C.BadSubscriptionIdInvalid)
        if item is not None and item not in items:
            return _status(_C.BadMonitoredItemIdInvalid)
        if self._events.is_refreshing(subscription):
            return _status(_C.BadRefreshInProgress)
        for each in items if item is None else (item,):
            self._events.refresh(self._refreshed(items[each]), subscription, each)
        return _status(_C.Good)

    def _refreshed(self, notifier: ua.NodeId) -> Iterator[tuple[Happening, bool]]:
        """All that are retained at first, each as it is when its turn comes; what becomes of others is told anyway."""
        yield _mark(ua.ObjectIds.RefreshStartEventType), False
        for node_id in tuple(self._conditions):
            condition = self._conditions.get(node_id)
            if condition is not None and notifier in (happening := self.happening(condition)).notifiers:
                yield happening, False
        yield _mark(ua.ObjectIds.RefreshEndEventType), True


def _mark(type_: int) -> Happening:
    """The begin or the end of a refresh."""
    types = (type_, ua.ObjectIds.SystemEventType, ua.ObjectIds.BaseEventType)
    its = base_fields(secrets.token_bytes(16), SERVER, "Server", iso(time.time_ns()), "Refresh", 1)
    return Happening(tuple(map(standard, types)), its)


def _wrong(given: Sequence[ua.Variant], *types: ua.VariantType) -> ua.StatusCode | None:
    """What is wrong with a call's arguments; None where nothing is."""
    if len(given) < len(types):
        return _status(_C.BadArgumentsMissing)
    if len(given) > len(types):
        return _status(_C.BadTooManyArguments)
    fits = all(one.VariantType is kind and not one.is_array for one, kind in zip(given, types, strict=True))
    return None if fits else _status(_C.BadInvalidArgument)


def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))
