"""The board record: the core's figures, put into the words of the OpenApps profile and judged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

import edgeagent
from edgeagent._core.profile import measure, window_share
from edgeagent.clock import iso, utc_offset
from edgeagent.model.boards import (
    Barcode,
    BoardRecord,
    ConveyorRecord,
    InsideRecord,
    MachineName,
    OxygenRecord,
    ProfileRecord,
    RecipeName,
    SampleRecord,
    Verdict,
    WindowShare,
    ZoneRecord,
)
from edgeagent.model.samples import rounded

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterator

    from edgeagent._core.capture import BoardFigures, ZoneFigures
    from edgeagent.model.machine import Machine
    from firmware_iface.registers import Lane, Zone

_WHOLE = 0.9
"""Share of the beats that must be there for a figure to be good."""

_LONG_GAP_S = 2.0
"""A zone or a stay with a longer silence is uncertain."""

_TRACE_GAP_S = 2.5
"""A longer silence makes the figures of the profile that it touches unknown; over less, secants hardly differ.
It spans the seconds of history from which a trace is taken up again after a restart."""

_BLIND_S = 10.0
"""With a longer silence nothing is judged."""


class Facts(msgspec.Struct, kw_only=True):
    """What is known of a board beside the core's figures; times are wall ns, `exited_ns` None where nobody saw it.

    Attributes:
        setpoint_at: path, monotonic ns → the setpoint in force then, NaN where unknown.
    """

    id: str
    barcodes: tuple[Barcode, ...]
    recipe: RecipeName
    entered_ns: int
    exited_ns: int | None
    length_mm: float | None
    uncertain: bool
    process_ready: bool | None
    inside: InsideRecord
    serial_number: str | None
    offset_mm: float | None
    setpoint_at: Callable[[str, int], float]
    wall_minus_monotonic_ns: int


class Recorder:
    """Makes the records of one lane's boards.

    Args:
        stay: columns whose statistics over the stay the core keeps: the belt's speed first, then oxygen.
    """

    def __init__(self, machine: Machine, lane: Lane, stay: tuple[int, ...]) -> None:
        self._machine = machine
        self._lane = lane
        self._stay = stay

    def record(
        self, facts: Facts, figures: BoardFigures, trace: tuple[array[int], array[float]], stride: int
    ) -> BoardRecord:
        """Put everything together."""
        machine = self._machine
        conveyor = self._conveyor(facts, figures)
        oxygen = tuple(self._oxygen(facts, figures))
        zones = tuple(self._zones(facts, figures))
        profile, doubt = self._profile(trace, stride)
        samples = SampleRecord(figures.expected, figures.good, max(0, figures.expected - figures.good),
                               round(figures.longest_gap_s, 3))
        return BoardRecord(
            id=facts.id, barcodes=facts.barcodes,
            machine=MachineName(machine.id, facts.serial_number, machine.map.id, machine.map.fingerprint),
            agent=edgeagent.__version__, lane=self._lane.number, side=None, pass_=1, order=None, operator=None,
            length_mm=rounded(facts.length_mm, 1) if facts.length_mm is not None else None,
            identity="uncertain" if facts.uncertain else "certain", recipe=facts.recipe,
            entered_at=iso(facts.entered_ns), exited_at=iso(facts.exited_ns) if facts.exited_ns else None,
            utc_offset=utc_offset(facts.entered_ns), process_ready=facts.process_ready, conveyor=conveyor,
            oxygen=oxygen, zones=zones, profile=profile, while_inside=facts.inside, samples=samples,
            verdict=self._verdict(facts, conveyor, oxygen, zones, samples, doubt),
        )  # fmt: skip

    def _conveyor(self, facts: Facts, figures: BoardFigures) -> ConveyorRecord:
        point = self._machine.points[self._stay[0]]
        count, mean, minimum, maximum = figures.stay[0]
        setpoint = facts.setpoint_at(self._lane.speed_setpoint, figures.entered_ns)
        return ConveyorRecord(
            unit=point.unit or "", setpoint=rounded(setpoint, point.decimals), mean=rounded(mean, point.decimals),
            minimum=rounded(minimum, point.decimals), maximum=rounded(maximum, point.decimals),
            quality=_quality(count, figures.expected, figures.longest_gap_s),
            exit_offset_mm=round(facts.offset_mm, 1) if facts.offset_mm is not None else None,
        )  # fmt: skip

    def _oxygen(self, facts: Facts, figures: BoardFigures) -> Iterator[OxygenRecord]:
        for column, (count, mean, minimum, maximum) in zip(self._stay[1:], figures.stay[1:], strict=True):
            point = self._machine.points[column]
            setpoint = facts.setpoint_at(f"{point.object}/setpoint", figures.entered_ns)
            yield OxygenRecord(
                object=point.object, unit=point.unit or "", mean=rounded(mean, point.decimals),
                minimum=rounded(minimum, point.decimals), maximum=rounded(maximum, point.decimals),
                setpoint=rounded(setpoint, point.decimals),
                quality=_quality(count, figures.expected, figures.longest_gap_s),
            )  # fmt: skip

    def _zones(self, facts: Facts, figures: BoardFigures) -> Iterator[ZoneRecord]:
        for zone, zone_figures in zip(self._machine.map.zones, figures.zones, strict=True):
            for place, path in enumerate(zone.temperatures):
                yield self._zone(facts, figures, zone, zone_figures, place, path)

    def _zone(
        self, facts: Facts, figures: BoardFigures, zone: Zone, seen: ZoneFigures, place: int, path: str
    ) -> ZoneRecord:
        point = self._machine.point(path)
        count, mean, minimum, maximum, at_centre = seen.columns[place]
        entered = seen.entered_ns >= 0
        setpoint = math.nan
        if place < len(zone.setpoints):
            setpoint = facts.setpoint_at(zone.setpoints[place], seen.entered_ns if entered else figures.entered_ns)
        quality = _quality(count, seen.rows, seen.longest_gap_s)
        if quality == "good" and math.isnan(at_centre):
            quality = "uncertain"
        return ZoneRecord(
            object=point.object, unit=point.unit or "", setpoint=rounded(setpoint, point.decimals),
            entered_at=iso(seen.entered_ns + facts.wall_minus_monotonic_ns) if entered else None,
            seconds=rounded(seen.seconds, 1), at_centre=rounded(at_centre, point.decimals),
            mean=rounded(mean, point.decimals), minimum=rounded(minimum, point.decimals),
            maximum=rounded(maximum, point.decimals), quality=quality,
        )  # fmt: skip

    def _profile(self, trace: tuple[array[int], array[float]], stride: int) -> tuple[ProfileRecord, str]:
        """The profile, and why it or its judgement is unknown."""
        window = self._machine.window
        period_s = self._machine.groups[self._machine.pace].period_ns / 1e9
        try:
            felt = measure(trace[0], trace[1], window.liquidus, window.soak_low, window.soak_high,
                           max(_TRACE_GAP_S, 2.5 * stride * period_s))
        except ValueError as error:
            return ProfileRecord("nominal", None, None, None, None, None, None, None, ()), str(error)
        limits = tuple(
            WindowShare(name, rounded(value, 2), limit.low, limit.high,
                        rounded(window_share(value, limit.low, limit.high), 1))
            for name, value, limit in (
                ("peak", felt.peak, window.peak),
                ("timeAboveLiquidus", felt.time_above_liquidus, window.time_above_liquidus),
                ("soak", felt.soak, window.soak), ("maxRise", felt.max_rise, window.max_rise),
                ("maxFall", felt.max_fall, window.max_fall),
            ) if limit is not None
        )  # fmt: skip
        shares = [abs(limit.share) for limit in limits if limit.share is not None]
        index = max(shares) if shares and len(shares) == len(limits) else None
        profile = ProfileRecord(
            "nominal", None, rounded(felt.peak, 1), rounded(felt.time_above_liquidus, 1), rounded(felt.soak, 1),
            rounded(felt.max_rise, 2), rounded(felt.max_fall, 2), index, limits,
        )  # fmt: skip
        return profile, "no calibration for this product"

    def _verdict(
        self, facts: Facts, conveyor: ConveyorRecord, oxygen: tuple[OxygenRecord, ...], zones: tuple[ZoneRecord, ...],
        samples: SampleRecord, doubt: str,
    ) -> Verdict:  # fmt: skip
        failed, unknown = [], []
        for reason, judged in self._judgements(facts, conveyor, oxygen, zones, samples):
            if judged is None:
                unknown.append(reason)
            elif not judged:
                failed.append(reason)
        process = "fail" if failed else "unknown" if unknown else "pass"
        return Verdict(process, "unknown", (*failed, *unknown, f"profile: {doubt}"))

    def _judgements(
        self, facts: Facts, conveyor: ConveyorRecord, oxygen: tuple[OxygenRecord, ...], zones: tuple[ZoneRecord, ...],
        samples: SampleRecord,
    ) -> Iterator[tuple[str, bool | None]]:  # fmt: skip
        """Each sentence with False where it is a failure and None where it keeps the verdict unknown."""
        allowed = self._machine.tolerances
        if facts.exited_ns is None:
            yield "process: its exit was not seen", None
        if samples.longest_gap_seconds > _BLIND_S:
            yield f"process: nothing was measured for {samples.longest_gap_seconds:.1f} s", None
        elif samples.good < _WHOLE * samples.expected:
            yield f"process: {samples.missing} of {samples.expected} beats are missing", None
        if facts.process_ready is not True:
            yield ("process: the machine was not ready when the board entered" if facts.process_ready is False
                   else "process: whether the machine was ready at entry is unknown"), facts.process_ready
        yield from _near("conveyor", conveyor.mean, conveyor.setpoint, conveyor.quality, conveyor.unit,
                         (conveyor.setpoint or 0.0) * allowed.belt_percent / 100)
        if allowed.oxygen_ppm is not None:
            for of in oxygen:
                yield from _near(of.object, of.mean, of.setpoint, of.quality, of.unit, allowed.oxygen_ppm)
        heated = {self._machine.point(path).object for zone in self._machine.map.zones if zone.kind == "heated"
                  for path in zone.temperatures}
        for zone in zones:
            if zone.object in heated:
                yield from _near(zone.object, zone.mean, zone.setpoint, zone.quality, zone.unit, allowed.zone_celsius)


def _near(
    name: str, mean: float | None, setpoint: float | None, quality: str, unit: str, allowed: float
) -> Iterator[tuple[str, bool | None]]:
    if mean is None or setpoint is None or quality == "bad":
        yield f"process: {name} is not known", None
    elif abs(mean - setpoint) > allowed:
        yield f"process: {name} was {mean:g} {unit}, {setpoint:g} ± {allowed:g} is allowed", False
    elif quality != "good":
        yield f"process: {name} is uncertain", None


def _quality(count: int, expected: int, longest_gap_s: float) -> str:
    if count == 0:
        return "bad"
    return "uncertain" if count < _WHOLE * expected or longest_gap_s > _LONG_GAP_S else "good"
