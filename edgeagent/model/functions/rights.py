"""Who may call what."""

from __future__ import annotations

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
    if caller.functions is not None:
        is_allowed = function.name in caller.functions or function.name in ALWAYS
    else:
        is_allowed = rank(caller.role) >= rank(function.role)
    if is_allowed:
        return None
    if not caller.is_authenticated:
        way = "send a token, or connect with a client certificate"
        return CommandRefused("unauthenticated", f"{function.name} is for known users: {way}.")
    if caller.functions is not None:
        return CommandRefused("forbidden", f"{function.name} is not among the functions of the user {caller.name}.")
    return CommandRefused("forbidden", f"{function.name} needs the role {function.role}, not {caller.role}.")
