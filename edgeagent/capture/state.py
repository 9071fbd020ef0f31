"""The machine's state, its panel's switch and its blocked lanes: tables of a map held against the row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edgeagent.model.conditions import Condition
from edgeagent.model.events import MachineBlockedChanged, MachineStatusChanged
from edgeagent.model.points import Quality

if TYPE_CHECKING:
    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row
    from firmware_iface.registers import Lane

_UNKNOWN_AFTER_NS = 2_000_000_000
"""A state that cannot be told for longer is unknown; shorter silences are missed beats."""


class StateMemory(msgspec.Struct):
    """What survives a restart.

    Attributes:
        control: as the control room told it last.
        held: why boards that enter are not ready for processing, beside the machine's own state; empty for nothing.
    """

    state: str = "unknown"
    reason: str = "the machine has not answered yet"
    since_ns: int = 0
    control: str = "offline"
    held: str = ""
    blocked: dict[int, bool] = msgspec.field(default_factory=dict)


class StateWatch:
    """Tells changes of the machine state; `running` is `ready` with boards inside."""

    def __init__(self, machine: Machine, memory: StateMemory) -> None:
        self.memory = memory
        self._rules = [(rule, Condition(machine, rule.when)) for rule in machine.map.states]
        self._known_at = 0
        self._started_at = 0
        if not self._rules:
            memory.state, memory.reason = "unknown", "its map has no rule for a state"

    def update(self, row: Row, boards: int, now_ns: int, wall_ns: int) -> MachineStatusChanged | None:
        """Evaluate the rules; the first that holds wins, and nothing is guessed past one that cannot be told."""
        if not self._rules:
            return None
        self._started_at = self._started_at or now_ns
        told = self._told(row)
        if told is None:
            if now_ns - max(self._known_at, self._started_at) < _UNKNOWN_AFTER_NS:
                return None
            told = ("unknown", "the machine does not answer")
        else:
            self._known_at = now_ns
        state, reason = told
        if state == "ready" and boards:
            state, reason = "running", "boards inside"
        before = self.memory.state
        if state == before:
            return None
        self.memory.state, self.memory.reason, self.memory.since_ns = state, reason, wall_ns
        return MachineStatusChanged(from_=before, to=state, reason=reason)

    def _told(self, row: Row) -> tuple[str, str] | None:
        for rule, condition in self._rules:
            holds = condition.holds(row)
            if holds is None:
                return None
            if holds:
                return rule.state, rule.reason
        return "unknown", "no rule of the map fits what the machine says"


class SwitchWatch:
    """The switch at the machine's panel that allows remote control; it holds over missed beats, as the state does."""

    def __init__(self, machine: Machine) -> None:
        self._column = machine.column[machine.map.remote] if machine.map.remote else -1
        age_ns = machine.groups[machine.points[self._column].group].max_age_ns if machine.map.remote else 0
        self._max_age_ns = max(age_ns, _UNKNOWN_AFTER_NS)
        self._is_on = False
        self._read_ns = 0

    def update(self, row: Row, now_ns: int) -> None:
        """Read the switch."""
        if self._column >= 0 and row.quality[self._column] == Quality.GOOD:
            self._is_on, self._read_ns = bool(row.values[self._column]), now_ns

    def is_on(self, now_ns: int) -> bool | None:
        """Whether it allows remote control; None where there is none, or it was not read for too long."""
        return self._is_on if self._read_ns and now_ns - self._read_ns <= self._max_age_ns else None


class BlockedWatch:
    """Tells when a lane's outlet has been blocked for its delay, and when it is free again."""

    def __init__(self, machine: Machine, lane: Lane, memory: StateMemory) -> None:
        self.memory = memory
        self._lane = lane.number
        self._condition = Condition(machine, lane.blocked) if lane.blocked else None
        self._delay_ns = round(lane.blocked_delay_s * 1e9)
        self._pending_ns = 0

    @property
    def blocked(self) -> bool:
        """Whether the lane's outlet is blocked now."""
        return self.memory.blocked.get(self._lane, False)

    def update(self, row: Row, now_ns: int) -> MachineBlockedChanged | None:
        """Evaluate the lane's rule."""
        holds: Any = self._condition.holds(row) if self._condition else None
        if holds is None:
            return None
        if holds == self.blocked:
            self._pending_ns = 0
            return None
        self._pending_ns = self._pending_ns or now_ns
        if holds and now_ns - self._pending_ns < self._delay_ns:
            return None
        self._pending_ns = 0
        self.memory.blocked[self._lane] = holds
        reason = "a board waits at the outlet and nothing takes it" if holds else "the outlet is free again"
        return MachineBlockedChanged(blocked=holds, lane=self._lane, reason=reason)
