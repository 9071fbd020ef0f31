"""Half zones of the tunnel: a heater with dead time under PI control, and its thermocouple.

Source: engineering assumptions (first order of 180 s, dead time 8 s, coupling 3 %, cooling four times
slower than heating); no log of a production oven was found.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from random import Random

STEP_S = 0.25
"""Time step of the whole simulation."""

AMBIENT = 25.0
GAIN = 400.0
"""°C above the ambient that a heater reaches at full power."""

TAU_S = 180.0
COOLING_FACTOR = 4.0
DEAD_TIME_S = 8.0
COUPLING = 0.03
RAMP_PER_S = 10.0 / 60.0
"""°C/s by which the controller leads a zone up, so that not all heaters draw full power."""

PROPORTIONAL = TAU_S / (GAIN * 2 * DEAD_TIME_S)
INTEGRAL_S = 8 * DEAD_TIME_S
"""SIMC tuning for the plant above."""

DRAW_PER_S = 0.001
"""Share of the difference to a board that the board takes from the air in a second."""

SENSOR_SIGMA = 0.15
AIR_SIGMA = 0.04
NOTICED_AFTER_S = 5.0
"""Time after which the controller tells that a heater does not heat."""


class HalfZone:
    """Top or bottom of a heated zone.

    Attributes:
        temperature: of the air, °C; measured: what the controller reads, NaN for an open thermocouple.
        output: heater power, 0 to 1.
    """

    def __init__(self, path: str, temperature: float, setpoint: float) -> None:
        self.path = path
        self.temperature = temperature
        self.measured = temperature
        self.output = min(1.0, max(0.0, (temperature - AMBIENT) / GAIN))
        self.neighbours: list[HalfZone] = []
        self.is_open = False
        self._lead = min(temperature, setpoint)
        self._integral = self.output
        self._dead_s = 0.0
        self._power = deque([self.output] * round(DEAD_TIME_S / STEP_S))

    @property
    def has_heater_fault(self) -> bool:
        """Whether the controller tells that the heater does not heat."""
        return self._dead_s >= NOTICED_AFTER_S

    def control(self, setpoint: float, is_on: bool, random: Random) -> None:
        """Read the thermocouple and set the heater; with an open thermocouple the output stays as it is."""
        self.measured = math.nan if self.is_open else random.gauss(self.temperature, SENSOR_SIGMA)
        self._lead = min(setpoint, self._lead + RAMP_PER_S * STEP_S) if is_on else min(setpoint, self.temperature)
        if not is_on:
            self.output = self._integral = 0.0
        elif not self.is_open:
            error = self._lead - self.measured
            wanted = self._integral + PROPORTIONAL * error
            self.output = min(1.0, max(0.0, wanted))
            if wanted == self.output or (wanted > self.output) != (error > 0):
                self._integral += PROPORTIONAL * error * STEP_S / INTEGRAL_S

    def warm(self, draw: float, is_dead: bool, random: Random) -> None:
        """Let the air follow the heater, the neighbours and the boards; draw in °C/s."""
        self._dead_s = self._dead_s + STEP_S if is_dead else 0.0
        self._power.append(0.0 if is_dead else self.output)
        difference = AMBIENT + GAIN * self._power.popleft() - self.temperature
        rate = difference / (TAU_S if difference > 0 else TAU_S * COOLING_FACTOR)
        for neighbour in self.neighbours:
            rate += COUPLING / TAU_S * (neighbour.temperature - self.temperature)
        self.temperature += (rate - draw) * STEP_S + random.gauss(0.0, AIR_SIGMA)


class CoolingHalf:
    """Top or bottom of a cooling zone: follows its setpoint by its fans."""

    TAU_S = 60.0

    def __init__(self, path: str, temperature: float) -> None:
        self.path = path
        self.temperature = temperature
        self.measured = temperature

    def advance(self, setpoint: float, is_on: bool, random: Random) -> None:
        """Go on by one time step."""
        target = setpoint if is_on else AMBIENT
        self.temperature += (target - self.temperature) * STEP_S / self.TAU_S
        self.measured = random.gauss(self.temperature, SENSOR_SIGMA)


class Heaters:
    """All half zones of a tunnel.

    Args:
        heated: for each heated zone its object paths, top before bottom; cooling: paths of cooling halves.
        settings: "zone/1/top/setpoint" → °C.
        below: °C (low, high) by which the zones begin below their setpoints; None for a cold oven.
    """

    def __init__(self, heated: list[tuple[str, ...]], cooling: list[str], settings: Mapping[str, float],
                 below: tuple[float, float] | None, random: Random) -> None:  # fmt: skip
        def start(path: str) -> float:
            setpoint = settings[f"{path}/setpoint"]
            return AMBIENT if below is None else setpoint - random.uniform(*below)

        self.zones = [[HalfZone(path, start(path), settings[f"{path}/setpoint"]) for path in zone] for zone in heated]
        self.halves = {half.path: half for zone in self.zones for half in zone}
        self.cooling = {path: CoolingHalf(path, AMBIENT if below is None else settings[f"{path}/setpoint"])
                        for path in cooling}
        for number, zone in enumerate(self.zones):
            beside = self.zones[max(0, number - 1) : number] + self.zones[number + 1 : number + 2]
            for side, half in enumerate(zone):
                half.neighbours = [other[side] for other in beside] + [other for other in zone if other is not half]

    def advance(self, settings: Mapping[str, float], is_on: bool, draws: list[float], dead: set[str],
                open_: set[str], random: Random) -> None:  # fmt: skip
        """Go on by one time step; draws in °C/s for each heated zone."""
        for zone, draw in zip(self.zones, draws, strict=True):
            for half in zone:
                half.is_open = half.path in open_
                half.control(settings[f"{half.path}/setpoint"], is_on, random)
                half.warm(draw, half.path in dead, random)
        for cooling in self.cooling.values():
            cooling.advance(settings[f"{cooling.path}/setpoint"], is_on, random)

    def temperatures(self) -> list[float]:
        """True air temperature of each heated zone, mean of its halves."""
        return [sum(half.temperature for half in zone) / len(zone) for zone in self.zones]

    def farthest(self, settings: Mapping[str, float]) -> float:
        """Largest distance of a measured temperature from its setpoint in °C; infinite while a thermocouple is open."""
        off = (abs(half.measured - settings[f"{half.path}/setpoint"]) for half in self.halves.values())
        return max(math.inf if distance != distance else distance for distance in off)  # noqa: PLR0124
