"""A wave soldering machine: fluxer, preheaters, a pot with waves, and boards through them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import partial

from firmware_iface.registers import RegisterMap, Zone
from firmware_iface.simulated import physics
from firmware_iface.simulated.conveyor import Board
from firmware_iface.simulated.faults import HALF_ZONE, WAVE, WAVES
from firmware_iface.simulated.heaters import AMBIENT, DRAW_PER_S, STEP_S, CoolingHalf, HalfZone, farthest
from firmware_iface.simulated.machine import WARM_BELOW, Machine
from firmware_iface.simulated.panel import Read, general, half_zone
from firmware_iface.simulated.pot import Pot
from firmware_iface.simulated.pumps import Fluxer, Wave
from firmware_iface.simulated.recipes import RATED, soldering

POT = "pot/1"
APPROACH_MM = 400.0
"""How far before the first wave a board calls the pumps up to soldering speed."""

CONTACT_TAU_S = 1.5
"""Time constant of a joint in the wave."""

AIR_TAU_FACTOR = 4.0
"""How much slower a board follows the room than a preheater's air."""

COOLING_IDLE, COOLING_BUSY = 5.0, 20.0
"""°C by which the cooling's air is over the room, without and with a board in it."""


class WaveMachine(Machine):
    """A simulated wave machine as a register map describes it.

    Args:
        cold: begin at the ambient with frozen solder (an hour and a quarter to ready), not a little below the
            setpoints (2 to 3 minutes).

    Attributes:
        halves: heaters of the preheaters by object. waves: by object.

    Raises:
        NotSimulated: the map describes no wave machine, or points that this one knows nothing of.
    """

    OWN = WAVES

    def __init__(self, register_map: RegisterMap, *, seed: int = 1, cold: bool = False) -> None:
        super().__init__(register_map, soldering(register_map), seed)
        zones = register_map.zones
        self._preheaters = [(zone, [self._half(*paths, cold) for paths in zip(zone.temperatures, zone.setpoints,
                                                                               strict=True)])
                            for zone in zones if zone.kind == "preheat"]  # fmt: skip
        self.halves = {half.path: half for _, halves in self._preheaters for half in halves}
        self.pot = Pot(AMBIENT if cold else self.settings[f"{POT}/setpoint"] - self.random.uniform(*WARM_BELOW))
        places = [zone for zone in zones if zone.kind == "wave"]
        self.waves = {f"wave/{number}": Wave(f"wave/{number}", zone, *rated)
                      for number, (zone, rated) in enumerate(zip(places, RATED, strict=False), 1)}  # fmt: skip
        self.fluxers = {f"flux/{number}": Fluxer(zone)
                        for number, zone in enumerate((zone for zone in zones if zone.kind == "flux"), 1)}  # fmt: skip
        self.cooling = [(zone, CoolingHalf(sensor, None, zone.start_mm + zone.length_mm / 2))
                        for zone in zones if zone.kind == "cooling" for sensor in zone.temperatures]  # fmt: skip
        self.warming = {half.setpoint for half in self.halves.values()} | {f"{POT}/setpoint"}
        self._pot_mm = places[0].start_mm - APPROACH_MM, places[-1].start_mm + places[-1].length_mm
        self._panel(self._sources())

    @property
    def is_board_before_pot(self) -> bool:
        """Whether a board is up to 400 mm before the waves, or over them."""
        return self._is_board_over(*self._pot_mm)

    def _half(self, sensor: str, setpoint: str, cold: bool) -> HalfZone:
        below = self.random.uniform(*WARM_BELOW)
        return HalfZone(sensor, setpoint, AMBIENT if cold else self.settings[setpoint] - below)

    def _parts(self) -> Mapping[str, Collection[str]]:
        return {HALF_ZONE: (*self.halves, POT), WAVE: self.waves}

    def _work(self) -> None:
        self._carry(self._feel)
        is_hot = self.is_heating
        self._heat(is_hot)
        self._pump(is_hot)
        off = [half.measured - self.settings[half.setpoint] for half in self.halves.values()]
        off.append(self.pot.measured - self.settings[f"{POT}/setpoint"])
        self._follow(farthest(off), self.pot.is_molten)

    def _hottest(self) -> float:
        return max(half.temperature for half in self.halves.values())

    def _heat(self, is_hot: bool) -> None:
        dead, open_ = self.faults.objects("heater-dead"), self.faults.objects("thermocouple-open")
        for zone, halves in self._preheaters:
            inside = [board for board in self.boards if _is_in(zone, board.place_mm - board.length_mm / 2)]
            for half in halves:
                half.is_open = half.path in open_
                half.control(self.settings[half.setpoint], is_hot, self._sequence.mode == "warmingUp", self.random)
                draw = sum(DRAW_PER_S * max(0.0, half.temperature - board.temperature) for board in inside)
                half.warm(draw, half.path in dead, self.random)
        self.pot.control(self.settings[f"{POT}/setpoint"], is_hot, POT in open_, self.random)
        soldered = sum(board.rear_mm < wave.zone.start_mm + wave.zone.length_mm and board.place_mm > wave.zone.start_mm
                       for wave in self.waves.values() if wave.is_running for board in self.boards)  # fmt: skip
        self.pot.warm(soldered, POT in dead)
        for zone, cooling in self.cooling:
            busy = self._is_board_over(zone.start_mm, zone.start_mm + zone.length_mm)
            cooling.advance(AMBIENT + (COOLING_BUSY if busy else COOLING_IDLE), self.random)

    def _pump(self, is_hot: bool) -> None:
        stopped = self.faults.objects("pump-stop")
        for path, wave in self.waves.items():
            is_free = is_hot and self.pot.is_molten and path not in stopped
            wave.advance(self.settings[wave.setpoint], is_free, self.is_board_before_pot, self.random)
        has_air = is_hot and not self.faults.standing("air-lost")
        for path, fluxer in self.fluxers.items():
            zone = fluxer.zone
            is_called = is_hot and self._is_board_over(zone.start_mm, zone.start_mm + zone.length_mm)
            fluxer.advance(self.settings[f"{path}/flowSetpoint"],
                           self.settings[f"{path}/pressureSetpoint"] if has_air else 0.0,
                           is_called, self.faults.standing("nozzle-blocked"), self.random)  # fmt: skip

    def _feel(self, board: Board, before_mm: float) -> float:
        """What the middle of a board meets: preheaters' air, the solder of a wave, or the room."""
        middle = (before_mm + board.place_mm) / 2 - board.length_mm / 2
        for wave in self.waves.values():
            if wave.is_running and _is_in(wave.zone, middle):
                return physics.step(board.temperature, self.pot.temperature, STEP_S, CONTACT_TAU_S)
        for zone, halves in self._preheaters:
            if _is_in(zone, middle):
                air = sum(half.temperature for half in halves) / len(halves)
                return physics.step(board.temperature, air, STEP_S, board.tau_s)
        return physics.step(board.temperature, AMBIENT, STEP_S, AIR_TAU_FACTOR * board.tau_s)

    def _is_board_over(self, start_mm: float, end_mm: float) -> bool:
        return any(board.place_mm >= start_mm and board.rear_mm <= end_mm for board in self.boards)

    def _sources(self) -> dict[str, Read]:
        """Path → what reads it now."""
        found = general(self)
        for half in self.halves.values():
            found |= half_zone(half)
        for _, cooling in self.cooling:
            found[cooling.sensor] = partial(getattr, cooling, "measured")
        for path, wave in self.waves.items():
            for name, told in (("pumpSpeed", "measured"), ("height", "height"), ("running", "is_running")):
                found[f"{path}/{name}"] = partial(getattr, wave, told)
        for path, fluxer in self.fluxers.items():
            for name, told in (("flow", "flow"), ("pressure", "pressure"), ("spraying", "is_spraying")):
                found[f"{path}/{name}"] = partial(getattr, fluxer, told)
        pot = self.pot
        return found | {
            f"{POT}/temperature": lambda: pot.measured,
            f"{POT}/output": lambda: 100.0 * pot.output,
            f"{POT}/level": lambda: pot.level,
            f"{POT}/molten": lambda: pot.is_molten,
            f"{POT}/heaterFault": lambda: pot.has_heater_fault,
            f"{POT}/sensorBreak": lambda: math.isnan(pot.measured),
            f"{POT}/boardBefore": lambda: self.is_board_before_pot,
        }


def _is_in(zone: Zone, place_mm: float) -> bool:
    return zone.start_mm <= place_mm < zone.start_mm + zone.length_mm
