"""Events on their way to a client: bounded, and honest where some are missing; refreshes are made as they are sent.

Needed for asyncua 2.1.0 because it drops the oldest events of an item without a word, and bounds nothing else of them.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from asyncua import ua

from edgeagent.clock import iso
from edgeagent.publish.opcua.happenings import SERVER, Happening, base_fields
from edgeagent.publish.opcua.nodes import standard

_OF_REFRESHES = 50
"""Events of refreshes that are looked at for one message, wanted or not: others go on meanwhile."""

_BYTES, _FIELD_BYTES = 200, 16
"""Of an event that waits, and of each of its fields, beside what the field holds."""

_OVERFLOW = (ua.ObjectIds.EventQueueOverflowEventType, ua.ObjectIds.BaseEventType)

_Fields = ua.EventFieldList

Again = tuple[ua.EventFieldList | None, bool]
"""An event of a refresh, None where its item does not want it; and whether it is the last one."""


class Share:
    """What the events of one session may take, waiting or sent and not acknowledged.

    Attributes:
        left: bytes.
    """

    def __init__(self, most_bytes: int) -> None:
        self.left = most_bytes


class WaitingEvents:
    """The events of one subscription that wait for a Publish request.

    Args:
        made: makes what an item is told of a happening, whether its filter wants it or not.
        share: of the session.
    """

    def __init__(self, made: Callable[[int, Happening], _Fields], share: Share) -> None:
        self._made = made
        self.share = share
        self._queues: dict[int, deque[_Fields]] = {}
        self._overflowed: set[int] = set()
        self._refreshes: dict[int, Iterator[Again]] = {}

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._queues or self._refreshes or self._overflowed)

    def put(self, item: int, event: _Fields, most: int) -> None:
        """Let an event wait. Where there is no room, older ones of its item give way, and else it does itself."""
        queue, weight = self._queues.setdefault(item, deque()), weight_of(event)
        while queue and (len(queue) >= most or self.share.left < weight):
            self._overflowed.add(item)
            self.share.left += weight_of(queue.popleft())
        if self.share.left < weight:
            self._overflowed.add(item)
            del self._queues[item]
            return
        queue.append(event)
        self.share.left -= weight

    def refresh(self, item: int, events: Iterator[Again]) -> None:
        """Let these follow what waits already, each made when it is sent."""
        self._refreshes[item] = events

    def is_refreshing(self, item: int) -> bool:
        """Whether a refresh of this item is under way."""
        return item in self._refreshes

    def take(self, most: int) -> list[_Fields]:
        """The next ones. What was taken keeps its part of the share until it is given back."""
        taken: list[_Fields] = []
        for item in (*self._queues, *(self._overflowed - self._queues.keys())):
            if len(taken) >= most:
                return taken
            taken += self._taken(item, most - len(taken))
        return taken + self._refreshed(min(most - len(taken), _OF_REFRESHES))

    def forget(self, item: int) -> None:
        """An item is gone."""
        self.share.left += sum(map(weight_of, self._queues.pop(item, ())))
        self._overflowed.discard(item)
        self._refreshes.pop(item, None)

    def _taken(self, item: int, most: int) -> list[_Fields]:
        taken = []
        if item in self._overflowed:
            self._overflowed.discard(item)
            taken.append(self._weighed(self._made(item, _overflow())))
        queue = self._queues.get(item, deque())
        while queue and len(taken) < most:
            taken.append(queue.popleft())
        if not queue:
            self._queues.pop(item, None)
        return taken

    def _refreshed(self, most: int) -> list[_Fields]:
        taken: list[_Fields] = []
        for item, events in tuple(self._refreshes.items()):
            looked_at = list(islice(events, most))
            taken += [self._weighed(event) for event, _ in looked_at if event is not None]
            if looked_at and looked_at[-1][1]:
                del self._refreshes[item]
            most -= len(looked_at)
        return taken

    def _weighed(self, event: _Fields) -> _Fields:
        self.share.left -= weight_of(event)
        return event


def weight_of(event: _Fields) -> int:
    """About how many bytes an event takes; what several share counts for each of them."""
    return _BYTES + sum(_FIELD_BYTES + _length(field.Value) for field in event.EventFields)


def _length(content: Any) -> int:
    if isinstance(content, str | bytes):
        return len(content)
    if isinstance(content, ua.LocalizedText):
        return len(content.Text or "")
    if isinstance(content, list | tuple):
        return sum(_FIELD_BYTES + _length(each) for each in content)
    return 0


def _overflow() -> Happening:
    """What tells an item that events of it are missing (OPC 10000-4, 7.22.3)."""
    its = base_fields(secrets.token_bytes(16), SERVER, "Server", iso(time.time_ns()), "Events are missing here", 500)
    return Happening(tuple(map(standard, _OVERFLOW)), its)
