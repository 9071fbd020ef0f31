"""Who may call what, and see which page."""

from __future__ import annotations

from collections.abc import Collection

from edgeagent.errors import CommandRefused
from edgeagent.model.callers import Caller, rank
from edgeagent.model.functions.forms import Function

ALWAYS = frozenset(("rpc.discover", "Session.Authenticate", "Command.Stop"))
"""What a caller with a list of functions may call beside them; a job is stopped by whoever may start it."""


def entitled(function: Function, caller: Caller) -> CommandRefused | None:
    """Say why a caller may not call a function; None where it may.

    A caller's own list of functions replaces its role. Who did not say who it is, is refused as "unauthenticated":
    to say so may help; who did, as "forbidden".
    """
    return _lacking(function.name, function.role, caller, ALWAYS)


def may_see(page: str, role: str, caller: Caller) -> CommandRefused | None:
    """Say why a caller may not see a page that needs a role, as `entitled` does; a list of functions holds no page."""
    return _lacking(page, role, caller)


def _lacking(what: str, role: str, caller: Caller, always: Collection[str] = ()) -> CommandRefused | None:
    if caller.functions is not None:
        is_allowed = what in caller.functions or what in always
    else:
        is_allowed = rank(caller.role) >= rank(role)
    if is_allowed:
        return None
    if not caller.is_authenticated:
        way = "send a token, or connect with a client certificate"
        return CommandRefused("unauthenticated", f"{what} is for known users: {way}.")
    if caller.functions is not None:
        return CommandRefused("forbidden", f"{what} is not among the functions of the user {caller.name}.")
    return CommandRefused("forbidden", f"{what} needs the role {role}, not {caller.role}.")
