"""Subscriptions: numbers that cannot be guessed, intervals that can be changed, and messages of a bounded size.

Needed for asyncua 2.1.0 because its subscriptions count up from 78, cannot be modified, put all values into one message
however many there are, and keep thousands of messages for whoever does not acknowledge them.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import AddressSpace
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.subscription_service import SubscriptionService

from edgeagent.publish.opcua.monitoring import Changes
from edgeagent.publish.opcua.services.items import Items
from edgeagent.publish.opcua.services.waiting import Share, WaitingEvents, weight_of

LEAST_INTERVAL_MS, MOST_INTERVAL_MS = 50.0, 15_000.0

MOST_NOTIFICATIONS = 1000
"""Of one message."""

_MOST_KEPT_MESSAGES = 20
"""That were not acknowledged."""

_MOST_AT_ONCE = 8
"""Messages of one interval."""

_MOST_KEPT_ALIVE_S = 15.0
"""A client answers with a Publish request, which keeps its session as well."""

_EVENT_BYTES = 1 << 20
"""Of the events of a subscription that is no client's."""

_LIFETIME_S = 300.0
"""Without a Publish request."""

_OVERFLOW = 0x480
"""Info bits of a value before which others were dropped (OPC 10000-4, 7.39.1)."""


class UaSubscriptions(SubscriptionService):
    """asyncua's subscriptions, of which each belongs to the session that made it."""

    subscriptions: dict[int, UaSubscription]  # type: ignore[assignment] # its own are the same and more

    made = 0
    """Since the start."""

    @property
    def intervals(self) -> int:
        """Different publishing intervals now."""
        return len({each.data.RevisedPublishingInterval for each in self.subscriptions.values()})

    async def create_subscription(
        self, params: ua.CreateSubscriptionParameters, callback: Callable[..., Any], session_id: ua.NodeId,
        request_callback: Callable[..., Any] | None = None,
    ) -> ua.CreateSubscriptionResult:  # fmt: skip
        """See asyncua."""
        assert self.iserver is not None
        if len(self.subscriptions) >= self.iserver.max_subscriptions:
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        result = ua.CreateSubscriptionResult(self._number(), *_revised(params))
        number = result.SubscriptionId
        made = UaSubscription(
            result, self.aspace, callback, session_id, request_callback,
            delete_callback=lambda: self._expired(number),
            max_queue_size=self.iserver.max_monitored_item_queue_size, publishing_enabled=params.PublishingEnabled,
        )  # fmt: skip
        made.most_notifications = _most_notifications(params.MaxNotificationsPerPublish)
        self.subscriptions[number] = made
        self.made += 1
        await made.start()
        return result

    def _expired(self, number: int) -> None:
        gone = self.subscriptions.pop(number, None)
        if gone is not None:
            gone.let_go()

    def _number(self) -> int:
        while (number := secrets.randbelow(0x7FFFFFFF) + 1) in self.subscriptions:
            pass
        return number


class UaSubscription(InternalSubscription):
    """A subscription of one session.

    Attributes:
        events: that wait.
    """

    monitored_item_srv: Items
    most_notifications = MOST_NOTIFICATIONS

    def __init__(self, data: ua.CreateSubscriptionResult, aspace: AddressSpace, *arguments: Any, **named: Any) -> None:
        super().__init__(data, aspace, *arguments, **named)
        self.monitored_item_srv = Items(self, aspace)
        self.events = WaitingEvents(self.monitored_item_srv.told, Share(_EVENT_BYTES))
        self._waiting = 0
        self._kept_notifications = 0

    @property
    def kept(self) -> list[int]:
        """Numbers of the messages that were not acknowledged."""
        return list(self._not_acknowledged_results)

    def kept_message(self, number: int) -> ua.NotificationMessage:
        """One of them; raises ServiceError where it is not kept."""
        result = self._not_acknowledged_results.get(number)
        if result is None:
            raise ServiceError(ua.StatusCodes.BadMessageNotAvailable)
        message: ua.NotificationMessage = result.NotificationMessage
        return message

    async def modify(self, asked: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        """Publish at another interval from now on."""
        interval, lifetime, keep_alive = _revised(asked)
        is_faster_or_slower = interval != self.data.RevisedPublishingInterval
        self.data.RevisedPublishingInterval = interval
        self.data.RevisedLifetimeCount, self.data.RevisedMaxKeepAliveCount = lifetime, keep_alive
        self.most_notifications = _most_notifications(asked.MaxNotificationsPerPublish)
        self._publish_cycles_count = 0
        if is_faster_or_slower and self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = asyncio.create_task(self._subscription_loop())
        return ua.ModifySubscriptionResult(interval, lifetime, keep_alive)

    def publish(self, acks: Iterable[int]) -> None:
        """See asyncua."""
        for number in acks:
            self._forget_message(number)

    def forget(self, item: int) -> None:
        """An item is gone, and what waited of it."""
        self._waiting -= len(self._triggered_datachanges.pop(item, ()))
        self.events.forget(item)

    def let_go(self) -> None:
        """Give back what its messages took: nobody asks for them any more."""
        for number in self.kept:
            self._forget_message(number)

    async def stop(self) -> None:
        """See asyncua."""
        await super().stop()
        self.let_go()

    async def enqueue_event(self, mid: int, eventdata: ua.EventFieldList, maxsize: int) -> None:
        """See asyncua."""
        self.events.put(mid, eventdata, maxsize)

    def has_published_results(self) -> bool:
        """See asyncua."""
        return (self._publishing_enabled and bool(self.events)) or bool(super().has_published_results())

    async def publish_results(self, requestdata: Any = None) -> bool:
        """See asyncua; what does not fit into one message goes into further ones at once."""
        is_sent = await super().publish_results(requestdata)
        for _ in range(_MOST_AT_ONCE):
            if not (self._has_more and self._publishing_enabled and await super().publish_results()):
                break
            await asyncio.sleep(0)
        return is_sent

    @property
    def _has_more(self) -> bool:
        return bool(self._triggered_datachanges or self.events) and self._was_cut

    _was_cut = False

    def _pop_publish_result(self) -> ua.PublishResult:
        self._was_cut = False
        result = super()._pop_publish_result()
        result.MoreNotifications = self._was_cut
        number = result.NotificationMessage.SequenceNumber
        if number in self._not_acknowledged_results:
            self._kept_notifications += _notifications(result)
        else:
            self.events.share.left += _weight(result)
        while len(self._not_acknowledged_results) > _MOST_KEPT_MESSAGES or (
            self._is_much_kept and len(self._not_acknowledged_results) > 1
        ):
            self._forget_message(next(iter(self._not_acknowledged_results)))
        result.AvailableSequenceNumbers = self.kept
        return result

    def _forget_message(self, number: int) -> None:
        gone = self._not_acknowledged_results.pop(number, None)
        if gone is not None:
            self._kept_notifications -= _notifications(gone)
            self.events.share.left += _weight(gone)

    @property
    def _is_much_kept(self) -> bool:
        return self._kept_notifications > 2 * MOST_NOTIFICATIONS or self.events.share.left < 0

    def _pop_triggered_datachanges(self, result: ua.PublishResult) -> None:
        taken = self._taken(self._triggered_datachanges, self.most_notifications)
        if taken:
            result.NotificationMessage.NotificationData.append(self._message(taken))

    def _message(self, taken: list[Any]) -> Changes | ua.DataChangeNotification:
        is_of_client = self.pub_request_callback is not None
        return Changes(taken) if is_of_client else ua.DataChangeNotification(MonitoredItems=taken)

    def _pop_triggered_events(self, result: ua.PublishResult) -> None:
        taken = self.events.take(self.most_notifications - _notifications(result))
        if taken:
            result.NotificationMessage.NotificationData.append(ua.EventNotificationList(taken))
        self._was_cut = self._was_cut or bool(self.events)

    def _taken(self, waiting: dict[int, list[Any]], most: int) -> list[Any]:
        """The first of the values that wait, whole items first; what is left waits on."""
        taken: list[Any] = []
        while waiting and len(taken) < most:
            item = next(iter(waiting))
            found = waiting[item]
            fits = most - len(taken)
            taken += found[:fits]
            if len(found) > fits:
                waiting[item] = found[fits:]
            else:
                del waiting[item]
        self._waiting -= len(taken)
        self._was_cut = self._was_cut or bool(waiting)
        return taken

    async def _enqueue_event(self, mid: int, eventdata: Any, size: int, queue: dict[int, list[Any]]) -> None:
        """Let a value wait; where too many do, the oldest of this item gives way, and this is said."""
        waiting = queue.setdefault(mid, [])
        most = 1 if self._waiting >= 4 * MOST_NOTIFICATIONS else size
        is_full = len(waiting) >= most
        if is_full and waiting:
            excess = len(waiting) - most + 1
            del waiting[:excess]
            self._waiting -= excess
            if size > 1:
                first = waiting[0] if waiting else eventdata
                _mark_overflow(first)
        waiting.append(eventdata)
        self._waiting += 1
        if len(waiting) == 1:
            await self._trigger_publish()


def _mark_overflow(notification: ua.MonitoredItemNotification) -> None:
    value = notification.Value
    status = ua.StatusCode(ua.UInt32((value.StatusCode.value if value.StatusCode else 0) | _OVERFLOW))
    notification.Value = dataclasses.replace(value, StatusCode=status)


def _notifications(result: ua.PublishResult) -> int:
    count = 0
    for each in result.NotificationMessage.NotificationData or ():
        count += each.count if isinstance(each, Changes) else len(getattr(each, "Events", ()))
    return count


def _weight(result: ua.PublishResult) -> int:
    """What the events of a message take."""
    data = result.NotificationMessage.NotificationData or ()
    return sum(weight_of(event) for each in data for event in getattr(each, "Events", ()))


def _most_notifications(asked: int) -> int:
    return min(asked or MOST_NOTIFICATIONS, MOST_NOTIFICATIONS)


def _revised(asked: ua.CreateSubscriptionParameters | ua.ModifySubscriptionParameters) -> tuple[float, int, int]:
    """Interval (ms), lifetime and keep-alive counts, each within what is served."""
    interval = float(asked.RequestedPublishingInterval)
    interval = min(max(interval, LEAST_INTERVAL_MS), MOST_INTERVAL_MS) if math.isfinite(interval) else LEAST_INTERVAL_MS
    most_alive = max(1, int(_MOST_KEPT_ALIVE_S * 1000 / interval))
    keep_alive = min(asked.RequestedMaxKeepAliveCount or most_alive, most_alive)
    most_lived = max(3 * keep_alive, int(_LIFETIME_S * 1000 / interval))
    lifetime = min(max(asked.RequestedLifetimeCount or most_lived, 3 * keep_alive), most_lived)
    return interval, lifetime, keep_alive
