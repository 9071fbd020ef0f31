"""What the machine is set to: recipe, setpoints, limits and firmware, what changed of it, and by whom."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from edgeagent.capture.expected import AT_THE_MACHINE, Awaited, Expected
from edgeagent.model.boards import RecipeName
from edgeagent.model.events import ConfigurationChanged, RecipeSettingChanged, RecipeStarted, SettingChange
from edgeagent.model.points import Quality
from edgeagent.model.samples import rounded

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from edgeagent.model.machine import Machine
    from edgeagent.model.points import Point
    from edgeagent.model.samples import Row


class SettingsMemory(msgspec.Struct):
    """What survives a restart: the recipe and every setpoint, limit and identity text as last seen, by path.

    Attributes:
        recipe, version: what runs: as the machine tells it, or as the agent started it since.
        read: name and version as the machine last told them; None where they are `recipe` and `version`.
    """

    recipe: str | None = None
    version: int | None = None
    read: tuple[str | None, int | None] | None = None
    seen: bool = False
    since_ns: int = 0
    """Wall time at which the recipe was first seen to run; 0 where unknown."""
    numbers: dict[str, float] = msgspec.field(default_factory=dict)
    texts: dict[str, str] = msgspec.field(default_factory=dict)
    history: dict[str, list[tuple[int, float]]] = msgspec.field(default_factory=dict)
    """Setpoint path → (monotonic ns, value in force from then on), the newest 32."""
    awaited: dict[str, Awaited] = msgspec.field(default_factory=dict)


class SettingsWatch:
    """Tells a started recipe, changed setpoints of it, and changes of limits and firmware."""

    def __init__(self, machine: Machine, memory: SettingsMemory) -> None:
        self.memory = memory
        self._machine = machine
        self._expected = Expected(memory.awaited)
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
        started = self._started(row, now_ns) if group == self._recipe_group else None
        settings: dict[str, list[SettingChange]] = {}
        limits = []
        for point, change, by in self._changed_numbers(row, group, now_ns):
            if point.kind == "limit":
                limits.append(ConfigurationChanged(what=point.path, from_=change.from_, to=change.to, by=by))
            elif started is None or by != started.by:  # what comes with a recipe is no change of it
                settings.setdefault(by, []).append(change)
        return [
            *([started] if started else ()),
            *(RecipeSettingChanged(recipe=self.memory.recipe, changes=tuple(changes), by=by)
              for by, changes in settings.items()),
            *limits,
            *self._changed_texts(row, group),
        ]  # fmt: skip

    def expect(self, values: Mapping[str, float | str], by: str, now_ns: int) -> None:
        """Take changes of these points to these values for somebody's, for a minute."""
        self._expected.add(values, by, now_ns)

    def expect_no_more(self, paths: Collection[str]) -> None:
        """Take back what was expected last of these points."""
        for path in paths:
            self._expected.take_back(path)

    def start(self, recipe: RecipeName, by: str) -> RecipeStarted | None:
        """Know what recipe the machine was given over the agent, until the machine tells another one than it does now.

        None where it was told already; a version that the machine cannot tell is only remembered.
        """
        memory = self.memory
        name, version = memory.recipe, memory.version
        if (name, version) == (recipe.name, recipe.version):
            return None
        memory.read = memory.read or (name, version)
        memory.recipe, memory.version = recipe.name, recipe.version
        if name == recipe.name and version is None:
            return None
        return RecipeStarted(recipe=recipe.name, version=recipe.version, previous=name, by=by)

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
        self._expected.shift(shift_ns)
        self.memory.history = {
            path: [(since + shift_ns, value) for since, value in changes]
            for path, changes in self.memory.history.items()
        }  # fmt: skip

    def _started(self, row: Row, now_ns: int) -> RecipeStarted | None:
        if row.quality[self._name] != Quality.GOOD:
            return None
        name = row.texts.get(self._name) or None
        is_told = self._version < 0 or row.good(self._version)
        version = int(row.values[self._version]) if is_told and self._version >= 0 else None
        memory = self.memory
        read_name, read_version = memory.read or (memory.recipe, memory.version)
        if memory.seen and name == read_name and (not is_told or read_version in (None, version)):
            if is_told and memory.read:
                memory.read = (name, version)
            elif is_told:
                memory.version = version
            return None
        if self._is_half_told(name, version, now_ns):
            return None
        previous, memory.recipe, memory.version = memory.recipe, name, version
        memory.seen, memory.read = True, None
        by = self._who_started(name, version, now_ns)
        return RecipeStarted(recipe=name, version=version, previous=previous, by=by)

    def _is_half_told(self, name: str | None, version: int | None, now_ns: int) -> bool:
        """Whether of a name and a version that are being written only one has arrived."""
        wanted = [(it, read) for it, read in zip(self._awaited(now_ns), (name, version), strict=True) if it]
        arrived = [it.value == read for it, read in wanted]
        return len(wanted) == 2 and any(arrived) and not all(arrived)

    def _awaited(self, now_ns: int) -> tuple[Awaited | None, Awaited | None]:
        paths = (self._machine.map.recipe_name, self._machine.map.recipe_version)
        name, version = (self._expected.at(path, now_ns) if path else None for path in paths)
        return name, version

    def _who_started(self, name: str | None, version: int | None, now_ns: int) -> str:
        map_ = self._machine.map
        of_name = self._expected.who(map_.recipe_name or "", name, now_ns)
        of_version = self._expected.who(map_.recipe_version or "", version, now_ns)
        return of_name if of_name != AT_THE_MACHINE else of_version

    def _changed_numbers(self, row: Row, group: int, now_ns: int) -> list[tuple[Point, SettingChange, str]]:
        """What is new, and by whom."""
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
            by = self._expected.who(point.path, value, now_ns, point.decimals)
            if before is not None:
                changed.append((point, SettingChange(
                    object=point.object, name=point.name, from_=rounded(before, point.decimals),
                    to=rounded(value, point.decimals), unit=point.unit), by))
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
                changed.append(ConfigurationChanged(what=point.path, from_=before, to=text, by="machine"))
        return changed
