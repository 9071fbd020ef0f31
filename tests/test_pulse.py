"""A pulse that stands still is seen, a rest is not."""

import pytest

from edgeagent import pulse


@pytest.fixture
def clock(monkeypatch):
    """The monotonic time in seconds, in a list."""
    now = [1000.0]
    monkeypatch.setattr(pulse, "monotonic", lambda: now[0])
    return now


def test_a_turn_is_late_after_the_patience_and_what_was_said(clock):
    its = pulse.Pulse()
    check = its.check(5.0)
    clock[0] += 1000
    assert check() is None, "nothing is expected before the first turn"
    its.turn()
    clock[0] += pulse.PATIENCE_S + 5
    assert check() is None
    clock[0] += 1
    assert check() == "has not turned for 66 s"
    its.turn()
    assert check() is None


def test_a_rest_on_purpose_is_not_late(clock):
    its = pulse.Pulse()
    its.turn(3600.0)
    clock[0] += 3600 + pulse.PATIENCE_S
    assert its.check()() is None
    clock[0] += 1
    assert its.check()()
    its.rest()
    assert its.check()() is None
