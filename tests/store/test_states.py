"""Seconds in each state: exact while the agent looks, unknown otherwise, and together never more than the time."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.store.states import States
from tests.store.samples import NOON, with_store

SECOND = 1_000_000_000


class Seen:
    """A machine that is looked at ten times a second by clocks that can be set."""

    def __init__(self, database) -> None:
        self.database = database
        self.states = States(database)
        self.now, self.wall = 5_000 * SECOND, NOON

    def run(self, state: str, seconds: float, every_s: float = 0.1) -> None:
        for _ in range(round(seconds / every_s)):
            self.pass_by(every_s)
            self.states.see("RO0001", state, self.now, self.wall)

    def pass_by(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)
        self.wall += round(seconds * SECOND)

    async def restart(self, is_clean: bool = True) -> None:
        if is_clean:
            self.states.keep("RO0001")
        await self.database.write(lambda _: None)
        self.states = States(self.database)

    async def seconds(self, since: float = 0.0, until: float | None = None) -> dict[str, float]:
        """Of a span in seconds since noon."""
        await self.database.write(lambda _: None)
        end = self.wall if until is None else NOON + round(until * SECOND)
        found = await self.states.durations("RO0001", NOON + round(since * SECOND), end)
        return {state: round(ns / SECOND, 3) for state, ns in found.items()}


def with_machine(path, use):
    return with_store(path, lambda database: use(Seen(database)))


def test_the_seconds_of_each_state_are_those_in_which_it_stood(tmp_path):
    async def use(seen):
        seen.run("warmingUp", 30)
        seen.run("ready", 20)
        seen.run("running", 100.05, 0.05)
        seen.run("ready", 5)
        assert await seen.seconds() == {"warmingUp": 30, "ready": 24.85, "running": 100.1}
        assert await seen.seconds(20, 60) == {"warmingUp": 10.1, "ready": 19.95, "running": 9.95}
        assert await seen.seconds(-50, 1) == {"warmingUp": 0.9}
        assert await seen.states.first_ns("RO0001") == NOON + SECOND // 10
        assert await seen.states.first_ns("RO0002") is None
        assert await seen.states.durations("RO0002", 0, 1 << 62) == {}

    with_machine(tmp_path / "s.db", use)


def test_time_in_which_the_agent_did_not_run_counts_for_no_state(tmp_path):
    async def use(seen):
        seen.run("running", 60)
        await seen.restart()
        seen.pass_by(3600)
        seen.run("running", 40)
        assert await seen.seconds() == {"running": 99.8}

    with_machine(tmp_path / "s.db", use)


def test_a_killed_agent_forgets_ten_seconds_at_most(tmp_path):
    async def use(seen):
        seen.run("running", 65)
        await seen.restart(is_clean=False)
        kept = (await seen.seconds())["running"]
        assert 54.9 <= kept <= 65

    with_machine(tmp_path / "s.db", use)


def test_a_clock_that_is_set_leaves_an_unknown_time_and_what_it_told_twice_counts_once(tmp_path):
    async def use(seen):
        seen.run("running", 100)
        seen.wall += 3600 * SECOND
        seen.run("running", 50)
        assert await seen.seconds() == {"running": 149.8}
        seen.wall -= 20 * SECOND
        seen.run("fault", 10)
        assert await seen.seconds() == {"running": 129.9, "fault": 9.9}
        seen.run("ready", 30)
        found = await seen.seconds()
        assert found["ready"] == 29.9
        assert sum(found.values()) <= 3600 + 170

    with_machine(tmp_path / "s.db", use)


def test_a_span_that_begins_in_time_that_was_told_twice_is_not_negative(tmp_path):
    async def use(seen):
        seen.run("running", 100)
        seen.wall -= 50 * SECOND
        seen.run("fault", 20)
        assert await seen.seconds(60, 70) == {"fault": 10.0}
        assert await seen.seconds(65, 90) == {"fault": 5.0}

    with_machine(tmp_path / "s.db", use)


def test_a_loop_that_stood_still_for_minutes_saw_nothing(tmp_path):
    async def use(seen):
        seen.run("running", 10)
        seen.pass_by(300)
        seen.run("running", 10)
        assert await seen.seconds() == {"running": 19.8}

    with_machine(tmp_path / "s.db", use)


MOVES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["ready", "running", "fault", "unknown"]), st.floats(0.5, 30)),
        st.tuples(st.just("step"), st.floats(-200, 200)),
        st.tuples(st.sampled_from(["restart", "kill", "away"]), st.floats(0, 100)),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(MOVES, st.floats(-50, 400), st.floats(0, 400))
def test_whatever_the_clocks_do_no_time_is_negative_or_counts_twice(moves, since, length):
    async def use(seen):
        for move, seconds in moves:
            if move == "step":
                seen.wall += round(seconds * SECOND)
            elif move in ("restart", "kill"):
                await seen.restart(move == "restart")
            if move in ("restart", "away"):
                seen.pass_by(seconds)
            elif move not in ("step", "kill"):
                seen.run(move, seconds, 0.5)
        found = await seen.seconds(since, since + length)
        assert all(value >= 0 for value in found.values())
        assert sum(found.values()) <= length + 0.001 * len(found)
        rows = await seen.database.read(lambda c: c.execute("SELECT from_ns, to_ns FROM states ORDER BY 1").fetchall())
        assert all(begin < end for begin, end in rows)
        assert all(before[1] <= after[0] for before, after in pairwise(rows))

    with tempfile.TemporaryDirectory() as folder:
        with_machine(Path(folder) / "s.db", use)
