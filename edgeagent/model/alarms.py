"""An alarm as it is told, and as it is remembered."""

from __future__ import annotations

import msgspec

from edgeagent.model.terms import SeverityTerm


class Alarm(msgspec.Struct, frozen=True, rename="camel"):
    """One standing or past alarm; `id` is unique over time, `code` names the rule that raised it."""

    id: str
    code: str
    text: str
    severity: SeverityTerm
    object: str
    raised_at: str
    remote_reset: bool


class AlarmRecord(msgspec.Struct, frozen=True, rename="camel"):
    """An alarm of the history: when it ended, who took notice of it; None where that did not happen or is unknown."""

    machine: str
    alarm: Alarm
    cleared_at: str | None = None
    cleared_by: str | None = None
    acknowledged_at: str | None = None
    acknowledged_by: str | None = None
