"""The part of a record that only a wave machine has: what fluxer, preheaters, waves and cooling did to the board."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING

from edgeagent.capture.facts import Process, zone_quality
from edgeagent.capture.verdict import near
from edgeagent.clock import iso
from edgeagent.model.boards import StationRecord, StationValue
from edgeagent.model.samples import rounded

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator

    from edgeagent._core.capture import BoardFigures, ZoneFigures
    from edgeagent.capture.facts import Facts, Judgement
    from edgeagent.model.machine import Limit, Machine, Tolerances
    from firmware_iface.registers import Zone

_MEMBERS = {"flux": "flux", "preheat": "preheat", "wave": "waves", "cooling": "cooling"}
"""Kind of a zone → member of the record."""

_LIFTS = ("rpm", "Hz", "percent", "mm")
"""Units of what lifts a wave, its pump and its height: where one of them is 0 there is no solder to touch."""

_DOUBT = "a wave machine has no model of what the board felt"


class Stations:
    """The stations of a wave machine as a board met them."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._setpoints: dict[str, str] = {}
        for zone in machine.map.zones:
            self._setpoints |= dict(zip(zone.temperatures, zone.setpoints, strict=False))
            self._setpoints |= {path: f"{path}Setpoint" for path in zone.measures
                                if f"{path}Setpoint" in machine.column}  # fmt: skip

    def process(self, facts: Facts, figures: BoardFigures, _: tuple[array[int], array[float]], __: int) -> Process:
        """All stations of one board, by kind."""
        members: dict[str, tuple[StationRecord, ...]] = dict.fromkeys(_MEMBERS.values(), ())
        for zone, seen in zip(self._machine.map.zones, figures.zones, strict=True):
            members[_MEMBERS[zone.kind]] += (self._station(facts, figures, zone, seen),)
        judged = chain(self._values(chain(*members.values()), facts.judging.tolerances),
                       _contact(members["waves"], facts.judging.tolerances.contact_s))
        return Process(members, tuple(judged), _DOUBT)

    def _station(self, facts: Facts, figures: BoardFigures, zone: Zone, seen: ZoneFigures) -> StationRecord:
        has_entered = seen.entered_ns >= 0
        since = seen.entered_ns if has_entered else figures.entered_ns
        values = tuple(self._value(facts, seen, place, path, since)
                       for place, path in enumerate(zone.temperatures + zone.measures))  # fmt: skip
        is_flat = zone.kind == "wave" and any(value.unit in _LIFTS and 0 in (value.setpoint, value.maximum)
                                              for value in values)  # fmt: skip
        return StationRecord(
            zone=zone.number, seconds=0.0 if is_flat else rounded(seen.seconds, 2),
            entered_at=iso(seen.entered_ns + facts.wall_minus_monotonic_ns) if has_entered else None, values=values,
        )  # fmt: skip

    def _value(self, facts: Facts, seen: ZoneFigures, place: int, path: str, since_ns: int) -> StationValue:
        point = self._machine.point(path)
        count, mean, minimum, maximum, at_centre = seen.columns[place]
        setpoint = facts.setpoint_at(self._setpoints[path], since_ns) if path in self._setpoints else math.nan
        return StationValue(
            object=point.object, name=point.name, unit=point.unit or "", setpoint=rounded(setpoint, point.decimals),
            at_centre=rounded(at_centre, point.decimals), mean=rounded(mean, point.decimals),
            minimum=rounded(minimum, point.decimals), maximum=rounded(maximum, point.decimals),
            quality=zone_quality(seen, count, at_centre),
        )  # fmt: skip

    def _values(self, stations: Iterable[StationRecord], allowed: Tolerances) -> Iterator[Judgement]:
        """Judge whatever has a setpoint: temperatures by degrees, flows, pressures and pumps by percent.

        What is set to 0 may still move within its deadband.
        """
        for station in stations:
            for value in station.values:
                path = f"{value.object}/{value.name}"
                if path in self._setpoints:
                    share = (value.setpoint or 0.0) * allowed.measure_percent / 100
                    share = share or self._machine.point(path).deadband
                    yield from near(f"zone {station.zone}: {path}", value.mean, value.setpoint, value.quality,
                                    value.unit, allowed.celsius(value.object) if value.unit == "degC" else share)


def _contact(waves: Iterable[StationRecord], allowed: Limit | None) -> Iterator[Judgement]:
    touched = [wave.seconds for wave in waves]
    known = [seconds for seconds in touched if seconds is not None]
    if allowed is None:
        return
    if len(known) < len(touched):
        yield "process: the contact with the waves is not known", None
    elif not allowed.low <= sum(known) <= allowed.high:
        yield (f"process: contact with the waves was {sum(known):.2f} s, {allowed.low:g} to {allowed.high:g} s is"
               " allowed"), False
