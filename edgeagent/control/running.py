"""One job while it runs: how far it has got, who may end it, and whether it still may command."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec

from edgeagent.control.authority import Permit
from edgeagent.control.commanded import Commanded
from edgeagent.control.ports import AsNow, Value
from edgeagent.control.procedure import CommandEnded, Procedure, Stopped, Withdrawn
from edgeagent.control.records import Records
from edgeagent.errors import CommandRefused, StoreError
from edgeagent.model.callers import Caller
from edgeagent.model.commands import Job, JobState, JobStep
from edgeagent.model.events import Event
from edgeagent.model.functions.forms import Function
from edgeagent.model.functions.rights import entitled
from edgeagent.store.journal import Kept
from edgeagent.store.requests import Asked

_MOST_STEPS = 100


@dataclass(slots=True, kw_only=True)
class Running:
    """A job with its procedure.

    Attributes:
        permit: None for a job that was taken up after a restart: until it is permitted anew.
        stop_asked: set when it shall end; stopped_by: who wants that.
        ends: why it is on its way to its end before its time.
        sent: paths that were sent to a register, whether or not it arrived; not those that were surely not written.
        left_set: a pulse could not be taken back.
        seen: what was read last of each point, for the audit.
    """

    job: Job
    asked: Asked
    function: Function
    caller: Caller
    procedure: Procedure
    commanded: Commanded
    records: Records
    as_now: AsNow
    permit: Permit | None = None
    stop_asked: asyncio.Event = field(default_factory=asyncio.Event)
    stopped_by: str = ""
    ends: CommandEnded | None = None
    sent: set[str] = field(default_factory=set)
    left_set: bool = False
    rows: list[Kept] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    seen: dict[str, Value] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    refused: CommandRefused | None = None

    async def step(self, text: str) -> None:
        """End the step that goes on, begin the next, and keep both.

        Raises:
            Withdrawn: they cannot be kept, and what cannot be recorded is not done.
        """
        now = self.records.now()
        steps = (*_ended(self.job.steps, now), JobStep(text, now))[-_MOST_STEPS:]
        await self._keep(msgspec.structs.replace(self.job, state="running", steps=steps))

    async def begin(self) -> None:
        """Keep that it runs, before anything is written; raises like `step`."""
        if self.job.state == "accepted":
            await self._keep(msgspec.structs.replace(self.job, state="running"))

    async def _keep(self, job: Job) -> None:
        self.job = job
        try:
            await self.records.keep(job)
        except StoreError as error:
            raise Withdrawn(f"It cannot be recorded any more: {error}.") from error

    def ended(self, state: JobState, reason: str | None) -> Job:
        """Put the end into the job."""
        now = self.records.now()
        steps = _ended(self.job.steps, now)
        self.job = msgspec.structs.replace(self.job, state=state, reason=reason, ended_at=now, steps=steps)
        return self.job

    def demand_going_on(self, is_writing: bool = False) -> None:
        """Raise when it shall end: the first time, and from then on it is on its way to a safe state.

        A job that only waits goes on while the panel's switch cannot be read: what it meets then is its own to judge.
        One that was taken up after a restart goes on looking under any control, until it wants to write.

        Raises:
            Stopped, Withdrawn.
        """
        if self.ends is not None:
            return
        if self.stop_asked.is_set():
            self.ends = Stopped(f"{self.stopped_by} stopped it.")
        elif is_writing and (refused := entitled(self.function, self.as_now(self.caller))):
            self.ends = Withdrawn(f"{self.caller.name} may not command it any more. {refused.reason}")
        elif self.function.needs_remote and (is_writing or self.permit is not None):
            remote = self.commanded.look()
            control, reason = remote.allows(self.function.name)
            if control != "remote" and (is_writing or not remote.is_dark):
                what = f"Control became {control}" if self.permit else f"{self.job.machine} is under {control} control"
                self.ends = Withdrawn(f"{what}: {reason}.")
        if self.ends is not None:
            raise self.ends

    def demand_writing(self, name: str) -> None:
        """Raise unless a point or command may be written now.

        Raises:
            Stopped, Withdrawn: the job shall end, an interlock does not hold any more, or it is not for a safe state.
        """
        if not self.function.needs_remote:
            raise PermissionError(f"{self.function.name} touches no machine")
        self.demand_going_on(is_writing=True)
        if self.ends is not None:
            if name not in self.procedure.safe:
                raise self.ends
            if reason := self.commanded.look().may_end():
                raise Withdrawn(f"{self.ends} It could not be brought to a safe state: {reason}.")
            return
        if reasons := " ".join(self.procedure.interlocks()):
            self.ends = Withdrawn(reasons)
            raise self.ends


def _ended(steps: tuple[JobStep, ...], now: str) -> tuple[JobStep, ...]:
    if not steps or steps[-1].ended_at is not None:
        return steps
    return (*steps[:-1], msgspec.structs.replace(steps[-1], ended_at=now))
