"""What the simulated machines work by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from firmware_iface.registers import RegisterMap


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe: setpoints by path, in the units of the map."""

    name: str
    version: int
    settings: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a tunnel is heated to, in °C by zone, and its belt in cm/min.

    Chosen so that the nominal model lies near the middle of the window 240–250 °C peak, 40–90 s above 217 °C,
    60–120 s from 150 to 190 °C, slopes within 3 °C/s. A cooling zone is set a little below the air that comes there.
    """

    heated: tuple[float, ...]
    cooling: tuple[float, ...]
    belt: float


PROFILES = (
    Profile((130.0, 145.0, 165.0, 180.0, 185.0, 190.0, 200.0, 225.0, 240.0, 275.0), (203.0, 125.0), 76.0),
    Profile((125.0, 140.0, 155.0, 170.0, 180.0, 185.0, 188.0, 195.0, 210.0, 232.0, 252.0, 275.0),
            (203.0, 125.0, 80.0), 90.0),
)  # fmt: skip
"""By the nominal model a board feels 244.6 °C, 67.9 s, 89.7 s, +1.62 and -1.66 °C/s in the first, and 244.9 °C, 67.4 s,
92.0 s, +1.64 and -1.81 °C/s in the second."""


PREHEATERS = (110.0, 130.0, 150.0)
"""°C of the air: a board of 48.5 s comes to the waves with 110 to 125 °C at 120 cm/min."""

RATED = ((800.0, 12.0), (600.0, 10.0))
"""Pump speed in rpm and the wave's height in mm at it: chip wave, main wave."""

POT_CELSIUS = 260.0
FLUX_ML_MIN, FLUX_MBAR = 40.0, 2500.0
WAVE_SPEED = 120.0


class NotSimulated(ValueError):
    """No simulated machine can be what a map describes: why, in one sentence."""


def width_setpoint(lane: int) -> str:
    """Path of the setpoint of a lane's rails."""
    return f"conveyor/{lane}/widthSetpoint"


def nominal(register_map: RegisterMap) -> Recipe:
    """The recipe SAC305-A version 3 for a map's zones and lanes; NotSimulated where it has no oven of this make."""
    if not register_map.lanes or register_map.kind != "reflow":
        raise NotSimulated(f"{register_map.id} is no reflow oven with a lane")
    settings: dict[str, float] = {}
    profile = _profile(register_map)
    for kind, celsius in (("heated", profile.heated), ("cooling", profile.cooling)):
        zones = [zone for zone in register_map.zones if zone.kind == kind]
        settings |= {path: each for zone, each in zip(zones, celsius, strict=False) for path in zone.setpoints}
        if bare := [str(zone.number) for zone in zones if kind == "heated" and not zone.setpoints]:
            raise NotSimulated(f"{register_map.id} gives no setpoints for heated zone {', '.join(bare)}")
    for lane in register_map.lanes:
        settings[lane.speed_setpoint] = profile.belt
        settings[width_setpoint(lane.number)] = 250.0
    for register in register_map.registers:
        if blower := re.match(r"blower/\d+/", register.path):
            settings[f"{blower[0]}setpoint"] = 60.0
    for oxygen in register_map.oxygen:
        settings |= {f"{oxygen}/setpoint": 500.0, f"{oxygen}/limit": 1000.0}
    return Recipe("SAC305-A", 3, settings)


def _profile(register_map: RegisterMap) -> Profile:
    """The first profile with enough zones."""
    counts = [sum(zone.kind == kind for zone in register_map.zones) for kind in ("heated", "cooling")]
    for profile in PROFILES:
        if counts[0] <= len(profile.heated) and counts[1] <= len(profile.cooling):
            return profile
    raise NotSimulated(f"{register_map.id} has {counts[0]} heated zones and {counts[1]} cooling zones, the simulated"
                       f" oven up to {len(PROFILES[-1].heated)} and {len(PROFILES[-1].cooling)}")


def soldering(register_map: RegisterMap) -> Recipe:
    """The recipe SAC305-W version 1 for a wave machine's zones; NotSimulated where it has none of this make."""
    if not register_map.lanes or register_map.kind != "wave":
        raise NotSimulated(f"{register_map.id} is no wave machine with a lane")
    zones = {kind: [zone for zone in register_map.zones if zone.kind == kind] for kind in ("flux", "preheat", "wave")}
    for kind, most in (("flux", 1), ("preheat", len(PREHEATERS)), ("wave", len(RATED))):
        if not 1 <= len(zones[kind]) <= most:
            raise NotSimulated(f"{register_map.id} has {len(zones[kind])} {kind} zones, the simulated wave machine"
                               f" 1 to {most}")
    if bare := [str(zone.number) for zone in zones["preheat"] if not zone.setpoints]:
        raise NotSimulated(f"{register_map.id} gives no setpoints for preheat zone {', '.join(bare)}")
    settings = {path: each for zone, each in zip(zones["preheat"], PREHEATERS, strict=False) for path in zone.setpoints}
    settings |= {"flux/1/flowSetpoint": FLUX_ML_MIN, "flux/1/pressureSetpoint": FLUX_MBAR}
    settings |= {"pot/1/setpoint": POT_CELSIUS}
    settings |= {f"wave/{number}/pumpSpeedSetpoint": rpm for number, (rpm, _) in enumerate(RATED, 1)}
    for lane in register_map.lanes:
        settings |= {lane.speed_setpoint: WAVE_SPEED, width_setpoint(lane.number): 250.0}
    return Recipe("SAC305-W", 1, settings)
