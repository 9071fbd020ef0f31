"""Device status beats value: what the device itself calls wrong is bad, however plausible it looks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgeagent.model.conditions import Condition
from edgeagent.model.points import Quality

if TYPE_CHECKING:
    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row
    from firmware_iface.registers import BadRule


class Distrust:
    """One rule of a map, held against its group as it was just read."""

    def __init__(self, machine: Machine, rule: BadRule, row: Row) -> None:
        self._row = row
        self._columns = machine.columns(rule.points)
        self._condition = Condition(machine, rule.when)

    def judge(self) -> None:
        """Make the rule's points bad, without a value, while it holds or cannot be told."""
        if self._condition.holds(self._row) is not False:
            for column in self._columns:
                self._row.values[column] = math.nan
                self._row.quality[column] = Quality.BAD
