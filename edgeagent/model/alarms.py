"""An alarm as it is told."""

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
