"""How long a stopped line waits."""

from __future__ import annotations

from random import Random

from edgeagent.publish.push.backoff import BackOff


def test_it_doubles_up_to_a_minute_with_jitter_and_never_hurries() -> None:
    many = [BackOff(Random(seed)) for seed in range(50)]
    rows = [[it.failed() for _ in range(12)] for it in many]
    for number, column in enumerate(zip(*rows, strict=True)):
        ceiling = min(60.0, 2.0**number)
        assert all(ceiling / 2 <= wait <= ceiling for wait in column)
        assert max(column) - min(column) > ceiling / 4, "many agents do not come back at the same moment"


def test_it_begins_anew_after_a_minute_without_a_failure_and_not_before() -> None:
    it = BackOff(Random(1))
    for _ in range(6):
        it.failed()
        it.succeeded(100.0)
    assert it.failed() >= 16
    for now in (200.0, 230.0, 259.0):
        it.succeeded(now)
    assert it.failed() >= 16
    for now in (300.0, 361.0):
        it.succeeded(now)
    assert it.failed() <= 1.0


def test_what_the_mes_asks_for_is_the_least_and_has_a_bound() -> None:
    it = BackOff(Random(1))
    assert 120 <= it.failed(120) <= 132
    assert 900 <= it.failed(10**9) <= 990
    for _ in range(8):
        it.failed()
    assert it.failed(0) >= 30, "less than its own patience is not asked of it"
