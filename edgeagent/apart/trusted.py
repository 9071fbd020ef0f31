"""Whose certificates OPC UA trusts, as the audit record has it: told whoever changes the folder, and whenever."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from edgeagent.clock import iso
from edgeagent.model.audit import AuditEntry
from edgeagent.publish.opcua.folders import TRUSTED, Change, Fingerprints, changes

if TYPE_CHECKING:
    from pathlib import Path

    from edgeagent.clock import Clock
    from edgeagent.store import Audit, Checkpoints

_KEPT = "the OPC UA clients"
"""Name of the checkpoint of those that were told of; no machine can be called so."""

_LOOK_S = 1.0
_NOBODY = Change("", "")


class TrustedClients:
    """The certificates in the trusted folder; what changed while the agent did not run is told as it begins.

    Args:
        folder: of the trusted and the rejected ones.
    """

    def __init__(self, folder: Path, checkpoints: Checkpoints, audit: Audit, clock: Clock) -> None:
        self._folder = folder
        self._checkpoints = checkpoints
        self._audit = audit
        self._clock = clock

    async def run(self) -> None:
        """Look again and again."""
        saved = await self._checkpoints.load(_KEPT)
        known = frozenset(msgspec.json.decode(saved.body, type=tuple[str, ...]) if saved else ())
        trusted, before = Fingerprints(self._folder / TRUSTED), known
        while True:
            with suppress(OSError):  # the server makes the folder; one that cannot be read changes nobody's trust
                now = trusted.now()
                if now == before != known:  # two looks agree: a file may not have been whole
                    self._tell_all(known, now)
                    known = now
                before = now
            await asyncio.sleep(_LOOK_S)

    def _tell_all(self, before: frozenset[str], now: frozenset[str]) -> None:
        by = changes(self._folder)
        for digest in sorted(before ^ now):
            self._tell(digest, by.get(digest, _NOBODY), is_trusted=digest in now)
        self._checkpoints.save(_KEPT, msgspec.json.encode(sorted(now)))

    def _tell(self, digest: str, change: Change, is_trusted: bool) -> None:
        whose = f" of {change.subject}" if change.subject else ""
        self._audit.report(AuditEntry(
            time=iso(self._clock.wall_ns()), clock="trusted" if self._clock.trusted else "untrusted", kind="users",
            who=change.by, transport="local", values={"certificate": digest}, outcome="done",
            reason=f"the OPC UA server trusts the certificate{whose}{'' if is_trusted else ' no longer'}"))
