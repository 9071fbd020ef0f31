"""Answers about alarms: those that stand, and the history."""

from __future__ import annotations

from msgspec.structs import astuple

from edgeagent.model.alarms import AlarmRecord
from edgeagent.model.callers import Caller
from edgeagent.model.functions import OfMachine
from edgeagent.model.functions.alarms import ActiveAlarms, AlarmHistory, AlarmOfMachine, GetAlarmHistory, PastAlarm
from edgeagent.publish.access import Handler
from edgeagent.publish.openapps.machines import Machines
from edgeagent.publish.openapps.times import asked_ns
from edgeagent.store.alarms import Alarms


class AlarmAnswers:
    """Alarm.*."""

    def __init__(self, machines: Machines, alarms: Alarms) -> None:
        self._machines = machines
        self._alarms = alarms

    def handlers(self) -> dict[str, Handler]:
        """The functions answered here."""
        return {"Alarm.GetActive": self.active, "Alarm.GetHistory": self.history}

    async def active(self, wanted: OfMachine, _: Caller) -> ActiveAlarms:
        """The alarms that stand."""
        alarms = (
            AlarmOfMachine(live.machine.id, alarm)
            for live in self._machines.some(wanted.machine)
            for alarm in live.alarms()
        )
        return ActiveAlarms(tuple(alarms))

    async def history(self, wanted: GetAlarmHistory, _: Caller) -> AlarmHistory:
        """A page of the history, each alarm held against what stood since it was asked for."""
        self._machines.some(wanted.machine)
        stood = self._standing()
        records, cursor = await self._alarms.find(
            since_ns=asked_ns("since", wanted.since), until_ns=asked_ns("until", wanted.until),
            machine=wanted.machine, limit=wanted.limit, cursor=wanted.cursor,
        )  # fmt: skip
        standing = {machine: ids | stood[machine] for machine, ids in self._standing().items()}
        return AlarmHistory(tuple(_held(record, standing.get(record.machine)) for record in records), cursor)

    def _standing(self) -> dict[str, set[str]]:
        return {live.machine.id: {alarm.id for alarm in live.alarms()} for live in self._machines.some(None)}


def _held(record: AlarmRecord, standing: set[str] | None) -> PastAlarm:
    stands = None if standing is None else record.cleared_at is None and record.alarm.id in standing
    return PastAlarm(*astuple(record), stands=stands)
