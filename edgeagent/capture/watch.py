"""What changed at the machine: recipe, setpoints, limits, firmware, scanner readings, and telemetry by deadband."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from edgeagent._core.moves import Moves
from edgeagent.model.boards import RecipeName
from edgeagent.model.events import (
    BarcodeRead,
    ConfigurationChanged,
    RecipeSettingChanged,
    RecipeStarted,
    SettingChange,
)
from edgeagent.model.points import Quality
from edgeagent.model.samples import MeasuredValue, rounded, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeagent.model.machine import Machine
    from edgeagent.model.points import Point
    from edgeagent.model.samples import Row
    from firmware_iface.registers import Lane, Scanner


_EXPECTED_NS = 60_000_000_000
"""Ns within which what somebody writes is seen in what is read, or never."""
_MACHINE = "machine"


class SettingsMemory(msgspec.Struct):
    """What survives a restart: the recipe and every setpoint, limit and identity text as last seen, by path."""

    recipe: str | None = None
    version: int | None = None
    seen: bool = False
    since_ns: int = 0
    """Wall time at which the recipe was first seen to run; 0 where unknown."""
    numbers: dict[str, float] = msgspec.field(default_factory=dict)
    texts: dict[str, str] = msgspec.field(default_factory=dict)
    history: dict[str, list[tuple[int, float]]] = msgspec.field(default_factory=dict)
    """Setpoint path → (monotonic ns, value in force from then on), the newest 32."""
    expected: dict[str, tuple[float | str, str, int]] = msgspec.field(default_factory=dict)
    """Path → value that somebody writes over the agent, who, and until when (monotonic ns) it is waited for."""


class SettingsWatch:
    """Tells a started recipe, changed setpoints of it, and changes of limits and firmware."""

    def __init__(self, machine: Machine, memory: SettingsMemory) -> None:
        self.memory = memory
        self._machine = machine
        map_ = machine.map
        self._name = machine.column[map_.recipe_name] if map_.recipe_name else -1
        self._version = machine.column[map_.recipe_version] if map_.recipe_version else -1
        self._recipe_group = machine.points[self._name].group if map_.recipe_name else -1
        self._numbers: dict[int, list[Point]] = {}
        self._texts: dict[int, list[Point]] = {}
        for point in machine.points:
            if point.kind in ("setpoint", "limit") and not point.is_text:
                self._numbers.setdefault(point.group, []).append(point)
        for path in (map_.firmware, map_.serial):
            if path:
                self._texts.setdefault(machine.point(path).group, []).append(machine.point(path))

    @property
    def recipe(self) -> RecipeName:
        """The active recipe as last seen."""
        return RecipeName(self.memory.recipe, self.memory.version)

    def update(
        self, row: Row, group: int, now_ns: int
    ) -> list[RecipeStarted | RecipeSettingChanged | ConfigurationChanged]:
        """Compare one group's row with what was last seen; values that are not good are not compared."""
        told: list[RecipeStarted | RecipeSettingChanged | ConfigurationChanged] = []
        started = group == self._recipe_group and self._started(row, now_ns)
        if started:
            told.append(started)
        changed = self._changed_numbers(row, group, now_ns)
        settings: dict[str, list[SettingChange]] = {}
        for point, change, by in changed:
            if point.kind == "setpoint":
                settings.setdefault(by, []).append(change)
            else:
                told.append(ConfigurationChanged(what=point.path, from_=change.from_, to=change.to, by=by))
        if not started:
            told.extend(RecipeSettingChanged(recipe=self.memory.recipe, changes=tuple(changes), by=by)
                        for by, changes in settings.items())
        told.extend(self._changed_texts(row, group))
        return told

    def expect(self, values: Mapping[str, float | str], by: str, now_ns: int) -> None:
        """Changes to these values within a minute are told as somebody's; all others as the machine's own."""
        expected = self.memory.expected
        for path in [path for path, (_, _, until_ns) in expected.items() if until_ns < now_ns]:
            del expected[path]
        expected.update({path: (value, by, now_ns + _EXPECTED_NS) for path, value in values.items()})

    def setpoint_at(self, path: str, monotonic_ns: int) -> float:
        """The setpoint that was in force at a time; NaN before the first that was seen."""
        in_force = math.nan
        for since, value in self.memory.history.get(path, ()):
            if since > monotonic_ns:
                break
            in_force = value
        return in_force

    def text(self, path: str | None) -> str | None:
        """Firmware or serial number as last seen; None where it was not."""
        return self.memory.texts.get(path) if path else None

    def shift(self, shift_ns: int) -> None:
        """Move all remembered times, after a restart of the computer."""
        self.memory.history = {
            path: [(since + shift_ns, value) for since, value in changes]
            for path, changes in self.memory.history.items()
        }  # fmt: skip
        self.memory.expected = {
            path: (value, by, until_ns + shift_ns) for path, (value, by, until_ns) in self.memory.expected.items()
        }

    def _by(self, path: str, value: float | str | None, now_ns: int) -> str:
        """Who brought a value about: whoever was about to write exactly this, or the machine itself."""
        wanted, by, until_ns = self.memory.expected.get(path, (None, "", 0))
        if wanted is None or until_ns < now_ns:
            return _MACHINE
        if isinstance(wanted, float) and isinstance(value, float):
            decimals = self._machine.point(path).decimals
            return by if rounded(wanted, decimals) == rounded(value, decimals) else _MACHINE
        return by if wanted == value else _MACHINE

    def _started(self, row: Row, now_ns: int) -> RecipeStarted | None:
        if row.quality[self._name] != Quality.GOOD:
            return None
        name = row.texts.get(self._name) or None
        is_told = self._version < 0 or row.good(self._version)
        version = int(row.values[self._version]) if is_told and self._version >= 0 else None
        memory = self.memory
        if memory.seen and name == memory.recipe and (not is_told or memory.version in (None, version)):
            memory.version = version if is_told else memory.version
            return None
        previous = memory.recipe
        memory.recipe, memory.version, memory.seen = name, version, True
        by = self._by(self._machine.map.recipe_name or "", name, now_ns)
        return RecipeStarted(recipe=name, version=version, previous=previous, by=by)

    def _changed_numbers(self, row: Row, group: int, now_ns: int) -> list[tuple[Point, SettingChange, str]]:
        changed = []
        for point in self._numbers.get(group, ()):
            value = row.values[point.index]
            if row.quality[point.index] != Quality.GOOD:
                continue
            before = self.memory.numbers.get(point.path)
            if before == value:
                continue
            self.memory.numbers[point.path] = value
            history = self.memory.history.setdefault(point.path, [])
            history.append((now_ns, value))
            del history[:-32]
            if before is not None:
                changed.append((point, SettingChange(
                    object=point.object, name=point.name, from_=rounded(before, point.decimals),
                    to=rounded(value, point.decimals), unit=point.unit), self._by(point.path, value, now_ns)))
        return changed

    def _changed_texts(self, row: Row, group: int) -> list[ConfigurationChanged]:
        changed = []
        for point in self._texts.get(group, ()):
            text = row.texts.get(point.index)
            before = self.memory.texts.get(point.path)
            if row.quality[point.index] != Quality.GOOD or text is None or text == before:
                continue
            self.memory.texts[point.path] = text
            if before is not None:
                changed.append(ConfigurationChanged(what=point.path, from_=before, to=text, by=_MACHINE))
        return changed


_WRAPS_FROM, _WRAPS_TO = 65_000, 500
"""A 16 bit count that fell from over the one to under the other went round; any other fall is a restart."""


class ScannerMemory(msgspec.Struct):
    """What survives a restart: the scanner's count, and readings whose boards have not entered yet.

    A reading is its code (None where there was none) and the belt travel (mm) at which it was seen.
    """

    count: int | None = None
    waiting: list[tuple[str | None, float]] = msgspec.field(default_factory=list)


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

    def update(self, row: Row, travel_mm: float) -> BarcodeRead | None:
        """Look whether the scanner's count moved; the first look, and one after a restart of it, only learns."""
        if not (row.good(self._count) and row.good(self._result)):
            return None
        count = int(row.values[self._count])
        before, self.memory.count = self.memory.count, count
        wrapped = before is not None and before > _WRAPS_FROM and count < _WRAPS_TO
        if before is None or before == count or (count < before and not wrapped) or not row.values[self._result]:
            return None
        code = row.texts.get(self._code) if row.values[self._result] == 1 else None
        missed = 0 if wrapped else count - before - 1
        self.memory.waiting.extend([(None, travel_mm)] * min(missed, self._WAITING))
        self.memory.waiting.append((code or None, travel_mm))
        del self.memory.waiting[:-self._WAITING]
        return BarcodeRead(barcode=code or None, result="read" if code else "noRead", lane=self._lane,
                           scanner=self._object, position=self._scanner.position_mm, missed=missed)

    def take(self, travel_mm: float) -> tuple[str | None, float]:
        """The code of the board whose leading edge reached the inlet at a belt travel, and how far off that was in mm.

        Of all readings the one whose board should be there now; the boards of older ones never came. None where the
        board was not read.
        """
        waiting = self.memory.waiting
        if not waiting:
            return None, 0.0
        misses = [abs(travel_mm - seen_mm - self._way_mm) for _, seen_mm in waiting]
        nearest = misses.index(min(misses))
        code = waiting[nearest][0]
        del waiting[: nearest + 1]
        return code, misses[nearest]


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
