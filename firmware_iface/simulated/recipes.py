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


ZONE_SETPOINTS = (130.0, 145.0, 165.0, 180.0, 185.0, 190.0, 200.0, 225.0, 240.0, 275.0, 120.0, 60.0)
"""Chosen so that the nominal model lies near the middle of the window 240–250 °C peak, 40–90 s above 217 °C,
60–120 s from 150 to 190 °C, slopes within 3 °C/s: 244.6 °C, 67.9 s, 89.7 s, +1.62 and -1.66 °C/s at 76 cm/min."""

BELT_SPEED = 76.0


def nominal(register_map: RegisterMap) -> Recipe:
    """The recipe SAC305-A version 3 for a map's zones and lanes; ValueError for more zones than it has setpoints."""
    if len(register_map.zones) > len(ZONE_SETPOINTS):
        raise ValueError(f"the simulated oven has recipes for up to {len(ZONE_SETPOINTS)} zones")
    settings = {path: celsius for zone, celsius in zip(register_map.zones, ZONE_SETPOINTS, strict=False)
                for path in zone.setpoints}
    for lane in register_map.lanes:
        settings[lane.speed_setpoint] = BELT_SPEED
        settings[f"conveyor/{lane.number}/widthSetpoint"] = 250.0
    for number in range(1, 5):
        settings[f"blower/{number}/setpoint"] = 60.0
    for oxygen in register_map.oxygen:
        settings |= {f"{oxygen}/setpoint": 500.0, f"{oxygen}/limit": 1000.0}
    return Recipe("SAC305-A", 3, settings)
