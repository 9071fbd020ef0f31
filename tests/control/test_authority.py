"""Every check of the table alone keeps a command from being run, and only all of them together make a permit."""

from __future__ import annotations

import dataclasses

import pytest

from edgeagent.control.authority import CHECKS, Case, Permit, Refusal, decide
from edgeagent.model.callers import Caller
from edgeagent.model.functions.forms import CommandParameters, Function

MOVE = Function("Test.Move", "engineer", True, CommandParameters, None, "Moves it.")
ENGINEER = Caller("mes", "engineer", "http", "127.0.0.1", is_authenticated=True)

GOOD = Case(
    job="01J", machine="RO0001", function=MOVE, caller=ENGINEER, now_ns=5, not_after_ns=5, control="remote",
    is_connected=True, most_by_caller=3, most_by_machine=3, by_caller=2, by_machine=2,
)  # fmt: skip

REFUSED = {
    "authenticated": ({"caller": dataclasses.replace(ENGINEER, is_authenticated=False)}, "unauthenticated", "token"),
    "entitled": ({"caller": dataclasses.replace(ENGINEER, role="operator")}, "forbidden", "needs the role engineer"),
    "in time": ({"now_ns": 6}, "expired", "was to run until"),
    "new": ({"repeats": "The requestId a was used before."}, "invalidParameters", "used before"),
    "remote": ({"control": "local", "control_reason": "the switch is off"}, "notRemote", "local control: the switch"),
    "connected": ({"is_connected": False}, "unreachable", "does not answer"),
    "interlocks": ({"interlocks": ("Board A is inside.",)}, "interlocked", "Board A"),
    "limits": ({"faults": ("Too hot.", "Too fast.")}, "outOfRange", "Too hot. Too fast."),
    "free": ({"rival": "01H"}, "busy", "Job 01H"),
    "rate": ({"by_caller": 3}, "tooMany", "mes has given 3"),
    "recordable": ({"unrecordable": "the disk is full"}, "busy", "cannot be recorded"),
}
"""Check → what alone makes it refuse, the kind, and a part of the reason."""


def test_a_case_in_which_everything_holds_is_permitted():
    permit = decide(GOOD)
    assert isinstance(permit, Permit)
    assert (permit.job, permit.machine, permit.function, permit.by) == ("01J", "RO0001", "Test.Move", "mes")


def test_every_check_has_a_case_in_which_it_alone_refuses():
    assert list(REFUSED) == [check.name for check in CHECKS]


@pytest.mark.parametrize("name", REFUSED)
def test_each_check_alone_refuses(name):
    change, kind, words = REFUSED[name]
    refusal = decide(dataclasses.replace(GOOD, **change))
    assert isinstance(refusal, Refusal)
    assert (refusal.check, refusal.kind) == (name, kind)
    assert words in refusal.reason
    others = [check.name for check in CHECKS if check.why_not(dataclasses.replace(GOOD, **change)) is not None]
    assert others == [name]


@pytest.mark.parametrize("first", range(len(CHECKS)))
def test_of_several_reasons_the_first_in_the_order_of_the_contract_is_told(first):
    changes = {key: value for name in list(REFUSED)[first:] for key, value in REFUSED[name][0].items()
               if key != "caller" or name == list(REFUSED)[first]}
    assert decide(dataclasses.replace(GOOD, **changes)).check == CHECKS[first].name


@pytest.mark.parametrize(("change", "check"), [
    ({"control": "offline"}, "remote"),
    ({"is_clock_usable": False}, "in time"),
    ({"by_machine": 3}, "rate"),
    ({"caller": dataclasses.replace(ENGINEER, role="administrator", functions=frozenset({"Recipe.Start"}))},
     "entitled"),
])
def test_other_ways_to_be_refused(change, check):
    assert decide(dataclasses.replace(GOOD, **change)).check == check


def test_nobody_else_makes_a_permit():
    with pytest.raises(PermissionError):
        Permit(object(), GOOD)


def test_a_case_says_no_unless_told_otherwise():
    assert isinstance(decide(Case(job="01J", machine="RO0001", function=MOVE, caller=ENGINEER, now_ns=0)), Refusal)


def test_what_touches_no_machine_needs_neither_remote_control_nor_an_answer():
    keep = MOVE._replace(needs_remote=False)
    assert isinstance(decide(dataclasses.replace(GOOD, function=keep, control="offline", is_connected=False)), Permit)
