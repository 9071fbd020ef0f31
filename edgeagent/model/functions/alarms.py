"""Alarm.*: what stands, and what stood."""

from __future__ import annotations

from edgeagent.model.alarms import Alarm, AlarmRecord
from edgeagent.model.functions.forms import CommandParameters, Cursor, Limit, Machine, Parameters, Result, Text


class AlarmOfMachine(Result, frozen=True):
    """A standing alarm and its machine."""

    machine: str
    alarm: Alarm


class ActiveAlarms(Result, frozen=True):
    """The alarms that stand now."""

    alarms: tuple[AlarmOfMachine, ...]


class GetAlarmHistory(Parameters, frozen=True):
    """Alarms, the last raised first; times are RFC 3339 and concern the raising. `cursor` goes on after a page."""

    since: Text | None = None
    until: Text | None = None
    machine: Machine = None
    limit: Limit = 50
    cursor: Cursor = None


class AcknowledgeAlarm(CommandParameters, frozen=True, kw_only=True):
    """Somebody takes notice of an alarm, whether it stands or ended."""

    id: Text


class AlarmAcknowledged(Result, frozen=True):
    """Who took notice of an alarm first, and when."""

    id: str
    acknowledged_at: str
    acknowledged_by: str


class ResetAlarm(CommandParameters, frozen=True, kw_only=True):
    """One alarm that stands, and that its map lets be reset from afar."""

    id: Text


class RemainingAlarm(Result, frozen=True):
    """An alarm that still stands after a reset, and why."""

    id: str
    code: str
    text: str
    reason: str


class AlarmsReset(Result, frozen=True):
    """What a reset brought, read anew from the machine: the alarms that ended, by id, and those that still stand."""

    machine: str
    reset: tuple[str, ...]
    remaining: tuple[RemainingAlarm, ...]


class PastAlarm(AlarmRecord, frozen=True, kw_only=True):
    """An alarm of the history; `stands` tells whether it stands now, null of a machine that is not served any more.

    One that does not stand and has no `clearedAt` ended while nobody looked, or its end is not on disk yet.
    """

    stands: bool | None


class AlarmHistory(Result, frozen=True):
    """A page of alarms; `cursor` is null on the last one."""

    alarms: tuple[PastAlarm, ...]
    cursor: str | None
