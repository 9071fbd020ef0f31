"""Whether the clock is set, where the kernel may not be asked."""

import os
import time

import pytest

from edgeagent import clock
from edgeagent._core import kernel
from edgeagent.clock import Clock


@pytest.fixture
def sandbox(monkeypatch, tmp_path):
    """The kernel refuses adjtimex; the file that systemd-timesyncd touches is here."""

    monkeypatch.setattr(kernel, "clock_state", lambda: -1)
    monkeypatch.setattr(clock, "_TIMESYNCD", tmp_path / "synchronized")
    return tmp_path / "synchronized"


def test_a_clock_that_nobody_knows_of_is_not_trusted(sandbox):
    assert not Clock().trusted


def test_a_clock_that_timesyncd_set_lately_is_trusted(sandbox):
    sandbox.touch()
    assert Clock().trusted


def test_a_clock_that_timesyncd_set_long_ago_is_not(sandbox):
    sandbox.touch()
    os.utime(sandbox, times=(time.time() - 7000,) * 2)
    assert not Clock().trusted


class SetClock(Clock):
    """The computer's clock, set by somebody."""

    set_s = 0.0

    def wall_ns(self) -> int:
        return super().wall_ns() + round(self.set_s * 1e9)


@pytest.mark.parametrize("by_s", [3600.0, -3600.0, 86400.0 * 365])
def test_a_clock_that_somebody_sets_is_not_trusted_until_it_was_synchronised_anew(sandbox, by_s):
    sandbox.touch()
    it = SetClock()
    assert it.trusted
    it.set_s = by_s
    assert not it.trusted, "at once, not at the end of the minute for which it was believed"
    os.utime(sandbox, times=(it.wall_ns() / 1e9,) * 2)
    it._believed_until_ns = 0
    assert it.trusted


def test_a_clock_that_its_source_sets_stays_trusted(sandbox):
    sandbox.touch()
    it = SetClock()
    assert it.trusted
    it.set_s = 1_000_000.0
    os.utime(sandbox, times=(it.wall_ns() / 1e9,) * 2)
    assert it.trusted


def test_a_clock_that_follows_its_source_slowly_was_not_set():
    it = SetClock()
    steps = clock.Steps()
    steps.look(*it.moment())
    for _ in range(20):
        it.set_s += 0.2
        assert steps.look(*it.moment())[1] == 0
    it.set_s -= 7200
    assert steps.look(*it.moment())[1] == pytest.approx(-7200e9, abs=1e9)
    assert steps.look(*it.moment())[1] == 0


def test_a_computer_that_does_something_else_between_the_two_clocks_sets_none():
    class Busy(Clock):
        away_ns, held = 0, 3

        def monotonic_ns(self) -> int:
            return super().monotonic_ns() + self.away_ns

        def wall_ns(self) -> int:
            if self.held:
                self.held, self.away_ns = self.held - 1, self.away_ns + 5_000_000_000
            return super().wall_ns() + self.away_ns

    it, steps = Busy(), clock.Steps()
    for _ in range(3):
        assert steps.look(*it.moment())[1] == 0
        it.held = 2


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux counts a computer's sleep")
def test_time_goes_on_while_the_computer_sleeps():
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert before <= Clock().monotonic_ns() <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
