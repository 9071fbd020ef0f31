"""Every reason why a command must not run is told with its value, and what cannot be told is a reason too."""

import pytest

from edgeagent.control import interlocks
from edgeagent.model.points import Quality
from firmware_iface.registers import Term
from tests.control.rig import Stand


def stand() -> Stand:
    it = Stand()
    it.run(3)
    return it.emptied()


def put(it: Stand, path: str, value: float, quality: Quality = Quality.GOOD) -> None:
    column = it.machine.column[path]
    it.row.values[column], it.row.quality[column] = value, quality


@pytest.mark.parametrize(("term", "value", "quality", "reason"), [
    (Term("hood/closed", None, "==", 1), 1, Quality.GOOD, None),
    (Term("hood/closed", None, "==", 1), 0, Quality.GOOD,
     "Power on needs “The hood is closed”, which is not so (hood/closed is 0)."),
    (Term("machine/emergencyStop", None, "==", 0), 1, Quality.GOOD,
     "Power on is not possible while “Emergency stop is pressed” (machine/emergencyStop is 1)."),
    (Term("hood/closed", None, "==", 1), 1, Quality.BAD,
     "Power on needs to know: “The hood is closed”. It cannot be told (hood/closed is bad)."),
    (Term("hood/closed", None, "==", 1), 1, Quality.UNCERTAIN,
     "Power on needs to know: “The hood is closed”. It cannot be told (hood/closed is uncertain)."),
    (Term("oxygen/1/concentration", None, "<=", 1000), 1200, Quality.GOOD,
     "Power on needs oxygen/1/concentration <= 1000: “Oxygen in the hot zones” (oxygen/1/concentration is 1200)."),
    (Term("oxygen/1/concentration", None, "<=", 1000), 1000, Quality.GOOD, None),
])  # fmt: skip
def test_a_condition_of_the_map_is_told_in_words(term, value, quality, reason):
    it = stand()
    put(it, term.path, value, quality)
    assert list(interlocks.preconditions(it, (term,), "Power on")) == ([reason] if reason else [])


def test_a_difference_is_told_with_both_values():
    it = stand()
    put(it, "conveyor/1/speed", 70)
    put(it, "conveyor/1/speedSetpoint", 78)
    term = Term("conveyor/1/speed", "conveyor/1/speedSetpoint", ">", -2)
    (reason,) = interlocks.preconditions(it, (term,), "It")
    assert "conveyor/1/speed is 70, conveyor/1/speedSetpoint is 78" in reason
    put(it, "conveyor/1/speedSetpoint", 71)
    assert not list(interlocks.preconditions(it, (term,), "It"))
    put(it, "conveyor/1/speedSetpoint", 71, Quality.BAD)
    (reason,) = interlocks.preconditions(it, (term,), "It")
    assert "conveyor/1/speedSetpoint is bad" in reason


def test_a_good_value_that_is_old_is_no_good_value():
    it = stand()
    assert interlocks.number(it, "hood/closed") == 1
    it.clock.now_ns += 3_600_000_000_000
    assert interlocks.number(it, "hood/closed") is None
    (reason,) = interlocks.preconditions(it, (Term("hood/closed", None, "==", 1),), "It")
    assert "stale" in reason


@pytest.mark.parametrize(("fault", "state"), [("emergency-stop", "emergencyStop"), ("silent", "unknown")])
def test_some_states_forbid_every_command(fault, state):
    it = stand()
    assert not list(interlocks.state(it))
    it.fault(fault)
    it.run(10)
    assert it.status().state == state
    (reason,) = interlocks.state(it)
    assert it.status().reason in reason


def test_a_tunnel_is_empty_only_if_nothing_is_inside_nothing_in_doubt_and_both_barriers_are_seen_free():
    it = stand()
    assert not list(interlocks.emptiness(it))
    put(it, "lane/1/outlet", 1)
    assert list(interlocks.emptiness(it)) == ["Something covers the outlet barrier of lane 1 (lane/1/outlet is 1)."]
    put(it, "lane/1/outlet", 0, Quality.BAD)
    (reason,) = interlocks.emptiness(it)
    assert "lane/1/outlet is bad" in reason
    put(it, "lane/1/outlet", 0)
    assert not list(interlocks.emptiness(it, 1))


def test_boards_inside_and_what_is_in_doubt_are_told_lane_by_lane():
    it = Stand()
    it.run(3)
    (reason,) = interlocks.emptiness(it)
    assert "Lane 1 is not known to be empty" in reason
    assert "Board.ConfirmEmpty" in reason
    it.emptied()
    it.device.insert_board("PCB1")
    it.run(60, 0.1)
    assert list(interlocks.boards_inside(it)) == ["1 board is inside lane 1."]
    assert list(interlocks.boards_inside(it, 2)) == []


@pytest.mark.parametrize(("paths", "lanes"), [
    (["conveyor/1/widthSetpoint"], [1]),
    (["conveyor/1/speedSetpoint", "conveyor/1/widthSetpoint"], [1]),
    (["conveyor/2/widthSetpoint"], [2]),
    (["conveyor/1/widthSetpoint", "conveyor/2/speedSetpoint"], [1, 2]),
    (["zone/1/top/setpoint"], [1, 2]),
    (["blower/1/setpoint", "conveyor/1/widthSetpoint"], [1, 2]),
    ([], []),
])  # fmt: skip
def test_a_belt_and_a_width_concern_their_own_lane_and_heat_concerns_every_lane(paths, lanes):
    it = Stand("reflow12")
    it.run(3)
    it.emptied()
    assert not list(interlocks.changes(it, paths))
    for lane in it.machine.map.lanes:
        put(it, lane.inlet, 1)
    reasons = list(interlocks.changes(it, paths))
    assert [int(reason.split("barrier of lane ")[1][0]) for reason in reasons] == lanes
