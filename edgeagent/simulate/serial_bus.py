"""Simulated devices on one serial line: Modbus RTU, each answering to its own unit, at the line's speed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from edgeagent.clock import Clock
from edgeagent.simulate.devices import Running
from edgeagent.simulate.port import Port
from firmware_iface.frames.requests import BROADCAST, Requests
from firmware_iface.frames.rtu import framed
from firmware_iface.simulated.device import Device

_SHORTEST_GAP_S = 0.00175
_OVERHEAD = 3
"""Bytes of a request around its PDU: unit and CRC."""


class SerialBus:
    """Serves devices by unit over Modbus RTU.

    Broadcasts are obeyed and not answered; what is heard while a device answers is lost, as on a two-wire line.

    Args:
        port: see `Port`. parity: "none", "even" or "odd".

    Raises:
        ValueError: a unit is not 1 to 247.
    """

    def __init__(self, devices: Mapping[int, Device], clock: Clock, port: str, baud: int = 19200, parity: str = "even",
                 stop_bits: int = 1) -> None:  # fmt: skip
        if wrong := [unit for unit in devices if not 1 <= unit <= 247]:
            raise ValueError(f"unit {wrong[0]}: a unit that answers on a serial line is 1 to 247")
        self._running = Running(devices, clock)
        self._settings = (port, baud, parity, stop_bits)
        self._requests = Requests(devices)
        self._port: Port | None = None
        self._answering: asyncio.Task[None] | None = None
        self.lost = ""
        """Why the port is gone; empty while it is there."""

    async def start(self) -> None:
        """Open the port and let time run; raises PortRefused."""
        self._port = Port(*self._settings)
        self._running.start()
        asyncio.get_running_loop().add_reader(self._port.fileno(), self._hear, self._port)

    async def stop(self) -> None:
        """Close the port."""
        await self._running.stop()
        if self._answering is not None:
            self._answering.cancel()
            with suppress(asyncio.CancelledError):
                await self._answering
        self._close("closed")

    def catch_up(self) -> None:
        """Bring the devices to the clock's time."""
        self._running.catch_up()

    def _close(self, why: str) -> None:
        if self._port is not None:
            asyncio.get_running_loop().remove_reader(self._port.fileno())
            self._port.close()
            self._port, self.lost = None, why

    def _hear(self, port: Port) -> None:
        try:
            heard = port.read()
        except OSError as error:
            self._close(error.strerror or str(error))
            return
        if self._answering is not None and not self._answering.done():
            return
        if requests := self._requests.feed(heard):
            self._answering = asyncio.create_task(self._obey(port, requests))

    async def _obey(self, port: Port, requests: list[tuple[int, bytes]]) -> None:
        for unit, request in requests:
            await self._answer(port, unit, request)

    async def _answer(self, port: Port, unit: int, request: bytes) -> None:
        if port.is_pty:
            await asyncio.sleep((len(request) + _OVERHEAD) * port.character_s)
        if unit == BROADCAST:
            for each in self._running.devices:
                self._running.answer(each, request)
            return
        pdu, delay_s = self._running.answer(unit, request)
        if not pdu:
            return
        await asyncio.sleep(max(3.5 * port.character_s, _SHORTEST_GAP_S) + delay_s)
        with suppress(OSError):
            await port.say(framed(bytes([unit]) + pdu))
