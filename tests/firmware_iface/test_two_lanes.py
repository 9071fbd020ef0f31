import pytest

from firmware_iface import catalog
from firmware_iface.simulated.faults import FaultError, parse
from firmware_iface.simulated.oven import Oven

REFLOW12 = catalog.builtin("reflow12")


@pytest.fixture
def ready():
    oven = Oven(REFLOW12)
    while oven.state != "ready":
        assert oven.time < 130
        oven.advance(0.5)
    return oven


def test_a_cold_dual_lane_oven_warms_up_and_purges_in_20_to_30_minutes():
    oven = Oven(REFLOW12, cold=True)
    while oven.state != "ready":
        assert oven.time < 1800
        oven.advance(1)
    assert oven.time > 1200


def test_boards_appear_and_vanish_in_the_lane_that_a_fault_names(ready):
    ready.add_fault(parse("board-appears:lane/2"))
    ready.add_fault(parse("board-appears"))
    ready.advance(1)
    assert [len(conveyor.boards) for conveyor in ready.conveyors.values()] == [1, 1]
    ready.add_fault(parse("board-removed:lane/2"))
    ready.advance(1)
    assert [len(conveyor.boards) for conveyor in ready.conveyors.values()] == [1, 0]


def test_the_last_belt_that_stops_is_a_fault_of_the_machine(ready):
    ready.add_fault(parse("belt-stop:lane/1"))
    ready.advance(10)
    assert ready.state == "ready"
    ready.add_fault(parse("belt-stop:lane/2"))
    ready.advance(1)
    assert ready.state == "fault"


def test_a_fault_in_a_lane_that_is_not_there_is_refused(ready):
    with pytest.raises(FaultError, match="belt-stop: no lane 'lane/3': there are lane/1, lane/2"):
        ready.add_fault(parse("belt-stop:lane/3"))


def test_boards_of_two_schedules_enter_both_lanes_at_once(ready):
    for lane in (1, 2):
        ready.schedule(30.0, count=2, lane=lane)
    ready.advance(0.5)
    assert [len(conveyor.boards) for conveyor in ready.conveyors.values()] == [1, 1]
    ready.advance(60)
    assert [len(conveyor.boards) for conveyor in ready.conveyors.values()] == [2, 2]


def test_a_width_that_two_boards_beside_each_other_do_not_have_is_refused(ready):
    ready.write("conveyor/2/widthSetpoint", 120.0)
    ready.advance(27)
    assert (ready.read("conveyor/1/width"), ready.read("conveyor/2/width")) == (250.0, 120.0)
    with pytest.raises(ValueError, match="takes 50 to 300"):
        ready.write("conveyor/2/widthSetpoint", 450.0)
