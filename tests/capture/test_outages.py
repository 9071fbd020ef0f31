"""Outages of any length, with a belt that stands, starts, stops or changes its speed in them, against the true boards.

Who is told as certain entered and left when its own board did: to the beat, or within an outage that hid it.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pytest

from edgeagent.capture.pipeline import Pipeline
from edgeagent.model.boards import BoardRecord
from tests.capture.test_crash import Line, second
from tests.capture.tunnel import Tunnel

FULL = 78.0
SIGHT_S = 0.35
"""What beats and a barrier's blur let a told time be off by."""


class Trial(NamedTuple):
    """What a seed draws from: lengths and gaps (mm), outages (s), belt speeds (cm/min), and how many outages."""

    lengths: tuple[float, ...]
    gaps: tuple[float, ...]
    outages_s: tuple[float, ...]
    speeds: tuple[float, ...]
    times: int


LONG = Trial((60.0, 120.0, 180.0, 300.0), (20.0, 60.0, 200.0), (1.0, 3.0, 5.0, 8.0, 15.0, 40.0), (FULL,), 10)
LONG_CHANGING = LONG._replace(speeds=(FULL, FULL, 30.0, 0.0))
SHORT = Trial((45.0, 60.0, 180.0, 300.0), (8.0, 20.0, 60.0, 200.0), (0.5, 1.0, 2.0, 2.5, 2.9), (FULL,), 20)
SHORT_CHANGING = SHORT._replace(speeds=(FULL, FULL, 40.0, 0.0))


class Blind(Line):
    """A line whose outages are kills or a silent device, and whose belt does in them what it likes."""

    def __init__(self, seed: int, trial: Trial) -> None:
        super().__init__(seed, trial.lengths, trial.gaps)
        self.trial = trial
        self.outages: list[tuple[float, float]] = []

    def hide(self, seconds: float) -> None:
        """One outage, over which the belt stays as it is, changes at some moment, or twice."""
        before = self.speed
        after = before if self.chance.random() < 0.5 else self.chance.choice(self.trial.speeds)
        first, between = self.chance.choice(((1.0, 0.0), (0.0, 0.0), (self.chance.random(), 0.0),
                                             (0.8 * self.chance.random(), 0.2 * self.chance.random())))  # fmt: skip
        is_kill = self.chance.random() < 0.5
        began_ns = self.saved_ns if is_kill else self.now_ns
        for share, speed in ((first, before), (between, self.chance.choice(self.trial.speeds)),
                             (1 - first - between, after)):  # fmt: skip
            self.speed = speed
            for _ in range(round(10 * share * seconds)):
                (self.away if is_kill else self.miss)(0.1)
        if is_kill:
            self.killed(0.1)
        self.outages.append((began_ns / 1e9 - SIGHT_S, self.now_ns / 1e9 + SIGHT_S))

    def go(self) -> None:
        """Every outage of the trial, then let everything out."""
        self.look(100)
        for _ in range(self.trial.times):
            self.speed = self.chance.choice(self.trial.speeds)
            self.look(self.chance.uniform(2.0, 40.0))
            if self.chance.random() < 0.5:
                self.speed = self.chance.choice(self.trial.speeds)
                self.look(self.chance.choice((0.1, 1.0, 2.0)))
            self.hide(self.chance.choice(self.trial.outages_s))
        self.speed, self.until_next_mm = FULL, 400.0
        self.look(40)
        self.drain()
        self.look(60)

    def is_seen(self, told_s: float, true_ns: int) -> bool:
        true_s = true_ns / 1e9
        return abs(told_s - true_s) <= SIGHT_S or any(a <= told_s <= b and a <= true_s <= b for a, b in self.outages)

    def is_true(self, record: BoardRecord) -> bool:
        """Whether entry, exit and length are those of the board whose code it has, else of the one that entered then.
        """
        entered_s, left_s = second(record.entered_at), second(record.exited_at)
        code = record.barcodes[0].code if record.barcodes else None
        truth = min(self.truth, key=lambda it: (it.code != code, abs(it.entered_ns / 1e9 - entered_s)))
        return (
            self.is_seen(entered_s, truth.entered_ns) and self.is_seen(left_s, truth.left_ns)
            and (record.length_mm is None or abs(record.length_mm - truth.length) <= 10)
        )  # fmt: skip


@pytest.mark.parametrize(("trial", "seed"), [
    (LONG, 48), (LONG_CHANGING, 1), (LONG_CHANGING, 8), (SHORT, 4), (SHORT, 12), (SHORT_CHANGING, 0),
    (SHORT_CHANGING, 8), (SHORT_CHANGING, 22), (LONG_CHANGING, 6),
])  # fmt: skip
def test_who_is_certain_over_an_outage_is_the_board_that_it_is_told_to_be(trial, seed):
    line = Blind(seed, trial)
    line.go()
    assert [record.id for record in line.completed() if record.identity == "certain" and not line.is_true(record)] == []
    ended = [event.record.id for event in line.events if event.record]
    assert sorted(ended) == sorted(event.data.board.id for event in line.only("Board.ProcessStarted"))
    assert line.completed()[-1].identity == "certain", "what entered after it all"


def scanned() -> Tunnel:
    """A tunnel that was found empty, whose scanner was looked at."""
    tunnel = Tunnel()
    tunnel.set("scanner/1/count", 0)
    tunnel.feed("scanner")
    tunnel.run(1)
    tunnel.book_out()
    return tunnel


def scan(tunnel: Tunnel, count: int, code: str) -> None:
    tunnel.set("scanner/1/count", count)
    tunnel.set("scanner/1/result", 1)
    tunnel.row.texts[tunnel.machine.column["scanner/1/code"]] = code


def told(tunnel: Tunnel) -> list[tuple[str | None, str]]:
    """Code and identity of each board inside."""
    return [(board.barcodes[0].code if board.barcodes else None, board.identity) for board in tunnel.pipeline.boards()]


def test_the_code_of_a_board_whose_entry_an_outage_hid_is_not_for_certain_that_of_the_next():
    tunnel = scanned()
    scan(tunnel, 1, "HIDDEN")
    tunnel.feed("scanner")
    tunnel.boards += [[-150.0, 60.0], [-260.0, 60.0]]
    tunnel.run(1)
    scan(tunnel, 2, "NEXT")
    tunnel.miss(18)
    tunnel.beat()
    tunnel.feed("scanner")
    tunnel.run(8)
    assert told(tunnel) == [("HIDDEN", "uncertain")], "nobody saw when the next was scanned"


def test_a_code_read_in_an_outage_too_short_for_its_board_to_enter_is_certain():
    tunnel = scanned()
    scan(tunnel, 1, "NEXT")
    tunnel.boards.append([-150.0, 180.0])
    tunnel.miss(5)
    tunnel.beat()
    tunnel.feed("scanner")
    tunnel.run(15)
    assert told(tunnel) == [("NEXT", "certain")]


def test_a_code_read_behind_an_outage_is_certain():
    tunnel = scanned()
    tunnel.miss(18)
    tunnel.run(1)
    tunnel.feed("scanner")
    scan(tunnel, 1, "AFTER")
    tunnel.feed("scanner")
    tunnel.boards.append([-150.0, 180.0])
    tunnel.run(20)
    assert told(tunnel) == [("AFTER", "certain")]


@pytest.mark.parametrize("ran_s", [0.0, 4.0])
def test_a_board_half_in_the_inlet_of_an_empty_lane_that_stood_can_have_gone_in_and_another_come(ran_s):
    tunnel = scanned()
    tunnel.boards += [[-1.0, 60.0], [-66.0, 180.0]]
    tunnel.run(2)
    tunnel.speed = 0.0
    tunnel.run(2)
    assert not tunnel.pipeline.boards(), "less than the shortest board is in"
    tunnel.speed = FULL
    tunnel.away(ran_s)
    tunnel.speed = 0.0
    tunnel.away(10.0 - ran_s)
    tunnel.restart()
    tunnel.run(1)
    assert "could have" in tunnel.pipeline.status(tunnel.now_ns).lanes[0].doubt
    tunnel.speed = FULL
    tunnel.run(30)
    assert [(board.length_mm, board.identity) for board in tunnel.pipeline.boards()] == [(None, "uncertain")]


def test_a_board_half_in_the_inlet_before_an_outage_of_unknown_length_is_uncertain():
    tunnel = scanned()
    tunnel.boards += [[-1.0, 60.0], [-66.0, 180.0]]
    tunnel.run(2)
    tunnel.speed = 0.0
    tunnel.run(1)
    tunnel.boards = [[place + 60.0, length] for place, length in tunnel.boards]
    checkpoint = tunnel.pipeline.checkpoint()
    tunnel.pipeline = Pipeline.restored(tunnel.machine, tunnel.row, checkpoint, 0, [])
    tunnel.pipeline.doubt_all("how long nobody looked cannot be known")
    tunnel.speed = FULL
    tunnel.run(30)
    assert [(board.length_mm, board.identity) for board in tunnel.pipeline.boards()] == [(None, "uncertain")]


@pytest.mark.parametrize(("before", "after"), [(0.0, FULL), (FULL, 0.0)])
def test_an_empty_lane_whose_belt_started_or_stopped_while_nobody_looked_is_in_doubt(before, after):
    tunnel = scanned()
    tunnel.speed = before
    tunnel.run(1)
    tunnel.speed = FULL
    tunnel.away(5)
    tunnel.restart()
    tunnel.speed = after
    tunnel.run(1)
    assert "could have entered" in tunnel.pipeline.status(tunnel.now_ns).lanes[0].doubt


def test_a_board_in_an_inlet_that_stood_over_an_outage_shorter_than_a_board_can_have_been_followed():
    tunnel = scanned()
    tunnel.boards += [[-1.0, 60.0], [-71.0, 180.0]]
    tunnel.run(4)
    tunnel.speed = 0.0
    tunnel.run(1)
    tunnel.speed = FULL
    tunnel.away(1.5)
    tunnel.speed = 0.0
    tunnel.away(1.0)
    tunnel.restart()
    tunnel.run(1)
    tunnel.speed = FULL
    tunnel.run(20)
    assert [(board.length_mm, board.identity) for board in tunnel.pipeline.boards()] == [(None, "uncertain")]


@pytest.mark.parametrize("until_s", [4.0, 4.1])
def test_a_gap_of_which_an_outage_hid_the_most_is_not_taken_for_a_hole_in_one_board(until_s):
    tunnel = scanned()
    tunnel.insert(60)
    tunnel.boards.append([-69.0, 180.0])
    tunnel.run(until_s)
    tunnel.miss(1)
    tunnel.run(20)
    for board in tunnel.pipeline.boards():
        assert (board.length_mm, board.identity) in ((None, "uncertain"), (pytest.approx(180, abs=3), "certain"))


def test_a_short_board_close_behind_an_uncertain_one_does_not_leave_with_it():
    tunnel = scanned()
    tunnel.insert(60)
    tunnel.boards.append([-69.0, 45.0])
    tunnel.run(100)
    tunnel.away(10)
    tunnel.restart()
    tunnel.run(320)
    exits = [second(event.record.exited_at) for event in tunnel.only("Board.ProcessCompleted")]
    assert exits[1] - exits[0] == pytest.approx(53 / 13, abs=0.2)


def test_two_boards_whose_ends_one_outage_hid_are_both_out():
    tunnel = scanned()
    tunnel.insert(180)
    tunnel.boards.append([-193.0, 60.0])
    tunnel.run(366)
    tunnel.miss(20)
    tunnel.run(60)
    assert len(tunnel.only("Board.ProcessCompleted")) == 2
    assert not tunnel.only("Board.Lost")


def test_one_that_nobody_saw_enter_is_not_for_certain_the_board_close_behind_it():
    tunnel = scanned()
    tunnel.miss(10)
    tunnel.boards += [[64.0, 60.0], [-3.0, 180.0]]
    tunnel.run(420)
    assert [event.record.identity for event in tunnel.only("Board.ProcessCompleted")] == ["uncertain"]


@pytest.mark.parametrize("outage_s", [100.0, 600.0])
def test_a_board_that_came_in_at_the_end_of_a_long_outage_comes_out(outage_s):
    tunnel = scanned()
    tunnel.away(outage_s)
    tunnel.boards.append([50.0, 180.0])
    tunnel.restart()
    tunnel.run(400)
    assert not tunnel.only("Board.Lost")
    assert not tunnel.only("Board.Unexpected")
    assert [event.record.identity for event in tunnel.only("Board.ProcessCompleted")] == ["uncertain"]


@pytest.mark.parametrize("stood_s", [60.0, 3600.0])
def test_a_hand_in_the_inlet_of_a_belt_that_stood_over_an_outage_is_no_board(stood_s):
    tunnel = scanned()
    tunnel.speed = 0.0
    tunnel.run(1)
    tunnel.away(stood_s)
    tunnel.flicker["inlet"] = [True] * 20
    tunnel.run(30)
    assert not tunnel.only("Board.ProcessStarted")


@pytest.mark.parametrize("way_mm", [1.0, 14.0])
@pytest.mark.parametrize("silent_s", [1.0, 3.0, 12.0, 30.0])
def test_a_silence_of_the_belt_alone_is_an_outage(silent_s, way_mm):
    tunnel = scanned()
    tunnel.boards.append([-way_mm, 180.0])
    for _ in range(round(10 * silent_s)):
        tunnel.beat_without("conveyor/1/speed")
    tunnel.run(1)
    is_short = silent_s < 3
    assert (tunnel.pipeline.status(tunnel.now_ns).lanes[0].doubt is None) == is_short
    tunnel.run(420)
    for event in tunnel.only("Board.ProcessCompleted"):
        assert event.record.identity == ("certain" if is_short else "uncertain")
        assert event.record.length_mm in (None, pytest.approx(180, abs=8))


@pytest.mark.parametrize("speed", [30.0, 78.0, 300.0])
def test_beats_without_a_miss_hide_nothing_however_fast_the_belt(speed):
    tunnel = Tunnel(speed)
    tunnel.run(1)
    for _ in range(3):
        tunnel.insert(180)
        tunnel.run(400 * 6 / speed)
    tunnel.run(5500 * 6 / speed)
    assert [event.record.identity for event in tunnel.only("Board.ProcessCompleted")] == ["certain"] * 3


def test_a_tracker_of_an_earlier_version_is_taken_up():
    tunnel = scanned()
    tunnel.insert()
    tunnel.run(100)
    memory = msgspec.msgpack.decode(tunnel.pipeline.checkpoint())
    [lane] = memory["lanes"].values()
    for name in ("open_mm", "far_mm", "is_endless"):
        del lane["tracker"][name]
    for name in ("last_mm", "blind_mm", "blind_since_mm"):
        del lane["scanner"][name]
    rows = [row for _, row in tunnel.pipeline.history.rows()]
    tunnel.pipeline = Pipeline.restored(tunnel.machine, tunnel.row, msgspec.msgpack.encode(memory), 0, rows)
    tunnel.run(300)
    assert tunnel.only("Board.ProcessCompleted")[0].record.identity == "certain"
