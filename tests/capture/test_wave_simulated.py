"""What the simulated wave machine's faults do to a board's record, through the real pipeline and without a wire."""

import math

import pytest

from edgeagent.capture.pipeline import Pipeline
from edgeagent.model.events import Event
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from firmware_iface import catalog
from firmware_iface.simulated.faults import parse
from firmware_iface.simulated.wave import WaveMachine

WAVE = catalog.builtin("wave")
WALL_NS = 1_790_000_000_000_000_000
BEAT_S = 0.1


class Line:
    """A simulated machine, ready, whose registers go straight into a pipeline's row."""

    def __init__(self) -> None:
        self.simulated = WaveMachine(WAVE)
        while self.simulated.state != "ready":
            self.simulated.advance(1)
        self.machine = Machine("WS0001", (WAVE,))
        self.row = Row(len(self.machine.points), len(self.machine.groups))
        self.pipeline = Pipeline(self.machine, self.row)
        self.events: list[Event] = []
        self._beats = 0
        self.run(1)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / BEAT_S)):
            self.simulated.advance(BEAT_S)
            now = round(self.simulated.time * 1e9)
            for group in self.machine.groups:
                if self._beats * 100 % (group.period_ns // 1_000_000) == 0:
                    self._read(group.index, now)
                    self.events += self.pipeline.feed(group.index, now, WALL_NS + now)
            self._beats += 1

    def _read(self, group: int, now_ns: int) -> None:
        self.row.times[group], self.row.stamps[group] = now_ns, WALL_NS + now_ns
        for point in self.machine.points:
            if point.group != group:
                continue
            value = self.simulated.read(f"{point.object}/{point.name}")
            self.row.quality[point.index] = Quality.GOOD
            if point.is_text:
                self.row.texts[point.index] = str(value)
            else:
                self.row.values[point.index] = float(value)
                self.row.quality[point.index] = Quality.BAD if math.isnan(value) else Quality.GOOD

    def solder(self, *faults: str) -> Event:
        """One board from the scanner to its end; faults begin so many seconds after it was laid down."""
        begin = self.simulated.time
        self.simulated.insert_board("PCB1", 180.0)
        for text in faults:
            name, _, at = text.partition("@")
            start, _, duration = at.partition("+")
            self.simulated.add_fault(parse(f"{name}@{begin + float(start)}" + (f"+{duration}" if duration else "")))
        self.run(260)
        return next(event for event in self.events if event.record is not None)


def test_a_good_board_passes_with_a_second_and_two_of_contact():
    event = Line().solder()
    assert event.topic == "Board.ProcessCompleted"
    board = event.record
    assert board.verdict.process == "pass", board.verdict
    assert [wave.seconds for wave in board.waves] == pytest.approx([1.0, 2.0], abs=0.03)
    assert [value.mean for value in board.waves[0].values] == pytest.approx([260, 800, 12], abs=2)
    assert board.while_inside.alarms == ()


# The board is laid down 150 mm before the inlet: its middle is in the fluxer after 24.5 s, in the main wave after 151.
FAULTS = [
    ("nozzle-blocked@1", "E050", "process: zone 1: flux/1/flow was 0 ml/min"),
    ("pump-stop:wave/2@125", "E062", "process: zone 6: wave/2/pumpSpeed was 0 rpm"),
    ("heater-dead:preheat/2/bottom@30", "E102", "process: zone 3: preheat/2/bottom/temperature was "),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "alarm", "reason"), FAULTS)
def test_a_fault_while_the_board_is_inside_fails_it_and_is_noted(fault, alarm, reason):
    board = Line().solder(fault).record
    assert board.verdict.process == "fail"
    assert [told for told in board.verdict.reasons if told.startswith(reason)], board.verdict
    assert alarm in board.while_inside.alarms


def test_an_open_thermocouple_of_the_pot_keeps_its_figures_unknown():
    board = Line().solder("thermocouple-open:pot/1@60").record
    assert [wave.values[0].mean for wave in board.waves] == [None, None]
    assert [wave.values[0].quality for wave in board.waves] == ["bad", "bad"]
    assert board.verdict.process == "unknown"
    assert "process: zone 6: pot/1/temperature is not known" in board.verdict.reasons


def test_a_belt_that_stops_in_the_main_wave_lengthens_the_contact_alone():
    board = Line().solder("belt-stop@151+4").record
    assert board.waves[0].seconds == pytest.approx(1.0, abs=0.05)
    assert 5 < board.waves[1].seconds < 8, "4 s of stand, and a drive that takes its time to start again"


def test_a_board_that_was_taken_out_between_fluxer_and_waves_is_lost():
    event = Line().solder("board-removed@70")
    assert event.topic == "Board.Lost"
    assert event.record.flux[0].seconds == pytest.approx(10, abs=0.1)
