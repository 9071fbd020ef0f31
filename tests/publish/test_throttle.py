from __future__ import annotations

import pytest

from edgeagent.publish.throttle import FREE, LONGEST_S, Throttle


class Hand:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_ten_wrong_tokens_slow_an_address_down_more_and_more_up_to_a_bound_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hand = Hand()
    throttle = Throttle(hand)
    for _ in range(FREE - 1):
        throttle.wrong("10.0.0.1")
    assert throttle.pause_s("10.0.0.1") == 0
    pauses = []
    for _ in range(8):
        throttle.wrong("10.0.0.1")
        pauses.append(throttle.pause_s("10.0.0.1"))
        hand.now += pauses[-1]
        assert throttle.pause_s("10.0.0.1") == 0
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_S, LONGEST_S, LONGEST_S]
    assert throttle.pause_s("10.0.0.2") == 0
    assert caplog.text.count("it is slowed down") == 1
    throttle.right("10.0.0.1")
    throttle.wrong("10.0.0.1")
    assert throttle.pause_s("10.0.0.1") == 0


def test_an_address_is_forgotten_after_a_while() -> None:
    hand = Hand()
    throttle = Throttle(hand)
    for _ in range(FREE):
        throttle.wrong("10.0.0.1")
    hand.now += 1000
    throttle.wrong("10.0.0.1")
    assert throttle.pause_s("10.0.0.1") == 0


def test_no_number_of_addresses_makes_it_grow() -> None:
    throttle = Throttle(Hand())
    for n in range(5000):
        throttle.wrong(f"10.0.{n >> 8}.{n & 255}")
    assert len(throttle) == 1024


def test_all_addresses_that_one_computer_can_have_count_together() -> None:
    throttle = Throttle(Hand())
    for n in range(FREE):
        throttle.wrong(f"2001:db8:1:2::{n:x}")
    assert throttle.pause_s("2001:db8:1:2:ffff::1") > 0
    assert throttle.pause_s("2001:db8:1:3::1") == 0
    for n in range(FREE):
        throttle.wrong("::ffff:10.0.0.9" if n % 2 else "10.0.0.9")
    assert throttle.pause_s("10.0.0.9") > 0
