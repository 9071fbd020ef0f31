"""An alarm as a condition: what it is now, and the events that tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from asyncua import ua

from edgeagent.model.alarms import Alarm, AlarmRecord
from edgeagent.model.events import AlarmTold
from edgeagent.publish.opcua.fields import fields
from edgeagent.publish.opcua.happenings import CONDITION_ID, Happening, base_fields, event_id, record_fields
from edgeagent.publish.opcua.node_ids import NodeIds
from edgeagent.publish.opcua.nodes import standard
from edgeagent.publish.opcua.own_types import ALARM, EVENT_TYPES, supertypes

_V = ua.VariantType
_SEVERITIES = {"fault": 800, "warning": 500, "information": 200}
_UNKNOWN_SEVERITY = 500
_CLASS = standard(ua.ObjectIds.ProcessConditionClassType)
_TOLD = fields(AlarmTold)

RAISED, CLEARED, ACKNOWLEDGED = "Alarm.Raised", "Alarm.Cleared", "Alarm.Acknowledged"


class Condition(msgspec.Struct):
    """The newest alarm of one code at a machine, as far as it is known.

    Attributes:
        last: what happened last: one of the three topics. changed_at: when.
        is_active, is_acknowledged: None where it is not known, in the history alone.
    """

    machine: str
    alarm: Alarm
    changed_at: str
    last: str = RAISED
    by: str | None = None
    is_active: bool | None = True
    is_acknowledged: bool | None = False

    @property
    def key(self) -> str:
        """By which its node has its number."""
        return f"{self.machine}/alarms/{self.alarm.code}"

    @property
    def is_retained(self) -> bool:
        """Whether somebody has to do with it still."""
        return bool(self.is_active) or not self.is_acknowledged

    @property
    def event_ids(self) -> tuple[bytes, ...]:
        """Of all events that this alarm may have had."""
        return tuple(event_id(self.alarm.id, topic) for topic in (RAISED, CLEARED, ACKNOWLEDGED))

    def take(self, topic: str, time: str, by: str | None) -> bool:
        """Take what happened to this very alarm; say whether that is new."""
        before = self.is_active, self.is_acknowledged
        if topic == CLEARED:
            self.is_active = False
        elif topic == ACKNOWLEDGED:
            self.is_acknowledged = True
        if before == (self.is_active, self.is_acknowledged):
            return False
        self.last, self.changed_at, self.by = topic, time, by
        return True


def remembered(record: AlarmRecord, stands: bool) -> Condition:
    """The condition of an alarm of the history."""
    condition = Condition(record.machine, record.alarm, record.alarm.raised_at)
    if record.acknowledged_at is not None:
        condition.take(ACKNOWLEDGED, record.acknowledged_at, record.acknowledged_by)
    if not stands:
        condition.take(CLEARED, record.cleared_at or condition.changed_at, record.cleared_by)
    return condition


def told(event: Mapping[str, Any]) -> Condition:
    """The condition as an event of the journal tells it; what the event does not say is not known."""
    data = msgspec.convert(event["data"], AlarmTold)
    topic = event["method"]
    return Condition(
        event["machine"], data.alarm, event["time"], topic, data.by,
        is_active=None if topic == ACKNOWLEDGED else topic == RAISED,
        is_acknowledged=None if topic == CLEARED else topic == ACKNOWLEDGED,
    )  # fmt: skip


def condition_happening(
    condition: Condition, node_ids: NodeIds, source: ua.NodeId, notifiers: Sequence[ua.NodeId]
) -> Happening:  # fmt: skip
    """The event that tells a condition as it is now."""
    alarm = condition.alarm
    severity = _SEVERITIES.get(alarm.severity, _UNKNOWN_SEVERITY)
    its = base_fields(
        event_id(alarm.id, condition.last), source, alarm.object, condition.changed_at, alarm.text, severity
    )
    its |= _two_state("EnabledState", True, "Enabled", "Disabled")
    its |= _two_state("AckedState", condition.is_acknowledged, "Acknowledged", "Unacknowledged")
    its |= _two_state("ActiveState", condition.is_active, "Active", "Inactive")
    its |= {
        CONDITION_ID: ua.Variant(node_ids.of_node(condition.key), _V.NodeId),
        "ConditionClassId": ua.Variant(_CLASS, _V.NodeId),
        "ConditionClassName": _text("ProcessConditionClassType"),
        "ConditionName": ua.Variant(alarm.code, _V.String),
        "BranchId": ua.Variant(ua.NodeId(), _V.NodeId),
        "Retain": ua.Variant(condition.is_retained, _V.Boolean),
        "Quality": ua.Variant(ua.StatusCode(), _V.StatusCode),
        "LastSeverity": ua.Variant(severity, _V.UInt16),
        "ClientUserId": ua.Variant(condition.by if condition.last == ACKNOWLEDGED else None, _V.String),
        "SuppressedOrShelved": ua.Variant(False, _V.Boolean),
    }
    record = {"alarm": msgspec.to_builtins(alarm), "by": condition.by}
    its |= record_fields(_TOLD, record)
    type_ = EVENT_TYPES[ALARM]
    return Happening((node_ids.of_type(ALARM), *supertypes(type_, node_ids)), its, notifiers)


def _two_state(name: str, is_so: bool | None, yes: str, no: str) -> dict[str, ua.Variant]:
    if is_so is None:
        return {}
    return {name: _text(yes if is_so else no), f"{name}/Id": ua.Variant(is_so, _V.Boolean)}


def _text(text: str) -> ua.Variant:
    return ua.Variant(ua.LocalizedText(text), _V.LocalizedText)
