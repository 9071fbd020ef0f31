"""Boards of both lanes of the dual-lane oven, from the simulated tunnel through its map into their records."""

import math

import pytest

from edgeagent.model.machine import Limit, ProcessWindow
from firmware_iface import catalog
from firmware_iface.simulated.faults import parse
from tests.capture.watched import Watched

REFLOW12 = catalog.builtin("reflow12")
WINDOW = ProcessWindow(peak=Limit(240, 250), time_above_liquidus=Limit(40, 90), soak=Limit(60, 120),
                       max_rise=Limit(0, 3), max_fall=Limit(-3, 0))


def watched() -> Watched:
    made = Watched(REFLOW12, window=WINDOW)
    made.until(lambda: made.device.state == "ready", 130)
    made.run(10)
    assert made.pipeline.status(0).state == "ready"
    return made


def records(the: Watched) -> list:
    return [event.record for event in the.events if event.topic == "Board.ProcessCompleted"]


def codes(record) -> list[str]:
    return [barcode.code for barcode in record.barcodes]


def test_boards_that_enter_both_lanes_at_once_have_each_their_own_record():
    the = watched()
    boards = {lane: the.device.insert_board(f"PCB{lane}", 150.0 + 30 * lane, lane=lane) for lane in (1, 2)}
    the.until(lambda: len(records(the)) == 2, 520)
    assert {record.lane: codes(record) for record in records(the)} == {1: ["PCB1"], 2: ["PCB2"]}
    for record in records(the):
        truth = boards[record.lane]
        assert record.length_mm == pytest.approx(truth.length_mm, abs=3)
        assert record.profile.peak == pytest.approx(truth.peak, abs=1.5)
        assert record.verdict.process == "pass", record.verdict.reasons
        assert abs(record.profile.process_window_index) < 75
        assert len(record.zones) == 30
        assert record.conveyor.setpoint == 90.0
        assert record.samples.missing == 0
    assert not the.told("Board.Lost")
    assert not the.told("Board.Unexpected")
    assert not the.told("Alarm.Raised")


def test_boards_come_into_both_lanes_in_turn():
    the = watched()
    the.device.schedule(20.0, count=6)
    the.until(lambda: len(the.told("Board.ProcessStarted")) == 6, 200)
    told = [(started.board.lane, started.board.barcodes[0].code) for started in the.told("Board.ProcessStarted")]
    assert told == [(1 + place % 2, f"SIM{place + 1:06d}") for place in range(6)]
    inside = the.pipeline.boards()
    assert sorted(board.lane for board in inside) == [1, 1, 1, 2, 2, 2]
    for board in inside:
        conveyor = the.device.conveyors[board.lane]
        truth = next(each for each in conveyor.boards if each.barcode == board.barcodes[0].code)
        assert board.position_mm == pytest.approx(truth.place_mm, abs=20)


def test_a_lane_that_stands_does_not_stop_the_other():
    the = watched()
    first, second = (the.device.insert_board(f"PCB{lane}", lane=lane) for lane in (1, 2))
    the.run(60)
    the.device.add_fault(parse("belt-stop:lane/1"))
    the.run(5)
    stood = first.place_mm
    the.until(lambda: len(records(the)) == 1, 460)
    assert first.place_mm == stood
    assert second.place_mm - second.length_mm > REFLOW12.lanes[1].outlet_mm
    (record,) = records(the)
    assert (record.lane, codes(record), record.verdict.process) == (2, ["PCB2"], "pass")
    assert [told.alarm.code for told in the.told("Alarm.Raised")] == ["E010"]
    assert the.value("conveyor/1/speed") == 0
    assert the.value("conveyor/2/speed") == pytest.approx(90, abs=1)
    assert the.device.state == "ready"
    assert [(board.lane, codes(board)) for board in the.pipeline.boards()] == [(1, ["PCB1"])]
    the.device.faults.clear()
    the.until(lambda: len(records(the)) == 2, 460)
    cooked = records(the)[-1]
    assert (cooked.lane, cooked.verdict.process) == (1, "fail")


def test_a_schedule_passes_over_a_lane_that_stands():
    the = watched()
    the.device.add_fault(parse("belt-stop:lane/1"))
    the.device.advance(1)
    the.device.schedule(30.0, count=3)
    the.run(120)
    assert [board.lane for board in the.pipeline.boards()] == [2, 2, 2]


def test_a_blocked_outlet_is_told_of_its_lane_alone():
    the = watched()
    for lane in (1, 2):
        the.device.insert_board(f"PCB{lane}", lane=lane)
    the.device.add_fault(parse("outlet-blocked:lane/2"))
    the.until(lambda: the.told("Status.MachineBlockedChanged"), 520)
    (blocked,) = the.told("Status.MachineBlockedChanged")
    assert (blocked.lane, blocked.blocked) == (2, True)
    assert the.value("lane/1/downstreamReady") == 1
    the.until(lambda: records(the), 60)
    assert [record.lane for record in records(the)] == [1]


def test_lanes_of_one_recipe_have_speeds_of_their_own_and_their_boards_feel_it():
    the = watched()
    the.device.start_recipe("SLOW-2", 4, {}, {1: 90.0, 2: 75.0})
    the.until(lambda: the.device.state == "ready", 120)
    the.run(5)
    boards = [the.device.insert_board(f"PCB{lane}", lane=lane) for lane in (1, 2)]
    the.until(lambda: len(records(the)) == 2, 620)
    fast, slow = records(the)
    assert (fast.lane, slow.lane) == (1, 2)
    assert (fast.conveyor.setpoint, slow.conveyor.setpoint) == (90.0, 75.0)
    assert slow.conveyor.mean == pytest.approx(75, rel=0.01)
    assert {fast.recipe.name, slow.recipe.name} == {"SLOW-2"}
    assert (fast.recipe.version, slow.recipe.version) == (4, 4)
    assert slow.profile.peak == pytest.approx(boards[1].peak, abs=1.5)
    assert slow.profile.peak > fast.profile.peak + 3
    assert slow.profile.time_above_liquidus > fast.profile.time_above_liquidus + 10
    assert {told.recipe for told in the.told("Recipe.Started")} == {"SAC305-A", "SLOW-2"}


def test_two_boards_beside_each_other_take_twice_the_heat_of_one():
    def dip(*lanes: int) -> float:
        oven = watched().device
        air = oven.heaters.zones[4]
        for lane in lanes:
            oven.insert_board("A", lane=lane)
        coldest = math.inf
        for _ in range(800):
            oven.advance(0.25)
            coldest = min(coldest, sum(half.temperature for half in air) / 2 - oven.settings[air[0].setpoint])
        return coldest

    one, two = dip(1), dip(1, 2)
    assert -3 < two < one < -0.2


def test_an_open_thermocouple_is_no_value_and_an_alarm_of_its_zone():
    the = watched()
    the.device.add_fault(parse("thermocouple-open:zone/12/bottom"))
    the.run(10)
    assert math.isnan(the.value("zone/12/bottom/temperature"))
    assert the.value("zone/12/bottom/sensorBreak") == 1
    assert the.value("zone/11/bottom/sensorBreak") == 0
    assert {told.alarm.code for told in the.told("Alarm.Raised")} == {"E002", "E224"}
