"""Whether a command may run: one table of checks over plain facts, and the only place where a permit is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from edgeagent.clock import iso
from edgeagent.model.callers import Caller
from edgeagent.model.functions.forms import Function
from edgeagent.model.functions.rights import entitled

_KEY = object()
"""Known in this module alone: nobody else can make a permit."""


class Permit:
    """Every check said yes for one job; the gate before the registers opens for nothing else.

    Attributes:
        job, machine: ids. function, by: what was permitted, and to whom.
    """

    __slots__ = ("by", "function", "job", "machine")

    def __init__(self, key: object, case: Case) -> None:
        if key is not _KEY:
            raise PermissionError("only control.authority makes permits")
        self.job = case.job
        self.machine = case.machine
        self.function = case.function.name
        self.by = case.caller.name


class Refusal(NamedTuple):
    """Why a command does not run: the check that said no, the kind of error, and a sentence."""

    check: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The plain facts of one request, as they stand at the moment of the decision.

    Attributes:
        job: id that the job will have. machine: id.
        now_ns, not_after_ns: wall time, and the time after which it must not run; None where it may at any.
        is_clock_usable: the clock is trusted, or the agent runs a simulation at another speed.
        repeats: why its request id cannot be taken; None for a new one.
        control: "offline", "local" or "remote" for this function; control_reason: why it is not remote.
        is_connected: the machine answers now.
        interlocks, faults: what the procedure found, each a sentence.
        rival: the job that has the machine; None where nothing is in the way.
        by_caller, by_machine: commands within the last minute, this one left out; most_...: how many there may be.
        spent: why it was done too often within a longer time; None where it was not.
        unrecordable: why the audit cannot be written; None where it can.
    """

    job: str
    machine: str
    function: Function
    caller: Caller
    now_ns: int
    not_after_ns: int | None = None
    is_clock_usable: bool = True
    repeats: str | None = None
    control: str = "offline"
    control_reason: str = ""
    is_connected: bool = False
    interlocks: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    rival: str | None = None
    by_caller: int = 0
    by_machine: int = 0
    most_by_caller: int = 0
    most_by_machine: int = 0
    spent: str | None = None
    unrecordable: str | None = None


class Check(NamedTuple):
    """One thing that must hold: its kind of refusal, and what says why it does not (None where it does)."""

    name: str
    kind: str
    why_not: Callable[[Case], str | None]


def _authenticated(case: Case) -> str | None:
    if case.caller.is_authenticated:
        return None
    return f"{case.function.name} is for known users: send a token, or connect with a client certificate."


def _entitled(case: Case) -> str | None:
    refused = entitled(case.function, case.caller)
    return refused.reason if refused else None


def _in_time(case: Case) -> str | None:
    if case.not_after_ns is None:
        return None
    if not case.is_clock_usable:
        return "The agent's clock is not known to be set, so it cannot tell whether notAfter has passed."
    if case.now_ns > case.not_after_ns:
        return f"It was to run until {iso(case.not_after_ns)}, and it is {iso(case.now_ns)}."
    return None


def _remote(case: Case) -> str | None:
    if not case.function.needs_remote or case.control == "remote":
        return None
    return f"{case.machine} is under {case.control} control: {case.control_reason}."


def _connected(case: Case) -> str | None:
    if case.is_connected or not case.function.needs_remote:
        return None
    return f"{case.machine} does not answer."


def _free(case: Case) -> str | None:
    return f"Job {case.rival} has {case.machine}; wait for its end, or stop it." if case.rival else None


def _rate(case: Case) -> str | None:
    if case.by_caller >= case.most_by_caller:
        return f"{case.caller.name} has given {case.by_caller} commands within a minute; wait a moment."
    if case.by_machine >= case.most_by_machine:
        return f"{case.machine} has been given {case.by_machine} commands within a minute; wait a moment."
    return case.spent


def _recordable(case: Case) -> str | None:
    return f"It cannot be recorded, so it is not run: {case.unrecordable}." if case.unrecordable else None


CHECKS: tuple[Check, ...] = (
    Check("authenticated", "unauthenticated", _authenticated),
    Check("entitled", "forbidden", _entitled),
    Check("in time", "expired", _in_time),
    Check("new", "invalidParameters", lambda case: case.repeats),
    Check("remote", "notRemote", _remote),
    Check("connected", "unreachable", _connected),
    Check("interlocks", "interlocked", lambda case: " ".join(case.interlocks) or None),
    Check("limits", "outOfRange", lambda case: " ".join(case.faults) or None),
    Check("free", "busy", _free),
    Check("rate", "tooMany", _rate),
    Check("recordable", "busy", _recordable),
)
"""What a command must pass, in this order; the first that does not hold is the refusal."""


def decide(case: Case) -> Permit | Refusal:
    """Hold a request against every check; the answer depends on nothing but the case."""
    for check in CHECKS:
        if (reason := check.why_not(case)) is not None:
            return Refusal(check.name, check.kind, reason)
    return Permit(_KEY, case)


