"""Whether everything that a recipe sets has been where it belongs for long enough, without a break."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from edgeagent.clock import Clock
from edgeagent.control.ports import CommandedMachine
from edgeagent.model.recipes import StoredRecipe

_BLIND_NS = 5_000_000_000
"""For so long a value may not be known and its last one counts: missed beats are no break, silence is one."""

_CALM_NS = 10_000_000_000
"""Between two steps that tell of a machine at the edge of its tolerances."""

_WIDTH_MM = 1.0
"""How far rails may be from the width that they are set to."""


class Target(NamedTuple):
    """One value and where it belongs: within `allowed` of `wanted`, or below it; all in its unit."""

    path: str
    wanted: float
    allowed: float
    is_limit: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value is there."""
        return value <= self.wanted if self.is_limit else abs(value - self.wanted) <= self.allowed


class Missing(NamedTuple):
    """One value that is not where it belongs; None where it is not known."""

    target: Target
    value: float | None
    unit: str | None

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        now = "is not known" if self.value is None else f"is {self.value:g}"
        wanted = f"at most {self.target.wanted:g}" if self.target.is_limit else \
            f"{self.target.wanted:g} ± {self.target.allowed:g}"
        return f"{self.target.path} {now} (wanted {wanted}{unit})"


def targets(recipe: StoredRecipe, machine: CommandedMachine) -> list[Target]:
    """Everything that is waited for: heated zones, belts and rails, oxygen where it is judged."""
    return list(_targets(recipe, machine))


def _targets(recipe: StoredRecipe, machine: CommandedMachine) -> Iterator[Target]:
    set_, its, map_ = recipe.settings, recipe.tolerances, machine.machine.map
    for zone in map_.zones:
        if zone.kind in ("heated", "preheat", "wave"):
            for path, setpoint in zip(zone.temperatures, zone.setpoints, strict=False):
                if setpoint in set_:
                    yield Target(path, set_[setpoint], its.celsius(machine.machine.point(path).object))
    for lane in map_.lanes:
        if lane.speed_setpoint in set_:
            wanted = set_[lane.speed_setpoint]
            yield Target(lane.speed, wanted, wanted * its.belt_percent / 100)
        if lane.width and lane.width_setpoint in set_:
            yield Target(lane.width, set_[lane.width_setpoint], _WIDTH_MM)
    for name in map_.oxygen:
        setpoint, limit = f"{name}/setpoint", f"{name}/limit"
        if its.oxygen_ppm is not None and setpoint in set_:
            yield Target(f"{name}/concentration", set_[setpoint], its.oxygen_ppm)
        if limit in set_:
            yield Target(f"{name}/concentration", set_[limit], 0.0, is_limit=True)


class Settling:
    """Looks at the machine beat by beat.

    Attributes:
        missing: what was not where it belongs when it was last looked.
    """

    def __init__(self, recipe: StoredRecipe, machine: CommandedMachine, clock: Clock) -> None:
        self._machine = machine
        self._clock = clock
        self._settling_ns = round(recipe.settling_s * 1e9)
        self._targets = targets(recipe, machine)
        self._objects = {machine.machine.point(target.path).object for target in self._targets}
        self._seen: dict[str, tuple[float, int]] = {}
        self._since_ns: int | None = None
        self._looked_ns = 0
        self._told_near, self._told_ns = False, clock.monotonic_ns()
        self.missing: tuple[Missing, ...] = ()

    @property
    def count(self) -> int:
        """How many values are waited for."""
        return len(self._targets)

    @property
    def has_news(self) -> bool:
        """Everything came to where it belongs, or left it again, since `progress` was last asked, some time ago."""
        is_near = self._since_ns is not None
        return is_near != self._told_near and self._clock.monotonic_ns() - self._told_ns >= _CALM_NS

    def progress(self) -> str:
        """How far it is, in words."""
        self._told_near, self._told_ns = self._since_ns is not None, self._clock.monotonic_ns()
        if self._told_near:
            return f"everything is within its tolerance, and must stay there for {self._settling_ns / 1e9:g} s"
        near, first = len(self._targets) - len(self.missing), self.missing[0]
        return f"{near} of {len(self._targets)} values are within their tolerance; {first}"

    def look(self) -> bool:
        """Whether everything has been where it belongs for the recipe's settling time."""
        now_ns, looked_ns = self._clock.monotonic_ns(), self._looked_ns
        self._looked_ns = now_ns
        values = {f"{it.object}/{it.name}": it for it in self._machine.values(self._objects)}
        missing = []
        for target in self._targets:
            told = values.get(target.path)
            if told and told.quality == "good" and isinstance(told.value, int | float):
                self._seen[target.path] = float(told.value), now_ns
            value, at_ns = self._seen.get(target.path, (None, 0))
            if value is None or now_ns - at_ns > _BLIND_NS or not target.holds(value):
                known = None if value is None or now_ns - at_ns > _BLIND_NS else value
                missing.append(Missing(target, known, told.unit if told else None))
        self.missing = tuple(missing)
        if missing:
            self._since_ns = None
            return False
        if self._since_ns is None or now_ns - looked_ns > _BLIND_NS:
            self._since_ns = now_ns
        return now_ns - self._since_ns >= self._settling_ns
