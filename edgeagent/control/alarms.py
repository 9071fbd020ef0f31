"""Alarm.Acknowledge, Alarm.Reset and Alarm.ResetAll: taken notice of, and reset where the map lets it be from afar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgeagent.clock import iso
from edgeagent.control import interlocks
from edgeagent.control.ports import CommandedMachine, Context
from edgeagent.control.procedure import Failed, Procedure, Work
from edgeagent.errors import CommandRefused
from edgeagent.model.alarms import Alarm
from edgeagent.model.commands import Job
from edgeagent.model.events import AlarmTold, Event
from edgeagent.model.functions.alarms import (
    AcknowledgeAlarm,
    AlarmAcknowledged,
    AlarmsReset,
    RemainingAlarm,
    ResetAlarm,
)
from edgeagent.model.functions.forms import CommandParameters
from firmware_iface.registers import AlarmRule

_SETTLES_S = 5.0
"""A reset alarm has this long to end, beyond the time for which its rule must not hold."""

_HOT_OR_MOVING = frozenset(("starting", "warmingUp", "changeover", "ready", "running"))


class Acknowledge(Procedure):
    """Somebody takes notice of an alarm; who was first stays."""

    answers_when_done = True

    def __init__(self, it: CommandedMachine, asked: AcknowledgeAlarm, context: Context) -> None:
        self._it = it
        self._asked = asked
        self._context = context
        self._answer: AlarmAcknowledged | None = None

    async def run(self, work: Work) -> str | None:
        """Note it in the history; refuses an alarm that nobody knows."""
        record = await self._context.archive.alarms.get(self._asked.id)
        standing = {alarm.id: alarm for alarm in self._it.alarms()}
        alarm = record.alarm if record else standing.get(self._asked.id)
        machine = self._it.machine.id
        if alarm is None or (record and record.machine != machine):
            raise CommandRefused("notFound", f"There is no alarm {self._asked.id!r} of {machine}; Alarm.GetHistory "
                                             "lists all.", machine)  # fmt: skip
        if record and record.acknowledged_at and record.acknowledged_by:
            self._answer = AlarmAcknowledged(alarm.id, record.acknowledged_at, record.acknowledged_by)
            return f"{record.acknowledged_by} had taken notice of it before."
        now, by = self._context.clock.wall_ns(), self._context.caller.name
        await work.step(f"Take notice of {alarm.code}")
        work.tell(Event("Alarm.Acknowledged", now, machine, AlarmTold(alarm=alarm, by=by)))
        self._answer = AlarmAcknowledged(alarm.id, iso(now), by)
        return None

    async def resume(self, work: Work) -> str | None:
        """It is told in the transaction of the job's end, so it was not."""
        raise Failed("The agent was restarted before it was noted; nothing was done.")

    def answer(self, job: Job) -> Any:
        """Who was first."""
        return self._answer or job


class ResetAll(Procedure):
    """Reset every alarm that the map lets be reset from afar, by its one command for that."""

    answers_when_done = True
    commands = frozenset(("alarmReset",))

    def __init__(self, it: CommandedMachine, _: CommandParameters, context: Context) -> None:
        self._it = it
        self._context = context
        self._rules = {rule.code: rule for rule in it.machine.map.alarms}
        self._asked: tuple[Alarm, ...] = it.alarms()
        self._remaining: tuple[RemainingAlarm, ...] = ()

    def interlocks(self) -> Iterator[str]:
        """Whatever forbids every command, and what the map asks for."""
        yield from interlocks.state(self._it)
        if command := self._it.machine.map.command("alarmReset"):
            yield from interlocks.preconditions(self._it, command.preconditions, "An alarm reset")
            yield from () if command.resets_all else self._would_go_too()

    def _would_go_too(self) -> Iterator[str]:
        """The alarms that stand and are not marked: the one command is for all, whoever asked for which."""
        rules = [self._rules[alarm.code] for alarm in self._it.alarms()
                 if alarm.code in self._rules and not _is_own(alarm)]  # fmt: skip
        if others := ", ".join(f"{rule.code} {rule.text!r}" for rule in rules if not rule.remote_reset):
            yield f"The machine has one reset for all alarms, and some can only be reset at the machine: {others}."

    def limits(self) -> Iterator[str]:
        """The map must have a command for it."""
        if self._it.machine.map.command("alarmReset") is None:
            yield f"The map {self._it.machine.map.id} has no command alarmReset: alarms are reset at the machine."

    async def run(self, work: Work) -> str | None:
        """Reset, read anew, and say what still stands."""
        stood = self._it.status().state
        wanted = [alarm for alarm in self._asked if alarm.remote_reset and self._stands(alarm)]
        if wanted:
            await work.step("Reset " + ", ".join(alarm.code for alarm in wanted))
            await self._reset(work)
            await work.step("See which alarms end")
            await work.until(lambda: not any(map(self._stands, wanted)), self._patience_s(wanted))
        still = [alarm for alarm in self._asked if self._stands(alarm)]
        self._remaining = tuple([RemainingAlarm(a.id, a.code, a.text, await self._why(a, work)) for a in still])
        now = self._it.status().state
        if now in _HOT_OR_MOVING and stood not in (*_HOT_OR_MOVING, "fault"):
            raise Failed(f"A reset must never start anything, and the machine went from {stood} to {now}.")
        return None if not still else f"{len(still)} alarms still stand."

    def answer(self, _: Job) -> Any:
        """What ended, and what still stands."""
        remaining = {alarm.id for alarm in self._remaining}
        ended = tuple(alarm.id for alarm in self._asked if alarm.id not in remaining)
        return AlarmsReset(self._it.machine.id, ended, self._remaining)

    async def _reset(self, work: Work) -> None:
        await work.command("alarmReset")

    def _stands(self, alarm: Alarm) -> bool:
        return any(alarm.id == other.id for other in self._it.alarms())

    def _patience_s(self, alarms: list[Alarm]) -> float:
        rules = [self._rules[alarm.code] for alarm in alarms if alarm.code in self._rules]
        return _SETTLES_S + max((rule.clear_delay_s for rule in rules), default=0.0)

    async def _why(self, alarm: Alarm, work: Work) -> str:
        """Why an alarm still stands, by values that were read after the reset."""
        rule = self._rules.get(alarm.code)
        if _is_own(alarm):
            return "It is the agent's own and ends by itself when its cause is gone."
        if not alarm.remote_reset or rule is None:
            return "It can only be reset at the machine."
        values = await work.read(*_paths(rule))
        return f"Its cause still stands: {', '.join(f'{path} is {value}' for path, value in values.items())}."


class Reset(ResetAll):
    """Reset one alarm that stands."""

    def __init__(self, it: CommandedMachine, asked: ResetAlarm, context: Context) -> None:
        super().__init__(it, asked, context)
        self._id = asked.id
        self._asked = tuple(alarm for alarm in self._asked if alarm.id == asked.id)

    def interlocks(self) -> Iterator[str]:
        """Only what the map marks is reset from afar; for an alarm that is over nothing is given."""
        for alarm in self._asked:
            if not alarm.remote_reset:
                yield f"{alarm.code} {alarm.text!r} can only be reset at the machine."
        yield from super().interlocks()

    def _would_go_too(self) -> Iterator[str]:
        if any(alarm.remote_reset for alarm in self._asked):
            yield from super()._would_go_too()

    def limits(self) -> Iterator[str]:
        """Without a command for it the alarm is only looked at anew: it ends by itself when its cause is gone."""
        yield from ()

    async def run(self, work: Work) -> str | None:
        """Reset it; one that is over already needs nothing, one that nobody knows is refused."""
        if not self._asked:
            record = await self._context.archive.alarms.get(self._id)
            machine = self._it.machine.id
            if record is None or record.machine != machine:
                raise CommandRefused("notFound", f"There is no alarm {self._id!r} of {machine}; Alarm.GetActive lists "
                                                 "those that stand.", machine)  # fmt: skip
            self._asked = (record.alarm,)
            return "It had ended by itself."
        return await super().run(work)

    async def _reset(self, work: Work) -> None:
        if self._it.machine.map.command("alarmReset"):
            await super()._reset(work)


def _is_own(alarm: Alarm) -> bool:
    """Whether it is the agent's, whatever the map calls one of the same code."""
    return alarm.object.startswith("agent/")


def _paths(rule: AlarmRule) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for term in rule.when for path in (term.path, term.minus) if path))
