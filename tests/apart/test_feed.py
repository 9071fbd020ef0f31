"""What is sent of a machine's values: every change, the newest of each, and an age that grows without a beat."""

from __future__ import annotations

import math
from typing import Any

import pytest

from edgeagent.apart.feed import Feed
from edgeagent.capture.pipeline import Pipeline
from edgeagent.clock import Clock
from edgeagent.errors import CommandRefused
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from firmware_iface import catalog
from tests.fakes import small_map

WALL_NS = 1_795_298_000_000_000_000
GOOD, UNCERTAIN, STALE, BAD = Quality


class Standing(Clock):
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 1_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return WALL_NS + self.now_ns


class Oven:
    """A machine of which a test says what was read."""

    def __init__(self) -> None:
        self.clock = Standing()
        self.machine = Machine("RO0001", (small_map(),))
        self.row = Row(len(self.machine.points), len(self.machine.groups))
        self.rows: list[tuple[int, list[float], list[int]]] = []
        self.feed = Feed(self, self.clock)
        self.feed.begin_anew()
        self.feed.take()

    def read(self, later_ms: int = 100, quality: int = GOOD, **values: float | str) -> list[tuple[object, ...]]:
        """Read values by the names of their paths, "_" for "/"; return what is to be sent of them."""
        self.clock.now_ns += later_ms * 1_000_000
        self.row.times[0], self.row.stamps[0] = self.clock.now_ns, self.clock.wall_ns()
        for name, value in values.items():
            point = self.machine.point(name.replace("_", "/"))
            self.row.quality[point.index] = quality
            if isinstance(value, str):
                self.row.texts[point.index] = value
            else:
                self.row.values[point.index] = value
        self.feed.look(0)
        return self.sent()

    def sent(self) -> list[tuple[object, ...]]:
        return [(self.machine.points[column].path.replace("/", "_"), value, quality, time_ns)
                for column, value, quality, time_ns in self.feed.take()]  # fmt: skip

    def recent(self, since_ns: int) -> tuple[list[int], list[float], list[int], int]:
        rows = [row for row in self.rows if row[0] >= since_ns]
        return ([row[0] for row in rows], [value for row in rows for value in row[1]],
                [quality for row in rows for quality in row[2]], len(self.machine.points))  # fmt: skip


def test_the_first_time_everything_is_sent_known_or_not() -> None:
    oven = Oven()
    oven.feed.begin_anew()
    assert oven.sent() == [(point.path.replace("/", "_"), None, BAD, 0) for point in oven.machine.points]


def test_a_change_is_sent_once_with_the_time_at_which_it_was_read() -> None:
    oven = Oven()
    [(name, value, quality, time_ns)] = oven.read(zone_1_top_temperature=175.43)
    assert (name, value, quality, time_ns) == ("zone_1_top_temperature", 175.4, GOOD, oven.clock.wall_ns())
    assert oven.read(zone_1_top_temperature=175.43) == []
    assert oven.read(zone_1_top_temperature=175.44) == [], "it is the same once it is rounded"
    assert oven.read(zone_1_top_temperature=175.5)[0][1] == 175.5


def test_what_was_not_taken_is_sent_with_its_newest_value_only() -> None:
    oven = Oven()
    for number in range(1000):
        oven.clock.now_ns += 100_000_000
        oven.row.times[0] = oven.clock.now_ns
        oven.row.values[0], oven.row.quality[0] = float(number), GOOD
        oven.feed.look(0)
    assert [value for name, value, *_ in oven.sent() if name == "zone_1_top_temperature"] == [999.0]


def test_a_missed_beat_is_sent_as_bad_without_a_value() -> None:
    oven = Oven()
    oven.read(zone_1_top_temperature=175.4)
    assert oven.read(quality=BAD, zone_1_top_temperature=math.nan)[0][1:3] == (None, BAD)


def test_a_value_grows_stale_without_a_beat_and_keeps_its_time() -> None:
    oven = Oven()
    [first] = oven.read(zone_1_top_temperature=175.4)
    oven.clock.now_ns += 400_000_000
    oven.feed.look_at_all()
    assert oven.sent() == []
    oven.clock.now_ns += 200_000_000
    oven.feed.look_at_all()
    assert oven.sent() == [("zone_1_top_temperature", 175.4, STALE, first[3])]
    assert oven.read(zone_1_top_temperature=175.4)[0][1:3] == (175.4, GOOD)


def test_a_text_and_a_bit_are_sent_as_people_mean_them() -> None:
    oven = Oven()
    assert oven.read(recipe_name="SAC305-A")[0][1] == "SAC305-A"
    assert oven.read(recipe_name="SAC305-A") == []
    assert oven.read(recipe_name="SAC305-B")[0][1] == "SAC305-B"
    assert oven.read(lane_1_inlet=1.0)[0][1] is True


def with_history() -> Oven:
    oven = Oven()
    for number in range(3):
        values, qualities = [math.nan] * len(oven.machine.points), [int(BAD)] * len(oven.machine.points)
        values[0], qualities[0] = 100.0 + number, (GOOD, UNCERTAIN, BAD)[number]
        oven.rows.append((number, values, qualities))
    return oven


def test_history_is_read_forth_and_back_with_its_qualities() -> None:
    feed = with_history().feed
    assert 0 in feed.historic
    rows = feed.history([0], 0, 2, 10)
    assert [(row.time_ns, row.values, row.qualities) for row in rows] == [
        (0, (100.0,), (GOOD,)), (1, (101.0,), (UNCERTAIN,)), (2, (102.0,), (BAD,))]  # fmt: skip
    assert [row.time_ns for row in feed.history([0], 2, 1, 10)] == [2, 1]
    assert [row.time_ns for row in feed.history([0], 1, 2, 1)] == [1]


def test_a_value_of_which_there_is_no_history_is_refused() -> None:
    oven = with_history()
    with pytest.raises(CommandRefused) as caught:
        oven.feed.history([oven.machine.column["recipe/name"]], 0, 2, 10)
    assert caught.value.kind == "notFound"


class Paced(Oven):
    """A machine whose rows go through the agent's own pipeline."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine("RO0001", (catalog.builtin("reflow10"),))
        self.row = Row(len(self.machine.points), len(self.machine.groups))
        self.pipeline = Pipeline(self.machine, self.row)
        self.feed = Feed(self, self.clock)

    def beat(self, shown: float) -> None:
        pace = self.machine.groups[self.machine.pace]
        self.clock.now_ns += pace.period_ns
        for column in self.feed.historic:
            self.row.values[column], self.row.quality[column] = shown, GOOD
        self.pipeline.feed(pace.index, self.clock.now_ns, self.clock.wall_ns())

    def recent(self, since_ns: int) -> tuple[Any, Any, Any, int]:
        times, values, quality, width = self.pipeline.recent(since_ns - WALL_NS)
        return [time + WALL_NS for time in times], values, quality, width


def test_history_reaches_as_far_as_the_ring_and_has_every_value_that_it_holds() -> None:
    oven = Paced()
    for number in range(5000):
        oven.beat(float(number % 200))
    times, values, quality, width = oven.recent(0)
    held = {column for column in range(width) if quality[column] == GOOD and not math.isnan(values[column])}
    assert held == set(oven.feed.historic)
    assert times[-1] - times[0] >= 299 * 10**9, "five minutes, or more"
    found: list[int] = []
    place = 0
    while rows := oven.feed.history(oven.feed.historic, place, WALL_NS * 2, 1000):
        found += [row.time_ns for row in rows]
        place = found[-1] + 1
        assert all(quality == GOOD for row in rows for quality in row.qualities)
    assert found == list(times)
