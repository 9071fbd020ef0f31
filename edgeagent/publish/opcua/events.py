"""Tells events to the subscriptions that want them."""

from __future__ import annotations

from asyncua import ua
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.subscription_service import SubscriptionService

from edgeagent.publish.opcua.happenings import Happening


class Events:
    """All subscriptions of a server."""

    def __init__(self, subscriptions: SubscriptionService) -> None:
        self._service = subscriptions

    async def tell(self, happening: Happening) -> None:
        """Tell an event to everybody who listens at one of its notifiers."""
        for subscription in tuple(self._service.subscriptions.values()):
            for notifier in happening.notifiers:
                happening.emitting_node = notifier
                await subscription.monitored_item_srv.trigger_event(happening)

    def listening(self, subscription: int) -> dict[int, ua.NodeId] | None:
        """The items of a subscription that wait for events, with their notifiers; None where there is none such."""
        its = self._of(subscription)
        if its is None:
            return None
        monitored = its.monitored_item_srv._monitored_events
        return {item: notifier for notifier, items in monitored.items() for item in items}

    async def tell_item(self, happening: Happening, subscription: int, item: int) -> None:
        """Tell an event to one item alone."""
        its = self._of(subscription)
        if its is not None:
            await its.monitored_item_srv._trigger_event(happening, item)

    def _of(self, subscription: int) -> InternalSubscription | None:
        return self._service.subscriptions.get(subscription)
