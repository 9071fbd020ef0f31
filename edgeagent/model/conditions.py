"""The comparisons of a map's rules, looked up once and held against a row; what is unknown stays unknown."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING

from edgeagent.model.points import Quality

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row
    from firmware_iface.registers import Term

_GOOD = int(Quality.GOOD)

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip


def compares(term: Term, value: float) -> bool:
    """Say whether one comparison holds for a value, from which `minus` has been taken already."""
    return _COMPARE[term.operator](value, term.number)


class Condition:
    """All terms of a rule.

    Args:
        hysteresis: while the condition is said to hold already, its limits are this much easier, in units.
    """

    def __init__(self, machine: Machine, terms: Sequence[Term], hysteresis: float = 0.0) -> None:
        self._terms = [
            (machine.column[t.path], machine.column[t.minus] if t.minus else -1, _COMPARE[t.operator], t.number,
             _easier(t.operator, hysteresis))
            for t in terms
        ]  # fmt: skip
        self.groups = {machine.points[column].group for a, b, *_ in self._terms for column in (a, b) if column >= 0}

    def holds(self, row: Row, already: bool = False) -> bool | None:
        """Say whether all terms hold; None when that depends on a value that is not there."""
        values, quality, unknown = row.values, row.quality, False
        for column, minus, compare, number, easier in self._terms:
            value = values[column]
            if minus >= 0:
                value -= values[minus]
                if quality[minus] != _GOOD:
                    value = math.nan
            if quality[column] != _GOOD or value != value:  # noqa: PLR0124  it is no number
                unknown = True
            elif not compare(value, number + easier if already else number):
                return False
        return None if unknown else True


def _easier(operator_: str, hysteresis: float) -> float:
    if operator_ in (">", ">="):
        return -hysteresis
    return hysteresis if operator_ in ("<", "<=") else 0.0
