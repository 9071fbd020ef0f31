"""A board through the wave machine: rows by hand, a belt of 20 mm/s, the record as the OpenApps profile names it."""

import json
from datetime import datetime

import msgspec
import pytest

from edgeagent.model.boards import BoardRecord, StationRecord
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.machine import Limit, Machine, Tolerances
from edgeagent.model.points import Quality
from edgeagent.publish.openapps.machines import describe
from edgeagent.publish.openapps.openrpc import document
from firmware_iface import catalog
from tests.capture.tunnel import Tunnel

WAVE = catalog.builtin("wave")
SPEED = 120.0
MM_PER_S = 20.0
LENGTH = 180.0
RECIPE = {
    "flux/1/flow": 40.0, "flux/1/pressure": 2500.0, "preheat/1/bottom/temperature": 110.0,
    "preheat/2/bottom/temperature": 130.0, "preheat/3/top/temperature": 145.0, "preheat/3/bottom/temperature": 150.0,
    "pot/1/temperature": 260.0, "wave/1/pumpSpeed": 800.0, "wave/2/pumpSpeed": 600.0,
}  # fmt: skip


class WaveLine(Tunnel):
    """The tunnel with a wave machine's stations, all at their setpoints."""

    def __init__(self, **more: object) -> None:
        super().__init__(SPEED, Machine("WS0001", (WAVE,), "SN2", **more))
        self.run(1)

    def settle(self) -> None:
        for path, value in RECIPE.items():
            self.set(path, value)
            setpoint = path.replace("temperature", "setpoint") if "temperature" in path else f"{path}Setpoint"
            self.set(setpoint, value)
        self.set("wave/1/height", 12)
        self.set("wave/2/height", 10)
        self.set("cooling/1/temperature", 30)
        self.set("wave/1/running", 1)
        self.set("wave/2/running", 1)
        self.set("pot/1/level", 95)

    def middle_to(self, place_mm: float) -> None:
        """Run until the middle of the only board is at a place."""
        self.run((place_mm - (self.boards[0][0] - LENGTH / 2)) / MM_PER_S)

    def record(self) -> BoardRecord:
        return next(event.record for event in self.events if event.record is not None)


def through(line: WaveLine) -> BoardRecord:
    line.insert(LENGTH)
    line.run(250)
    return line.record()


def test_the_record_tells_what_each_station_did_and_nothing_of_an_oven():
    told = json.loads(msgspec.json.encode(through(WaveLine())))
    assert list(told)[-8:] == ["oxygen", "flux", "preheat", "waves", "cooling", "whileInside", "samples", "verdict"]
    assert [(kind, station["zone"]) for kind in ("flux", "preheat", "waves", "cooling") for station in told[kind]] == [
        ("flux", 1), ("preheat", 2), ("preheat", 3), ("preheat", 4), ("waves", 5), ("waves", 6), ("cooling", 7)]
    assert told["flux"][0]["values"][0] == {
        "object": "flux/1", "name": "flow", "unit": "ml/min", "setpoint": 40.0, "atCentre": 40.0, "mean": 40.0,
        "minimum": 40.0, "maximum": 40.0, "quality": "good"}  # fmt: skip
    assert [(v["object"], v["name"], v["setpoint"]) for v in told["waves"][1]["values"]] == [
        ("pot/1", "temperature", 260.0), ("wave/2", "pumpSpeed", 600.0), ("wave/2", "height", None)]
    assert told["verdict"] == {
        "process": "pass", "profile": "unknown",
        "reasons": ["profile: a wave machine has no model of what the board felt"]}  # fmt: skip


SECONDS = [  # zone, mm / (mm/s)
    ("flux", 0, 200 / 20), ("preheat", 0, 600 / 20), ("preheat", 2, 600 / 20),
    ("waves", 0, 20 / 20), ("waves", 1, 40 / 20), ("cooling", 0, 350 / 20),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "place", "seconds"), SECONDS)
def test_a_point_of_the_board_is_in_a_station_for_its_length_over_the_speed(kind, place, seconds):
    station: StationRecord = getattr(through(WaveLine()), kind)[place]
    assert station.seconds == pytest.approx(seconds, abs=0.01)


def test_a_wave_is_entered_when_the_middle_of_the_board_touches_it():
    line = WaveLine()
    board = through(line)
    started = line.only("Board.ProcessStarted")[0].time_ns
    entered = msgspec.convert(board.waves[0].entered_at, datetime).timestamp()
    assert entered - started / 1e9 == pytest.approx((2640 + LENGTH / 2) / MM_PER_S, abs=0.3)


def test_the_statistics_of_a_pump_are_those_of_the_contact():
    line = WaveLine()
    line.insert(LENGTH)
    line.middle_to(2780 + 21)
    line.set("wave/2/pumpSpeed", 580)
    line.run(100)
    pump = line.record().waves[1].values[1]
    assert (pump.minimum, pump.maximum, pump.at_centre) == (580, 600, 600)
    assert pump.mean == pytest.approx(590, abs=2)
    assert line.record().verdict.process == "pass"


FAILURES = [
    # what is off, what the verdict says
    ({"wave/2/pumpSpeed": 0}, "process: zone 6: wave/2/pumpSpeed was 0 rpm, 600 ± 60 is allowed"),
    ({"flux/1/flow": 0}, "process: zone 1: flux/1/flow was 0 ml/min, 40 ± 4 is allowed"),
    ({"flux/1/pressure": 2200}, "process: zone 1: flux/1/pressure was 2200 mbar, 2500 ± 250 is allowed"),
    ({"preheat/2/bottom/temperature": 124}, "process: zone 3: preheat/2/bottom/temperature was 124 degC, 130 ± 5"),
    ({"pot/1/temperature": 251}, "process: zone 5: pot/1/temperature was 251 degC, 260 ± 5 is allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("off", "reason"), FAILURES)
def test_a_station_that_was_off_its_setpoint_fails_the_board(off, reason):
    line = WaveLine()
    for path, value in off.items():
        line.set(path, value)
    board = through(line)
    assert board.verdict.process == "fail"
    assert any(told.startswith(reason) for told in board.verdict.reasons), board.verdict.reasons


def test_a_pump_of_which_nothing_is_known_keeps_the_verdict_unknown():
    line = WaveLine()
    line.row.quality[line.machine.column["wave/1/pumpSpeed"]] = Quality.BAD
    board = through(line)
    assert board.waves[0].values[1].mean is None
    assert board.waves[0].values[1].quality == "bad"
    assert board.verdict.process == "unknown"
    assert board.verdict.reasons[0] == "process: zone 5: wave/1/pumpSpeed is not known"


@pytest.mark.parametrize(("stop_s", "process"), [(0, "pass"), (2, "fail")])
def test_a_belt_that_stands_in_the_wave_is_too_long_a_contact(stop_s, process):
    line = WaveLine(tolerances=Tolerances(belt_percent=50, contact_s=Limit(2, 4)))
    line.insert(LENGTH)
    line.middle_to(2800)
    line.speed = 0
    line.run(stop_s)
    line.speed = SPEED
    line.run(100)
    board = line.record()
    contact = sum(wave.seconds for wave in board.waves)
    assert contact == pytest.approx(3 + stop_s, abs=0.03)
    assert board.verdict.process == process
    if stop_s:
        assert board.verdict.reasons[0] == (
            f"process: contact with the waves was {contact:.2f} s, 2 to 4 s is allowed")  # fmt: skip


def test_a_wave_that_is_switched_off_touches_no_board():
    line = WaveLine(tolerances=Tolerances(contact_s=Limit(1.5, 2.5)))
    line.set("wave/1/pumpSpeedSetpoint", 0)
    line.set("wave/1/pumpSpeed", 3)
    line.set("wave/1/height", 0)
    line.feed("recipe")
    board = through(line)
    assert [wave.seconds for wave in board.waves] == [0, pytest.approx(2, abs=0.01)]
    assert board.verdict.process == "pass", board.verdict.reasons


def test_a_wave_whose_pump_stands_touches_no_board():
    line = WaveLine()
    line.set("wave/2/pumpSpeed", 0)
    board = through(line)
    assert [wave.seconds for wave in board.waves] == [pytest.approx(1, abs=0.01), 0]
    assert board.verdict.process == "fail"


def test_a_board_that_never_reached_the_waves_has_no_contact():
    line = WaveLine(tolerances=Tolerances(contact_s=Limit(2, 4)))
    line.insert(LENGTH)
    line.middle_to(1500)
    line.boards.clear()
    line.run(250)
    (lost,) = line.only("Board.Lost")
    assert lost.record.flux[0].seconds == pytest.approx(10, abs=0.01)
    assert lost.record.verdict.process == "unknown"


def test_the_trace_has_each_temperature_once_and_no_estimate():
    line = WaveLine()
    through(line)
    trace = next(event.trace for event in line.events if event.trace is not None)
    assert list(trace.zones) == ["preheat/1/bottom", "preheat/2/bottom", "preheat/3/top", "preheat/3/bottom", "pot/1",
                                 "cooling/1"]
    assert set(trace.zones["pot/1"]) == {260.0}
    assert len(trace.estimated) > 100
    assert set(trace.estimated) == {None}


def test_nothing_is_estimated_of_a_board_inside():
    line = WaveLine()
    line.insert(LENGTH)
    line.run(60)
    (inside,) = line.pipeline.boards()
    assert inside.estimated_celsius is None
    assert inside.position_mm == pytest.approx(1200, abs=10)


def test_a_restart_between_fluxer_and_waves_changes_nothing_of_the_record():
    watched, restarted = WaveLine(), WaveLine()
    for line in (watched, restarted):
        line.insert(LENGTH)
        line.middle_to(2000)
    restarted.restart()
    for line in (watched, restarted):
        line.run(150)
    one, other = watched.record(), restarted.record()
    assert (one.flux, one.preheat, one.waves, one.verdict) == (other.flux, other.preheat, other.waves, other.verdict)


def test_a_record_of_either_kind_reads_back_as_it_was():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(400)
    oven = next(event.record for event in tunnel.events if event.record is not None)
    for record in (oven, through(WaveLine())):
        assert msgspec.json.decode(msgspec.json.encode(record), type=BoardRecord) == record
    assert not {"flux", "preheat", "waves", "cooling"} & json.loads(msgspec.json.encode(oven)).keys()


def test_the_objects_of_the_machine_carry_their_flows_and_pumps():
    objects = {part.object: {p.name for p in part.parameters} for part in describe(Machine("WS0001", (WAVE,))).objects}
    assert {"pumpSpeed", "pumpSpeedSetpoint", "height", "running"} == objects["wave/1"]
    assert {"flow", "flowSetpoint", "pressure", "pressureSetpoint", "spraying"} == objects["flux/1"]


def test_the_published_description_of_a_record_asks_for_neither_kind():
    schema = document(FUNCTIONS, "0")["components"]["schemas"]["BoardRecord"]
    assert {"zones", "profile", "flux", "preheat", "waves", "cooling"} <= schema["properties"].keys()
    assert not {"zones", "profile", "flux", "preheat", "waves", "cooling"} & set(schema["required"])
    assert {"conveyor", "oxygen", "verdict"} <= set(schema["required"])
