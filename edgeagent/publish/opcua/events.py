"""Tells events to the subscriptions that want them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from asyncua import ua

from edgeagent.publish.opcua.happenings import Happening
from edgeagent.publish.opcua.services.subscriptions import UaSubscription, UaSubscriptions
from edgeagent.publish.opcua.turns import SLICE_S


class Events:
    """All subscriptions of a server."""

    def __init__(self, subscriptions: UaSubscriptions) -> None:
        self._service = subscriptions

    async def tell(self, happening: Happening) -> None:
        """Tell an event to everybody who listens at one of its notifiers; others go on meanwhile."""
        since = time.monotonic()
        for subscription in tuple(self._service.subscriptions.values()):
            items = subscription.monitored_item_srv
            for notifier in happening.notifiers:
                for number in items.listening_at(notifier):
                    await items.tell(number, happening)
                    if time.monotonic() - since > SLICE_S:
                        await asyncio.sleep(0)
                        since = time.monotonic()

    def listening(self, subscription: int) -> dict[int, ua.NodeId] | None:
        """The items of a subscription that wait for events, with their notifiers; None where there is none such."""
        its = self._of(subscription)
        if its is None:
            return None
        monitored = its.monitored_item_srv._monitored_events
        return {item: notifier for notifier, items in monitored.items() for item in items}

    def is_refreshing(self, subscription: int) -> bool:
        """Whether a client has not heard yet all that it asked to be told again."""
        its = self._of(subscription)
        return its is not None and its.monitored_item_srv.is_refreshing()

    def refresh(self, happenings: Iterable[tuple[Happening, bool]], subscription: int, item: int) -> None:
        """Tell these to one item alone, at the pace of its client; with each, whether it is the last one."""
        its = self._of(subscription)
        if its is not None:
            its.monitored_item_srv.refresh(item, happenings)

    def _of(self, subscription: int) -> UaSubscription | None:
        return self._service.subscriptions.get(subscription)
