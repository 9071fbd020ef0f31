"""The jobs that run: begun once they are recorded, ended with everything that belongs to their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Raw

from edgeagent.clock import Clock
from edgeagent.control.authority import Permit
from edgeagent.control.commanded import Commanded
from edgeagent.control.outcome import outcome, refusal
from edgeagent.control.records import Records
from edgeagent.control.running import Running
from edgeagent.control.work import JobWork
from edgeagent.errors import CommandRefused, EdgeAgentError, StoreError
from edgeagent.model.commands import Job, JobState

Do = Callable[[JobWork], Awaitable[str | None]]
"""`run` or `resume` of a procedure."""

_log = logging.getLogger(__name__)


class Jobs:
    """Runs jobs of all machines, each in a task of its own.

    Args:
        permit_again: gives a permit to a job that was taken up after a restart; raises Withdrawn.
        ended: called with each job that ran, once it has ended.

    Attributes:
        last_ns: machine → monotonic time when a command was last begun there.
    """

    def __init__(
        self, records: Records, clock: Clock, permit_again: Callable[[Running], Permit],
        ended: Callable[[Running], None] = lambda running: None,
    ) -> None:  # fmt: skip
        self._records = records
        self._clock = clock
        self._permit_again = permit_again
        self._ended = ended
        self._running: dict[str, Running] = {}
        self._is_closing = False
        self.last_ns: dict[str, int] = {}

    def get(self, job: str) -> Running | None:
        """A job that runs; None where there is none."""
        return self._running.get(job)

    def all(self) -> tuple[Running, ...]:
        """Every job that runs."""
        return tuple(self._running.values())

    def rival(self, commanded: Commanded) -> str | None:
        """The job that has a machine for itself; None where none has, or it gives way."""
        return next((each.job.id for each in self._running.values() if each.commanded is commanded
                     and each.procedure.takes_long and not each.procedure.gives_way), None)  # fmt: skip

    async def begin(self, running: Running) -> None:
        """Record a job that is permitted, then let it run. Its machine is taken from this call on.

        Raises:
            CommandRefused: busy, it cannot be recorded; it does not run.
        """
        job, asked = running.job, running.asked
        if self._is_closing:
            raise CommandRefused("busy", "The agent is about to end.", job.machine)
        self._running[job.id] = running
        self._make_way(running)
        try:
            await self._records.audit(
                "command", running.caller, function=job.function, machine=job.machine, request_id=job.request_id,
                job=job.id, values=asked.parameters, before=running.procedure.before())
            await self._records.keep(job, asked)
        except StoreError as error:
            del self._running[job.id]
            reason = f"It cannot be recorded, so it is not run: {error}."
            self._given_up(running, reason)
            raise CommandRefused("busy", reason, job.machine) from error
        except BaseException:
            del self._running[job.id]
            raise
        if self._is_closing:
            return  # it was recorded too late to begin; the next start says so
        if running.permit is not None:
            running.commanded.gate.admit(running.permit)
        self._start(running, running.procedure.run)

    def take_up(self, running: Running, do: Do) -> None:
        """Go on with a job that ran when the agent ended."""
        self._running[running.job.id] = running
        self._start(running, do)

    async def close(self) -> None:
        """Leave the jobs where they are; what has begun to be written is written."""
        self._is_closing = True
        tasks = [running.task for running in self._running.values() if running.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _make_way(self, running: Running) -> None:
        """Note that a machine is commanded, and end what gives way to that."""
        self.last_ns[running.commanded.id] = self._clock.monotonic_ns()
        for other in self._running.values():
            if other is not running and other.commanded is running.commanded and other.procedure.gives_way:
                other.stopped_by = running.caller.name
                other.stop_asked.set()

    def _start(self, running: Running, do: Do) -> None:
        running.task = asyncio.create_task(self._run(running, do), name=f"job {running.job.id}")

    def _given_up(self, running: Running, reason: str) -> None:
        """What was not on disk in time may come there later: then its end comes after it."""
        try:
            self._records.end(running.commanded.machine, running.ended("refused", reason), None)
        except StoreError as error:
            _log.error("job %s was refused, and that cannot be recorded either: %s", running.job.id, error)

    async def _run(self, running: Running, do: Do) -> None:
        try:
            await self._end(running, *await self._done(running, do))
        except Exception:  # noqa: BLE001  supervised: whatever it was, the machine is free again
            job = running.job
            running.refused = CommandRefused("internal", "the agent failed; its log tells more", job.machine)
            _log.exception("the end of job %s (%s) could not be told", job.id, job.function)
        finally:
            self._running.pop(running.job.id, None)
            if running.job.ended_at is not None:
                self._ended(running)

    async def _done(self, running: Running, do: Do) -> tuple[JobState, str | None, Exception | None]:
        """Do it; how it ended, the reason, and what ended it."""
        try:
            return "done", await do(JobWork(running, self._clock, self._permit_again)), None
        except Exception as caught:  # noqa: BLE001  supervised: the job tells of it, whatever it was
            if not isinstance(caught, EdgeAgentError):
                _log.exception("job %s failed unexpectedly", running.job.id)
            return *outcome(caught, bool(running.sent)), caught
        finally:
            if running.permit is not None:
                running.commanded.gate.dismiss(running.permit)

    async def _end(self, running: Running, state: JobState, reason: str | None, error: Exception | None) -> None:
        job, is_done = running.ended(state, reason), state == "done"
        if not is_done:
            _log.warning("%s: job %s (%s) of %s is %s: %s", job.machine, job.id, job.function, job.by, state, reason)
        if running.procedure.takes_long:
            running.commanded.machine.hold_ready(None)
        await self._audit_end(running)
        if running.procedure.answers_when_done:
            self._answer(running, is_done, error)
        try:
            last = self._records.end(running.commanded.machine, job, running.asked, running.events if is_done else (),
                                     running.rows if is_done else ())
            if running.procedure.answers_when_done:
                await self._records.settled(last)
        except StoreError as fault:
            _log.error("the end of job %s (%s) is not on disk: %s", job.id, state, fault)
            running.refused = CommandRefused("busy", f"Its outcome is not on disk: {fault}.", job.machine)

    async def _audit_end(self, running: Running) -> None:
        job = running.job
        try:
            await self._records.outcome(running.caller, job, running.seen or None)
        except (StoreError, TypeError, ValueError) as fault:
            _log.error("the outcome of job %s (%s) is not in the audit yet: %s", job.id, job.state, fault)

    def _answer(self, running: Running, is_done: bool, error: Exception | None) -> None:
        job = running.job
        if is_done:
            answer = Raw(msgspec.json.encode(running.procedure.answer(job)))
            running.asked = msgspec.structs.replace(running.asked, answer=answer)
            return
        running.refused = refusal(error, job.reason or job.state, job.machine)
        told = (running.refused.kind, running.refused.reason)
        running.asked = msgspec.structs.replace(running.asked, refused=told)


def ended_unseen(job: Job, records: Records, reason: str, state: JobState) -> Job:
    """The end of a job that nobody can take up."""
    return msgspec.structs.replace(job, state=state, reason=reason, ended_at=records.now())
