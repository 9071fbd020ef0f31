import math
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent._core.profile import TraceTooShort, measure, window_share
from tests.core.oracles import crossings

NAN = math.nan


def profile_of(*points, liquidus=217.0, soak=(150.0, 190.0), **more):
    times = array("q", [round(t * 1e9) for t, _ in points])
    return measure(times, array("d", [celsius for _, celsius in points]), liquidus, *soak, **more)


def test_crossings_are_interpolated():
    profile = profile_of((0, 210), (1, 220), (2, 230), (3, 215))
    assert profile.time_above_liquidus == pytest.approx(2.8667 - 0.7, abs=1e-4)
    assert (profile.peak, profile.peak_ns) == (230.0, 2_000_000_000)
    assert (profile.max_rise, profile.max_fall) == (10.0, -15.0)
    assert profile.excursions == 1


def test_several_excursions_are_summed():
    profile = profile_of((0, 216), (1, 218), (2, 216), (3, 218), (4, 216))
    assert profile.time_above_liquidus == pytest.approx(2.0)
    assert profile.excursions == 2


@pytest.mark.parametrize("points", [
    [(0, 218), (1, 220), (2, 210)],
    [(0, 210), (1, 220), (2, 218)],
    [(0, 210), (1, 216), (2, 210)],
])  # fmt: skip
def test_a_trace_that_starts_or_ends_above_or_never_melts_has_no_time_above_liquidus(points):
    assert math.isnan(profile_of(*points).time_above_liquidus)


@pytest.mark.parametrize("points", [
    [(0, 210), (1, 216), (4, 220), (5, 210)],
    [(0, 210), (1, 220), (4, 220), (5, 210)],
    [(0, 210), (1, 220), (2, NAN), (3, 220), (4, 210)],
    [(0, 210), (1, 220), (2, 218), (3, NAN), (4, 210)],
    [(0, 210), (1, NAN), (2, 220), (3, 210)],
])  # fmt: skip
def test_a_hole_at_or_above_liquidus_hides_the_time_above_it(points):
    assert math.isnan(profile_of(*points).time_above_liquidus)


def test_a_hole_below_the_soak_hides_slopes_and_nothing_else():
    profile = profile_of((0, 20), (5, 100), (6, NAN), (7, 140), (8, 216), (9, 218), (10, 216))
    assert profile.time_above_liquidus == pytest.approx(1.0)
    assert profile.peak == 218.0
    assert math.isnan(profile.max_rise)
    assert math.isnan(profile.max_fall)


def test_a_hole_where_the_peak_may_be_hides_it():
    profile = profile_of((0, 180), (1, 210), (4, 205), (5, 180))
    assert math.isnan(profile.peak)
    assert profile.peak_ns == -1


def test_soak_runs_from_the_last_rise_through_the_low_end_to_the_first_through_the_high_end():
    profile = profile_of((0, 140), (1, 160), (2, 140), (3, 160), (4, 180), (5, 200), (6, 180), (7, 200))
    assert profile.soak == pytest.approx(2.0)


@pytest.mark.parametrize(("points", "soak"), [
    ([(0, 160), (1, 170), (2, 200)], NAN),
    ([(0, 140), (1, 160), (2, 180)], NAN),
    ([(0, 140), (3, 160), (4, 200)], NAN),
    ([(0, 140), (1, 160), (4, 180), (5, 200)], NAN),
    ([(0, 140), (1, 160), (4, 195), (5, 140), (6, 160), (7, 200)], NAN),
    ([(0, 140), (1, 160), (4, 145), (5, 155), (6, 195)], 0.875 + 0.5),
    ([(0, 100), (3, 120), (4, 160), (5, 200)], 0.25 + 0.75),
])  # fmt: skip
def test_a_hole_inside_the_soak_hides_it(points, soak):
    assert profile_of(*points).soak == pytest.approx(soak, nan_ok=True)


def test_fewer_than_two_temperatures_are_too_short():
    for points in ([], [(0, 20)], [(0, NAN), (1, 20), (2, NAN)]):
        with pytest.raises(TraceTooShort, match="two are needed"):
            profile_of(*points)


def test_traces_and_bands_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="times must rise"):
        profile_of((1, 20), (1, 21))
    with pytest.raises(ValueError, match="belong together"):
        measure(array("q", [1]), array("d"), 217, 150, 190)
    with pytest.raises(ValueError, match="empty"):
        profile_of((0, 20), (1, 21), soak=(190, 150))


@given(st.lists(st.integers(1900, 2400).map(lambda tenths: tenths / 10 + 0.05), min_size=2, max_size=40))
def test_a_whole_trace_is_measured_as_by_hand(temperatures):
    trace = [(i / 2, celsius) for i, celsius in enumerate(temperatures)]
    profile = profile_of(*trace)
    up, down = crossings(trace, 217.0)
    above = sum(down) - sum(up)
    whole = temperatures[0] < 217 > temperatures[-1] and up
    slopes = [2 * (b - a) for a, b in pairwise(temperatures)]
    assert profile.peak == max(temperatures)
    assert profile.peak_ns == temperatures.index(max(temperatures)) * 500_000_000
    assert profile.time_above_liquidus == pytest.approx(above if whole else NAN, abs=1e-9, nan_ok=True)
    assert (profile.max_rise, profile.max_fall) == pytest.approx((max(slopes), min(slopes)))
    assert profile.excursions == len(up) + (temperatures[0] >= 217)


def test_a_window_share_is_zero_in_the_middle_and_a_hundred_at_the_limits():
    assert window_share(188, 180, 220) == pytest.approx(-60)
    assert window_share(220, 180, 220) == 100
    assert math.isnan(window_share(NAN, 180, 220))
    with pytest.raises(ValueError, match="empty"):
        window_share(1, 2, 2)


def test_the_process_window_index_of_the_reference_table_is_61():
    table = [(242.28, 240, 250, -54.4), (80.28, 40, 90, 61.1), (99.54, 60, 120, 31.8),
             (2.06, 0, 3, 37.3), (-1.66, -3, 0, -10.7)]  # fmt: skip
    shares = [window_share(value, low, high) for value, low, high, _ in table]
    assert shares == pytest.approx([share for *_, share in table], abs=0.05)
    assert max(map(abs, shares)) == pytest.approx(61.1, abs=0.05)
