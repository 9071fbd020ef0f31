"""One machine: its points in their columns, its read groups, and what its map says of lanes, zones and rules."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from edgeagent.model.points import Point, ReadGroup

if TYPE_CHECKING:
    from edgeagent.config import MachineTable
    from firmware_iface.registers import Register, RegisterMap


class Limit(msgspec.Struct, frozen=True):
    """A window for one figure of a board's profile: from low to high, in the figure's unit."""

    low: float
    high: float


class ProcessWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a board must feel in an oven, by alloy and product; a figure without a limit is measured, not judged.

    Attributes:
        liquidus: °C; 217 for SAC305. soak_low, soak_high: °C, the rising band whose time is the soak.
        peak: °C. time_above_liquidus, soak: s. max_rise, max_fall: °C/s, falls are negative.
    """

    liquidus: float = 217.0
    soak_low: float = 150.0
    soak_high: float = 190.0
    peak: Limit | None = None
    time_above_liquidus: Limit | None = None
    soak: Limit | None = None
    max_rise: Limit | None = None
    max_fall: Limit | None = None


class Tolerances(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How far the process may be from its setpoints while a board is inside: °C, percent of the setpoint, ppm.

    Attributes:
        oxygen_ppm: oxygen is not judged where it is None.
        measure_percent: for what belongs to a zone beside temperatures, flux flow and pump speed.
        contact_s: seconds that a board may touch all waves together; not judged where it is None.
        zones: °C of single objects in place of `zone_celsius`.
    """

    zone_celsius: float = 5.0
    belt_percent: float = 2.0
    oxygen_ppm: float | None = None
    measure_percent: float = 10.0
    contact_s: Limit | None = msgspec.field(name="contactSeconds", default=None)
    zones: dict[str, float] = {}

    def celsius(self, object_: str) -> float:
        """How far the temperature of an object may be from its setpoint."""
        return self.zones.get(object_, self.zone_celsius)


class Judging(NamedTuple):
    """What the boards of a recipe are judged by."""

    tolerances: Tolerances
    window: ProcessWindow


class Machine:
    """A machine as every room sees it.

    Args:
        maps: one register map per source; the first describes the machine itself (lanes, zones, rules).

    Attributes:
        points: index = column. groups: index = place in a row's times. column: path → column.
        judging: what boards are judged by where no stored recipe says it.
        map: the first map; its points have the first columns, and lanes, zones and rules know no others.

    Raises:
        ValueError: two maps describe the same path.
    """

    def __init__(
        self,
        id: str,  # noqa: A002
        maps: tuple[RegisterMap, ...],
        serial_number: str | None = None,
        window: ProcessWindow | None = None,
        tolerances: Tolerances | None = None,
    ) -> None:
        self.id = id
        self.maps = maps
        self.map = maps[0]
        self.serial_number = serial_number
        self.judging = Judging(tolerances or Tolerances(), window or ProcessWindow())
        groups: list[ReadGroup] = []
        points: list[Point] = []
        for source, register_map in enumerate(maps):
            index_of = {}
            for group in register_map.groups:
                index_of[group.name] = len(groups)
                groups.append(ReadGroup(len(groups), group.name, source,
                                        group.period_ms * 1_000_000, group.max_age_ms * 1_000_000))
            points.extend(_point(index, register, index_of[register.group])
                          for index, register in enumerate(register_map.registers, start=len(points)))
        self.groups = tuple(groups)
        self.points = tuple(points)
        self.column = {point.path: point.index for point in points}
        if len(self.column) != len(points):
            seen: set[str] = set()
            twice = sorted({p.path for p in points if p.path in seen or seen.add(p.path)})  # type: ignore[func-returns-value]
            raise ValueError(f"machine {id}: two of its maps describe {', '.join(twice)}")

    @classmethod
    def configured(cls, table: MachineTable, maps: tuple[RegisterMap, ...]) -> Machine:
        """Make a machine from its configuration and the maps of its sources."""
        from edgeagent.config import LIMITS  # noqa: PLC0415  the OPC UA process knows this module, and no configuration

        window, tolerances = table.window, table.tolerances
        limits = {name: Limit(*limit) for name in LIMITS if (limit := getattr(window, name))}
        return cls(
            table.id, maps, table.serial_number,
            ProcessWindow(window.liquidus, window.soak_low, window.soak_high, **limits),
            Tolerances(
                tolerances.zone_celsius, tolerances.belt_percent, tolerances.oxygen_ppm, tolerances.measure_percent,
                Limit(*tolerances.contact_s) if tolerances.contact_s else None,
            ),
        )  # fmt: skip

    def point(self, path: str) -> Point:
        """Find a point by its path; KeyError where there is none."""
        return self.points[self.column[path]]

    def register(self, path: str) -> Register:
        """Find what stands for a point on its wire; KeyError where there is none."""
        index = self.column[path]
        for each in self.maps:
            if index < len(each.registers):
                return each.registers[index]
            index -= len(each.registers)
        raise KeyError(path)

    def columns(self, paths: tuple[str, ...]) -> tuple[int, ...]:
        """Columns of several paths."""
        return tuple(self.column[path] for path in paths)

    @cached_property
    def pace(self) -> int:
        """Index of the group that carries the first lane's inlet barrier: each of its beats moves the boards.

        Of an instrument alone, which has no lane, the first of its fastest groups.
        """
        if self.map.lanes:
            return self.point(self.map.lanes[0].inlet).group
        return min((group for group in self.groups if group.source == 0), key=lambda group: group.period_ns).index


def _point(index: int, register: Register, group: int) -> Point:
    object_, _, name = register.path.rpartition("/")
    return Point(
        index=index, object=object_, name=name, kind=register.kind, group=group, unit=register.unit,
        low=register.low, high=register.high, decimals=register.decimals, deadband=register.deadband,
        silence_s=register.silence_s, writable=register.writable, is_text=register.type == "text",
        is_bit=register.type == "bit", text=register.text,
    )  # fmt: skip
