"""The part of a record that only a reflow oven has: its zones, and the profile that the board felt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgeagent._core.profile import measure, window_share
from edgeagent.capture.facts import Process, zone_quality
from edgeagent.capture.verdict import near
from edgeagent.clock import iso
from edgeagent.model.boards import ProfileRecord, WindowShare, ZoneRecord
from edgeagent.model.samples import rounded

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from edgeagent._core.capture import BoardFigures, ZoneFigures
    from edgeagent.capture.facts import Facts, Judgement
    from edgeagent.model.machine import Machine, ProcessWindow, Tolerances
    from firmware_iface.registers import Zone

_TRACE_GAP_S = 2.5
"""A longer silence makes the figures of the profile that it touches unknown; over less, secants hardly differ.
It spans the seconds of history from which a trace is taken up again after a restart."""


class Tunnel:
    """The zones of a reflow oven as a board met them."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def process(
        self, facts: Facts, figures: BoardFigures, trace: tuple[array[int], array[float]], stride: int
    ) -> Process:
        """Zones and profile of one board."""
        zones = tuple(self._zones(facts, figures))
        profile, doubt = self._profile(facts.judging.window, trace, stride)
        judged = tuple(self._judgements(zones, facts.judging.tolerances))
        return Process({"zones": zones, "profile": profile}, judged, doubt)

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
        return ZoneRecord(
            object=point.object, unit=point.unit or "", setpoint=rounded(setpoint, point.decimals),
            entered_at=iso(seen.entered_ns + facts.wall_minus_monotonic_ns) if entered else None,
            seconds=rounded(seen.seconds, 1), at_centre=rounded(at_centre, point.decimals),
            mean=rounded(mean, point.decimals), minimum=rounded(minimum, point.decimals),
            maximum=rounded(maximum, point.decimals), quality=zone_quality(seen, count, at_centre),
        )  # fmt: skip

    def _profile(
        self, window: ProcessWindow, trace: tuple[array[int], array[float]], stride: int
    ) -> tuple[ProfileRecord, str]:
        """The profile, and why it or its judgement is unknown."""
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

    def _judgements(self, zones: tuple[ZoneRecord, ...], allowed: Tolerances) -> Iterator[Judgement]:
        heated = {self._machine.point(path).object for zone in self._machine.map.zones if zone.kind == "heated"
                  for path in zone.temperatures}
        for zone in zones:
            if zone.object in heated:
                yield from near(zone.object, zone.mean, zone.setpoint, zone.quality, zone.unit,
                                allowed.celsius(zone.object))
