"""What came by at the machine: scanner readings, and telemetry by deadband."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from edgeagent._core.moves import Moves
from edgeagent.model.events import BarcodeRead
from edgeagent.model.samples import MeasuredValue, show

if TYPE_CHECKING:
    from edgeagent.model.machine import Machine
    from edgeagent.model.points import Point
    from edgeagent.model.samples import Row
    from firmware_iface.registers import Lane, Scanner

_WRAPS_FROM, _WRAPS_TO = 65_000, 500
"""A 16 bit count that fell from over the one to under the other went round; any other fall is a restart."""


class ScannerMemory(msgspec.Struct):
    """What survives a restart: the scanner's count, and readings whose boards have not entered yet.

    A reading is its code (None where there was none) and the belt travel (mm) at which it was seen.

    Attributes:
        last_mm: belt travel at the last look.
        blind_mm: at the last reading that an outage hid the moment of; blind_since_mm: at the look before that.
    """

    count: int | None = None
    waiting: list[tuple[str | None, float]] = msgspec.field(default_factory=list)
    last_mm: float = 0.0
    blind_mm: float = -math.inf
    blind_since_mm: float = -math.inf


class ScannerWatch:
    """Tells each reading of a lane's scanner and keeps the codes of boards on their way to the inlet."""

    _WAITING = 8
    """Readings kept, at most; an older one belongs to a board that never came."""

    def __init__(self, machine: Machine, lane: Lane, scanner: Scanner, memory: ScannerMemory) -> None:
        self.memory = memory
        self._lane = lane.number
        self._scanner = scanner
        self._way_mm = lane.inlet_mm - scanner.position_mm
        self._object = machine.point(scanner.count).object
        self._count, self._result, self._code = machine.columns((scanner.count, scanner.result, scanner.code))
        self.group = machine.points[self._count].group

    def update(self, row: Row, travel_mm: float, open_mm: float = -math.inf) -> BarcodeRead | None:
        """Look whether the scanner's count moved; the first look, and one after a restart of it, only learns.

        Args:
            open_mm: belt travel at which an outage ended that can have hidden a board.
        """
        if not (row.good(self._count) and row.good(self._result)):
            return None
        count = int(row.values[self._count])
        before, self.memory.count = self.memory.count, count
        looked_mm, self.memory.last_mm = self.memory.last_mm, travel_mm
        wrapped = before is not None and before > _WRAPS_FROM and count < _WRAPS_TO
        if before is None or before == count or (count < before and not wrapped) or not row.values[self._result]:
            return None
        if looked_mm <= open_mm:
            self.memory.blind_mm, self.memory.blind_since_mm = travel_mm, looked_mm
        code = row.texts.get(self._code) if row.values[self._result] == 1 else None
        missed = 0 if wrapped else count - before - 1
        self.memory.waiting.extend([(None, travel_mm)] * min(missed, self._WAITING))
        self.memory.waiting.append((code or None, travel_mm))
        del self.memory.waiting[:-self._WAITING]
        return BarcodeRead(barcode=code or None, result="read" if code else "noRead", lane=self._lane,
                           scanner=self._object, position=self._scanner.position_mm, missed=missed)

    def awaits(self, travel_mm: float) -> bool:
        """Whether a board that was read may be on its way to the inlet: not longer than twice as far as that is."""
        return any(travel_mm - seen_mm <= 2 * self._way_mm for _, seen_mm in self.memory.waiting)

    def take(
        self, travel_mm: float, open_mm: float = -math.inf, far_mm: float = -math.inf, least_mm: float = 0.0
    ) -> tuple[str | None, float]:
        """The code of the board whose leading edge reached the inlet at a belt travel, and how far off that was in mm.

        Of all readings the one whose board should be there now; the boards of older ones never came. None where the
        board was not read. How far off is not known (infinite) where an outage that can have hidden a board lies
        between, in which that of this reading can have entered, or another reading could be of this one.

        Args:
            open_mm, far_mm: belt travel at which such an outage ended, and that the belt can have come to in it.
            least_mm: length of the shortest board.
        """
        waiting = self.memory.waiting
        if not waiting:
            return None, 0.0
        misses = [abs(travel_mm - seen_mm - self._way_mm) for _, seen_mm in waiting]
        nearest = misses.index(min(misses))
        code, seen_mm = waiting[nearest]
        hidden_mm = max(open_mm, self.memory.blind_mm)
        earliest_mm = (self.memory.blind_since_mm if open_mm < seen_mm <= hidden_mm else seen_mm) + self._way_mm
        is_doubtful = seen_mm <= hidden_mm and (earliest_mm <= far_mm + least_mm or len(waiting) > 1)
        del waiting[: nearest + 1]
        return code, math.inf if is_doubtful else misses[nearest]


class Telemetry:
    """Tells values that moved by more than their deadband, changed quality, or were silent for too long.

    Args:
        row: the machine's current row; `update` looks at it.
    """

    def __init__(self, machine: Machine, row: Row) -> None:
        self._machine = machine
        self._row = row
        points: dict[int, list[Point]] = {}
        for point in machine.points:
            points.setdefault(point.group, []).append(point)
        self._moves = {
            group: Moves(row.values, row.quality, [(p.index, p.deadband, p.silence_s) for p in of_group])
            for group, of_group in points.items()
        }  # fmt: skip
        self._texts = {group: [p.index for p in of_group if p.is_text] for group, of_group in points.items()}
        self._told: dict[int, str | None] = {}
        """Text columns → text as last told."""

    def update(self, group: int, now_ns: int) -> list[MeasuredValue]:
        """Compare one group's values with what was last told."""
        moves = self._moves[group]
        for column in self._texts[group]:
            text = self._row.texts.get(column)
            if text != self._told.get(column):
                self._told[column] = text
                moves.forget(column)
        points = self._machine.points
        return [show(self._machine, self._row, points[column], now_ns) for column in moves.due(now_ns)]
