"""What was just committed, worked out once for all subscriptions that want the same and have come equally far."""

from __future__ import annotations

from edgeagent.publish.flow import Flow
from edgeagent.publish.notices import Notices
from edgeagent.store.journal import Journal

_KEPT = 64
"""Answers kept for the other subscriptions."""

Due = tuple[list[tuple[int, bytes]], int]
"""Sequence and notification of each event to tell, and the number to go on from."""


class Fresh:
    """Tells what is due from the journal's memory; knows its answers until the next commit."""

    def __init__(self, journal: Journal, notices: Notices) -> None:
        self._journal = journal
        self._notices = notices
        self._found: dict[tuple[object, ...], Due] = {}

    def renew(self) -> None:
        """Forget the answers: something was committed."""
        self._found.clear()

    def due(self, flow: Flow, most: int) -> Due | None:
        """Find at most so many events that a subscription is to be told; None where the file must be asked."""
        key = (flow.next, flow.previous, most, flow.topics, flow.machines)
        if (found := self._found.get(key)) is None:
            at_hand = self._journal.at_hand(flow.next, flow.topics, flow.machines, most)
            if at_hand is None:
                return None
            events, following = at_hand
            notices, previous = [], flow.previous
            for event in events:
                notices.append((event.sequence, self._notices.durable(event, previous)))
                previous = event.sequence
            if len(self._found) >= _KEPT:
                self._found.clear()
            found = self._found[key] = notices, following
        return found
