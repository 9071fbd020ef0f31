"""One command from its request to its answer: known already, decided, refused, or begun."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from edgeagent.clock import Clock, instant_ns
from edgeagent.config import ControlTable
from edgeagent.control.allowance import RESETS, Allowance
from edgeagent.control.authority import Case, Permit, Refusal, decide
from edgeagent.control.commanded import Commanded
from edgeagent.control.jobs import Jobs, ended_unseen
from edgeagent.control.outcome import NEVER_BEGUN
from edgeagent.control.ports import AsNow, Context
from edgeagent.control.procedure import Factory, Failed, Procedure, Withdrawn, Work
from edgeagent.control.pulses import take_back
from edgeagent.control.rates import Rates
from edgeagent.control.records import Records
from edgeagent.control.running import Running
from edgeagent.errors import CommandRefused, StoreError
from edgeagent.model.callers import Caller
from edgeagent.model.commands import Job
from edgeagent.model.functions.forms import CommandParameters, Function
from edgeagent.model.functions.rights import entitled
from edgeagent.model.ids import new_id
from edgeagent.store import Archive
from edgeagent.store.requests import Asked, row_id

KEPT_NS = 24 * 3600 * 1_000_000_000
"""How long a caller's key is known, by a time that nobody can set."""

_ANSWERS_WITHIN_S = 120.0
"""How long after a start a machine is waited for before a job that ran there is given up, in real seconds."""
_NOT_KEPT = ("new", "rate", "recordable")
"""Checks after whose refusal the key stays free: it belongs to another command, or the same may go well later."""

_log = logging.getLogger(__name__)


class Executor:
    """Runs the commands of all machines.

    Args:
        procedures: function → what makes its procedure. functions: what is known of each of them.
        as_now: asked before anything is decided, and before each write.
        ended: called with each job that ran, once it has ended.
    """

    def __init__(
        self, machines: Mapping[str, Commanded], procedures: Mapping[str, Factory],
        functions: Mapping[str, Function], settings: ControlTable, archive: Archive, records: Records, clock: Clock,
        as_now: AsNow = lambda caller: caller, ended: Callable[[Running], None] = lambda running: None,
    ) -> None:  # fmt: skip
        self._machines = machines
        self._procedures = procedures
        self._functions = functions
        self._settings = settings
        self._archive = archive
        self._records = records
        self._clock = clock
        self._as_now = as_now
        self._callers = Rates(settings.caller_per_minute)
        self._commanded = Rates(settings.machine_per_minute)
        self._resets = Allowance(settings.alarm_resets, settings.alarm_reset_minutes, archive.steady)
        self._deciding: dict[str, asyncio.Future[None]] = {}
        self._calls: set[asyncio.Task[Any]] = set()
        self._pulses: set[asyncio.Task[None]] = set()
        self._told_end = ended
        self._jobs = Jobs(records, clock, self._permit_again, self._ended)

    @property
    def jobs(self) -> tuple[Running, ...]:
        """The jobs that run."""
        return self._jobs.all()

    def last_command_ns(self, machine: str) -> int:
        """When a command was last permitted at a machine, monotonic; 0 before the first."""
        return self._jobs.last_ns.get(machine, 0)

    async def call(self, name: str, parameters: CommandParameters, caller: Caller) -> Any:
        """Do what a caller asks for, once; answer the job, or its outcome where the procedure wants it so.

        A caller who goes away ends nothing: what it asked for is decided, recorded and done as if it had stayed.

        Raises:
            CommandRefused: any check said no, or the outcome was not good.
        """
        task = asyncio.create_task(self._call(name, parameters, caller), name=f"call of {name}")
        self._calls.add(task)
        task.add_done_callback(self._answered)
        return await asyncio.shield(task)

    def _answered(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone, and nobody else asks for it

    async def _call(self, name: str, parameters: CommandParameters, caller: Caller) -> Any:
        function, caller, plain = self._functions[name], self._as_now(caller), msgspec.to_builtins(parameters)
        with self._noting(caller, function=name, request_id=parameters.request_id, values=plain):
            commanded = self.find(parameters.machine)
        plain["machine"] = commanded.id
        if refused := entitled(function, caller):
            self._records.refusal(caller, function=name, machine=commanded.id, request_id=parameters.request_id,
                                  values=plain, reason=refused.reason)
            raise refused
        for member in ("requestId", "notAfter"):
            plain.pop(member, None)
        asked = Asked(caller.name, caller.role, caller.functions, parameters.request_id, name, commanded.id,
                      Raw(msgspec.json.encode(plain)), new_id(self._clock.wall_ns()), token=caller.token,
                      certificate=caller.certificate)  # fmt: skip
        if asked.key is None:
            return await self._first(function, parameters, asked, caller, commanded)
        while first := self._deciding.get(asked.id):
            await asyncio.wait((first,))
        self._deciding[asked.id] = decided = asyncio.get_running_loop().create_future()
        try:
            known = await self._archive.requests.known(asked.id, self._archive.steady.now_ns() - KEPT_NS)
            if known is None:
                return await self._first(function, parameters, asked, caller, commanded)
            if known.is_as(asked):
                return _again(known)
            reason = f"The requestId {asked.key} was used for {known.function} with other parameters."
            return await self._first(function, parameters, asked, caller, commanded, reason)
        finally:
            decided.set_result(None)
            del self._deciding[asked.id]

    async def stop(self, job: str, caller: Caller) -> Job:
        """Ask a job to come to its nearest safe state and end; answer it as it stands.

        It needs neither remote control nor a rate: to stop is never kept from anybody who may.

        Raises:
            CommandRefused: it does not run, or the caller may not start it either.
        """
        running, caller = self._jobs.get(job), self._as_now(caller)
        if running is None:
            with self._noting(caller, function="Command.Stop", job=job):
                raise CommandRefused("notFound", f"There is no job {job!r} that runs.")
        refused = entitled(running.function, caller)
        if not caller.is_authenticated:
            refused = CommandRefused("unauthenticated", "Command.Stop is for known users.", running.job.machine)
        if refused:
            self._records.refusal(caller, function="Command.Stop", machine=running.job.machine, job=job,
                                  reason=refused.reason)
            raise refused
        if not running.stop_asked.is_set():
            running.stopped_by = caller.name
            running.stop_asked.set()
            self._records.stopped(caller, running.job)
        return running.job

    async def resume(self) -> None:
        """Take up the jobs that had not ended when the agent did; each ends in a task of its own."""
        await self._resets.load()
        for job in await self._archive.jobs.open():
            if commanded := self._machines.get(job.machine):
                self._take_up(commanded, job, await self._archive.requests.get(_row_of(job)))
            else:
                reason = f"The agent was restarted while it ran, and does not serve {job.machine} any more."
                _log.error("job %s (%s) cannot be taken up: %s", job.id, job.function, reason)
                self._records.end_elsewhere(ended_unseen(job, self._records, reason, "unknown"))
        for commanded in self._machines.values():
            if not any(it.commanded is commanded and it.procedure.takes_long for it in self._jobs.all()):
                commanded.machine.hold_ready(None)  # a job that held it may not be there to end that

    async def close(self) -> None:
        """Take no more commands, and leave the jobs where they are: the next start takes them up."""
        await self._jobs.close()
        for task in self._pulses:
            task.cancel()
        await asyncio.gather(*self._pulses, return_exceptions=True)
        await asyncio.gather(*self._calls, return_exceptions=True)

    def find(self, machine: str | None) -> Commanded:
        """Find a machine; without an id the only one.

        Raises:
            CommandRefused: invalidParameters where an id is needed, notFound where it is unknown.
        """
        if machine is None and len(self._machines) == 1:
            return next(iter(self._machines.values()))
        known = ", ".join(self._machines)
        if machine is None:
            raise CommandRefused("invalidParameters", f"Name the machine; this agent serves {known}.")
        if machine not in self._machines:
            raise CommandRefused("notFound", f"There is no machine {machine!r}; this agent serves {known}.")
        return self._machines[machine]

    # Deciding

    async def _first(
        self, function: Function, parameters: CommandParameters, asked: Asked, caller: Caller, commanded: Commanded,
        repeats: str | None = None,
    ) -> Any:  # fmt: skip
        procedure: Procedure | None = None
        try:
            procedure = self._made(asked.function, parameters, caller, commanded)
        except CommandRefused as error:
            verdict: Permit | Refusal = Refusal("exists", error.kind, error.reason)
        with self._noting(caller, function=asked.function, machine=commanded.id, request_id=asked.key,
                          values=asked.parameters):  # fmt: skip
            case = self._case(function, parameters, asked, caller, commanded, procedure, repeats)
        if procedure is not None:
            verdict = decide(case)
        elif isinstance(earlier := decide(replace(case, interlocks=(), faults=())), Refusal):
            verdict = earlier
        self._callers.add(caller.name, self._clock.monotonic_ns())
        if isinstance(verdict, Refusal):
            await self._refused(verdict, case, asked, commanded)
            raise CommandRefused(verdict.kind, verdict.reason, commanded.id)
        assert procedure is not None, "what could not be made was refused"
        self._commanded.add(commanded.id, self._clock.monotonic_ns())
        return await self._permitted(verdict, function, asked, caller, commanded, procedure)

    def _made(self, name: str, parameters: Any, caller: Caller, commanded: Commanded) -> Procedure:
        context = Context(caller, self._clock, commanded.settings, commanded.remote, self._archive, self._settings)
        return self._procedures[name](commanded.machine, parameters, context)

    def _case(
        self, function: Function, parameters: CommandParameters | None, asked: Asked, caller: Caller,
        commanded: Commanded, procedure: Procedure | None, repeats: str | None = None,
    ) -> Case:  # fmt: skip
        control, reason = commanded.look().allows(asked.function)
        rival = self._jobs.rival(commanded) if procedure and procedure.takes_long else None
        now_ns, settings = self._clock.monotonic_ns(), self._settings
        return Case(
            job=asked.job, machine=commanded.id, function=function, caller=caller, now_ns=self._clock.wall_ns(),
            not_after_ns=_moment(parameters.not_after) if parameters else None,
            is_clock_usable=self._clock.trusted or self._clock.speed != 1.0, repeats=repeats,
            control=control, control_reason=reason, is_connected=commanded.machine.status().connected,
            interlocks=tuple(procedure.interlocks()) if procedure else (),
            faults=tuple(procedure.limits()) if procedure else (),
            rival=rival if rival != asked.job else None,
            by_caller=self._callers.count(caller.name, now_ns), most_by_caller=settings.caller_per_minute,
            by_machine=self._commanded.count(commanded.id, now_ns), most_by_machine=settings.machine_per_minute,
            spent=self._resets.spent(commanded.id) if asked.function in RESETS else None,
            unrecordable=self._records.failing(),
        )  # fmt: skip

    @contextmanager
    def _noting(self, caller: Caller, **more: Any) -> Iterator[None]:
        """Note in the audit that what was asked for cannot be decided on: it is not there, or is wrong."""
        try:
            yield
        except CommandRefused as error:
            self._records.refusal(caller, **more, reason=error.reason)
            raise

    async def _refused(self, refusal: Refusal, case: Case, asked: Asked, commanded: Commanded) -> None:
        """Record a refusal: in the audit always; by itself, as a job and an event unless there is a flood of them."""
        is_flood = case.by_caller >= case.most_by_caller or case.by_machine >= case.most_by_machine
        self._records.refusal(case.caller, is_flood, function=asked.function, machine=asked.machine,
                              request_id=asked.key, job=asked.job, values=asked.parameters, reason=refusal.reason)
        if is_flood or refusal.check in ("authenticated", "entitled", *_NOT_KEPT):
            return
        now = self._records.now()
        job = Job(id=asked.job, function=asked.function, machine=asked.machine, request_id=asked.key, by=asked.caller,
                  state="refused", reason=refusal.reason, accepted_at=now, ended_at=now)
        kept = msgspec.structs.replace(asked, refused=(refusal.kind, refusal.reason))
        with suppress(StoreError):  # it is refused, whether or not that is on disk
            await self._records.settled(self._records.end(commanded.machine, job, kept))

    async def _permitted(
        self, permit: Permit, function: Function, asked: Asked, caller: Caller, commanded: Commanded,
        procedure: Procedure,
    ) -> Any:  # fmt: skip
        job = Job(id=asked.job, function=asked.function, machine=asked.machine, request_id=asked.key, by=asked.caller,
                  state="accepted", accepted_at=self._records.now())
        if not procedure.answers_when_done:
            asked = msgspec.structs.replace(asked, answer=Raw(msgspec.json.encode(job)))
        running = Running(job=job, asked=asked, function=function, caller=caller, procedure=procedure,
                          commanded=commanded, records=self._records, as_now=self._as_now, permit=permit)
        if asked.function in RESETS:
            self._resets.add(commanded.id)
        await self._jobs.begin(running)
        if not procedure.answers_when_done:
            return job
        if running.task is not None:
            await asyncio.wait((running.task,))
        if running.refused is not None:
            raise running.refused
        if running.asked.answer is UNSET:
            reason = f"The agent is about to end, and job {running.job.id} has not ended yet."
            raise CommandRefused("busy", reason, commanded.id)
        return _decoded(running.asked.answer)

    # After a restart

    def _take_up(self, commanded: Commanded, job: Job, asked: Asked | None) -> None:
        is_begun = job.state == "running"
        running = self._found(commanded, job, asked)
        if running is None:
            reason = "The agent was restarted while it ran, and cannot take it up." if is_begun else NEVER_BEGUN
            _log.error("job %s (%s) cannot be taken up after a restart", job.id, job.function)
            ended = ended_unseen(job, self._records, reason, "unknown" if is_begun else "failed")
            self._records.end(commanded.machine, ended, None)
            return
        taken_back = self._take_back(running) if is_begun else None
        way = partial(_resumed, running, taken_back) if running.function.needs_remote else running.procedure.resume
        self._jobs.take_up(running, way if is_begun else _never_begun)

    def _ended(self, running: Running) -> None:
        if running.left_set:
            self._take_back(running)
        self._told_end(running)

    def _take_back(self, running: Running) -> asyncio.Task[None]:
        """Let what its pulses left set be put to rest, however long its machine is silent."""
        task = asyncio.create_task(take_back(running, self._clock), name=f"pulses of {running.job.id}")
        self._pulses.add(task)
        task.add_done_callback(self._taken_back)
        return task

    def _taken_back(self, task: asyncio.Task[None]) -> None:
        self._pulses.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("%s could not be seen to", task.get_name(), exc_info=error)

    def _found(self, commanded: Commanded, job: Job, asked: Asked | None) -> Running | None:
        """Make the procedure of a job once more; None where what was asked for is lost, or cannot be made any more."""
        if asked is None or asked.function not in self._procedures:
            return None
        function = self._functions[asked.function]
        caller = Caller(asked.caller, asked.role, "restart", "", asked.functions, True, token=asked.token,
                        certificate=asked.certificate)
        try:
            parameters = msgspec.json.decode(asked.parameters, type=function.parameters)
            procedure = self._made(asked.function, parameters, caller, commanded)
        except (msgspec.DecodeError, CommandRefused):
            return None
        return Running(job=job, asked=asked, function=function, caller=caller, procedure=procedure,
                       commanded=commanded, records=self._records, as_now=self._as_now)

    def _permit_again(self, running: Running) -> Permit:
        """Decide on a job that was taken up: everything is asked again but its time and its rate."""
        case = self._case(running.function, None, running.asked, self._as_now(running.caller), running.commanded,
                          running.procedure)
        verdict = decide(replace(case, by_caller=0, by_machine=0, spent=None))
        if isinstance(verdict, Refusal):
            raise Withdrawn(verdict.reason)
        return verdict


async def _resumed(running: Running, taken_back: asyncio.Task[None] | None, work: Work) -> str | None:
    """Take up a job once its machine answers and its pulses are at rest; the agent has only just been started."""
    machine = running.commanded.machine
    with suppress(TimeoutError):
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            while not machine.status().connected:
                await machine.next_beat()
            if taken_back and running.commanded.look().standing().state != "offline":
                await asyncio.wait((taken_back,))
    return await running.procedure.resume(work)


async def _never_begun(_: Any) -> None:
    raise Failed(NEVER_BEGUN)


def _row_of(job: Job) -> str:
    """Where what was asked for is kept."""
    return row_id(job.by, job.request_id or f"\n{job.id}")


def _again(known: Asked) -> Any:
    """What was answered the first time."""
    if known.refused is not None:
        raise CommandRefused(*known.refused, known.machine)
    if known.answer is UNSET:
        raise CommandRefused("busy", f"Job {known.job} has not ended yet.", known.machine)
    return _decoded(known.answer)


def _decoded(answer: Raw) -> Any:
    return msgspec.json.decode(answer)


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return instant_ns(text)
    except ValueError as error:
        raise CommandRefused("invalidParameters", f"notAfter: {error}.") from None
