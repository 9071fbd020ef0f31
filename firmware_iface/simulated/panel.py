"""What each point of a simulated machine reads, by path."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from firmware_iface.simulated.conveyor import Conveyor
from firmware_iface.simulated.heaters import HalfZone
from firmware_iface.simulated.interlocks import INTERLOCKS

if TYPE_CHECKING:
    from firmware_iface.simulated.machine import Machine
    from firmware_iface.simulated.oven import Oven

FIRMWARE = "1.4.2"
SERIAL_NUMBER = "SIM-0001"

STATES = {
    "off": 0, "standby": 1, "starting": 2, "warmingUp": 3, "changeover": 4, "coolingDown": 5,
    "ready": 6, "running": 7, "fault": 8, "emergencyStop": 9, "maintenance": 10,
}  # fmt: skip
"""Machine states as the state register tells them."""

Read = Callable[[], float | bool | str]


def general(machine: Machine) -> dict[str, Read]:
    """Path → what reads it now, of what every machine has; paths beyond the map's do no harm."""
    found: dict[str, Read] = {path: partial(machine.settings.__getitem__, path) for path in machine.settings}
    found |= _machine(machine) | {path: partial(_ordered, machine, path) for path in machine.wire.orders.values}
    for each in INTERLOCKS:
        found[each.latch] = partial(_latched, machine, each.latch)
        if each.present:
            found[each.present] = partial(_present, machine, each.fault)
    for conveyor in machine.conveyors.values():
        found |= _lane(machine, conveyor)
    return found


def sources(oven: Oven) -> dict[str, Read]:
    """Path → what reads it now, of an oven."""
    found = general(oven)
    for half in oven.heaters.halves.values():
        found |= half_zone(half)
    for cooling in oven.heaters.cooling:
        found[cooling.sensor] = partial(getattr, cooling, "measured")
    for path in oven.settings:
        if path.startswith("blower/"):
            found[path.replace("/setpoint", "/speed")] = partial(_blower, oven, path)
    for oxygen in oven.map.oxygen:
        found[f"{oxygen}/concentration"] = lambda: oven.atmosphere.measured
    return found


def _machine(machine: Machine) -> dict[str, Read]:
    return {
        "machine/state": lambda: STATES[machine.state],
        "machine/emergencyStop": lambda: machine.state == "emergencyStop",
        "machine/remote": lambda: machine.remote,
        "machine/firmware": lambda: FIRMWARE,
        "machine/serialNumber": lambda: SERIAL_NUMBER,
        "machine/heartbeat": lambda: machine.uptime_s % 65_536,
        "machine/uptime": lambda: machine.uptime_s,
        "machine/fingerprint": lambda: float(int(machine.map.fingerprint, 16)),
        "machine/heating": lambda: machine.is_heating,
        "machine/resetTaken": lambda: machine.has_reset,
        "machine/commandReady": lambda: machine.wire.orders.is_listening,
        "recipe/name": lambda: machine.recipe.name,
        "recipe/version": lambda: machine.recipe.version,
    }


def _ordered(machine: Machine, path: str) -> float:
    return machine.wire.orders.values[path]


def _latched(machine: Machine, latch: str) -> bool:
    return latch in machine.interlocks.latched


def _present(machine: Machine, fault: str) -> bool:
    return not machine.faults.standing(fault)


def half_zone(half: HalfZone) -> dict[str, Read]:
    """Path → what reads it now, of one heater with its thermocouple."""
    return {
        half.sensor: lambda: half.measured,
        f"{half.path}/output": lambda: 100.0 * half.output,
        f"{half.path}/heaterFault": lambda: half.has_heater_fault,
        f"{half.path}/sensorBreak": lambda: math.isnan(half.measured),
    }


def _lane(machine: Machine, conveyor: Conveyor) -> dict[str, Read]:
    lane = conveyor.lane
    name = f"lane/{lane.number}"

    def covered(barrier_mm: float) -> bool:
        return conveyor.covers(barrier_mm, machine.since_step_s, machine.faults.standing("barrier-bounce", name))

    return {
        lane.speed: lambda: conveyor.speed,
        f"conveyor/{lane.number}/width": lambda: conveyor.width_mm,
        lane.inlet: lambda: covered(lane.inlet_mm),
        lane.outlet: lambda: covered(lane.outlet_mm),
        f"{name}/downstreamReady": lambda: not machine.faults.standing("outlet-blocked", name),
        f"scanner/{lane.number}/count": lambda: machine.scans[lane.number][0],
        f"scanner/{lane.number}/result": lambda: machine.scans[lane.number][1],
        f"scanner/{lane.number}/code": lambda: machine.scans[lane.number][2],
    }


def _blower(oven: Oven, setpoint: str) -> float:
    return 0.0 if oven.state in ("off", "standby", "emergencyStop") else oven.settings[setpoint]
