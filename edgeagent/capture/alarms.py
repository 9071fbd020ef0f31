"""Alarms: a map's table of conditions with hysteresis and delays, held against the row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeagent.clock import iso
from edgeagent.model.alarms import Alarm
from edgeagent.model.conditions import Condition
from edgeagent.model.events import AlarmTold
from edgeagent.model.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row
    from firmware_iface.registers import AlarmRule


class _Watched(msgspec.Struct):
    rule: AlarmRule
    condition: Condition
    pending_ns: int = 0
    """Monotonic time since when the opposite of what stands has been seen; 0 when it has not."""


class AlarmWatch:
    """Raises and clears the alarms of one machine.

    Args:
        standing: code → alarm, as it was before a restart; changed in place.
    """

    def __init__(self, machine: Machine, standing: dict[str, Alarm]) -> None:
        self.standing = standing
        self._watched = [_Watched(rule, Condition(machine, rule.when, rule.hysteresis)) for rule in machine.map.alarms]
        self._of_group: dict[int, list[_Watched]] = {}
        for watched in self._watched:
            for group in watched.condition.groups:
                self._of_group.setdefault(group, []).append(watched)
        codes = {rule.code for rule in machine.map.alarms}
        self._unwatched = [code for code in standing if code not in codes]

    def update(self, row: Row, group: int, state: str, now_ns: int, wall_ns: int) -> Iterator[tuple[str, AlarmTold]]:
        """Hold every alarm that looks at the group, or waits for its delay, against the row.

        Yields:
            "Alarm.Raised" or "Alarm.Cleared" with the alarm; at first those that the map has no rule for any more.
        """
        while self._unwatched:
            yield cleared(self.standing.pop(self._unwatched.pop(0)), "restart")
        for watched in self._of_group.get(group, ()):
            if told := self._check(watched, row, state, now_ns, wall_ns):
                yield told

    def _check(
        self, watched: _Watched, row: Row, state: str, now_ns: int, wall_ns: int
    ) -> tuple[str, AlarmTold] | None:
        rule = watched.rule
        stands = rule.code in self.standing
        if rule.states and state not in rule.states and (not stands or state != "unknown"):
            holds: bool | None = False
        else:
            holds = watched.condition.holds(row, stands)
        if holds is None:
            return None
        if holds == stands:
            watched.pending_ns = 0
            return None
        watched.pending_ns = watched.pending_ns or now_ns
        if now_ns - watched.pending_ns < (rule.delay_s if holds else rule.clear_delay_s) * 1e9:
            return None
        watched.pending_ns = 0
        if holds:
            alarm = Alarm(id=new_id(wall_ns), code=rule.code, text=rule.text, severity=rule.severity,
                          object=rule.object, raised_at=iso(wall_ns), remote_reset=rule.remote_reset)
            self.standing[rule.code] = alarm
            return "Alarm.Raised", AlarmTold(alarm=alarm)
        return cleared(self.standing.pop(rule.code), "machine")


def cleared(alarm: Alarm, by: str) -> tuple[str, AlarmTold]:
    """The end of an alarm as it is told."""
    return "Alarm.Cleared", AlarmTold(alarm=alarm, by=by)
