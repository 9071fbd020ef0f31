"""A pot of solder: much heat to melt, more to warm, and a controller that has to wait for it.

Source: handbook figures of SAC305 (217 to 220 °C, 58 kJ/kg to melt, 0.23 kJ/kg/K solid, 0.25 molten); 400 kg and 12 kW
are a plausible machine, no maker's.
"""

from __future__ import annotations

import math
from collections import deque
from random import Random

from firmware_iface.simulated.heaters import AMBIENT, NOTICED_AFTER_S, SENSOR_SIGMA, STEP_S

SOLIDUS, LIQUIDUS = 217.0, 220.0
SOLID, MOLTEN, FUSION = 0.23, 0.25, 58.0
"""kJ/kg/K, kJ/kg/K and kJ/kg."""

MASS_KG = 400.0
POWER_KW = 12.0
LOSS_KW_PER_K = 0.012
DEAD_TIME_S = 15.0
PROPORTIONAL = MASS_KG * MOLTEN / (POWER_KW * 2 * DEAD_TIME_S)
INTEGRAL_S = 8 * DEAD_TIME_S
"""SIMC tuning, as of an integrating plant: its own time constant is over two hours."""

PUMPS_FREE, PUMPS_LOCKED = 225.0, LIQUIDUS + 1
"""°C: pumps are let go above the one and locked below the other, so that none turns in mush."""

BOARD_KW = 3.0
"""Heat that a board takes out of a wave."""

BOARD_KG_PER_S = 0.002
"""Solder that a board takes along."""

FULL = 96.0


def enthalpy(celsius: float) -> float:
    """Heat in solder of a temperature, kJ/kg from 0 °C on."""
    molten = min(1.0, max(0.0, (celsius - SOLIDUS) / (LIQUIDUS - SOLIDUS)))
    return SOLID * min(celsius, SOLIDUS) + FUSION * molten + MOLTEN * max(0.0, celsius - LIQUIDUS)


def celsius(kj_per_kg: float) -> float:
    """Temperature of solder with so much heat in it: the inverse of `enthalpy`."""
    over = kj_per_kg - SOLID * SOLIDUS
    if over <= 0:
        return kj_per_kg / SOLID
    if over <= FUSION:
        return SOLIDUS + (LIQUIDUS - SOLIDUS) * over / FUSION
    return LIQUIDUS + (over - FUSION) / MOLTEN


class Pot:
    """One pot under PI control.

    Attributes:
        measured: what the controller reads, °C, NaN for an open thermocouple.
        output: heater power, 0 to 1. level: percent.
        is_molten: the pumps are free.
    """

    def __init__(self, temperature: float) -> None:
        self.measured = temperature
        self.output = _holding(temperature)
        self.level = FULL
        self.is_molten = temperature >= PUMPS_FREE
        self._heat = enthalpy(temperature)
        self._integral = self.output
        self._dead_s = 0.0
        self._power = deque([self.output] * round(DEAD_TIME_S / STEP_S))

    @property
    def temperature(self) -> float:
        """Of the solder, °C."""
        return celsius(self._heat)

    @property
    def has_heater_fault(self) -> bool:
        """Whether the controller tells that the heater does not heat."""
        return self._dead_s >= NOTICED_AFTER_S

    def control(self, setpoint: float, is_on: bool, is_open: bool, random: Random) -> None:
        """Read the thermocouple and set the heater; with an open thermocouple the output stays as it is."""
        self.measured = math.nan if is_open else random.gauss(self.temperature, SENSOR_SIGMA)
        if not is_on:
            self.output, self._integral = 0.0, _holding(self.temperature)
        elif not is_open:
            error = setpoint - self.measured
            wanted = self._integral + PROPORTIONAL * error
            self.output = min(1.0, max(0.0, wanted))
            if wanted == self.output or (wanted > self.output) != (error > 0):
                self._integral += PROPORTIONAL * error * STEP_S / INTEGRAL_S

    def warm(self, boards: int, is_dead: bool) -> None:
        """Let the solder follow the heater, the room, and the boards that are in a wave."""
        self._dead_s = self._dead_s + STEP_S if is_dead else 0.0
        self._power.append(0.0 if is_dead else self.output)
        lost = LOSS_KW_PER_K * (self.temperature - AMBIENT) + BOARD_KW * boards
        self._heat += (POWER_KW * self._power.popleft() - lost) * STEP_S / MASS_KG
        self.level -= 100 * BOARD_KG_PER_S * boards * STEP_S / MASS_KG
        self.is_molten = self.temperature >= (PUMPS_LOCKED if self.is_molten else PUMPS_FREE)


def _holding(temperature: float) -> float:
    """Power that holds the pot at a temperature."""
    return min(1.0, max(0.0, LOSS_KW_PER_K * (temperature - AMBIENT) / POWER_KW))
