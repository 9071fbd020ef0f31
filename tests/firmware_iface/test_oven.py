import itertools
import math
from dataclasses import replace

import pytest

from firmware_iface import catalog
from firmware_iface.simulated import physics
from firmware_iface.simulated.faults import FaultError, parse
from firmware_iface.simulated.oven import Oven
from firmware_iface.simulated.recipes import NotSimulated

REFLOW = catalog.builtin("reflow10")
OUTLET = REFLOW.lanes[0].outlet_mm


def _until(oven, condition, longest_s, step_s=0.5):
    end = oven.time + longest_s
    while not condition(oven):
        assert oven.time < end, f"{oven.state} at {oven.time}"
        oven.advance(step_s)
    return oven.time


@pytest.fixture
def ready():
    oven = Oven(REFLOW)
    _until(oven, lambda oven: oven.state == "ready", 130)
    return oven


def test_a_nearly_warm_oven_is_ready_after_one_to_two_minutes():
    oven = Oven(REFLOW)
    assert oven.state == "warmingUp"
    assert 60 < _until(oven, lambda oven: oven.state == "ready", 130) < 120


def test_a_cold_oven_warms_up_and_purges_in_20_to_30_minutes():
    oven = Oven(REFLOW, cold=True)
    oven.advance(1)
    assert oven.read("zone/1/top/temperature") == pytest.approx(25, abs=3)
    assert oven.read("oxygen/1/concentration") > 190_000
    assert 1200 < _until(oven, lambda oven: oven.state == "ready", 1800, 1.0) < 1800
    assert oven.read("oxygen/1/concentration") < 1000


def test_one_seed_is_one_story_however_time_is_cut():
    first, second, other = Oven(REFLOW, seed=7), Oven(REFLOW, seed=7), Oven(REFLOW, seed=8)
    for oven in (first, second, other):
        oven.insert_board("A")
    first.advance(60)
    for _ in range(600):
        second.advance(0.1)
    other.advance(60)
    paths = [register.path for register in REFLOW.registers]
    assert second.time == pytest.approx(first.time)
    assert [first.read(path) for path in paths] == [second.read(path) for path in paths]
    assert first.read("zone/1/top/temperature") != other.read("zone/1/top/temperature")


def test_a_ready_oven_stays_near_its_setpoints(ready):
    worst = 0.0
    for _ in range(600):
        ready.advance(0.5)
        worst = max(worst, ready.heaters.farthest(ready.settings))
    assert 0.3 < worst < 3
    assert ready.state == "ready"


def test_a_board_feels_what_the_nominal_model_says(ready):
    board = ready.insert_board("PCB1")
    assert [ready.read(f"scanner/1/{name}") for name in ("count", "result", "code")] == [1, 1, "PCB1"]
    _until(ready, lambda oven: oven.finished, 500)
    assert board.peak == pytest.approx(244.6, abs=2)
    travel = (OUTLET + board.length_mm) / (76 / 6)
    assert board.left_s - board.entered_s == pytest.approx(travel, rel=0.02)
    assert ready.finished == [board]


def test_an_unread_code_is_told_as_unread(ready):
    ready.insert_board()
    assert [ready.read(f"scanner/1/{name}") for name in ("count", "result", "code")] == [1, 2, ""]


def test_the_barriers_are_exact_at_the_time_of_reading(ready):
    board = ready.insert_board("A")
    _until(ready, lambda oven: oven.read("lane/1/inlet"), 60, 0.01)
    assert ready.time - 0.011 <= (board.entered_s or ready.time) <= ready.time + 0.25
    covered = ready.time
    _until(ready, lambda oven: not oven.read("lane/1/inlet"), 60, 0.01)
    assert ready.time - covered == pytest.approx(board.length_mm / (76 / 6), rel=0.01)


def test_a_board_entering_makes_the_air_dip(ready):
    half = ready.heaters.halves["zone/2/top"]
    ready.insert_board("A")
    coldest = math.inf
    for _ in range(200):
        ready.advance(0.5)
        coldest = min(coldest, half.temperature - ready.settings["zone/2/top/setpoint"])
    assert -4 < coldest < -0.8


def test_boards_come_by_schedule_with_room_between_them(ready):
    ready.schedule(1.0, count=4)
    for _ in range(300):
        ready.advance(0.5)
        boards = ready.boards
        assert all(ahead.rear_mm > behind.place_mm for ahead, behind in itertools.pairwise(boards))
    assert [board.barcode for board in ready.boards] == ["SIM000001", "SIM000002", "SIM000003", "SIM000004"]


def test_no_board_comes_while_the_oven_is_not_ready():
    oven = Oven(REFLOW, cold=True)
    oven.schedule(1.0)
    oven.advance(100)
    assert not oven.boards


def test_a_dead_heater_is_told_and_its_zone_cools(ready):
    ready.add_fault(parse("heater-dead:zone/8/top"))
    ready.advance(10)
    assert ready.read("zone/8/top/heaterFault") is True
    assert _until(ready, lambda oven: oven.read("zone/8/top/temperature") < 217, 200)
    _until(ready, lambda oven: oven.state == "fault", 600)


def test_an_open_thermocouple_has_no_value(ready):
    ready.add_fault(parse(f"thermocouple-open:zone/1/bottom@{ready.time}+10"))
    ready.advance(1)
    assert math.isnan(ready.read("zone/1/bottom/temperature"))
    assert ready.read("zone/1/bottom/sensorBreak") is True
    assert ready.state == "fault"
    ready.advance(40)
    assert ready.read("zone/1/bottom/temperature") == pytest.approx(130, abs=3)
    assert ready.state == "ready"


def test_a_slipping_belt_is_slower_than_it_says(ready):
    ready.add_fault(parse("belt-slip:0.9"))
    ready.advance(1)
    board = ready.insert_board("A")
    before = board.place_mm
    ready.advance(30)
    assert ready.read("conveyor/1/speed") == pytest.approx(76, rel=0.01)
    assert board.place_mm - before == pytest.approx(0.9 * 30 * 76 / 6, rel=0.01)


def test_a_stopped_belt_keeps_its_boards(ready):
    board = ready.insert_board("A")
    ready.advance(20)
    ready.add_fault(parse("belt-stop"))
    ready.advance(1)
    place = board.place_mm
    ready.advance(30)
    assert board.place_mm == place
    assert ready.read("conveyor/1/speed") == 0
    assert ready.state == "fault"


def test_boards_queue_behind_a_blocked_outlet_and_leave_when_it_opens(ready):
    ready.schedule(20, count=3)
    ready.add_fault(parse(f"outlet-blocked@{ready.time}+600"))
    ready.advance(599)
    boards = ready.boards
    assert len(boards) == 3
    assert ready.read("lane/1/outlet") is True
    assert ready.read("lane/1/downstreamReady") is False
    assert boards[0].place_mm == pytest.approx(OUTLET + 30)
    assert all(ahead.rear_mm - behind.place_mm == pytest.approx(5) for ahead, behind in itertools.pairwise(boards))
    _until(ready, lambda oven: len(oven.finished) == 3, 120)


def test_a_bouncing_barrier_settles(ready):
    ready.add_fault(parse("barrier-bounce"))
    ready.insert_board("A")
    levels = []
    for _ in range(3000):
        ready.advance(0.01)
        levels.append(ready.read("lane/1/inlet"))
    edges = [place for place, (a, b) in enumerate(itertools.pairwise(levels)) if a != b]
    assert len(edges) > 4
    rises = [place for place in edges if place - edges[0] < 100]
    assert rises[-1] - rises[0] < 25


def test_boards_vanish_and_appear(ready):
    ready.insert_board("A")
    ready.advance(40)
    ready.add_fault(parse("board-removed"))
    ready.advance(1)
    assert not ready.boards
    ready.add_fault(parse("board-appears"))
    ready.advance(1)
    (board,) = ready.boards
    assert 1000 < board.place_mm < OUTLET
    assert board.entered_s is None


def test_what_a_fault_cannot_do_is_told(ready):
    ready.add_fault(parse("board-removed"))
    ready.advance(1)
    for _ in range(40):
        ready.add_fault(parse("board-appears"))
        ready.advance(0.25)
    assert ready.refusals[0] == "board-removed: there is no board in the tunnel"
    assert ready.refusals[-1] == "board-appears: there is no room in the tunnel"


def test_oxygen_spikes_with_a_board_and_rises_with_a_leak(ready):
    ready.advance(600)
    before = ready.atmosphere.concentration
    ready.insert_board("A")
    ready.advance(15)
    assert ready.atmosphere.concentration > before + 80
    ready.add_fault(parse("oxygen-leak"))
    ready.advance(120)
    assert ready.read("oxygen/1/concentration") > 1000


def test_a_reboot_is_silent_and_starts_the_uptime_anew(ready):
    ready.add_fault(parse("controller-reboot"))
    ready.advance(1)
    assert ready.is_silent
    assert ready.is_rebooting
    beat = ready.read("machine/heartbeat")
    ready.advance(10)
    assert ready.read("machine/heartbeat") == beat
    ready.advance(15)
    assert ready.read("machine/heartbeat") != beat
    assert not ready.is_silent
    assert ready.read("machine/uptime") < 10


def test_an_emergency_stop_stops_belt_and_heaters_and_lets_no_board_in(ready):
    ready.schedule(1.0)
    ready.add_fault(parse(f"emergency-stop@{ready.time}+30"))
    ready.advance(2)
    assert ready.state == "emergencyStop"
    assert ready.read("machine/emergencyStop") is True
    assert ready.read("conveyor/1/speed") == 0
    assert ready.read("zone/5/top/output") == 0
    ready.advance(28.5)
    assert (ready.state, ready.boards) == ("warmingUp", [])
    ready.advance(19)
    assert ready.state == "warmingUp"


def test_after_an_emergency_stop_the_zones_come_back_without_a_further_dip(ready):
    halves = list(ready.heaters.halves.values())
    ready.add_fault(parse(f"emergency-stop@{ready.time}+30"))
    ready.advance(30.5)
    stopped = [half.temperature for half in halves]
    coldest = list(stopped)
    for _ in range(400):
        ready.advance(0.25)
        coldest = [min(cold, half.temperature) for cold, half in zip(coldest, halves, strict=True)]
    assert all(before - cold < 4 for before, cold in zip(stopped, coldest, strict=True))
    assert ready.heaters.farthest(ready.settings) < 3


def test_an_emergency_stop_of_an_oven_that_is_off_leaves_it_off(ready):
    ready.switch_off()
    ready.add_fault(parse(f"emergency-stop@{ready.time}+5"))
    ready.advance(2)
    assert ready.state == "emergencyStop"
    ready.advance(10)
    assert ready.state == "off"


def test_a_recipe_started_at_the_panel_is_reached(ready):
    up = {f"zone/3/{side}/setpoint": 175.0 for side in ("top", "bottom")}
    ready.start_recipe("HIGHER", 2, up, 80.0)
    ready.advance(1)
    assert (ready.read("recipe/name"), ready.read("recipe/version"), ready.state) == ("HIGHER", 2, "changeover")
    start = ready.time
    assert _until(ready, lambda oven: oven.state == "ready", 130) > start + 20


def test_a_recipe_with_one_wrong_value_changes_nothing(ready):
    before, recipe = dict(ready.settings), ready.recipe
    with pytest.raises(ValueError, match="takes 0 to 350"):
        ready.start_recipe("WRONG", 1, {"zone/1/top/setpoint": 140.0, "zone/2/top/setpoint": 900.0}, 70.0)
    assert (ready.settings, ready.recipe, ready.state) == (before, recipe, "ready")


def test_a_recipe_starts_only_in_an_oven_that_heats(ready):
    ready.cool_down()
    with pytest.raises(ValueError, match="not in state coolingDown"):
        ready.start_recipe("COLD", 1, {}, 70.0)


@pytest.mark.parametrize(("zone", "step"), [(3, 10), (3, 20), (8, 10), (10, 10)])
def test_a_zone_cools_three_to_six_times_slower_than_it_warms(ready, zone, step):
    half = ready.heaters.halves[f"zone/{zone}/top"]
    low = ready.settings[half.setpoint]

    def reach(celsius):
        start = ready.time
        for side in ("top", "bottom"):
            ready.write(f"zone/{zone}/{side}/setpoint", celsius)
        return _until(ready, lambda _: abs(half.temperature - celsius) < 1, 600, 0.25) - start

    warming = reach(low + step)
    ready.advance(600)
    cooling = reach(low)
    assert 3 * warming < cooling < 6 * warming


def test_a_setpoint_written_to_a_ready_oven_is_a_changeover_and_no_fault(ready):
    for side in ("top", "bottom"):
        ready.write(f"zone/3/{side}/setpoint", 195.0)
    seen = {ready.state}
    for _ in range(600):
        ready.advance(0.5)
        seen.add(ready.state)
    assert (seen, ready.state) == ({"changeover", "ready"}, "ready")
    ready.write("zone/3/top/setpoint", 195.0)
    ready.write("blower/1/setpoint", 50.0)
    assert ready.state == "ready"


def test_the_cooling_zones_show_the_air_that_a_board_feels_there(ready):
    ready.advance(300)
    for zone in REFLOW.zones[-2:]:
        air = physics.air(zone.start_mm + zone.length_mm / 2, ready.heaters.temperatures(),
                          physics.geometry(REFLOW.zones), REFLOW.thermal)
        for path, setpoint in zip(zone.temperatures, zone.setpoints, strict=True):
            assert ready.read(path) == pytest.approx(air, abs=4)
            assert ready.read(path) == pytest.approx(ready.read(setpoint), abs=2)


def test_cooling_zones_never_heat_by_themselves():
    oven = Oven(REFLOW, cold=True)
    oven.advance(60)
    assert oven.read("zone/11/top/temperature") < 40
    for _ in range(120):
        oven.advance(10)
        assert oven.read("zone/12/top/temperature") < oven.read("zone/11/top/temperature") + 3
        assert oven.read("zone/11/top/temperature") < oven.read("zone/10/top/temperature") + 3


def test_the_fans_cool_towards_their_setpoint_and_not_beyond_their_reach(ready):
    ready.advance(300)
    before = ready.read("zone/11/top/temperature")
    ready.write("zone/11/top/setpoint", 20.0)
    ready.advance(300)
    assert before - 5 < ready.read("zone/11/top/temperature") < before - 1
    ready.write("zone/11/top/setpoint", 300.0)
    ready.advance(300)
    assert before < ready.read("zone/11/top/temperature") < before + 5


def _bare(zones):
    return tuple(replace(zone, setpoints=()) if zone.number in (2, 5) else zone for zone in zones)


@pytest.mark.parametrize(("change", "reason"), [
    ({"zones": _bare(REFLOW.zones)}, "reflow10 gives no setpoints for heated zone 2, 5"),
    ({"kind": "instrument", "lanes": (), "zones": ()}, "is no reflow oven with a lane"),
    ({"registers": (*REFLOW.registers, replace(REFLOW.register("machine/uptime"), path="door/1/open"))},
     "knows nothing of door/1/open"),
    ({"zones": (*REFLOW.zones[:10], *REFLOW.zones[:3])}, "has 13 heated zones and 0 cooling zones, .* up to 12 and 3"),
])  # fmt: skip
def test_a_map_that_cannot_be_simulated_is_refused_in_one_sentence(change, reason):
    with pytest.raises(NotSimulated, match=reason):
        Oven(replace(REFLOW, **change))


def test_cooling_zones_without_setpoints_follow_the_air():
    zones = tuple(replace(zone, setpoints=()) if zone.kind == "cooling" else zone for zone in REFLOW.zones)
    points = tuple(r for r in REFLOW.registers if not r.path.startswith(("zone/11", "zone/12")) or "temp" in r.path)
    oven = Oven(replace(REFLOW, zones=zones, registers=points))
    oven.advance(300)
    assert oven.read("zone/11/top/temperature") == pytest.approx(205.5, abs=2)


def test_an_oven_cools_down_to_standby_and_is_switched_off(ready):
    ready.cool_down()
    ready.advance(30)
    assert ready.state == "coolingDown"
    _until(ready, lambda oven: oven.state == "standby", 4000, 5.0)
    ready.switch_off()
    assert ready.read("machine/state") == 0
    ready.warm_up()
    assert ready.state == "warmingUp"


def test_a_fault_at_a_place_that_is_not_there_is_refused(ready):
    with pytest.raises(FaultError, match="no half zone 'zone/11/top'"):
        ready.add_fault(parse("heater-dead:zone/11/top"))


def test_a_setpoint_outside_its_range_is_refused(ready):
    for value in (-1, 400, math.nan):
        with pytest.raises(ValueError, match="takes 0 to 350"):
            ready.write("zone/1/top/setpoint", value)
    with pytest.raises(KeyError):
        ready.write("zone/1/top/temperature", 100)
