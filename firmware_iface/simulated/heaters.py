"""Half zones of the tunnel: a heater with dead time under PI control, and its thermocouple.

Source: engineering assumptions (first order of 180 s, dead time 8 s, coupling 3 %, cooling four to five
times slower than heating); no log of a production oven was found.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Mapping
from random import Random

from firmware_iface.registers import Thermal, Zone
from firmware_iface.simulated import physics

STEP_S = 0.25
"""Time step of the whole simulation."""

AMBIENT = 25.0
GAIN = 400.0
"""°C above the ambient that a heater reaches at full power."""

TAU_S = 180.0
COOLING_FACTOR = 4.5
DEAD_TIME_S = 8.0
COUPLING = 0.03
RAMP_PER_S = 10.0 / 60.0
"""°C/s by which the controller leads a zone up from the cold, so that not all heaters draw full power."""

PROPORTIONAL = TAU_S / (GAIN * 2 * DEAD_TIME_S)
INTEGRAL_S = 8 * DEAD_TIME_S
"""SIMC tuning for the plant above."""

DRAW_PER_S = 0.001
"""Share of the difference to a board that the board takes from the air in a second."""

SENSOR_SIGMA = 0.15
AIR_SIGMA = 0.04
NOTICED_AFTER_S = 5.0
"""Time after which the controller tells that a heater does not heat."""

FAN_REACH = 5.0
"""°C by which the fans of a cooling zone can lower its air; the boards' air field knows nothing of them."""


class HalfZone:
    """Top or bottom of a heated zone.

    Attributes:
        path: of the object. sensor, setpoint: paths of its points.
        temperature: of the air, °C; measured: what the controller reads, NaN for an open thermocouple.
        output: heater power, 0 to 1.
    """

    def __init__(self, sensor: str, setpoint: str, temperature: float) -> None:
        self.path = sensor.rpartition("/")[0]
        self.sensor = sensor
        self.setpoint = setpoint
        self.temperature = temperature
        self.measured = temperature
        self.output = _holding(temperature)
        self.neighbours: list[HalfZone] = []
        self.is_open = False
        self._lead = temperature
        self._integral = self.output
        self._dead_s = 0.0
        self._power = deque([self.output] * round(DEAD_TIME_S / STEP_S))

    @property
    def has_heater_fault(self) -> bool:
        """Whether the controller tells that the heater does not heat."""
        return self._dead_s >= NOTICED_AFTER_S

    def control(self, setpoint: float, is_on: bool, is_ramped: bool, random: Random) -> None:
        """Read the thermocouple and set the heater; with an open thermocouple the output stays as it is."""
        self.measured = math.nan if self.is_open else random.gauss(self.temperature, SENSOR_SIGMA)
        if not is_on:
            self.output = 0.0
            self._lead = self.temperature
            # What holds the zone where it is: heating again begins without a bump.
            self._integral = _holding(self.temperature)
            return
        self._lead = min(setpoint, self._lead + RAMP_PER_S * STEP_S) if is_ramped else setpoint
        if not self.is_open:
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
    """Top or bottom of a cooling zone: takes the air that comes out of the last heated one, and its fans cool that.

    Attributes:
        sensor, setpoint: paths of its points; None for a zone without setpoints.
    """

    TAU_S = 60.0

    def __init__(self, sensor: str, setpoint: str | None, middle_mm: float) -> None:
        self.sensor = sensor
        self.setpoint = setpoint
        self.middle_mm = middle_mm
        self.temperature = AMBIENT
        self.measured = AMBIENT

    def target(self, air: float, settings: Mapping[str, float], is_on: bool) -> float:
        """Where its air settles, °C: never above what comes in, and cooled no lower than its setpoint."""
        if self.setpoint is None or not is_on:
            return air
        return min(air, max(settings[self.setpoint], air - FAN_REACH))

    def advance(self, target: float, random: Random) -> None:
        """Go on by one time step."""
        self.temperature += (target - self.temperature) * STEP_S / self.TAU_S
        self.measured = random.gauss(self.temperature, SENSOR_SIGMA)


class Heaters:
    """All half zones of a tunnel.

    Args:
        zones: in the order of their places; heated ones have a setpoint for each temperature.
        settings: setpoint path → °C.
        below: °C (low, high) by which the zones begin below their setpoints; None for a cold oven.
    """

    def __init__(self, zones: Iterable[Zone], thermal: Thermal, settings: Mapping[str, float],
                 below: tuple[float, float] | None, random: Random) -> None:  # fmt: skip
        def half(sensor: str, setpoint: str) -> HalfZone:
            celsius = AMBIENT if below is None else settings[setpoint] - random.uniform(*below)
            return HalfZone(sensor, setpoint, celsius)

        zones = tuple(zones)
        self._geometry = physics.geometry(zones)
        self._thermal = thermal
        self.zones = [[half(*paths) for paths in zip(zone.temperatures, zone.setpoints, strict=True)]
                      for zone in zones if zone.kind == "heated"]  # fmt: skip
        self.halves = {half.path: half for zone in self.zones for half in zone}
        self.cooling = [
            CoolingHalf(sensor, setpoint, zone.start_mm + zone.length_mm / 2)
            for zone in zones if zone.kind == "cooling"
            for sensor, setpoint in itertools.zip_longest(zone.temperatures, zone.setpoints)
        ]  # fmt: skip
        for cooling in self.cooling:
            cooling.temperature = cooling.measured = self._cooled(cooling, settings, below is not None)
        for number, zone in enumerate(self.zones):
            beside = self.zones[max(0, number - 1) : number] + self.zones[number + 1 : number + 2]
            for side, each in enumerate(zone):
                each.neighbours = [other[side] for other in beside if side < len(other)]
                each.neighbours += [other for other in zone if other is not each]

    def advance(self, settings: Mapping[str, float], is_on: bool, is_ramped: bool, draws: list[float], dead: set[str],
                open_: set[str], random: Random) -> None:  # fmt: skip
        """Go on by one time step.

        Args:
            is_ramped: setpoints above the temperature are approached slowly.
            draws: °C/s for each heated zone. dead, open_: objects whose heater or thermocouple has failed.
        """
        for zone, draw in zip(self.zones, draws, strict=True):
            for half in zone:
                half.is_open = half.path in open_
                half.control(settings[half.setpoint], is_on, is_ramped, random)
                half.warm(draw, half.path in dead, random)
        for cooling in self.cooling:
            cooling.advance(self._cooled(cooling, settings, is_on), random)

    def temperatures(self) -> list[float]:
        """True air temperature of each heated zone, mean of its halves."""
        return [sum(half.temperature for half in zone) / len(zone) for zone in self.zones]

    def farthest(self, settings: Mapping[str, float]) -> float:
        """Largest distance of a measured temperature from its setpoint in °C; infinite while a thermocouple is open."""
        return farthest(half.measured - settings[half.setpoint] for half in self.halves.values())

    def _cooled(self, cooling: CoolingHalf, settings: Mapping[str, float], is_on: bool) -> float:
        air = physics.air(cooling.middle_mm, self.temperatures(), self._geometry, self._thermal)
        return cooling.target(air, settings, is_on)


def farthest(distances: Iterable[float]) -> float:
    """Largest of some distances; infinite where one is not known."""
    return max(math.inf if math.isnan(distance) else abs(distance) for distance in distances)


def _holding(temperature: float) -> float:
    """Power that holds a zone at a temperature."""
    return min(1.0, max(0.0, (temperature - AMBIENT) / GAIN))
