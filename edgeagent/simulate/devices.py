"""Simulated devices on one wire: their time follows the clock, whoever asks them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from edgeagent.clock import Clock
from firmware_iface.simulated.device import Device

BEAT_S = 0.1
"""Real seconds between two moves of the devices that nobody asked for."""

LONGEST_STEP_S = 120.0
"""Device seconds made up at once; a computer that slept longer stops the devices instead of stalling the loop."""


class Running:
    """Devices by unit, brought to the clock's time at each request and each beat.

    Args:
        moved: called whenever time has gone on.
    """

    def __init__(self, devices: Mapping[int, Device], clock: Clock, moved: Callable[[], None] = lambda: None) -> None:
        self.devices = dict(devices)
        self._moved = moved
        self._clock = clock
        self._last_ns = clock.monotonic_ns()
        self._beat: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Let time run from now on."""
        self._last_ns = self._clock.monotonic_ns()
        self._beat = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Let time stand."""
        if self._beat is not None:
            self._beat.cancel()
            with suppress(asyncio.CancelledError):
                await self._beat

    def catch_up(self) -> None:
        """Bring the devices to the clock's time."""
        now = self._clock.monotonic_ns()
        seconds = min(max(0.0, (now - self._last_ns) / 1e9), LONGEST_STEP_S)
        self._last_ns = now
        for device in self.devices.values():
            device.advance(seconds)
        self._moved()

    def answer(self, unit: int, request: bytes) -> tuple[bytes, float]:
        """What one of the units answers to a request PDU now, and the real seconds it takes; empty for nothing."""
        self.catch_up()
        device = self.devices[unit]
        if device.is_silent:
            return b"", 0.0
        pdu = device.answer(request)
        return pdu, device.answer_delay_s

    async def _run(self) -> None:
        while True:
            self.catch_up()
            await asyncio.sleep(BEAT_S)
