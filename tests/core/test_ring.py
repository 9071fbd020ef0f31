import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent._core.ring import Ring
from edgeagent.model.points import Quality

POINTS, BAD = 3, Quality.BAD


def a_ring(capacity, columns=range(POINTS)):
    row = array("d", [0.0]) * POINTS, bytearray(POINTS)
    return Ring(capacity, *row, columns), *row


@given(st.integers(1, 9), st.lists(st.integers(0, 3), max_size=30), st.integers(-1, 60), st.sets(st.integers(0, 2)))
def test_a_ring_answers_as_a_list_of_its_last_rows(capacity, steps, since, columns):
    ring, values, quality = a_ring(capacity, columns)
    rows, now = [], 0
    for n, step in enumerate(steps):
        now += step
        values[:] = array("d", [n, -n, n / 2])
        quality[:] = bytes([n % 4] * POINTS)
        ring.push(now)
        rows.append((now, list(values), list(quality)))
    rows = rows[-capacity:]
    assert len(ring) == len(rows)
    wanted = [row for row in rows if row[0] >= since]
    got_times, got_values, got_quality = ring.since(since)
    assert list(got_times) == [row[0] for row in wanted]
    kept = [column in columns for _ in wanted for column in range(POINTS)]
    all_values, all_quality = ([cell for row in wanted for cell in row[part]] for part in (1, 2))
    assert [value for value, is_kept in zip(got_values, kept, strict=True) if is_kept] == [
        value for value, is_kept in zip(all_values, kept, strict=True) if is_kept]
    assert list(got_quality) == [q if is_kept else BAD for q, is_kept in zip(all_quality, kept, strict=True)]
    assert all(math.isnan(value) for value, is_kept in zip(got_values, kept, strict=True) if not is_kept)


def test_what_was_pushed_does_not_change_with_the_current_row():
    ring, values, quality = a_ring(4)
    values[0], quality[0] = math.pi, 1
    ring.push(1)
    values[0], quality[0] = 0.0, 3
    assert ring.since(0)[1][0] == math.pi
    assert ring.since(0)[2][0] == 1


def test_time_going_back_is_refused_and_keeps_what_was_there():
    ring, *_ = a_ring(2)
    ring.push(5)
    ring.push(5)
    with pytest.raises(ValueError, match="4 ns is older than the last one at 5 ns"):
        ring.push(4)
    assert len(ring) == 2


def test_shapes_are_checked_at_the_door():
    with pytest.raises(ValueError, match="0 rows"):
        Ring(0, array("d", [0.0]), bytearray(1), [])
    with pytest.raises(ValueError, match="2 qualities"):
        Ring(1, array("d", [0.0]), bytearray(2), [])
    with pytest.raises(ValueError, match="mismatch"):
        Ring(1, array("f", [0.0]), bytearray(1), [])
    with pytest.raises(IndexError, match="column 3"):
        a_ring(1, [0, 3])


def test_a_row_without_points_is_kept_as_a_time():
    ring = Ring(2, array("d"), bytearray(), [])
    ring.push(1)
    assert [len(part) for part in ring.since(0)] == [1, 0, 0]
