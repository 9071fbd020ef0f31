"""The simulated device that speaks a register map."""

from __future__ import annotations

from firmware_iface.registers import RegisterMap
from firmware_iface.simulated.device import Device
from firmware_iface.simulated.eurotherm import TemperatureController
from firmware_iface.simulated.oven import Oven
from firmware_iface.simulated.recipes import NotSimulated
from firmware_iface.simulated.wave import WaveMachine

_MACHINES: dict[str, type[Oven] | type[WaveMachine]] = {"reflow": Oven, "wave": WaveMachine}
"""Kind of a map → the machine that it describes."""

_INSTRUMENTS = {"Eurotherm": TemperatureController}
"""Maker of an instrument → the device that speaks its maps."""


def simulated(register_map: RegisterMap, *, seed: int = 1, cold: bool = False) -> Device:
    """Make the device of a map.

    Args:
        seed: of its noise. cold: begin at the ambient, where the device heats.

    Raises:
        NotSimulated: there is no simulated device of this kind, or it knows nothing of some points of the map.
    """
    if register_map.instrument:
        raise NotSimulated(f"{register_map.id} speaks text; what is simulated here speaks Modbus")
    if register_map.kind in _MACHINES:
        return _MACHINES[register_map.kind](register_map, seed=seed, cold=cold)
    if register_map.kind == "instrument" and register_map.manufacturer in _INSTRUMENTS:
        return _INSTRUMENTS[register_map.manufacturer](register_map, seed=seed, cold=cold)
    raise NotSimulated(f"{register_map.id}: no simulated device speaks this map of kind {register_map.kind}")
