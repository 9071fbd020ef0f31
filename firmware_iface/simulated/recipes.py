"""What the simulated oven cooks by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firmware_iface.registers import RegisterMap


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe: setpoints by path, in the units of the map."""

    name: str
    version: int
    settings: Mapping[str, float]


HEATED = (130.0, 145.0, 165.0, 180.0, 185.0, 190.0, 200.0, 225.0, 240.0, 275.0)
"""Chosen so that the nominal model lies near the middle of the window 240–250 °C peak, 40–90 s above 217 °C,
60–120 s from 150 to 190 °C, slopes within 3 °C/s: 244.6 °C, 67.9 s, 89.7 s, +1.62 and -1.66 °C/s at 76 cm/min."""

COOLING = (203.0, 125.0)
"""A little below the air that comes out of the last heated zone, 205.5 and 126.6 °C at the zones' middles."""

BELT_SPEED = 76.0


class NotSimulated(ValueError):
    """The simulated oven cannot be what a map describes: why, in one sentence."""


def nominal(register_map: RegisterMap) -> Recipe:
    """The recipe SAC305-A version 3 for a map's zones and lanes; NotSimulated where it has no oven of this make."""
    if not register_map.lanes or register_map.kind != "reflow":
        raise NotSimulated(f"{register_map.id} is no reflow oven with a lane, and nothing else can be simulated")
    settings: dict[str, float] = {}
    for kind, celsius in (("heated", HEATED), ("cooling", COOLING)):
        zones = [zone for zone in register_map.zones if zone.kind == kind]
        if len(zones) > len(celsius):
            raise NotSimulated(f"{register_map.id} has {len(zones)} {kind} zones, the simulated oven up to"
                               f" {len(celsius)}")
        settings |= {path: each for zone, each in zip(zones, celsius, strict=False) for path in zone.setpoints}
        if bare := [str(zone.number) for zone in zones if kind == "heated" and not zone.setpoints]:
            raise NotSimulated(f"{register_map.id} gives no setpoints for heated zone {', '.join(bare)}")
    for lane in register_map.lanes:
        settings[lane.speed_setpoint] = BELT_SPEED
        settings[f"conveyor/{lane.number}/widthSetpoint"] = 250.0
    for number in range(1, 5):
        settings[f"blower/{number}/setpoint"] = 60.0
    for oxygen in register_map.oxygen:
        settings |= {f"{oxygen}/setpoint": 500.0, f"{oxygen}/limit": 1000.0}
    return Recipe("SAC305-A", 3, settings)
