"""JSON-RPC 2.0 to the letter, on msgspec: bytes in, bytes out; knows neither sockets nor functions."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from edgeagent.errors import CommandRefused, MachineError, StoreError
from edgeagent.logs import Detail
from edgeagent.model.callers import Caller
from edgeagent.publish.outlet import Outlet

log = logging.getLogger(__name__)

CODES = {
    "parse": -32700,
    "invalidRequest": -32600,
    "methodNotFound": -32601,
    "invalidParameters": -32602,
    "internal": -32603,
    "unauthenticated": -32001,
    "forbidden": -32002,
    "notRemote": -32003,
    "interlocked": -32004,
    "outOfRange": -32005,
    "notFound": -32006,
    "unreachable": -32007,
    "notConfirmed": -32008,
    "tooMany": -32009,
    "busy": -32010,
    "tooLarge": -32011,
    "expired": -32012,
}
"""Kind of an error → its number on the wire."""

MOST_CALLS = 100
"""Calls in one batch."""

MOST_ANSWERS = 1 << 20
"""Bytes of answers to one batch; once they are reached, its further calls are refused."""

MOST_PARAMETERS = 64 << 10
"""Bytes of one call's parameters: so much is decoded in under 5 ms, whatever it holds."""

WORTH_A_RETRY = ("unreachable", "tooMany", "busy")
"""Kinds after which the same call may go well later."""
_OF_RIGHTS = ("unauthenticated", "forbidden")
_SPACE = b" \t\r\n"
_NO_ID = b"null"


class _Call(msgspec.Struct):
    """One request; the id stays as it was written, so that 1.0 does not come back as 1; the parameters wait."""

    jsonrpc: Any = UNSET
    method: Any = UNSET
    params: Raw | UnsetType = UNSET
    id: Raw | UnsetType = UNSET


_CALL = msgspec.json.Decoder(_Call)
_BATCH = msgspec.json.Decoder(list[Raw])
_ENCODER = msgspec.json.Encoder()


def refusal(
    kind: str, reason: str, ident: bytes = _NO_ID, machine: str | None = None, more: dict[str, str | int] | None = None
) -> bytes:
    """Build an error answer.

    Args:
        kind: a key of CODES.
        reason: a sentence that a shift engineer understands.
        ident: the request's id as it was written.
    """
    data = {"kind": kind, "reason": reason, "machine": machine, "retry": kind in WORTH_A_RETRY, **(more or {})}
    error = {"code": CODES.get(kind, CODES["internal"]), "message": reason, "data": data}
    return b'{"jsonrpc":"2.0","error":%b,"id":%b}' % (_ENCODER.encode(error), ident)


class Dispatcher:
    """Answers JSON-RPC messages through an outlet's port."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    async def answer(self, message: bytes, caller: Caller) -> bytes | None:
        """Answer one message or batch; None where nothing is to be sent back. Never raises for what a peer sent."""
        try:
            if not message.isascii():
                message.decode()  # msgspec does not check the UTF-8 of what it skips or leaves raw
            if message.lstrip(_SPACE)[:1] != b"[":
                call = _read(message)
                batch = None
            else:
                batch = _BATCH.decode(message)
                calls = [_read(element) for element in batch[: MOST_CALLS + 1]]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return refusal("parse", f"This is not JSON: {error}.")
        except RecursionError:
            return refusal("parse", "This JSON is nested too deeply.")
        if batch is None:
            return await self._one(call, caller)
        if not batch:
            return refusal("invalidRequest", "A batch holds at least one call.")
        if len(batch) > MOST_CALLS:
            return refusal("tooLarge", f"A batch holds at most {MOST_CALLS} calls, not {len(batch)}.")
        return await self._all(calls, caller)

    async def _all(self, calls: list[_Call | None], caller: Caller) -> bytes | None:
        answers: list[bytes] = []
        size = 0
        for call in calls:
            answer = await self._one(call, caller, full=size >= MOST_ANSWERS)
            await asyncio.sleep(0)  # a batch shares the loop with everybody else
            if answer is not None:
                answers.append(answer)
                size += len(answer)
        return b"[" + b",".join(answers) + b"]" if answers else None

    async def _one(self, call: _Call | None, caller: Caller, full: bool = False) -> bytes | None:
        if call is None:
            return refusal("invalidRequest", "A request is a JSON object.")
        ident = _NO_ID if call.id is UNSET else bytes(call.id)
        if wrong := _wrong(call, ident):
            return refusal("invalidRequest", wrong, ident if _is_id(ident) else _NO_ID)
        try:
            if full:
                raise CommandRefused("tooLarge", "The answers to this batch are too large; ask in smaller ones.")
            result = await self._outlet.call(call.method, _parameters(call), caller)
            answer = b'{"jsonrpc":"2.0","result":%b,"id":%b}' % (_ENCODER.encode(result), ident)
        except CommandRefused as error:
            if error.kind in _OF_RIGHTS:
                log.warning("%s: refused over %s to %s: %s", call.method, caller.transport, Detail(caller.peer), error)
            answer = refusal(error.kind, error.reason, ident, error.machine, error.more)
        except MachineError as error:
            answer = refusal("unreachable", f"The machine does not answer: {error}", ident)
        except StoreError as error:
            log.warning("%s: the records cannot be read or written: %s", call.method, error)
            answer = refusal("busy", "The records cannot be read or written now; ask again.", ident)
        except Exception:
            incident = secrets.token_hex(4)
            log.exception("%s failed, incident %s", call.method, Detail(incident))
            answer = refusal("internal", f"The agent failed at this; its log tells more under {incident}.", ident)
        return None if call.id is UNSET else answer


def _read(message: bytes | Raw) -> _Call | None:
    """Read one request; None for JSON that is not an object. DecodeError and RecursionError pass."""
    try:
        return _CALL.decode(message)
    except msgspec.ValidationError:
        return None


def _parameters(call: _Call) -> Raw | None:
    """A call's parameters as they were written.

    Raises:
        CommandRefused: tooLarge.
    """
    if call.params is UNSET:
        return None
    if len(call.params) > MOST_PARAMETERS:
        raise CommandRefused("tooLarge", f"The parameters of a call hold at most {MOST_PARAMETERS} bytes.")
    return call.params


def _is_id(ident: bytes) -> bool:
    return ident[:1] in b'"-0123456789' or ident == _NO_ID


def _wrong(call: _Call, ident: bytes) -> str | None:
    """Say what makes this not a request, or None."""
    if call.jsonrpc != "2.0":
        return 'The member "jsonrpc" must be "2.0".'
    if not isinstance(call.method, str):
        return 'The member "method" must be a string.'
    if call.params is not UNSET and memoryview(call.params)[0] not in b"{[":
        return 'The member "params" must be an object or an array.'
    if not _is_id(ident):
        return 'The member "id" must be a string, a number or null.'
    return None
