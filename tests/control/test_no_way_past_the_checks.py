"""No sequence of requests reaches a register unless every check said yes at that moment."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edgeagent.clock import iso
from edgeagent.config import ControlTable
from edgeagent.control import authority
from edgeagent.control.authority import CHECKS, Permit, decide
from edgeagent.control.gate import Gate
from edgeagent.control.procedure import Withdrawn
from edgeagent.errors import CommandRefused
from edgeagent.model.callers import NO_ROLE, ROLES, Caller
from tests.control import test_authority
from tests.control.bench import ENGINEER, SETPOINT, Bench, bench
from tests.control.test_authority import GOOD
from tests.control.test_executor import SET

CALLERS = st.builds(
    Caller, st.sampled_from(["mes", "anna"]), st.sampled_from((*ROLES, NO_ROLE)), st.sampled_from(["http", "lines"]),
    st.just("127.0.0.1"), st.none() | st.frozensets(st.sampled_from([SET, "Recipe.Start"])), st.booleans())
REQUESTS = st.tuples(
    st.just("ask"), CALLERS, st.sampled_from([170.0, 180.0, 900.0, "hot", True, 170.05]),
    st.sampled_from([SETPOINT, "conveyor/1/widthSetpoint", "zone/3/top/temperature", "nothing/there"]),
    st.none() | st.sampled_from(["a", "b"]), st.none() | st.integers(-60, 60))
FINE = ("ask", ENGINEER, 178.0, SETPOINT, None, None)
CHANGES = st.tuples(st.sampled_from(
    ["switch off", "switch on", "grant", "release", "board", "dark", "light", "audit fails", "audit works",
     "clock lost", "clock found", "wait", "restart"]))  # fmt: skip


class Witness:
    """Judges each write by itself, from what is true at that moment; a job would swallow what it raises."""

    def __init__(self, it: Bench) -> None:
        self.it = it
        self.faults: list[AssertionError] = []
        it.reach.meets = self.meets

    def meets(self, path: str, value: float | str) -> None:
        try:
            self.judge(path, value)
        except AssertionError as fault:
            self.faults.append(fault)

    def judge(self, path: str, value: float | str) -> None:
        it = self.it
        status = it.unit.status()
        assert it.settings.enabled
        assert it.device.remote, "the machine's own switch is on"
        assert it.remote.standing().state == "remote"
        assert not status.boards, "nothing is inside"
        assert it.audit.failing is None
        assert [entry.kind for entry in it.audit.entries if entry.kind != "grant"][-1] == "write"
        (running,) = it.room.executor.jobs
        caller = running.caller
        assert caller.is_authenticated
        may = SET in caller.functions if caller.functions is not None else caller.role in ROLES[2:]
        assert may, caller
        register = it.unit.machine.register(path)
        assert register.writable
        assert register.low <= value <= register.high


async def _play(folder: Path, happenings: list) -> None:
    async with bench(folder, settings=ControlTable(enabled=True, caller_per_minute=5, machine_per_minute=5)) as it:
        witness = Witness(it)
        it.grant()
        for what, *more in happenings:
            if what == "ask":
                await _ask(it, *more)
            else:
                await _change(it, what)
            if witness.faults:
                raise witness.faults[0]
        WROTE[0] += len(it.reach.wrote)


WROTE = [0]
"""Writes that were seen over all examples: a test in which nothing is ever written would say nothing."""


async def _ask(it: Bench, caller: Caller, value, path: str, key: str | None, in_s: int | None) -> None:
    more = {"requestId": key} if key else {}
    if in_s is not None:
        more["notAfter"] = iso(it.clock.wall_ns() + in_s * 1_000_000_000)
    try:
        await it.call(SET, caller, **it.asks(value, path), **more)
    except CommandRefused:
        return


async def _change(it: Bench, what: str) -> None:
    if what in ("switch off", "switch on"):
        it.device.remote = what == "switch on"
        it.run(0.1)
    elif what == "grant":
        try:
            it.grant()
        except CommandRefused:
            return
    elif what == "release":
        it.remote.release("mes")
    elif what == "board":
        it.device.insert_board("PCB", 180.0)
        it.run(1)
    elif what in ("dark", "light"):
        it.reach.is_dark = what == "dark"
        it.run(0.1)
    elif what.startswith("audit"):
        it.audit.failing = "the disk is full" if what == "audit fails" else None
    elif what.startswith("clock"):
        it.clock.is_trusted = what == "clock found"
    elif what == "restart":
        await it.die_and_start_again()
    else:
        for _ in range(20):
            it.run(0.1)
            await asyncio.sleep(0.001)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(REQUESTS | CHANGES | st.sampled_from((("wait",), FINE)), min_size=4, max_size=14))
def test_whatever_is_asked_and_happens_nothing_is_written_that_was_not_permitted(happenings):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder), [FINE, ("wait",), *happenings, ("wait",)]))
    assert WROTE[0]


FACTS = {
    "caller": CALLERS, "not_after_ns": st.none() | st.integers(0, 10), "now_ns": st.integers(0, 10),
    "is_clock_usable": st.booleans(), "repeats": st.none() | st.just("used"),
    "control": st.sampled_from(["offline", "local", "remote"]), "is_connected": st.booleans(),
    "interlocks": st.lists(st.just("a board"), max_size=1).map(tuple),
    "faults": st.lists(st.just("too hot"), max_size=1).map(tuple), "rival": st.none() | st.just("01H"),
    "by_caller": st.integers(0, 4), "by_machine": st.integers(0, 4), "spent": st.none() | st.just("often"),
    "unrecordable": st.none() | st.just("full"),
}  # fmt: skip
CHANGED = st.sets(st.sampled_from(sorted(FACTS)), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: FACTS[name] for name in sorted(names)}))
"""Some facts of a case that is fine: with all of them at once no check would ever be the only one that objects."""


@settings(max_examples=500, deadline=None, derandomize=True, database=None, phases=(Phase.generate,))
@given(CHANGED)
def test_a_permit_is_made_exactly_when_no_check_objects(facts):
    case = dataclasses.replace(GOOD, **facts)
    is_fine = (
        case.caller.is_authenticated
        and (case.caller.role in ("engineer", "administrator") if case.caller.functions is None
             else GOOD.function.name in case.caller.functions)
        and (case.not_after_ns is None or (case.is_clock_usable and case.now_ns <= case.not_after_ns))
        and case.control == "remote" and case.is_connected and case.by_caller < 3 and case.by_machine < 3
        and not (case.repeats or case.interlocks or case.faults or case.rival or case.spent or case.unrecordable)
    )  # fmt: skip
    assert isinstance(decide(case), Permit) == is_fine


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_that_is_taken_out_is_missed(monkeypatch, check):
    monkeypatch.setattr(authority, "CHECKS", tuple(each for each in CHECKS if each is not check))
    with pytest.raises(AssertionError):
        test_authority.test_each_check_alone_refuses(check.name)
    with pytest.raises(AssertionError):
        test_a_permit_is_made_exactly_when_no_check_objects()


def test_the_gate_opens_for_the_permit_of_a_job_that_runs_and_for_nothing_else(tmp_path):
    wrote = []

    class Reached:
        async def write(self, path, value, allows):
            meanwhile()
            allows()
            wrote.append((path, value))

    def nothing():
        """It goes out at once, and nobody minds."""

    def lease_ends():
        raise Withdrawn("the lease has run out")

    meanwhile = nothing

    async def work():
        nonlocal meanwhile
        gate, permit = Gate("RO0001", Reached()), decide(GOOD)
        for ticket in (None, "permit", permit, object()):
            with pytest.raises(PermissionError):
                await gate.write(ticket, SETPOINT, 1.0, nothing)
        gate.admit(permit)
        await gate.write(permit, SETPOINT, 1.0, nothing)
        with pytest.raises(Withdrawn):
            await gate.write(permit, SETPOINT, 4.0, lease_ends)
        with pytest.raises(PermissionError):
            await gate.write(decide(GOOD), SETPOINT, 2.0, nothing)
        meanwhile = lambda: gate.dismiss(permit)  # noqa: E731
        with pytest.raises(PermissionError):
            await gate.write(permit, SETPOINT, 5.0, nothing)
        with pytest.raises(PermissionError):
            await gate.write(permit, SETPOINT, 3.0, nothing)
        with pytest.raises(PermissionError):
            Gate("RO0002", Reached()).admit(permit)
        assert wrote == [(SETPOINT, 1.0)]

    asyncio.run(work())
