"""Oxygen in the tunnel: nitrogen purges it exponentially, boards and leaks bring some in."""

from __future__ import annotations

import math
from random import Random

from firmware_iface.simulated.heaters import STEP_S

AIR_PPM = 209_000.0
PURGE_TAU_S = 110.0
SPIKE_PPM = 150.0
LEAK_PPM = 3000.0
NOISE = 0.01


class Atmosphere:
    """Oxygen of one tunnel in ppm; `concentration` is the truth, `measured` what the analyser tells."""

    def __init__(self, concentration: float) -> None:
        self.concentration = concentration
        self.measured = concentration

    def advance(self, setpoint: float, is_purged: bool, leaks: bool, entered: int, random: Random) -> None:
        """Go on by one time step, with the number of boards that came in."""
        target = setpoint + (LEAK_PPM if leaks else 0.0) if is_purged else AIR_PPM
        share = math.exp(-STEP_S / PURGE_TAU_S)
        self.concentration = target + (self.concentration - target) * share + entered * SPIKE_PPM
        self.measured = max(0.0, self.concentration * random.gauss(1.0, NOISE))
