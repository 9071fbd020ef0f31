"""What the simulated oven cooks by."""

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


class NotSimulated(ValueError):
    """The simulated oven cannot be what a map describes: why, in one sentence."""


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
        settings[f"conveyor/{lane.number}/widthSetpoint"] = 250.0
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
