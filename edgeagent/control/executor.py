"""One command from its request to its end: decided, recorded, answered, run, and told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import Raw

from edgeagent.clock import Clock, instant_ns
from edgeagent.config import ControlTable
from edgeagent.control.authority import Case, Permit, Refusal, decide
from edgeagent.control.commanded import Commanded
from edgeagent.control.ports import Context
from edgeagent.control.procedure import Factory, Failed, NotConfirmed, Procedure, Stopped, Unknown, Withdrawn
from edgeagent.control.rates import Rates
from edgeagent.control.records import Records
from edgeagent.control.running import Running
from edgeagent.control.work import JobWork
from edgeagent.errors import CommandRefused, MachineError, StoreError
from edgeagent.model.callers import Caller
from edgeagent.model.commands import Job, JobState
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.functions.forms import CommandParameters, Function
from edgeagent.model.functions.rights import entitled
from edgeagent.model.ids import new_id
from edgeagent.store import Archive
from edgeagent.store.requests import Asked, row_id

KEPT_NS = 24 * 3600 * 1_000_000_000
"""How long a caller's key is known."""

_NOT_KEPT = ("new", "rate", "recordable")
"""Checks after whose refusal the key stays free: it belongs to another command, or the same may go well later."""
_KINDS: dict[type[Exception], str] = {
    NotConfirmed: "notConfirmed", Withdrawn: "notRemote", Stopped: "busy", Unknown: "notConfirmed",
}  # fmt: skip

_log = logging.getLogger(__name__)


class Executor:
    """Runs the commands of all machines.

    Args:
        procedures: function → what makes its procedure.
    """

    def __init__(
        self, machines: Mapping[str, Commanded], procedures: Mapping[str, Factory], settings: ControlTable,
        archive: Archive, records: Records, clock: Clock,
    ) -> None:  # fmt: skip
        self._machines = machines
        self._procedures = procedures
        self._settings = settings
        self._archive = archive
        self._records = records
        self._clock = clock
        self._callers = Rates(settings.caller_per_minute)
        self._commanded = Rates(settings.machine_per_minute)
        self._deciding: dict[str, asyncio.Future[None]] = {}
        self._jobs: dict[str, Running] = {}

    @property
    def jobs(self) -> tuple[Running, ...]:
        """The jobs that run."""
        return tuple(self._jobs.values())

    async def call(self, name: str, parameters: CommandParameters, caller: Caller) -> Any:
        """Do what a caller asks for, once; answer the job, or its outcome where the procedure wants it so.

        Raises:
            CommandRefused: any check said no, or the outcome was not good.
        """
        function, commanded = FUNCTIONS[name], self._find(parameters.machine)
        if refused := entitled(function, caller):
            raise refused
        plain = msgspec.to_builtins(parameters) | {"machine": commanded.id}
        for member in ("requestId", "notAfter"):
            plain.pop(member, None)
        asked = Asked(caller.name, caller.role, caller.functions, parameters.request_id, name, commanded.id,
                      Raw(msgspec.json.encode(plain)), new_id(self._clock.wall_ns()))  # fmt: skip
        if asked.key is None:
            return await self._first(function, parameters, asked, caller, commanded)
        while first := self._deciding.get(asked.id):
            await asyncio.wait((first,))
        self._deciding[asked.id] = decided = asyncio.get_running_loop().create_future()
        try:
            known = await self._archive.requests.get(asked.id, self._clock.wall_ns() - KEPT_NS)
            if known is None:
                return await self._first(function, parameters, asked, caller, commanded)
            if known.is_as(asked):
                return _again(known)
            reason = f"The requestId {asked.key} was used for {known.function} with other parameters."
            return await self._first(function, parameters, asked, caller, commanded, reason)
        finally:
            decided.set_result(None)
            del self._deciding[asked.id]

    def stop(self, job: str, caller: Caller) -> Running:
        """Ask a job to come to its nearest safe state and end.

        Raises:
            CommandRefused: it does not run, or the caller may not start it either.
        """
        running = self._jobs.get(job)
        if running is None:
            raise CommandRefused("notFound", f"There is no job {job!r} that runs.")
        if refused := entitled(running.function, caller):
            raise refused
        if not running.stop_asked.is_set():
            running.stopped_by = caller.name
            running.stop_asked.set()
        return running

    async def resume(self) -> None:
        """Take up the jobs that had not ended when the agent did; each ends in a task of its own."""
        for job in await self._archive.jobs.open():
            commanded = self._machines.get(job.machine)
            asked = await self._archive.requests.get(row_id(job.by, job.request_id or f"\n{job.id}"))
            if commanded is None or asked is None or asked.function not in self._procedures:
                _log.error("job %s (%s) cannot be taken up after a restart", job.id, job.function)
                if commanded is not None:
                    self._give_up(commanded, job, asked)
                continue
            self._take_up(commanded, job, asked)

    async def close(self) -> None:
        """Leave the jobs where they are: the next start takes them up. What has begun to be written is written."""
        tasks = [running.task for running in self._jobs.values() if running.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Deciding

    def _find(self, machine: str | None) -> Commanded:
        if machine is None and len(self._machines) == 1:
            return next(iter(self._machines.values()))
        known = ", ".join(self._machines)
        if machine is None:
            raise CommandRefused("invalidParameters", f"Name the machine; this agent serves {known}.")
        if machine not in self._machines:
            raise CommandRefused("notFound", f"There is no machine {machine!r}; this agent serves {known}.")
        return self._machines[machine]

    async def _first(
        self, function: Function, parameters: CommandParameters, asked: Asked, caller: Caller, commanded: Commanded,
        repeats: str | None = None,
    ) -> Any:  # fmt: skip
        procedure: Procedure | None = None
        try:
            procedure = self._made(asked.function, parameters, caller, commanded)
        except CommandRefused as error:
            verdict: Permit | Refusal = Refusal("exists", error.kind, error.reason)
        case = self._case(function, parameters, asked, caller, commanded, procedure, repeats)
        if procedure is not None:
            verdict = decide(case)
        elif isinstance(earlier := decide(replace(case, interlocks=(), faults=())), Refusal):
            verdict = earlier
        now_ns = self._clock.monotonic_ns()
        self._callers.add(caller.name, now_ns)
        self._commanded.add(commanded.id, now_ns)
        if isinstance(verdict, Refusal):
            self._refused(verdict, case, asked, commanded, parameters.request_id)
            raise CommandRefused(verdict.kind, verdict.reason, commanded.id)
        assert procedure is not None
        return await self._permitted(verdict, function, asked, caller, commanded, procedure)

    def _made(self, name: str, parameters: Any, caller: Caller, commanded: Commanded) -> Procedure:
        context = Context(caller, self._clock, commanded.settings, commanded.remote, self._archive, self._settings)
        return self._procedures[name](commanded.machine, parameters, context)

    def _case(
        self, function: Function, parameters: CommandParameters | None, asked: Asked, caller: Caller,
        commanded: Commanded, procedure: Procedure | None, repeats: str | None = None,
    ) -> Case:  # fmt: skip
        control, reason = commanded.look().allows(asked.function)
        rival = next((each.job.id for each in self._jobs.values() if each.commanded is commanded
                      and each.procedure.takes_long), None)  # fmt: skip
        now_ns, settings = self._clock.monotonic_ns(), self._settings
        return Case(
            job=asked.job, machine=commanded.id, function=function, caller=caller, now_ns=self._clock.wall_ns(),
            not_after_ns=_moment(parameters.not_after) if parameters else None,
            is_clock_usable=self._clock.trusted or self._clock.speed != 1.0, repeats=repeats,
            control=control, control_reason=reason, is_connected=commanded.machine.status().connected,
            interlocks=tuple(procedure.interlocks()) if procedure else (),
            faults=tuple(procedure.limits()) if procedure else (),
            rival=rival if procedure and procedure.takes_long and rival != asked.job else None,
            by_caller=self._callers.count(caller.name, now_ns), most_by_caller=settings.caller_per_minute,
            by_machine=self._commanded.count(commanded.id, now_ns), most_by_machine=settings.machine_per_minute,
            unrecordable=self._records.failing(),
        )  # fmt: skip

    def _refused(self, refusal: Refusal, case: Case, asked: Asked, commanded: Commanded, key: str | None) -> None:
        """Record a refusal: in the audit always, as a job and an event unless there is a flood of them."""
        self._records.refusal(case.caller, function=asked.function, machine=asked.machine, request_id=key,
                              job=asked.job, values=asked.parameters, reason=refusal.reason)
        is_flood = case.by_caller >= case.most_by_caller or case.by_machine >= case.most_by_machine
        if is_flood or refusal.check in ("authenticated", "entitled", *_NOT_KEPT):
            return
        now = self._records.now()
        job = Job(id=asked.job, function=asked.function, machine=asked.machine, request_id=key, by=asked.caller,
                  state="refused", reason=refusal.reason, accepted_at=now, ended_at=now)
        kept = msgspec.structs.replace(asked, refused=(refusal.kind, refusal.reason))
        self._records.end(commanded.machine, job, kept)

    # Running

    async def _permitted(
        self, permit: Permit, function: Function, asked: Asked, caller: Caller, commanded: Commanded,
        procedure: Procedure,
    ) -> Any:  # fmt: skip
        job = Job(id=asked.job, function=asked.function, machine=asked.machine, request_id=asked.key, by=asked.caller,
                  state="accepted", accepted_at=self._records.now())
        running = Running(job=job, asked=asked, function=function, caller=caller, procedure=procedure,
                          commanded=commanded, records=self._records, permit=permit)
        if not procedure.answers_when_done:
            running.asked = msgspec.structs.replace(asked, answer=Raw(msgspec.json.encode(job)))
        # From here on the machine is taken: nothing else is permitted while the record is written.
        self._jobs[job.id] = running
        try:
            await self._records.audit("command", caller, function=asked.function, machine=asked.machine,
                                      request_id=asked.key, job=job.id, values=asked.parameters,
                                      before=procedure.before())
            await self._records.keep(job, running.asked)
        except BaseException as error:
            del self._jobs[job.id]
            if not isinstance(error, StoreError):
                raise
            self._given_up(running, error)
            raise CommandRefused("busy", f"It cannot be recorded, so it is not run: {error}.", asked.machine) from error
        commanded.gate.admit(permit)
        running.task = asyncio.create_task(self._run(running, procedure.run), name=f"job {job.id}")
        if not procedure.answers_when_done:
            return job
        await asyncio.wait((running.task,))
        if running.refused is not None:
            raise running.refused
        return _decoded(running.asked.answer)

    def _given_up(self, running: Running, error: StoreError) -> None:
        """What was not on disk in time may come there later: then its end comes after it."""
        job = running.ended("refused", f"It could not be recorded, so it was not run: {error}.")
        try:
            self._records.end(running.commanded.machine, job, None)
        except StoreError:
            _log.error("job %s was refused, and that cannot be recorded either", job.id)

    async def _run(self, running: Running, do: Any) -> None:
        """Run a procedure to its end; an agent that ends leaves it where it is."""
        state: JobState = "failed"
        error: Exception | None = None
        reason: str | None = None
        try:
            reason, state = await do(JobWork(running, self._clock, self._permit_again)), "done"
        except Exception as caught:  # noqa: BLE001  supervised: it is told, whatever it was
            error = caught
            state, reason = _outcome(caught, running.has_written)
            if state == "failed" and not isinstance(caught, Failed | MachineError):
                _log.exception("job %s failed unexpectedly", running.job.id)
        finally:
            if running.permit is not None:
                running.commanded.gate.dismiss(running.permit)
            if running.procedure.takes_long:
                running.commanded.machine.hold_ready(None)
        await self._end(running, state, reason, error)

    async def _end(self, running: Running, state: JobState, reason: str | None, error: Exception | None) -> None:
        job, asked = running.ended(state, reason), running.asked
        try:
            await self._records.audit(
                "outcome", running.caller, function=job.function, machine=job.machine, request_id=job.request_id,
                job=job.id, after=running.seen or None, outcome=state, reason=reason)
        except StoreError as fault:
            _log.error("the outcome of job %s (%s) is not in the audit: %s", job.id, state, fault)
        if running.procedure.answers_when_done:
            if state == "done":
                asked = msgspec.structs.replace(asked, answer=Raw(msgspec.json.encode(running.procedure.answer(job))))
            else:
                running.refused = error if isinstance(error, CommandRefused) else CommandRefused(
                    _kind(error, state), reason or state, job.machine)
                asked = msgspec.structs.replace(asked, refused=(running.refused.kind, running.refused.reason))
        running.asked = asked
        is_done = state == "done"
        try:
            last = self._records.end(running.commanded.machine, job, asked, running.events if is_done else (),
                                     running.rows if is_done else ())
            if running.procedure.answers_when_done:
                await self._records.settled(last)
        except StoreError as fault:
            running.refused = CommandRefused("busy", f"Its outcome is not on disk: {fault}.", job.machine)
        finally:
            del self._jobs[job.id]

    # After a restart

    def _take_up(self, commanded: Commanded, job: Job, asked: Asked) -> None:
        caller = Caller(asked.caller, asked.role, "restart", "", asked.functions, is_authenticated=True)
        function = FUNCTIONS[asked.function]
        try:
            parameters = msgspec.json.decode(asked.parameters, type=function.parameters)
            procedure = self._made(asked.function, parameters, caller, commanded)
        except (msgspec.DecodeError, CommandRefused):
            self._give_up(commanded, job, asked)
            return
        running = Running(job=job, asked=asked, function=function, caller=caller, procedure=procedure,
                          commanded=commanded, records=self._records)
        self._jobs[job.id] = running
        do = procedure.resume if job.state == "running" and function.needs_remote else _never_begun
        running.task = asyncio.create_task(self._run(running, do), name=f"job {job.id}")

    def _give_up(self, commanded: Commanded, job: Job, asked: Asked | None) -> None:
        never = job.state == "accepted"
        reason = _NEVER_BEGUN if never else "The agent was restarted while it ran, and cannot take it up."
        now = self._records.now()
        ended = msgspec.structs.replace(job, state="failed" if never else "unknown", reason=reason, ended_at=now)
        self._records.end(commanded.machine, ended, asked)

    def _permit_again(self, running: Running) -> Permit:
        """Decide on a job that was taken up: everything is asked again but its place in time and its rate."""
        case = self._case(running.function, None, running.asked, running.caller, running.commanded, running.procedure)
        verdict = decide(replace(case, by_caller=0, by_machine=0, rival=None))
        if isinstance(verdict, Refusal):
            raise Withdrawn(verdict.reason)
        return verdict


_NEVER_BEGUN = "The agent was restarted before it began; nothing was done."


async def _never_begun(_: Any) -> None:
    raise Failed(_NEVER_BEGUN)


def _again(known: Asked) -> Any:
    """What was answered the first time."""
    if known.refused is not None:
        raise CommandRefused(*known.refused, known.machine)
    if known.answer is None:
        raise CommandRefused("busy", f"Job {known.job} has not ended yet.", known.machine)
    return _decoded(known.answer)


def _decoded(answer: Raw | None) -> Any:
    return msgspec.json.decode(answer) if answer is not None else None


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return instant_ns(text)
    except ValueError as error:
        raise CommandRefused("invalidParameters", f"notAfter: {error}.") from None


def _outcome(error: Exception, has_written: bool) -> tuple[JobState, str]:
    """The end of a job that its procedure did not bring to a good one, and its reason."""
    if isinstance(error, Stopped | Withdrawn):
        return "stopped", str(error)
    if isinstance(error, CommandRefused) and not has_written:
        return "refused", error.reason
    if isinstance(error, Failed):
        return "failed", str(error)
    if isinstance(error, Unknown):
        return "unknown", str(error)
    reason = str(error) if isinstance(error, MachineError | CommandRefused) else "the agent failed at it; its log tells"
    if has_written:
        return "unknown", f"Nobody knows what the machine made of it: {reason}."
    return "failed", f"Nothing was written: {reason}."


def _kind(error: Exception | None, state: JobState) -> str:
    if isinstance(error, MachineError):
        return "unreachable"
    return next((kind for of, kind in _KINDS.items() if isinstance(error, of)), "busy")
