"""What a process engineer would look for at the simulated wave machine."""

import math
from dataclasses import replace

import pytest

from firmware_iface import catalog
from firmware_iface.simulated.faults import FaultError, parse
from firmware_iface.simulated.machine import Machine
from firmware_iface.simulated.memory import Memory
from firmware_iface.simulated.oven import Oven
from firmware_iface.simulated.pot import FUSION, MASS_KG, POWER_KW, Pot, celsius, enthalpy
from firmware_iface.simulated.recipes import NotSimulated
from firmware_iface.simulated.wave import WaveMachine

WAVE = catalog.builtin("wave")
MM_PER_S = 120 / 6


def until(machine: Machine, condition, longest_s: float, step_s: float = 0.5) -> float:
    end = machine.time + longest_s
    while not condition(machine):
        assert machine.time < end, f"{machine.state} at {machine.time}"
        machine.advance(step_s)
    return machine.time


@pytest.fixture
def ready() -> WaveMachine:
    machine = WaveMachine(WAVE)
    until(machine, lambda machine: machine.state == "ready", 200)
    return machine


@pytest.fixture(scope="module")
def cold() -> list[tuple[float, float, float, bool, str]]:
    """Time, pot temperature, main pump speed, molten, state, every 5 s of a cold start."""
    machine = WaveMachine(WAVE, cold=True)
    seen = []
    while machine.time < 5400:
        machine.advance(5)
        seen.append((machine.time, machine.pot.temperature, machine.waves["wave/2"].speed, machine.pot.is_molten,
                     machine.state))  # fmt: skip
    return seen


# The pot


@pytest.mark.parametrize("degrees", [25, 216.9, 217, 218.5, 220, 220.1, 260])
def test_heat_and_temperature_of_solder_are_one_another_s_inverse(degrees):
    assert celsius(enthalpy(degrees)) == pytest.approx(degrees)


@pytest.mark.parametrize(("low", "high", "kj_per_kg"), [(25, 217, 0.23 * 192), (217, 220, 58), (220, 260, 0.25 * 40)])
def test_solder_takes_the_heat_of_the_handbooks(low, high, kj_per_kg):
    assert enthalpy(high) - enthalpy(low) == pytest.approx(kj_per_kg)


def test_a_cold_pot_is_ready_after_little_more_than_an_hour(cold):
    ready = next(time for time, *_, state in cold if state == "ready")
    assert 60 * 60 < ready < 90 * 60


def test_the_temperature_stands_while_the_solder_melts(cold):
    times = [time for time, degrees, *_ in cold if 217 <= degrees < 220]
    lossless_s = FUSION * MASS_KG / POWER_KW
    assert lossless_s < times[-1] - times[0] < 1.4 * lossless_s
    before = [time for time, degrees, *_ in cold if 214 <= degrees < 217]
    assert times[-1] - times[0] > 20 * (before[-1] - before[0]), "the 3 °C below take a minute or two"


def test_no_pump_turns_before_the_solder_is_molten(cold):
    assert {speed for _, degrees, speed, _, _ in cold if degrees < 224.5} == {0.0}
    assert not any(molten for _, degrees, _, molten, _ in cold if degrees < 224.5)
    assert cold[-1][2] == pytest.approx(0.4 * 600, abs=5), "idle speed when all is warm"


def test_the_pot_does_not_overshoot(cold):
    assert max(degrees for _, degrees, *_ in cold) < 262


def test_a_pot_that_cools_locks_its_pumps_before_it_freezes():
    pot = Pot(230.0)
    while pot.is_molten:
        pot.warm(0, True)
    assert 220 < pot.temperature < 221.5


def test_boards_cool_the_pot_and_lower_its_level(ready):
    ready.schedule(15, count=10)
    coldest = min((ready.advance(1), ready.pot.temperature)[1] for _ in range(400))
    assert 257 < coldest < 259.7
    assert 95 < ready.pot.level < 95.99
    assert ready.state == "ready"


# Warm-up, flux, waves


def test_a_machine_that_is_nearly_warm_is_ready_after_one_to_three_minutes():
    machine = WaveMachine(WAVE)
    assert machine.state == "warmingUp"
    assert 60 < until(machine, lambda machine: machine.state == "ready", 200) < 180


def test_flux_flows_only_while_a_board_is_under_the_nozzle(ready):
    board = ready.insert_board("A")
    flowed = []
    while not ready.finished:
        ready.advance(0.25)
        if ready.read("flux/1/flow") > 35:
            flowed.append(board.place_mm)
    assert 250 < flowed[0] < 250 + 3 * MM_PER_S
    assert 450 + 180 - MM_PER_S < flowed[-1] < 450 + 180 + 2 * MM_PER_S
    assert len(flowed) / 4 == pytest.approx((200 + 180) / MM_PER_S, abs=1.5)


def test_the_atomising_air_stands_ready_without_a_board(ready):
    assert ready.read("flux/1/pressure") == pytest.approx(2500, abs=40)
    assert ready.read("flux/1/flow") == 0


def test_the_waves_rise_before_a_board_comes_and_fall_behind_it(ready):
    board = ready.insert_board("A")
    idle = [ready.read(f"wave/{n}/height") for n in (1, 2)]
    until(ready, lambda _: board.place_mm >= 2640, 200, 0.25)
    assert ready.read("wave/1/running")
    assert ready.read("wave/2/running")
    assert [ready.read(f"wave/{n}/height") for n in (1, 2)] == pytest.approx([12, 10], abs=0.5)
    assert [ready.read(f"wave/{n}/pumpSpeed") for n in (1, 2)] == pytest.approx([800, 600], abs=15)
    assert idle == pytest.approx([12 * 0.4**2, 10 * 0.4**2], abs=0.4)
    until(ready, lambda machine: machine.finished, 200)
    assert not ready.read("wave/1/running")
    assert ready.read("wave/2/pumpSpeed") == pytest.approx(240, abs=15)


def test_a_board_comes_warm_to_the_wave_and_is_soldered_in_it(ready):
    board = ready.insert_board("A")
    until(ready, lambda _: board.place_mm - 90 >= 2630, 300, 0.25)
    assert 110 < board.temperature < 125
    assert ready.pot.temperature - board.temperature < 150, "the jump into the wave"
    until(ready, lambda machine: machine.finished, 200)
    assert 230 < board.peak < 255


def test_a_point_of_a_board_is_in_the_main_wave_for_its_length_over_the_speed(ready):
    board = ready.insert_board("A")
    touched = 0.0
    zone = ready.waves["wave/2"].zone
    while not ready.finished:
        before = board.place_mm
        ready.advance(0.25)
        low, high = (max(zone.start_mm, min(zone.start_mm + zone.length_mm, place - 90))
                     for place in (before, board.place_mm))  # fmt: skip
        touched += 0.25 * (high - low) / (board.place_mm - before)
    assert touched == pytest.approx(40 / MM_PER_S, rel=0.02)
    assert board.left_s - board.entered_s == pytest.approx((3600 + 180) / MM_PER_S, rel=0.02)


def test_one_seed_is_one_story_however_time_is_cut():
    first, second, other = WaveMachine(WAVE, seed=7), WaveMachine(WAVE, seed=7), WaveMachine(WAVE, seed=8)
    for machine in (first, second, other):
        machine.insert_board("A")
    first.advance(60)
    for _ in range(600):
        second.advance(0.1)
    other.advance(60)
    paths = [register.path for register in WAVE.registers]
    assert [first.read(path) for path in paths] == [second.read(path) for path in paths]
    assert first.read("pot/1/temperature") != other.read("pot/1/temperature")


def test_a_changed_pot_setpoint_is_a_changeover(ready):
    ready.write("pot/1/setpoint", 250.0)
    assert ready.state == "changeover"
    ready.advance(30)
    assert ready.state == "changeover"
    with pytest.raises(ValueError, match="takes 0 to 300"):
        ready.write("pot/1/setpoint", 400.0)


def test_a_machine_cools_down_to_standby_with_frozen_pumps(ready):
    ready.cool_down()
    ready.advance(10)
    assert ready.read("wave/2/pumpSpeed") < 5
    assert ready.read("flux/1/pressure") < 100
    until(ready, lambda machine: machine.state == "standby", 4000, 5.0)
    ready.warm_up()
    assert ready.state == "warmingUp"


# Faults


def test_a_dead_heater_of_the_pot_is_told_and_the_pot_cools(ready):
    ready.add_fault(parse("heater-dead:pot/1"))
    ready.advance(30)
    assert ready.read("pot/1/heaterFault") is True
    dead_s = ready.time
    cold_s = until(ready, lambda machine: machine.pot.temperature < 240, 3600)
    assert cold_s - dead_s == pytest.approx(400 * 0.25 * 20 / (0.012 * 225), rel=0.05), "mass, heat and loss by hand"
    until(ready, lambda machine: machine.state == "fault", 60)


def test_a_dead_preheater_fails_the_machine(ready):
    ready.add_fault(parse("heater-dead:preheat/2/bottom"))
    ready.advance(10)
    assert ready.read("preheat/2/bottom/heaterFault") is True
    until(ready, lambda machine: machine.state == "fault", 600)


def test_an_open_thermocouple_of_the_pot_has_no_value(ready):
    ready.add_fault(parse(f"thermocouple-open:pot/1@{ready.time}+10"))
    ready.advance(1)
    assert math.isnan(ready.read("pot/1/temperature"))
    assert ready.read("pot/1/sensorBreak") is True
    address = WAVE.register("pot/1/temperature").address
    assert Memory(WAVE, ready.wire).read("input", address, 1) == [0x7FFF]
    assert ready.state == "fault"


def test_a_stopped_pump_has_no_wave(ready):
    ready.add_fault(parse(f"pump-stop:wave/2@{ready.time}+60"))
    ready.advance(20)
    assert (ready.read("wave/2/pumpSpeed"), ready.read("wave/2/height"), ready.read("wave/2/running")) == (0, 0, False)
    assert ready.read("wave/1/pumpSpeed") == pytest.approx(320, abs=15)
    assert ready.state == "fault"
    until(ready, lambda machine: machine.state == "ready", 120)


def test_a_blocked_nozzle_gives_no_flux_and_the_controller_goes_on(ready):
    ready.add_fault(parse("nozzle-blocked"))
    board = ready.insert_board("A")
    until(ready, lambda _: board.place_mm >= 350, 60, 0.25)
    assert ready.read("flux/1/spraying") is True
    assert ready.read("flux/1/flow") == 0
    assert ready.state == "ready"


def test_a_stopped_belt_keeps_its_boards(ready):
    board = ready.insert_board("A")
    ready.advance(20)
    ready.add_fault(parse("belt-stop"))
    ready.advance(1)
    place = board.place_mm
    ready.advance(30)
    assert board.place_mm == place
    assert ready.read("conveyor/1/speed") == 0


def test_an_emergency_stop_stops_pumps_spray_and_belt(ready):
    board = ready.insert_board("A")
    until(ready, lambda _: board.place_mm >= 350, 60, 0.25)
    ready.add_fault(parse(f"emergency-stop@{ready.time}+30"))
    ready.advance(20)
    assert ready.read("machine/emergencyStop") is True
    assert (ready.read("flux/1/spraying"), ready.read("wave/1/running")) == (False, False)
    assert ready.read("conveyor/1/speed") == 0


def test_a_removed_board_is_gone_and_a_reboot_silent(ready):
    ready.insert_board("A")
    ready.advance(40)
    ready.add_fault(parse("board-removed"))
    ready.add_fault(parse("controller-reboot"))
    ready.advance(1)
    assert not ready.boards
    assert ready.is_rebooting
    assert ready.is_silent


@pytest.mark.parametrize(("machine", "fault", "reason"), [
    (WaveMachine(WAVE), "heater-dead:zone/1/top", "no half zone 'zone/1/top': there are preheat/1/bottom"),
    (WaveMachine(WAVE), "pump-stop:wave/3", "no wave 'wave/3': there are wave/1, wave/2"),
    (WaveMachine(WAVE), "oxygen-leak", "this device cannot have oxygen-leak"),
    (Oven(catalog.builtin("reflow10")), "pump-stop:wave/1", "this device cannot have pump-stop"),
    (Oven(catalog.builtin("reflow10")), "nozzle-blocked", "this device cannot have nozzle-blocked"),
])  # fmt: skip
def test_a_fault_that_a_machine_cannot_have_is_refused(machine, fault, reason):
    with pytest.raises(FaultError, match=reason):
        machine.add_fault(parse(fault))


@pytest.mark.parametrize(("change", "reason"), [
    ({"kind": "reflow"}, "is no wave machine with a lane"),
    ({"zones": WAVE.zones[1:]}, "has 0 flux zones, the simulated wave machine 1 to 1"),
    ({"zones": tuple(replace(zone, setpoints=()) for zone in WAVE.zones)}, "no setpoints for preheat zone 2, 3, 4"),
    ({"registers": (replace(WAVE.register("pot/1/level"), path="dross/1/mass"),)}, "knows nothing of dross/1/mass"),
])  # fmt: skip
def test_a_map_that_cannot_be_simulated_is_refused_in_one_sentence(change, reason):
    with pytest.raises(NotSimulated, match=reason):
        WaveMachine(replace(WAVE, **change))
