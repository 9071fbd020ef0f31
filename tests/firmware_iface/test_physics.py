import itertools
from functools import partial

import pytest

from firmware_iface import catalog
from firmware_iface.registers import Lane, Thermal, Zone
from firmware_iface.simulated import physics
from firmware_iface.simulated.conveyor import Board, Conveyor
from firmware_iface.simulated.heaters import STEP_S
from firmware_iface.simulated.recipes import PROFILES
from firmware_iface.simulated.tunnel import Tunnel

CONTEST = tuple(Zone(k, "heated", 250 + 355 * (k - 1), 305, (), ()) for k in range(1, 10))
EXPECTED = {
    30: 44.78, 60: 100.53, 120: 153.37, 180: 171.95, 240: 213.01, 270: 232.37, 300: 239.60, 330: 207.13, 360: 160.76,
}  # fmt: skip
CONTEST_SETPOINTS = (175, 175, 175, 175, 175, 195, 235, 255, 255)
THERMAL = Thermal()


def _trace(heated, setpoints, speed, end_mm, dt):
    v = speed / 6.0
    t, x, temperature = 0.0, 0.0, 25.0
    trace = [(t, temperature)]
    while x < end_mm:
        air = (physics.air(x, setpoints, heated, THERMAL) + physics.air(x + v * dt, setpoints, heated, THERMAL)) / 2
        temperature = physics.step(temperature, air, dt, THERMAL.tau_s)
        t, x = t + dt, x + v * dt
        trace.append((t, temperature))
    return trace


def _crossing(trace, level, rising=True):
    for (t0, a), (t1, b) in itertools.pairwise(trace):
        if (a < level <= b) if rising else (a >= level > b):
            return t0 + (level - a) / (b - a) * (t1 - t0)
    raise AssertionError(level)


def _slopes(trace):
    return [(b - a) / (t1 - t0) for (t0, a), (t1, b) in itertools.pairwise(trace)]


@pytest.mark.parametrize(("x_cm", "celsius"), [
    (20, 68.059), (30, 103.412), (40, 138.764), (50.25, 175), (100, 175), (200, 185), (235.5, 215), (271, 245),
    (300, 255), (339.5, 255), (344.5, 237.248), (380, 144.650), (400, 111.362), (435.5, 72.975),
])  # fmt: skip
def test_the_air_has_the_published_temperature(x_cm, celsius):
    heated = physics.geometry(CONTEST)
    assert physics.air(10 * x_cm, CONTEST_SETPOINTS, heated, THERMAL) == pytest.approx(celsius, abs=0.0006)


@pytest.mark.parametrize(("dt", "tolerance"), [(0.02, 0.0051), (0.5, 0.0101)])
def test_a_board_follows_the_published_curve(dt, tolerance):
    trace = _trace(physics.geometry(CONTEST), CONTEST_SETPOINTS, 70, 4355, dt)
    assert {t: trace[round(t / dt)][1] for t in EXPECTED} == pytest.approx(EXPECTED, abs=tolerance)


def _carried():
    """What a point-like board feels on the oven's own belt."""
    lane = Lane(1, 0.0, 4355.0, "", "", "", "", (), 0.0, None)
    conveyor, tunnel = Conveyor(lane, 70.0), Tunnel(CONTEST, THERMAL)
    board = Board(1, None, 0.0, THERMAL.tau_s, 0.0, 25.0, 25.0)
    conveyor.lay(board)
    trace = [(0.0, 25.0)]
    while board.left_s is None:
        conveyor.carry(partial(tunnel.feel, CONTEST_SETPOINTS), trace[-1][0])
        trace.append((trace[-1][0] + STEP_S, board.temperature))
    return trace, board


def test_the_belt_of_the_oven_carries_a_board_along_the_published_curve():
    trace, board = _carried()
    assert {t: trace[round(t / STEP_S)][1] for t in EXPECTED} == pytest.approx(EXPECTED, abs=0.0101)
    assert board.peak == pytest.approx(240.820, abs=0.001)
    assert _crossing(trace, 217, rising=False) - _crossing(trace, 217) == pytest.approx(78.236, abs=0.01)
    assert _crossing(trace, 190) - _crossing(trace, 150) == pytest.approx(98.363, abs=0.01)


def test_a_board_has_the_published_figures():
    trace = _trace(physics.geometry(CONTEST), CONTEST_SETPOINTS, 70, 4355, 0.005)
    peak, at = max((celsius, t) for t, celsius in trace)
    assert peak == pytest.approx(240.820, abs=0.001)
    assert at == pytest.approx(294.4, abs=0.05)
    assert _crossing(trace, 217, rising=False) - _crossing(trace, 217) == pytest.approx(78.236, abs=0.001)
    assert _crossing(trace, 190) - _crossing(trace, 150) == pytest.approx(98.363, abs=0.001)
    assert (max(_slopes(trace)), min(_slopes(trace))) == pytest.approx((2.175, -1.569), abs=0.001)


@pytest.mark.parametrize(("name", "profile", "figures"), [
    ("reflow10", PROFILES[0], (244.6, 67.9, 89.7)), ("reflow12", PROFILES[1], (244.9, 67.4, 92.0)),
])  # fmt: skip
def test_a_nominal_recipe_lies_near_the_middle_of_its_window(name, profile, figures):
    register_map = catalog.builtin(name)
    heated, outlet_mm = physics.geometry(register_map.zones), register_map.lanes[0].outlet_mm
    trace = _trace(heated, profile.heated, profile.belt, outlet_mm, 0.05)
    told = (max(celsius for _, celsius in trace), _crossing(trace, 217, rising=False) - _crossing(trace, 217),
            _crossing(trace, 190) - _crossing(trace, 150))  # fmt: skip
    assert told == pytest.approx(figures, abs=0.1)
    assert -2 < min(_slopes(trace)) < max(_slopes(trace)) < 2
