"""The air of an oven's tunnel as boards feel it, and what they take from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from firmware_iface.registers import Thermal, Zone
from firmware_iface.simulated import physics
from firmware_iface.simulated.conveyor import Board
from firmware_iface.simulated.heaters import DRAW_PER_S, STEP_S


class Tunnel:
    """The heated zones of an oven with the air between them."""

    def __init__(self, zones: Iterable[Zone], thermal: Thermal) -> None:
        self._heated = physics.geometry(zones)
        self._thermal = thermal

    def feel(self, zone_temperatures: Sequence[float], board: Board, before_mm: float) -> float:
        """Temperature of a board that has moved from a place to where it is, in one time step."""
        half = board.length_mm / 2
        air = sum(physics.air(place - half, zone_temperatures, self._heated, self._thermal)
                  for place in (before_mm, board.place_mm))  # fmt: skip
        return physics.step(board.temperature, air / 2, STEP_S, board.tau_s)

    def draws(self, zone_temperatures: Sequence[float], boards: Iterable[Board]) -> list[float]:
        """What boards take from the air of each zone, °C/s."""
        draws = [0.0] * len(zone_temperatures)
        for board in boards:
            middle = board.place_mm - board.length_mm / 2
            for zone, temperature in enumerate(zone_temperatures):
                if self._heated[2 * zone] <= middle <= self._heated[2 * zone + 1]:
                    draws[zone] += DRAW_PER_S * max(0.0, temperature - board.temperature)
        return draws
