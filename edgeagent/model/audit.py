"""One entry of the audit record: who asked for what, from where, and what came of it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Literal

import msgspec

AuditKind = Literal[
    "login", "refusal", "command", "outcome", "write", "grant", "users", "configuration", "record"
]
"""A caller became known; was refused; a command begins; it ended; one register was written; control was granted, taken
or ran out; users or keys changed; the configuration did; the record tells of itself."""

_MOST_TEXT = 1024
"""Characters of one text."""
_MOST_VALUES = 4096
"""Bytes of JSON of the values, of those before and of those after."""
_SHOWN = 1024
"""Characters that are left of values that are too long."""
_SECRET = frozenset({"token", "password", "secret"})

_encode = msgspec.json.Encoder(order="sorted").encode


class AuditEntry(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One entry; what does not apply is None and not written.

    Attributes:
        time: RFC 3339, when it happened. clock: "trusted" or "untrusted", what is known of that time.
        who: name of the caller, "" of one who is not known; "agent" where the agent acts by itself.
        role: what the caller may. transport: "http", "websocket", "lines", "opcua", "local". peer: "host:port".
        function: the name on the wire. request_id: the caller's key. job: id of the job that it became.
        values, before, after: anything that JSON holds: the parameters; what stood in the machine, and what was read
            back. Tokens and passwords in them are blanked, what is over 4 KiB is cut, see `bounded`.
        outcome: "done", "refused", "failed", ... in the words of a job's state. reason: a sentence.
        count, until: of a sum, how many such entries it stands for, and the time of the last; `time` is the first's.
    """

    time: str
    clock: str = "trusted"
    kind: AuditKind
    who: str
    role: str | None = None
    transport: str | None = None
    peer: str | None = None
    function: str | None = None
    machine: str | None = None
    request_id: str | None = None
    job: str | None = None
    values: Any = None
    before: Any = None
    after: Any = None
    outcome: str | None = None
    reason: str | None = None
    count: int | None = None
    until: str | None = None


def bounded(entry: AuditEntry) -> AuditEntry:
    """Cut what is too long to at most 16 KiB in all, and blank secrets.

    Values over 4 KiB become their beginning as a text, their size, and the SHA-256 digest of the whole (JSON with
    sorted names), so that whoever has the original can show that it is the one.

    Raises:
        TypeError, ValueError: values that JSON does not hold.
    """
    changed: dict[str, Any] = {}
    for name in entry.__struct_fields__:
        value = getattr(entry, name)
        if value is None:
            continue
        fit = _fit_values(value) if name in ("values", "before", "after") else _fit_text(value)
        if fit is not value:
            changed[name] = fit
    return msgspec.structs.replace(entry, **changed) if changed else entry


def _fit_text(value: Any) -> Any:
    return value[: _MOST_TEXT - 1] + "…" if isinstance(value, str) and len(value) > _MOST_TEXT else value


def _fit_values(value: Any) -> Any:
    value = _without_secrets(value)
    text = _encode(value)
    if len(text) <= _MOST_VALUES:
        return value
    return {"cut": text.decode()[:_SHOWN], "bytes": len(text), "sha256": sha256(text).hexdigest()}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "…" if name in _SECRET else _without_secrets(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(each) for each in value]
    return value
