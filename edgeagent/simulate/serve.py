"""Serves simulated devices until the end: what they do is told, and faults can be given and typed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from edgeagent.acquire.serial_port import PARITY
from edgeagent.clock import Clock
from edgeagent.errors import ConfigError
from edgeagent.simulate.devices import BEAT_S
from edgeagent.simulate.serial_bus import SerialBus
from edgeagent.simulate.tcp import TcpServer
from edgeagent.simulate.typed import Faults, typed_lines
from firmware_iface.map_reader import FileFault
from firmware_iface.registers import RegisterMap
from firmware_iface.simulated.build import simulated
from firmware_iface.simulated.device import Conveying, Device
from firmware_iface.simulated.faults import FaultError
from firmware_iface.simulated.recipes import NotSimulated


class Server(Protocol):
    """Devices as they are served.

    Attributes:
        lost: why nothing can be served any more; empty while it can.
    """

    lost: str

    async def stop(self) -> None:
        """Serve no more."""


class Wire(Protocol):
    """Where devices can be served."""

    async def open(self, devices: Mapping[int, Device], clock: Clock) -> tuple[Server, str]:
        """Serve devices by unit; returns the server, and where it is in words."""


@dataclass(frozen=True, slots=True)
class Tcp:
    """A port to listen at."""

    host: str = "127.0.0.1"
    port: int = 5020

    async def open(self, devices: Mapping[int, Device], clock: Clock) -> tuple[Server, str]:
        """Serve devices by unit; raises ConfigError, PortTaken."""
        server = TcpServer(devices, clock)
        return server, f"{self.host} port {await server.start(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class Serial:
    """A serial line: a name for a fresh pty, or a character device; parity "none", "even" or "odd"."""

    port: str
    baud: int = 19200
    parity: str = "even"
    stop_bits: int = 1

    async def open(self, devices: Mapping[int, Device], clock: Clock) -> tuple[Server, str]:
        """Serve devices by unit; raises ConfigError, PortRefused."""
        try:
            bus = SerialBus(devices, clock, self.port, self.baud, self.parity, self.stop_bits)
        except ValueError as error:
            raise ConfigError([FileFault("command line", None, "--map", str(error), "write --map NAME:UNIT")]) from None
        await bus.start()
        return bus, f"{self.port} at {self.baud} 8{PARITY[self.parity]}{self.stop_bits}"


async def serve(maps: Mapping[int, RegisterMap], wire: Wire, announce: Callable[[str], None], *,
                speed: float = 1.0, cold: bool = False, seed: int = 1, boards: int | None = None,
                interval_s: float = 60.0, faults: Iterable[str] = ()) -> None:  # fmt: skip
    """Serve a device for each unit until cancelled; faults come as arguments and as lines typed on standard input.

    Args:
        seed: of the first device's noise; each further one has the next.
        announce: takes one sentence: where it is served, each new state, each fault taken or refused.
        boards: how many enter each machine, one every `interval_s` of its time; None for no end, 0 for none.

    Raises:
        ConfigError: a map describes no device that can be simulated, the host is not loopback, a unit cannot answer on
            a serial line, or a fault cannot be understood. PortTaken, PortRefused: the port.
        OSError: the serial port is gone.
    """
    devices = {unit: _device(each, seed + place, cold) for place, (unit, each) in enumerate(maps.items())}
    given = Faults(devices)
    try:
        for text in faults:
            given.take(text)
    except FaultError as error:
        raise ConfigError([FileFault("command line", None, "--fault", str(error))]) from None
    for device in devices.values():
        if isinstance(device, Conveying) and boards != 0:
            device.schedule(interval_s, boards)
    server, where = await wire.open(devices, Clock(speed))
    names = ", ".join(f"{register_map.id} as unit {unit}" for unit, register_map in maps.items())
    announce(f"simulated {names} on {where}, {speed:g} times real time")
    with typed_lines(given, announce):
        try:
            await _tell(devices, server, announce)
        finally:
            await server.stop()


async def _tell(devices: Mapping[int, Device], server: Server, announce: Callable[[str], None]) -> None:
    states = dict.fromkeys(devices, "")
    while not server.lost:
        for unit, device in devices.items():
            name = f"unit {unit}, " if len(devices) > 1 else ""
            if device.state != states[unit]:
                states[unit] = device.state
                announce(f"{name}{device.time:.0f} s: {device.state}")
            while device.refusals:
                announce(f"{name}refused: {device.refusals.popleft()}")
        await asyncio.sleep(BEAT_S)
    raise OSError(f"the port is gone: {server.lost}")


def _device(register_map: RegisterMap, seed: int, cold: bool) -> Device:
    try:
        return simulated(register_map, seed=seed, cold=cold)
    except NotSimulated as error:
        raise ConfigError([FileFault("command line", None, "--map", str(error), "use reflow10")]) from None
