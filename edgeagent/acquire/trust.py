"""What a device says is not always to be believed: it may call a value wrong itself, or hang while it answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from edgeagent.model.conditions import Condition
from edgeagent.model.points import Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row
    from firmware_iface.registers import BadRule, Watchdog


class Rule(Protocol):
    """Held against a group of the row as it was just read."""

    def judge(self, now_ns: int) -> None:
        """Take quality from what is not to be believed; `now_ns` is when it was read."""


class Distrust:
    """One rule of a map, held against its group as it was just read."""

    def __init__(self, machine: Machine, rule: BadRule, row: Row) -> None:
        self._row = row
        self._columns = machine.columns(rule.points)
        self._condition = Condition(machine, rule.when)

    def judge(self, _now_ns: int) -> None:
        """Make the rule's points bad, without a value, while it holds or cannot be told."""
        if self._condition.holds(self._row) is not False:
            for column in self._columns:
                self._row.values[column] = math.nan
                self._row.quality[column] = Quality.BAD


class Movement:
    """Whether a device works: the map's watchdog point has moved lately."""

    def __init__(self, machine: Machine, watchdog: Watchdog, row: Row) -> None:
        self._row = row
        self._column = machine.column[watchdog.point]
        self._longest_ns = round(watchdog.within_s * 1e9)
        self._value = math.nan
        self._moved_ns = 0

    def stands(self, now_ns: int) -> bool:
        """Say whether it has stood for too long; until it was seen twice it is given the time."""
        value = self._row.values[self._column]
        if not math.isnan(value) and value != self._value:
            self._value, self._moved_ns = value, now_ns
        return self._moved_ns > 0 and now_ns - self._moved_ns > self._longest_ns


class Standstill:
    """Makes a group's values stale while its device stands."""

    def __init__(self, movement: Movement, columns: Sequence[int], row: Row) -> None:
        self._movement = movement
        self._columns = columns
        self._row = row

    def judge(self, now_ns: int) -> None:
        """Old values stay to be seen, but none of them is good."""
        if self._movement.stands(now_ns):
            for column in self._columns:
                self._row.quality[column] = max(self._row.quality[column], Quality.STALE)


def rules(machine: Machine, source: int, row: Row) -> dict[int, list[Rule]]:
    """The rules of one of the machine's sources, by the group that they are held against."""
    register_map = machine.maps[source]
    found: dict[int, list[Rule]] = {}
    for rule in register_map.bad:
        found.setdefault(machine.point(rule.points[0]).group, []).append(Distrust(machine, rule, row))
    if register_map.watchdog:
        movement = Movement(machine, register_map.watchdog, row)
        for group in machine.groups:
            if group.source == source:
                columns = [point.index for point in machine.points if point.group == group.index]
                found.setdefault(group.index, []).append(Standstill(movement, columns, row))
    return found
