"""What a simulated machine does with what comes over its wire, and how that fails."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from firmware_iface.simulated import modbus
from firmware_iface.simulated.device import Value
from firmware_iface.simulated.memory import Memory
from firmware_iface.simulated.orders import Orders

if TYPE_CHECKING:
    from firmware_iface.simulated.machine import Machine


class Wire:
    """The machine's end of the wire.

    Args:
        obey: what does a command, by its name.

    Attributes:
        orders: what is written in the points by which it is commanded.
        heard: what was written, the latest 1000: time, path, value; also what a fault made the machine ignore.
    """

    def __init__(self, machine: Machine, obey: Mapping[str, Callable[[], None]]) -> None:
        self.orders = Orders(machine.map, obey)
        self.heard: deque[tuple[float, str, Value]] = deque(maxlen=1000)
        self._machine = machine
        self._memory = Memory(machine.map, self)
        self._fell_silent = False

    @property
    def is_silent(self) -> bool:
        """Whether nothing is answered."""
        faults = self._machine.faults
        return faults.standing("silent") or (self._fell_silent and faults.standing("silent-after-write"))

    def answer(self, request: bytes) -> bytes:
        """Answer a request PDU as the controller does now; empty where a fault swallows the answer."""
        faults, is_write = self._machine.faults, request[0] in modbus.WRITES
        if is_write and faults.standing("write-refused"):
            return modbus.refusal(request[0], modbus.DEVICE_FAILURE)
        answer = modbus.answer(self._memory, request)
        self._fell_silent = faults.standing("silent-after-write") and (is_write or self._fell_silent)
        return b"" if is_write and faults.standing("write-unanswered") else answer

    def read(self, path: str) -> Value:
        """Value of a point now."""
        return self._machine.read(path)

    def takes(self, path: str) -> bool:
        """Say whether a point can be written."""
        register_map = self._machine.map
        return (path in self._machine.settings or path in self.orders.values
                or path in (register_map.recipe_name, register_map.recipe_version))  # fmt: skip

    def check(self, path: str, value: Value) -> None:
        """Say whether a point takes a value; ValueError outside its range, KeyError for one that cannot be written."""
        if not self.takes(path):
            raise KeyError(path)
        register = self._machine.map.register(path)
        low = -math.inf if register.low is None else register.low
        high = math.inf if register.high is None else register.high
        if not isinstance(value, str) and not low <= value <= high:
            raise ValueError(f"{path} takes {low:g} to {high:g}, not {value}")

    def take(self, path: str, value: Value) -> None:
        """Do what a write says, which `check` takes."""
        machine = self._machine
        self.heard.append((machine.time, path, value))
        if machine.faults.standing("write-ignored"):
            return
        if path in self.orders.values:
            self.orders.write(path, float(value))
        elif path == machine.map.recipe_name:
            machine.recipe = replace(machine.recipe, name=str(value))
        elif path == machine.map.recipe_version:
            machine.recipe = replace(machine.recipe, version=int(value))
        else:
            machine.write(path, float(value))
