"""Alarm.*: what stands, and what stood."""

from __future__ import annotations

from edgeagent.model.alarms import Alarm, AlarmRecord
from edgeagent.model.functions.forms import Cursor, Limit, Machine, Parameters, Result, Text


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


class PastAlarm(AlarmRecord, frozen=True, kw_only=True):
    """An alarm of the history; `stands` tells whether it stands now, null of a machine that is not served any more.

    One that does not stand and has no `clearedAt` ended while nobody looked, or its end is not on disk yet.
    """

    stands: bool | None


class AlarmHistory(Result, frozen=True):
    """A page of alarms; `cursor` is null on the last one."""

    alarms: tuple[PastAlarm, ...]
    cursor: str | None
