import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent._core.ring import Ring

POINTS, GROUPS = 3, 2


def a_ring(capacity):
    row = array("d", [0.0]) * POINTS, bytearray(POINTS), array("q", [0]) * GROUPS
    return Ring(capacity, *row), *row


@given(st.integers(1, 9), st.lists(st.integers(0, 3), max_size=30), st.integers(-1, 60))
def test_a_ring_answers_as_a_list_of_its_last_rows(capacity, steps, since):
    ring, values, quality, times = a_ring(capacity)
    rows, now = [], 0
    for n, step in enumerate(steps):
        now += step
        values[:] = array("d", [n, -n, n / 2])
        quality[:] = bytes([n % 4] * POINTS)
        times[:] = array("q", [now - 1, now - 2])
        ring.push(now)
        rows.append((now, list(values), list(quality), list(times)))
    rows = rows[-capacity:]
    assert len(ring) == len(rows)
    wanted = [row for row in rows if row[0] >= since]
    got_times, got_values, got_quality = ring.since(since)
    assert list(got_times) == [row[0] for row in wanted]
    assert list(got_values) == [value for row in wanted for value in row[1]]
    assert list(got_quality) == [q for row in wanted for q in row[2]]
    assert list(ring.group_times(since)) == [time for row in wanted for time in row[3]]
    column = ring.column(1, since)
    assert [list(part) for part in column] == [list(got_times), [r[1][1] for r in wanted], [r[2][1] for r in wanted]]


def test_what_was_pushed_does_not_change_with_the_current_row():
    ring, values, quality, _ = a_ring(4)
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
        Ring(0, array("d", [0.0]), bytearray(1), array("q"))
    with pytest.raises(ValueError, match="2 qualities"):
        Ring(1, array("d", [0.0]), bytearray(2), array("q"))
    with pytest.raises(ValueError, match="mismatch"):
        Ring(1, array("f", [0.0]), bytearray(1), array("q"))
    with pytest.raises(IndexError, match="column 3"):
        a_ring(1)[0].column(3, 0)


def test_a_row_without_groups_or_points_is_kept_as_a_time():
    ring = Ring(2, array("d"), bytearray(), array("q"))
    ring.push(1)
    assert [len(part) for part in ring.since(0)] == [1, 0, 0]
    assert len(ring.group_times(0)) == 0
