import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent._core.moves import Moves
from tests.core.oracles import Telling

POINTS = 5
NUMBERS = st.sampled_from([0.0, -0.0, 0.5, 0.75, 1.0, -1.5, 1e300, -1e300, math.nan, math.inf, -math.inf])
STEPS = st.sampled_from([0, 1, 99_999_999, 100_000_000, 100_000_001, 86_400 * 10**9])
DEADBANDS = st.sampled_from([0.0, 0.25, 0.5, 1e9])
SILENCES = st.sampled_from([0.1, 0.3, 60.0, 86_400.0])
ROWS = st.lists(
    st.tuples(STEPS, st.lists(NUMBERS, min_size=POINTS, max_size=POINTS),
              st.lists(st.integers(0, 3), min_size=POINTS, max_size=POINTS)), max_size=30)


def a_row() -> tuple[array, bytearray]:
    return array("d", [math.nan]) * POINTS, bytearray([3]) * POINTS


@given(st.lists(st.tuples(DEADBANDS, SILENCES), max_size=POINTS), st.integers(0, 10**15), ROWS)
def test_what_is_due_is_what_plain_python_finds(points, now_ns, rows):
    values, quality = a_row()
    points = [(column, *rule) for column, rule in reversed(list(enumerate(points)))]
    moves, oracle = Moves(values, quality, points), Telling([(*point, False) for point in points])
    for step, numbers, qualities in rows:
        now_ns += step
        values[:], quality[:] = array("d", numbers), bytes(qualities)
        assert moves.due(now_ns) == oracle.due(values, quality, {}, now_ns)


def test_a_slow_drift_is_told_when_it_is_over_the_deadband_from_what_was_told():
    values, quality = array("d", [10.0]), bytearray(1)
    moves = Moves(values, quality, [(0, 0.5, 3600.0)])
    told = []
    for beat in range(1, 13):
        values[0] = 10 + 0.125 * beat
        if moves.due(beat):
            told.append(values[0])
    assert told == [10.125, 10.75, 11.375]


def test_a_forgotten_column_is_told_at_the_next_look_and_no_other():
    values, quality = a_row()
    moves = Moves(values, quality, [(1, 0.0, 60.0), (3, 0.0, 60.0)])
    assert moves.due(1) == [1, 3]
    moves.forget(3)
    moves.forget(2)
    assert moves.due(2) == [3]
    assert moves.due(3) == []


def test_shapes_are_checked_at_the_door():
    with pytest.raises(ValueError, match="2 qualities"):
        Moves(array("d", [0.0]), bytearray(2), [])
    for column in (-1, 1):
        with pytest.raises(ValueError, match=f"column {column} is outside"):
            Moves(array("d", [0.0]), bytearray(1), [(column, 0.0, 1.0)])
    with pytest.raises(ValueError, match="mismatch"):
        Moves(array("f", [0.0]), bytearray(1), [])
