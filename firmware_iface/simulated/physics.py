"""The air along the tunnel and a board in it, as pure functions; places in mm from the entrance, temperatures in °C.

A plausible oven, not a calibrated one: one time constant for a board, a ramp of the air at the entry, and a decay after
the last heated zone in place of the cooling zones.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from firmware_iface.registers import Thermal, Zone

Geometry = tuple[float, ...]
"""Start and end of every heated zone in turn, rising."""


def geometry(zones: Iterable[Zone]) -> Geometry:
    """Places of the heated zones; the zones come in the order of their places."""
    heated = (zone for zone in zones if zone.kind == "heated")
    return tuple(place for zone in heated for place in (zone.start_mm, zone.start_mm + zone.length_mm))


def air(x_mm: float, zone_temperatures: Sequence[float], heated: Geometry, thermal: Thermal) -> float:
    """Air temperature at a place, from one temperature for each heated zone."""
    if x_mm <= thermal.ramp_start_mm:
        return thermal.ambient_celsius
    if x_mm <= thermal.ramp_end_mm:
        share = (x_mm - thermal.ramp_start_mm) / (thermal.ramp_end_mm - thermal.ramp_start_mm)
        return thermal.ambient_celsius + (zone_temperatures[0] - thermal.ambient_celsius) * share
    if x_mm > heated[-1]:
        excess = zone_temperatures[-1] - thermal.exit_celsius
        return thermal.exit_celsius + excess * math.exp(-(x_mm - heated[-1]) / thermal.decay_mm)
    place = bisect_left(heated, x_mm)
    if place % 2 or place == 0:
        return zone_temperatures[place // 2]
    end, start = heated[place - 1], heated[place]
    before, after = zone_temperatures[place // 2 - 1], zone_temperatures[place // 2]
    return before + (after - before) * (x_mm - end) / (start - end)


def step(temperature: float, air_celsius: float, seconds: float, tau_s: float) -> float:
    """Temperature of a board after a time in air; stable for any step."""
    return air_celsius + (temperature - air_celsius) * math.exp(-seconds / tau_s)
