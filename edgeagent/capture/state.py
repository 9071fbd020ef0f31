"""The machine's state, its control and its blocked lanes: tables of a map held against the row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edgeagent.model.conditions import Condition
from edgeagent.model.events import ControlChanged, MachineBlockedChanged, MachineStatusChanged
from edgeagent.model.points import Quality

if TYPE_CHECKING:
    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row
    from firmware_iface.registers import Lane

_UNKNOWN_AFTER_NS = 2_000_000_000
"""A state that cannot be told for longer is unknown; shorter silences are missed beats."""


class StateMemory(msgspec.Struct):
    """What survives a restart."""

    state: str = "unknown"
    reason: str = "the machine has not answered yet"
    since_ns: int = 0
    control: str = "local"
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


class ControlWatch:
    """Tells local and remote control by the machine's own switch; local where there is none or it cannot be read."""

    def __init__(self, machine: Machine, memory: StateMemory) -> None:
        self.memory = memory
        self._column = machine.column[machine.map.remote] if machine.map.remote else -1

    def update(self, row: Row) -> ControlChanged | None:
        """Read the switch; a single missed beat changes nothing that anybody could rely on."""
        if self._column < 0 or row.quality[self._column] != Quality.GOOD:
            return None
        now = "remote" if row.values[self._column] else "local"
        before = self.memory.control
        if now == before:
            return None
        self.memory.control = now
        return ControlChanged(from_=before, to=now, by="machine")


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
