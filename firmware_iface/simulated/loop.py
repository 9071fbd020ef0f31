"""One temperature loop: a load with dead time under PI control, its thermocouple, and the alarms around it."""

from __future__ import annotations

import math
from random import Random

from firmware_iface.simulated.heaters import AMBIENT, STEP_S, HalfZone

LOW, HIGH = -200.0, 1372.0
"""Range of the input, °C: a thermocouple of type K."""

MANUAL, SENSOR_BREAK, LOOP_BREAK, HEATER_FAIL, OUT_OF_RANGE = 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 10
"""Bits of the status word; 0 to 3 are the alarms."""

INPUT_BROKEN, INPUT_OUT_OF_RANGE = 1 << 1, 1 << 2
LOOP_BREAK_S = 60.0
"""Full power for so long without any rise is a broken loop."""

TARGET = 180.0


class Loop:
    """A loop that begins settled at a target, or at any other temperature; both in °C.

    Attributes:
        target: °C. is_manual: the output stays where it is driven.
        alarm_setpoints: °C of alarms 1 (high), 2 (low), 3 (high) and 4 (low). presets: °C of setpoints 3 to 5.
    """

    def __init__(self, target: float = TARGET, temperature: float = TARGET) -> None:
        self.target = target
        self.is_manual = False
        self.alarm_setpoints = [TARGET + 30.0, AMBIENT - 50.0, HIGH, LOW]
        self.presets = [TARGET, TARGET, TARGET]
        self._half = HalfZone("loop/temperature", "loop/setpoint", temperature)
        self._driven = 100.0 * self._half.output
        self._full_s = 0.0
        self._began_at = temperature

    @property
    def temperature(self) -> float:
        """Of the load, °C."""
        return self._half.temperature

    @property
    def is_broken(self) -> bool:
        """Whether the thermocouple is open."""
        return self._half.is_open

    @property
    def measured(self) -> float:
        """What the controller shows, °C; an open thermocouple drives it to the top of the range."""
        return HIGH if self.is_broken else min(HIGH, max(LOW, self._half.measured))

    @property
    def output(self) -> float:
        """Power in percent."""
        return 100.0 * self._half.output

    @property
    def status(self) -> int:
        """The status word, alarms in its lowest bits."""
        high, low, high_too, low_too = self.alarm_setpoints
        alarms = (self.measured > high, self.measured < low, self.measured > high_too, self.measured < low_too)
        told = sum(bool(stands) << bit for bit, stands in enumerate(alarms))
        for bit, stands in (
            (MANUAL, self.is_manual), (SENSOR_BREAK, self.is_broken), (LOOP_BREAK, self._full_s >= LOOP_BREAK_S),
            (HEATER_FAIL, self._half.has_heater_fault), (OUT_OF_RANGE, self.is_broken),
        ):  # fmt: skip
            told |= bit * stands
        return told

    @property
    def broken_bits(self) -> int:
        """The word that says what is wrong with the input."""
        return INPUT_BROKEN | INPUT_OUT_OF_RANGE if self.is_broken else 0

    def aim(self, target: float) -> None:
        """Set the target in °C; ValueError outside the range."""
        self.target = _within(target)

    def preset(self, index: int, target: float) -> None:
        """Set one of the setpoints 3 to 5 in °C; ValueError outside the range."""
        self.presets[index] = _within(target)

    def set_alarm(self, index: int, celsius: float) -> None:
        """Set an alarm's setpoint in °C; ValueError outside the range."""
        self.alarm_setpoints[index] = _within(celsius)

    def switch(self, is_manual: float) -> None:
        """Switch to manual (1) or to automatic (0) without a bump; ValueError for anything else."""
        if is_manual not in (0, 1):
            raise ValueError("0 is automatic, 1 is manual")
        self.is_manual, self._driven = bool(is_manual), self.output

    def drive(self, percent: float) -> None:
        """Set the power in manual; ValueError in automatic, where it is the controller's, and outside 0 to 100 %."""
        if not self.is_manual or not 0 <= percent <= 100:
            raise ValueError("the power is set in manual, 0 to 100 %")
        self._driven = percent
        self._half.output = percent / 100

    def advance(self, is_open: bool, is_dead: bool, random: Random) -> None:
        """Go on by one time step of the simulation; without a thermocouple there is no power."""
        half = self._half
        half.is_open = is_open
        half.control(self.target, True, False, random)
        if self.is_manual:
            half.output = self._driven / 100
        elif is_open:
            half.output = 0.0
        half.warm(0.0, is_dead, random)
        if half.output < 1.0 or half.temperature > self._began_at + 2.0 or math.isnan(half.measured):
            self._full_s, self._began_at = 0.0, half.temperature
        else:
            self._full_s += STEP_S


def _within(celsius: float) -> float:
    if not LOW <= celsius <= HIGH:
        raise ValueError(f"{celsius} °C is outside the range {LOW:g} to {HIGH:g}")
    return celsius
