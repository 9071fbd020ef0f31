"""What is written of commands: the audit, jobs as far as they have got, what was asked for, and their ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from edgeagent.clock import Clock, iso
from edgeagent.control.ports import CommandedMachine
from edgeagent.errors import StoreError
from edgeagent.model.audit import AuditEntry, AuditKind
from edgeagent.model.callers import Caller
from edgeagent.model.commands import Job
from edgeagent.model.events import CommandExecuted, Event
from edgeagent.store import Archive
from edgeagent.store.jobs import JobNote
from edgeagent.store.journal import Kept
from edgeagent.store.requests import Asked, AskedNote


class Audit(Protocol):
    """The audit record."""

    @property
    def failing(self) -> str | None:
        """Why it cannot be written now; None where it can."""

    async def write(self, *entries: AuditEntry) -> None:
        """Write entries; returns when they are on disk.

        Raises:
            StoreError: they are not.
        """

    def report(self, *entries: AuditEntry) -> None:
        """Write entries of what has happened already, without waiting."""

    def note(self, entry: AuditEntry) -> None:
        """Write an entry of which a peer can make thousands, without waiting: repetitions become a sum."""


class Records:
    """Writes what becomes of commands.

    Args:
        patience_s: longest wait for the disk, in real seconds.
    """

    def __init__(self, archive: Archive, audit: Audit, clock: Clock, patience_s: float = 10.0) -> None:
        self._archive = archive
        self._audit = audit
        self._clock = clock
        self._patience_s = patience_s

    def now(self) -> str:
        """The time of now as it is told."""
        return iso(self._clock.wall_ns())

    def failing(self) -> str | None:
        """Why nothing can be recorded now; None where it can."""
        return self._audit.failing or self._archive.database.health().failing

    async def audit(self, kind: AuditKind, caller: Caller | None, **more: Any) -> None:
        """Write an entry of the audit; `caller` is None where the agent acts by itself.

        Raises:
            StoreError: it is not on disk.
        """
        await self._audit.write(self._entry(kind, caller, more))

    async def outcome(self, caller: Caller, job: Job, after: Any) -> None:
        """Write into the audit what came of a job.

        Raises:
            StoreError: it is not on disk; it waits until the disk takes entries again.
        """
        entry = self._entry("outcome", caller, {
            "function": job.function, "machine": job.machine, "request_id": job.request_id, "job": job.id,
            "after": after, "outcome": job.state, "reason": job.reason})  # fmt: skip
        try:
            await self._audit.write(entry)
        except StoreError:
            self._audit.report(entry)  # of a disk that is only slow it is there twice, rather than not at all
            raise

    def refusal(self, caller: Caller, is_flood: bool = True, **more: Any) -> None:
        """Note in the audit that somebody was refused; of a flood of them, where they are alike, a sum."""
        entry = self._entry("refusal", caller, more | {"outcome": "refused"})
        if is_flood:
            self._audit.note(entry)
        else:
            self._audit.report(entry)

    def stopped(self, caller: Caller, job: Job) -> None:
        """Note in the audit that somebody stops a job."""
        entry = self._entry("command", caller, {"function": "Command.Stop", "machine": job.machine, "job": job.id})
        self._audit.note(entry)

    def turned(self, machine: str, before: str, now: str, by: str, until: str | None, reason: str) -> None:
        """Note in the audit that control changed."""
        values = {"machine": machine, "before": before, "after": now, "values": {"until": until}}
        entry = self._entry("grant", None, values | {"reason": reason or None})
        self._audit.note(msgspec.structs.replace(entry, who=by))

    def _entry(self, kind: AuditKind, caller: Caller | None, more: dict[str, Any]) -> AuditEntry:
        clock = "trusted" if self._clock.trusted else "untrusted"
        if caller is None:
            return AuditEntry(time=self.now(), clock=clock, kind=kind, who="agent", **more)
        return AuditEntry(
            time=self.now(), clock=clock, kind=kind, who=caller.name, role=caller.role, transport=caller.transport,
            peer=caller.peer, **more,
        )  # fmt: skip

    async def keep(self, job: Job, asked: Asked | None = None) -> None:
        """Keep a job as far as it has got, with what was asked for at its beginning; returns when it is on disk.

        Raises:
            StoreError: it is not in time; it may come there later.
        """
        notes: list[Kept] = [JobNote(job)]
        if asked is not None:
            notes.append(AskedNote(asked, self._archive.steady.now_ns()))
        try:
            async with asyncio.timeout(self._patience_s):
                await self._archive.database.write(lambda c: [note.insert(c) for note in notes])
        except TimeoutError as error:
            reason = self._archive.database.health().failing or "the disk is slow"
            raise StoreError(f"job {job.id} is not on disk: {reason}") from error

    def end(
        self, machine: CommandedMachine, job: Job, asked: Asked | None, events: Sequence[Event] = (),
        rows: Sequence[Kept] = (),
    ) -> int:  # fmt: skip
        """Keep the end of a job in one transaction with what it did to the store, and tell `Command.Executed`.

        Args:
            asked: with its answer; None where the caller's key belongs to another command.
        """
        notes: list[Kept] = [JobNote(job), *rows]
        if asked is not None:
            notes.append(AskedNote(asked, self._archive.steady.now_ns(), is_over=True))
        return machine.tell(*events, self._executed(job), rows=notes)

    def end_elsewhere(self, job: Job) -> None:
        """Keep and tell the end of a job whose machine this agent does not serve any more."""
        clock = "trusted" if self._clock.trusted else "untrusted"
        self._archive.journal.append((self._executed(job),), None, clock, (JobNote(job),))

    def _executed(self, job: Job) -> Event:
        executed = CommandExecuted(job.id, job.request_id, job.function, job.by, job.state, job.reason)
        return Event("Command.Executed", self._clock.wall_ns(), job.machine, executed)

    async def settled(self, sequence: int) -> None:
        """Wait until the journal is on disk up to there; StoreError when it is not in time."""
        await self._archive.journal.settled(sequence)
