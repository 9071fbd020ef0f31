"""The users of one agent, and what its audit record tells of them: who signed in, who was refused, who was changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from edgeagent.clock import iso
from edgeagent.model.audit import AuditEntry
from edgeagent.model.users import changes
from edgeagent.store.users import KnownUsers, decoded, encoded, users_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeagent.clock import Clock
    from edgeagent.errors import CommandRefused
    from edgeagent.model.callers import Caller
    from edgeagent.publish.access import Tell
    from edgeagent.publish.authentication import SignIn
    from edgeagent.store import Audit, Checkpoints
    from edgeagent.store.users import Users

_KEPT = "the users"
"""Name of the checkpoint of the users that were told of; no machine can be called so."""

_log = logging.getLogger(__name__)


async def known_users(store: Path, checkpoints: Checkpoints, audit: Audit, clock: Clock) -> KnownUsers:
    """Take up the users beside a store; what changed of them while the agent did not run is told now."""

    def tell(before: Users, now: Users) -> None:
        for change in changes(before, now):
            _log.info("the user %s %s%s", change.user, change.what, f" (by {change.by})" if change.by else "")
            audit.report(AuditEntry(
                **_when(clock), kind="users", who=change.by, transport="local", values={"user": change.user},
                outcome="done", reason=f"{change.user} {change.what}"))  # fmt: skip
        checkpoints.save(_KEPT, encoded(now))

    users = KnownUsers(users_file(store), tell)
    saved = await checkpoints.load(_KEPT)
    users.begin(decoded(saved.body) if saved else ())
    return users


def sign_ins(audit: Audit, clock: Clock) -> Callable[[SignIn], None]:
    """What takes every attempt to say who one is."""

    def tell(attempt: SignIn) -> None:
        audit.note(AuditEntry(
            **_when(clock), kind="refusal" if attempt.fault else "login", who=attempt.user or "",
            role=attempt.may or None, transport=attempt.transport, peer=attempt.peer, function=attempt.function,
            outcome="refused" if attempt.fault else "done", reason=attempt.fault or f"with the {attempt.proof}"))

    return tell


def refusals(audit: Audit, clock: Clock) -> Tell:
    """What takes every call that was refused before its handler saw it, and is worth a record."""

    def tell(function: str, parameters: bytes | None, caller: Caller, refused: CommandRefused) -> None:
        audit.note(AuditEntry(
            **_when(clock), kind="refusal", who=caller.name, role=caller.role, transport=caller.transport,
            peer=caller.peer, function=function, values=_read(parameters), outcome="refused", reason=refused.reason))

    return tell


def _read(parameters: bytes | None) -> Any:
    """Parameters that nobody has checked yet; None where there are none that can be read."""
    try:
        return None if parameters is None else msgspec.json.decode(parameters)
    except (msgspec.DecodeError, RecursionError):
        return None


def _when(clock: Clock) -> dict[str, Any]:
    return {"time": iso(clock.wall_ns()), "clock": "trusted" if clock.trusted else "untrusted"}
