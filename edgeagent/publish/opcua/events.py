"""Tells events to the subscriptions that want them."""

from __future__ import annotations

from asyncua import ua
from asyncua.server import monitored_item_service
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import WhereClauseEvaluator
from asyncua.server.subscription_service import SubscriptionService

from edgeagent.publish.opcua.happenings import Happening


class Filter(WhereClauseEvaluator):
    """The where clause of an event filter.

    Needed for asyncua 2.1.0 because its OfType does not know derived types, and because it logs each event for which a
    clause makes no sense.
    """

    def eval(self, event: Happening) -> bool:
        """Whether the subscription wants the event; not where the clause makes no sense for it."""
        try:
            return not self.elements or bool(self._eval_el(0, event))
        except Exception:  # noqa: BLE001  a client wrote the clause
            return False

    def _eval_el(self, index: int, event: Happening) -> object:
        element = self.elements[index]
        if element.FilterOperator == ua.FilterOperator.OfType:
            return event.is_of(self._eval_op(element.FilterOperands[0], event))
        return super()._eval_el(index, event)


def use_filter() -> None:
    """Let subscriptions that are made from now on filter so."""
    monitored_item_service.WhereClauseEvaluator = Filter  # type: ignore[misc]


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
