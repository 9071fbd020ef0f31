"""A reflow oven that heats, carries boards, fails on demand; deterministic from its seed, its time is handed in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from firmware_iface.registers import RegisterMap
from firmware_iface.simulated.atmosphere import AIR_PPM, Atmosphere
from firmware_iface.simulated.faults import HALF_ZONE, OVEN
from firmware_iface.simulated.heaters import AMBIENT, Heaters
from firmware_iface.simulated.machine import WARM_BELOW, Machine
from firmware_iface.simulated.panel import sources
from firmware_iface.simulated.recipes import nominal
from firmware_iface.simulated.tunnel import Tunnel

WARM_PPM = 700.0


class Oven(Machine):
    """A simulated oven as a register map describes it.

    Args:
        cold: begin at the ambient and full of air (24 minutes to ready), not a little below the setpoints (1 to 2).

    Raises:
        NotSimulated: the map describes no reflow oven, or points that this oven knows nothing of.
    """

    OWN = OVEN

    def __init__(self, register_map: RegisterMap, *, seed: int = 1, cold: bool = False) -> None:
        super().__init__(register_map, nominal(register_map), seed)
        self.heaters = Heaters(register_map.zones, register_map.thermal, self.settings, None if cold else WARM_BELOW,
                               self.random)
        self.warming = {half.setpoint for half in self.heaters.halves.values()}
        self.atmosphere = Atmosphere(AIR_PPM if cold else WARM_PPM)
        self._tunnel = Tunnel(register_map.zones, register_map.thermal)
        self._panel(sources(self))

    def _parts(self) -> Mapping[str, Collection[str]]:
        return {HALF_ZONE: self.heaters.halves}

    def _work(self) -> None:
        zones = self.heaters.temperatures()
        entered = self._carry(partial(self._tunnel.feel, zones))
        is_hot, is_ramped = self.is_heating, self._sequence.mode == "warmingUp"
        self.heaters.advance(self.settings, is_hot, is_ramped, self._tunnel.draws(zones, self.boards),
                             self.faults.objects("heater-dead"), self.faults.objects("thermocouple-open"), self.random)
        setpoint = min((self.settings[f"{oxygen}/setpoint"] for oxygen in self.map.oxygen), default=AIR_PPM)
        is_purged = is_hot and not self.faults.standing("nitrogen-lost")
        self.atmosphere.advance(setpoint, is_purged, self.faults.standing("oxygen-leak"), entered, self.random)
        ppm = self.atmosphere.concentration
        has_nitrogen = all(ppm < self.settings[f"{oxygen}/limit"] for oxygen in self.map.oxygen)
        self._follow(self.heaters.farthest(self.settings), has_nitrogen)

    def _hottest(self) -> float:
        return max(self.heaters.temperatures(), default=AMBIENT)
