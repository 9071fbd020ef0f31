"""The one door to all functions: is it known, may the caller, are the parameters right; then its handler answers."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from edgeagent.errors import CommandRefused
from edgeagent.logs import Detail
from edgeagent.model.callers import Caller, rank
from edgeagent.model.functions import Function
from edgeagent.model.functions.rights import entitled
from edgeagent.publish.tally import Tally

Handler = Callable[[Any, Caller], Awaitable[Any]]
"""Takes the function's parameters (its Struct) and the caller; answers what msgspec can encode."""

Tell = Callable[[str, bytes | Raw | None, Caller, CommandRefused], None]
"""Takes a function that was refused, with the parameters as they were written."""

_log = logging.getLogger(__name__)


class _Entry(NamedTuple):
    """A function with its handler; it is a reading one where a viewer may call it."""

    function: Function
    is_reading: bool
    names: tuple[str, ...]
    handler: Handler
    decoder: msgspec.json.Decoder[Any]


class Access:
    """Binds every function of a catalogue to its handler.

    Args:
        refused: takes, for the audit, each call by somebody who may not, and each with wrong parameters of what does
            more than read.
        tally: counts calls of functions that there are not: of those a peer can make up as many as it likes.
        as_now: gives a caller with what it may at that moment: in a batch one call may wait for long.

    Raises:
        ValueError: a function without handler, a handler without function, or an unknown role.
    """

    def __init__(
        self, functions: Mapping[str, Function], handlers: Mapping[str, Handler],
        refused: Tell = lambda *_: None, as_now: Callable[[Caller], Caller] = lambda caller: caller,
        tally: Tally | None = None,
    ) -> None:  # fmt: skip
        self._refused = refused
        self._tally = tally or Tally()
        self._as_now = as_now
        if odd := functions.keys() ^ handlers.keys():
            raise ValueError(f"without function or without handler: {', '.join(sorted(odd))}")
        self._entries = {
            name: _Entry(
                function,
                rank(function.role) <= rank("viewer"),
                tuple(field.encode_name for field in msgspec.structs.fields(function.parameters)),
                handlers[name],
                msgspec.json.Decoder(function.parameters),
            )
            for name, function in functions.items()
        }

    async def call(self, function: str, parameters: bytes | Raw | None, caller: Caller) -> Any:
        """Call a function; see `Outlet.call`."""
        entry = self._entries.get(function)
        if entry is None:
            self._tally.unknown_functions += 1
            _log.warning("%s asked over %s for a function that there is not: %s, from %s", caller.name,
                         caller.transport, Detail(function[:64]), Detail(caller.peer))
            raise CommandRefused("methodNotFound", f"There is no function {function[:64]!r}; rpc.discover lists all.")
        caller = self._as_now(caller)
        if refused := entitled(entry.function, caller):
            self._refused(function, parameters, caller, refused)
            raise refused
        try:
            taken = _taken(entry, parameters)
        except CommandRefused as wrong:
            if not entry.is_reading:
                self._refused(function, parameters, caller, wrong)
            raise
        return await entry.handler(taken, caller)


def _number(text: str) -> int | float:
    """Read a number with a fraction or an exponent: JSON has one type of number, so 5.0 is 5."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:32]} is out of range")
    return int(number) if number.is_integer() and abs(number) < 1 << 53 else number


_PLAIN = msgspec.json.Decoder(float_hook=_number)


def _taken(entry: _Entry, text: bytes | Raw | None) -> Any:
    """Read parameters that are as they should be in one step; look at others closer, and say what is wrong."""
    try:
        return entry.decoder.decode(b"{}" if text is None else text)
    except msgspec.ValidationError:
        pass
    try:
        return _converted(entry, None if text is None else _PLAIN.decode(text))
    except msgspec.ValidationError as error:
        raise CommandRefused("invalidParameters", f"{entry.function.name}: {error}") from None


def _converted(entry: _Entry, parameters: Any) -> Any:
    if isinstance(parameters, list):
        if len(parameters) > len(entry.names):
            most = len(entry.names)
            raise CommandRefused("invalidParameters", f"{entry.function.name} takes at most {most} parameters.")
        parameters = dict(zip(entry.names, parameters, strict=False))
    return msgspec.convert(parameters or {}, entry.function.parameters)
