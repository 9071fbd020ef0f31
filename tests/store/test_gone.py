"""What is remembered of events that went: exactly which they were."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from edgeagent.model.events import GapRange
from edgeagent.store import gone, had, holes
from edgeagent.store.connection import connect_writer
from edgeagent.store.schema import MIGRATIONS

KINDS = [("RO0001", "Alarm.Raised"), ("RO0001", "Board.Lost"), ("RO0002", "Board.Lost")]
NUMBERS = st.dictionaries(st.integers(1, 3 * 4096), st.sampled_from(KINDS), max_size=60)


def memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for step in MIGRATIONS:
        connection.executescript(step.script)
    return connection


def by_kind(numbers):
    return {kind: [n for n, of in numbers.items() if of == kind] for kind in set(numbers.values())}


def bits(numbers, first):
    return sum(1 << n - first for n in numbers)


@given(NUMBERS, NUMBERS, st.integers(1, 13_000), st.integers(0, 13_000))
def test_what_went_is_known_exactly_in_any_range(before, after, first, length):
    after = {n: kind for n, kind in after.items() if n not in before}
    last, everything = first + length, before | after
    with closing(memory()) as connection:
        gone.note(connection, by_kind(before))
        gone.note(connection, by_kind(after))
        inside = {n: kind for n, kind in everything.items() if first <= n <= last}
        assert gone.between(connection, first, last) == {
            kind: bits(numbers, first) for kind, numbers in by_kind(inside).items()
        }
        lost = sorted(n for n, kind in inside.items() if kind in KINDS[1:])
        expected = None
        if lost:
            expected = GapRange(lost[0], lost[-1], len(lost), ("Board.Lost",))
        assert gone.told(connection, first, last, KINDS[1:]) == (expected, len(inside))
        assert sorted(gone.kinds(connection)) == sorted(set(everything.values()))
        assert gone.newest(connection) == max(everything, default=0)
        for kind in KINDS:
            assert gone.before(connection, kind, first) == max(
                (n for n, of in everything.items() if of == kind and n < first), default=0)


def test_a_range_is_broken_only_by_what_is_told_and_by_what_nobody_knows():
    went = {KINDS[0]: bits([10, 12, 19], 10), KINDS[1]: bits([14], 10)}
    assert holes.ranges(10, 20, [13], went, bits([16, 17], 10)) == [
        GapRange(10, 12, 2, ("Alarm.Raised",)), GapRange(14, 14, 1, ("Board.Lost",)), GapRange(16, 17, 2),
        GapRange(19, 19, 1, ("Alarm.Raised",)),
    ]  # fmt: skip
    assert holes.ranges(10, 20, [], {}, 0) == []


def test_a_million_events_take_about_a_byte_each():
    with closing(memory()) as connection:
        for block in range(50):
            numbers = range(block * 4096 + 1, (block + 1) * 4096)
            gone.note(connection, {
                kind: [n for n in numbers if n * 2654435761 % 3 == i] for i, kind in enumerate(KINDS)
            })
        size = connection.execute("SELECT sum(length(sequences)) FROM gone").fetchone()[0]
        assert size < 50 * 4096


def test_a_damaged_row_says_nothing_rather_than_something_wrong(tmp_path, caplog):
    with closing(connect_writer(tmp_path / "s.db")) as connection:
        gone.note(connection, {KINDS[0]: [1, 2, 3]})
        bits = connection.execute("SELECT sequences FROM gone").fetchone()[0]
        gone.note(connection, {KINDS[1]: range(1, 9)})
        other = connection.execute("SELECT max(sequences) FROM gone WHERE count = 8").fetchone()[0]
        for damaged in (b"\0", other):
            connection.execute("UPDATE gone SET sequences = ? WHERE count = 3", (damaged,))
            assert gone.between(connection, 1, 3) == {KINDS[1]: 7}
            assert gone.told(connection, 1, 3, KINDS[:1]) == (None, 3)
            assert gone.before(connection, KINDS[0], 4) == 0
        assert "is damaged on disk" in caplog.text
        connection.execute("UPDATE gone SET sequences = ? WHERE count = 3", (bits,))
        assert gone.before(connection, KINDS[0], 4) == 3


def test_a_damaged_row_of_what_was_had_lets_nothing_be_deleted(tmp_path, caplog):
    with closing(connect_writer(tmp_path / "s.db")) as connection:
        had.Had(("*",), None, 0, 10).insert(connection)
        connection.execute("UPDATE had SET last = 11")
        assert had.ranges(connection, ("RO0001", "Board.Lost")) == []
        had.Had(("*",), None, 10, 12).insert(connection)
        assert had.ranges(connection, ("RO0001", "Board.Lost")) == [(11, 12)]
        assert "is damaged on disk" in caplog.text
