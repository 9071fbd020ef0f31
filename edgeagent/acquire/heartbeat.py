"""What a device wants written again and again, or it takes its master for dead."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edgeagent.acquire.reach import words
from edgeagent.errors import MachineError
from firmware_iface.raw_numbers import good_values

if TYPE_CHECKING:
    from edgeagent.acquire.poller import Poller
    from edgeagent.clock import Clock
    from firmware_iface.registers import RegisterMap

_log = logging.getLogger(__name__)


class Heartbeat:
    """Writes the map's heartbeat at its period while the device is known; what failed is told once until it works.

    Args:
        register_map: has a heartbeat. poller: of the device.
    """

    def __init__(self, register_map: RegisterMap, poller: Poller, clock: Clock) -> None:
        assert register_map.heartbeat is not None
        self.name = f"heartbeat of {poller.name}"
        self._register = register_map.register(register_map.heartbeat.point)
        self._period_ns = register_map.heartbeat.period_ms * 1_000_000
        self._highest = 1 if register_map.heartbeat.style == "toggle" else int(good_values(self._register)[1])
        self._poller = poller
        self._clock = clock
        self._value = 0
        self._told = ""

    async def run(self) -> None:
        """Write until cancelled; a beat that comes too late is left out."""
        due = self._clock.monotonic_ns()
        while True:
            await self._clock.sleep_until(due)
            if self._poller.is_known:
                await self._write()
            late = max(0, self._clock.monotonic_ns() - due)
            due += self._period_ns * (1 + late // self._period_ns)

    async def _write(self) -> None:
        self._value = 0 if self._value >= self._highest else self._value + 1
        try:
            await self._poller.write(words(self._register, self._value))
        except MachineError as error:
            if self._told != error.cause:
                _log.warning("%s: %s", self.name, error)
            self._told = error.cause
            return
        if self._told:
            _log.info("%s: it is written again", self.name)
        self._told = ""
