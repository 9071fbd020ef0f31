"""Settled is what has been where it belongs for the whole time: a break begins anew, a missed beat is none."""

from __future__ import annotations

import msgspec
import pytest

from edgeagent.control.settling import Settling, targets
from edgeagent.model.machine import Machine, Tolerances
from edgeagent.model.recipes import made
from edgeagent.model.samples import MeasuredValue
from firmware_iface import catalog
from tests.control.bench import HandClock
from tests.model.test_recipe_checks import draft, machine, settings

KEPT = made(draft(settling_s=60.0), machine(), 1, "2026-11-21T22:10:20.000Z", "anna", None)


class Standing:
    """A machine whose values are what a test sets; None is a value that is not good."""

    def __init__(self) -> None:
        self.machine = Machine("RO0001", (catalog.builtin("reflow10"),))
        self.now: dict[str, float | None] = {
            it.path: 400.0 if it.is_limit else it.wanted for it in targets(KEPT, self)
        }

    def values(self, objects):
        return tuple(
            MeasuredValue(*path.rsplit("/", 1), value, "degC", "bad" if value is None else "good", None)
            for path, value in self.now.items()
        )


def looked(*parts: tuple[float, float | None], path: str = "zone/3/top/temperature", kept=KEPT) -> list[float]:
    """Seconds at which it was settled: for so long a value is so far from where it belongs, with a look each 0.1 s."""
    it, clock = Standing(), HandClock()
    settling, begun = Settling(kept, it, clock), clock.now_ns
    wanted = it.now[path]
    settled = []
    for seconds, off in parts:
        it.now[path] = None if off is None else wanted + off
        for _ in range(round(seconds * 10)):
            if settling.look():
                settled.append((clock.now_ns - begun) / 1e9)
            clock.now_ns += 100_000_000
    return settled


@pytest.mark.parametrize(("parts", "first"), [
    ([(70, 0.0)], 60.0),
    ([(70, 4.9)], 60.0),
    ([(70, 5.1)], None),
    ([(59, 0.0), (0.1, 5.1), (59, 0.0)], None),
    ([(59, 0.0), (0.1, 5.1), (61, 0.0)], 119.1),
    ([(30, 0.0), (4, None), (40, 0.0)], 60.0),
    ([(30, 0.0), (6, None), (70, 0.0)], 96.0),
    ([(70, None)], None),
])  # fmt: skip
def test_everything_must_be_there_for_the_settling_time_without_a_break(parts, first):
    settled = looked(*parts)
    assert (settled[0] if settled else None) == (pytest.approx(first) if first else None)


def test_a_belt_is_judged_by_its_share_and_a_single_zone_by_its_own_tolerance():
    belt = "conveyor/1/speed"
    wanted = settings()["conveyor/1/speedSetpoint"]
    assert looked((61, wanted * 0.019), path=belt) and not looked((61, wanted * 0.021), path=belt)
    wide = msgspec.structs.replace(KEPT, tolerances=Tolerances(zones={"zone/3/top": 9.0}))
    assert looked((61, 8.0), kept=wide) and not looked((61, 8.0))


def test_oxygen_is_waited_for_as_far_as_it_is_judged():
    it = Standing()
    paths = {(target.path, target.is_limit) for target in targets(KEPT, it)}
    assert ("oxygen/1/concentration", True) in paths and ("oxygen/1/concentration", False) not in paths
    judged = msgspec.structs.replace(KEPT, tolerances=Tolerances(oxygen_ppm=100.0))
    assert ("oxygen/1/concentration", False) in {(target.path, target.is_limit) for target in targets(judged, it)}


def test_a_time_in_which_nobody_looked_is_a_break():
    it, clock = Standing(), HandClock()
    settling = Settling(KEPT, it, clock)
    assert not settling.look()
    clock.now_ns += 120_000_000_000
    assert not settling.look()


def test_it_says_how_far_the_machine_is():
    it, clock = Standing(), HandClock()
    settling = Settling(KEPT, it, clock)
    it.now["zone/3/top/temperature"] = 120.0
    settling.look()
    count = settling.count
    assert settling.progress() == (f"{count - 1} of {count} values are within their tolerance; "
                                   "zone/3/top/temperature is 120 (wanted 165 ± 5 degC)")
    it.now["zone/3/top/temperature"] = 165.0
    settling.look()
    assert not settling.has_news, "not at once again"
    clock.now_ns += 10_000_000_000
    settling.look()
    assert settling.has_news
