"""The newest events in memory: without a hole, or it does not answer for what is before it."""

import pytest

from edgeagent.model.events import StoredEvent
from edgeagent.store.tail import Tail

WANTED = {("RO0001", "Alarm.Raised")}


def events(*sequences: int) -> list[StoredEvent]:
    return [StoredEvent(sequence, "Alarm.Raised", "RO0001", b"{}") for sequence in sequences]


@pytest.mark.parametrize("lost", ["told", "not told"])
def test_events_behind_lost_numbers_are_told_under_their_own(lost):
    tail = Tail()
    tail.extend(events(1, 2, 3), [2, 2, 2])
    if lost == "told":
        tail.forget(6)
    tail.extend(events(6, 7), [2, 2])
    assert tail.first_sequence == 6, "the file must be asked for what is before: it knows of the gap"
    assert tail.read(6, WANTED, 10) == (events(6, 7), 8)
    assert tail.read(7, WANTED, 10) == (events(7), 8)
