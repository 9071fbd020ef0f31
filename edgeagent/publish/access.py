"""The one door to all functions: is it known, may the caller, are the parameters right; then its handler answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from edgeagent.errors import CommandRefused
from edgeagent.model.functions import Function
from edgeagent.publish.outlet import Caller

ROLES = ("viewer", "operator", "engineer", "administrator")
"""Each role includes the ones before it."""

Handler = Callable[[Any, Caller], Awaitable[Any]]
"""Takes the function's parameters (its Struct) and the caller; answers what msgspec can encode."""


class _Entry(NamedTuple):
    function: Function
    rank: int
    names: tuple[str, ...]
    handler: Handler


class Access:
    """Binds every function of a catalogue to its handler.

    Raises:
        ValueError: a function without handler, a handler without function, or an unknown role.
    """

    def __init__(self, functions: Mapping[str, Function], handlers: Mapping[str, Handler]) -> None:
        if odd := functions.keys() ^ handlers.keys():
            raise ValueError(f"without function or without handler: {', '.join(sorted(odd))}")
        self._entries = {
            name: _Entry(
                function,
                ROLES.index(function.role),
                tuple(field.encode_name for field in msgspec.structs.fields(function.parameters)),
                handlers[name],
            )
            for name, function in functions.items()
        }

    async def call(self, function: str, parameters: Any, caller: Caller) -> Any:
        """Call a function; see `Outlet.call`."""
        entry = self._entries.get(function)
        if entry is None:
            raise CommandRefused("methodNotFound", f"There is no function {function[:64]!r}; rpc.discover lists all.")
        if ROLES.index(caller.role) < entry.rank:
            raise CommandRefused("forbidden", f"{function} needs the role {entry.function.role}, not {caller.role}.")
        return await entry.handler(_taken(entry, parameters), caller)


def _taken(entry: _Entry, parameters: Any) -> Any:
    if isinstance(parameters, list):
        if len(parameters) > len(entry.names):
            most = len(entry.names)
            raise CommandRefused("invalidParameters", f"{entry.function.name} takes at most {most} parameters.")
        parameters = dict(zip(entry.names, parameters, strict=False))
    try:
        return msgspec.convert(parameters or {}, entry.function.parameters)
    except msgspec.ValidationError as error:
        raise CommandRefused("invalidParameters", f"{entry.function.name}: {error}") from None
