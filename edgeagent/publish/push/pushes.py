"""All push targets of an agent: opened, asked how they stand, and helped from the console."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from edgeagent.clock import Clock, instant_ns, iso
from edgeagent.config import PushTable
from edgeagent.errors import CommandRefused, EdgeAgentError, StoreError
from edgeagent.model.audit import AuditEntry
from edgeagent.model.callers import Caller
from edgeagent.model.functions.push import OfPush, PushesStanding, PushStanding, RetryPush, SkipPush
from edgeagent.publish.access import Handler
from edgeagent.publish.notices import Notices
from edgeagent.publish.push.access import Access
from edgeagent.publish.push.batch import Item
from edgeagent.publish.push.line import Line
from edgeagent.store import Archive

_SHOWN = 100
"""Events set aside that are shown of one target."""


class Audit(Protocol):
    """The audit record."""

    async def write(self, *entries: AuditEntry) -> None:
        """Write entries; raises StoreError where they are not on disk."""

    def report(self, *entries: AuditEntry) -> None:
        """Write entries of what has happened already, without waiting."""


class Pushes:
    """The lines of an agent, and what the console answers about them.

    Args:
        folder: of the configuration's file, where relative paths begin.

    Attributes:
        lines: one for each target, in the order of the configuration; each wants to be run as a task.
    """

    def __init__(
        self, tables: Sequence[PushTable], folder: Path, archive: Archive, notices: Notices, audit: Audit, clock: Clock
    ) -> None:
        self.lines = [Line(table, Access(table, folder), archive, notices, clock) for table in tables]
        self._audit = audit
        self._clock = clock

    async def close(self) -> None:
        """End every connection; the tasks have ended."""
        for line in self.lines:
            await line.close()

    def handlers(self) -> dict[str, Handler]:
        """The functions answered here."""
        return {"Push.Status": self.status, "Push.Retry": self.retry, "Push.Skip": self.skip}

    async def status(self, wanted: OfPush, _: Caller) -> PushesStanding:
        """How targets stand."""
        lines = self.lines if wanted.target is None else [self._line(wanted.target)]
        return PushesStanding(tuple([await self._standing(line) for line in lines]))

    async def retry(self, wanted: RetryPush, caller: Caller) -> PushesStanding:
        """Try now, or send again what is set aside."""
        if wanted.sequence is None and not wanted.all:
            lines = self.lines if wanted.target is None else [self._line(wanted.target)]

            async def try_now() -> None:
                for line in lines:
                    line.retry()

            await self._audited("Push.Retry", wanted, caller, try_now)
            return await self.status(OfPush(wanted.target), caller)
        line = self._line(wanted.target)
        events = [event for event in line.set_aside() if wanted.all or event.sequence == wanted.sequence]
        if not events:
            which = "No event" if wanted.all else f"Event {wanted.sequence} is not one that"
            raise CommandRefused("notFound", f"{which} is set aside of {line.name}; edgeagent push status tells which.")
        await self._audited("Push.Retry", wanted, caller, lambda: line.send_again(events))
        return await self.status(OfPush(line.name), caller)

    async def skip(self, wanted: SkipPush, caller: Caller) -> PushesStanding:
        """Set the event aside at which a line stands."""
        line = self._line(wanted.target)
        await self._audited(
            "Push.Skip", wanted, caller, lambda: line.skip(wanted.sequence, wanted.reason, caller.name))
        return await self.status(OfPush(line.name), caller)

    def _line(self, name: str | None) -> Line:
        names = ", ".join(line.name for line in self.lines) or "none; add it as [[openapps.push]]"
        if name is None:
            if len(self.lines) == 1:
                return self.lines[0]
            raise CommandRefused("invalidParameters", f"Say which target; there are {names}.")
        for line in self.lines:
            if line.name == name:
                return line
        raise CommandRefused("notFound", f"There is no push target {name[:64]!r}; there are {names}.")

    async def _audited(
        self, function: str, wanted: RetryPush | SkipPush, caller: Caller, do: Callable[[], Awaitable[None]]
    ) -> None:  # fmt: skip
        """Do what is on record already, and record what came of it; nothing is done that cannot be recorded."""
        values = {name: value for name in wanted.__struct_fields__ if (value := getattr(wanted, name))}
        try:
            await self._audit.write(self._entry(function, caller, kind="command", values=values))
        except StoreError as error:
            raise CommandRefused("busy", f"It cannot be recorded, so it is not done: {error}.") from None
        try:
            await do()
        except EdgeAgentError as error:
            self._audit.report(self._entry(function, caller, kind="outcome", outcome="failed", reason=str(error)))
            raise
        self._audit.report(self._entry(function, caller, kind="outcome", outcome="done"))

    def _entry(self, function: str, caller: Caller, **more: Any) -> AuditEntry:
        return AuditEntry(
            time=iso(self._clock.wall_ns()), clock="trusted" if self._clock.trusted else "untrusted", who=caller.name,
            role=caller.role, transport=caller.transport, peer=caller.peer, function=function, **more)  # fmt: skip

    async def _standing(self, line: Line) -> PushStanding:
        place, head, aside = line.place, line.head, line.set_aside()
        return PushStanding(
            target=line.name, url=line.url, state=line.state, reason=_why(line), since=iso(line.since_ns),
            last_success=None if line.last_success_ns is None else iso(line.last_success_ns),
            next_try_seconds=None if line.next_try_s is None else round(line.next_try_s, 1),
            stream=place.stream if place else None, acknowledged=place.acknowledged if place else None,
            head=head.sequence if head else None, lag=await line.lag(), lag_seconds=self._lag_s(head),
            set_aside_count=len(aside), set_aside=aside[-_SHOWN:],
        )  # fmt: skip

    def _lag_s(self, head: Item | None) -> float | None:
        """How long ago the event happened that goes next; None where nothing is owed."""
        if head is None:
            return None
        return max(0.0, round((self._clock.wall_ns() - instant_ns(head.happened)) / 1e9, 1))


def _why(line: Line) -> str | None:
    """Why a line is stopped, and what the MES said about it; None where it is not."""
    return f"{line.reason} ({line.said})" if line.reason and line.said else line.reason
