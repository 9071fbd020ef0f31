"""What changed of one machine's values since it was last sent, the newest of each; and the rows of the last minutes."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Protocol

from edgeagent.capture.lane import judged_columns
from edgeagent.clock import Clock
from edgeagent.errors import CommandRefused
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row, plain, rounded
from edgeagent.publish.opcua.port import Change, HistoricRow, Shown

_MOST_ROWS = 1000
"""Rows of one answer."""


class FedMachine(Protocol):
    """A machine whose values are fed."""

    machine: Machine
    row: Row

    def recent(self, since_ns: int) -> tuple[Sequence[int], Sequence[float], Sequence[int], int]:
        """Its rows of the last minutes; see `Unit.recent`."""


class Feed:
    """One machine's values on their way to the other process; holds the newest of each column at most."""

    def __init__(self, machine: FedMachine, clock: Clock) -> None:
        self._its = machine
        self._clock = clock
        points = machine.machine.points
        self._groups = [
            tuple(point for point in points if point.group == group.index) for group in machine.machine.groups
        ]
        self._values = array("d", [math.nan]) * len(points)
        self._sent: list[tuple[Shown, int] | None] = [None] * len(points)
        self._due: dict[int, Change] = {}
        self.historic = tuple(sorted(judged_columns(machine.machine)))

    def look(self, group: int) -> bool:
        """See what changed in a group; say whether anything waits to be sent."""
        its, row = self._its.machine.groups[group], self._its.row
        is_old = self._clock.monotonic_ns() - row.times[group] > its.max_age_ns
        for point in self._groups[group]:
            column = point.index
            quality = row.quality[column]
            if is_old and quality < Quality.STALE:
                quality = Quality.STALE
            sent = self._sent[column]
            value = row.values[column]
            if sent is not None and sent[1] == quality and value == self._values[column] and not point.is_text:
                continue
            now = plain(row, point), quality
            self._values[column] = value
            if now != sent:
                self._sent[column] = now
                self._due[column] = (column, *now, row.stamps[group])
        return bool(self._due)

    def look_at_all(self) -> None:
        """See what changed anywhere: a value grows stale without a beat."""
        for group in range(len(self._groups)):
            self.look(group)

    def take(self) -> list[Change]:
        """What waits to be sent, each column once; it waits no more."""
        due, self._due = list(self._due.values()), {}
        return due

    def begin_anew(self) -> None:
        """Let everything wait to be sent: the other process is new."""
        self._sent = [None] * len(self._sent)
        self._due = {}
        self.look_at_all()

    def history(self, columns: Sequence[int], since_ns: int, until_ns: int, limit: int) -> list[HistoricRow]:
        """Read rows; see `AgentPort`.

        Raises:
            CommandRefused: notFound for a column of which there is no history.
        """
        if not set(columns) <= set(self.historic):
            raise CommandRefused("notFound", "Of some of these values there is no history.", self._its.machine.id)
        low, high = sorted((since_ns, until_ns))
        times, values, qualities, width = self._its.recent(low)
        numbers = [number for number, time_ns in enumerate(times) if time_ns <= high]
        if until_ns < since_ns:
            numbers.reverse()
        points = [self._its.machine.points[column] for column in columns]
        return [
            HistoricRow(
                times[number],
                tuple(rounded(values[number * width + point.index], point.decimals) for point in points),
                tuple(qualities[number * width + point.index] for point in points),
            )
            for number in numbers[: min(limit, _MOST_ROWS)]
        ]
