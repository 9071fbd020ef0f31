"""Alarm.*: what stands, and what stood."""

from __future__ import annotations

from edgeagent.model.alarms import Alarm
from edgeagent.model.functions.forms import Result


class AlarmOfMachine(Result, frozen=True):
    """A standing alarm and its machine."""

    machine: str
    alarm: Alarm


class ActiveAlarms(Result, frozen=True):
    """The alarms that stand now."""

    alarms: tuple[AlarmOfMachine, ...]
