"""Where whoever has a durable place in the stream goes on."""

from __future__ import annotations

from typing import NamedTuple

from edgeagent.model.events import EventGap
from edgeagent.store import Consumer, Journal


class Place(NamedTuple):
    """Where a consumer begins: its stream, the first sequence, what is told of a stream that ended."""

    stream: str
    first: int
    lost: EventGap | None = None


def place_of(found: Consumer | None, journal: Journal) -> Place:
    """Find a consumer's place; of a new one it is the oldest event, so that it misses nothing."""
    if found is None:
        return Place(journal.stream, journal.first_sequence)
    first = min(found.acknowledged, journal.last_sequence) + 1
    lost = None if found.stream == journal.stream else EventGap(found.stream, (), found.acknowledged)
    return Place(found.stream, first, lost)
