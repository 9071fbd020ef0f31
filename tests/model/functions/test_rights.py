from __future__ import annotations

import pytest

from edgeagent.model.callers import NO_ROLE, ROLES, Caller
from edgeagent.model.functions import Function, Nothing
from edgeagent.model.functions.rights import ALWAYS, entitled


def function(role: str, name: str = "Recipe.Delete") -> Function:
    return Function(name, role, False, Nothing, Nothing, "For the test.")


def known(role: str, functions: frozenset[str] | None = None) -> Caller:
    return Caller("mes", role, "http", "10.0.0.1", functions, is_authenticated=True)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_includes_the_ones_before_it(role: str) -> None:
    allowed = [needed for needed in ROLES if entitled(function(needed), known(role)) is None]
    assert allowed == list(ROLES[: ROLES.index(role) + 1])


def test_a_user_without_the_role_is_told_which_one_is_needed() -> None:
    refused = entitled(function("administrator"), known("engineer"))
    assert refused is not None
    assert refused.kind == "forbidden"
    assert refused.reason == "Recipe.Delete needs the role administrator, not engineer."


def test_who_did_not_say_who_it_is_is_asked_to() -> None:
    refused = entitled(function("operator"), Caller("loopback", "viewer", "http", "127.0.0.1"))
    assert refused is not None
    assert refused.kind == "unauthenticated"
    assert "token" in refused.reason


@pytest.mark.parametrize("role", ROLES)
def test_a_list_of_functions_replaces_the_role(role: str) -> None:
    caller = known(role, frozenset(("Status.PowerOn",)))
    assert entitled(function("engineer", "Status.PowerOn"), caller) is None
    refused = entitled(function("viewer", "Status.Get"), caller)
    assert refused is not None
    assert refused.kind == "forbidden"
    for name in ALWAYS:
        assert entitled(function("viewer", name), caller) is None


def test_an_empty_list_of_functions_is_a_list() -> None:
    assert entitled(function("viewer"), known("administrator", frozenset())) is not None


def test_without_a_role_only_what_needs_none_may_be_called() -> None:
    nobody = Caller("nobody", NO_ROLE, "lines", "10.0.0.1")
    assert entitled(function(NO_ROLE, "Session.Authenticate"), nobody) is None
    refused = entitled(function("viewer", "rpc.discover"), nobody)
    assert refused is not None
    assert refused.kind == "unauthenticated"
