"""Many Modbus TCP devices of 100 registers in one process, and the maps and the configuration that read them.

Every device answers function 3 with registers of which one in ten moves from read to read by more than its deadband.
Function 4 tells the requests that all devices have answered so far, in two words, so that any client can be counted.
`python tests/benchmarks/fleet.py` serves until it is killed and prints its port.
"""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

REGISTERS = 100
PHASES = 20
SOURCES = 16
"""Of one machine, as the configuration allows."""

_POINT = 'table = "holding", type = "int16", scale = 0.1, unit = "degC", range = [-300, 3000], deadband = 0.5'
_HEAD = """
[map]
id = "bench{slot}"
version = "1.0"
title = "Device {slot} of the benchmark"
kind = "{kind}"
[machine]
manufacturer = "bench"
model = "bench"
[groups.device{slot}]
period_ms = 100
[groups.device{slot}.points]
"""
_LANE = """
"lane/1/inlet" = { table = "holding", address = 0, type = "bit", bit = 0, kind = "state" }
"lane/1/outlet" = { table = "holding", address = 1, type = "bit", bit = 0, kind = "state" }
"conveyor/1/speed" = { table = "holding", address = 2, type = "uint16", scale = 0.1, unit = "cm/min" }
"conveyor/1/setpoint" = { table = "holding", address = 3, type = "uint16", scale = 0.1, unit = "cm/min" }
"""
_TAIL = """
[lanes.1]
inlet_mm = 0
outlet_mm = 2000
speed = "conveyor/1/speed"
speed_setpoint = "conveyor/1/setpoint"
inlet = "lane/1/inlet"
outlet = "lane/1/outlet"
[zones.1]
kind = "heated"
start_mm = 250
length_mm = 1000
temperatures = ["device/0/value4"]
[[states]]
state = "running"
when = ["conveyor/1/speed > 1"]
"""
_FIXED = 10
"""Registers of the lane, and some more, which never move."""


def write_maps(folder: Path) -> list[Path]:
    """Write a map of 100 points for each place in a machine: the first an oven with a lane, the others instruments."""
    paths = []
    for slot in range(SOURCES):
        text = _HEAD.format(slot=slot, kind="instrument" if slot else "reflow") + ("" if slot else _LANE)
        for address in range(0 if slot else 4, REGISTERS):
            text += f'"device/{slot}/value{address}" = {{ {_POINT}, address = {address} }}\n'
        paths.append(folder / f"bench{slot}.toml")
        paths[-1].write_text(text + ("" if slot else _TAIL))
    return paths


def write_configuration(folder: Path, devices: int, port: int) -> Path:
    """Write the configuration of an agent that reads so many devices, 16 to a machine."""
    maps = write_maps(folder)
    text = "[openapps.http]\nport = 0\n[openapps.lines]\nport = 0\n"
    for device in range(devices):
        if device % SOURCES == 0:
            text += f'[[machines]]\nid = "M{device // SOURCES}"\n'
        text += f'[[machines.sources]]\nkind = "modbus-tcp"\nmap = "./{maps[device % SOURCES].name}"\n'
        text += f'host = "127.0.0.1"\nport = {port}\n'
    (folder / "agent.toml").write_text(text)
    return folder / "agent.toml"


def _registers(phase: int) -> bytes:
    moved = [10 * ((phase + address) // 10 % 2) for address in range(_FIXED, REGISTERS)]
    free, belt = [0, 0], [780] * (_FIXED - 2)
    return struct.pack(f">{REGISTERS}h", *free, *belt, *(1000 + by for by in moved))


class Device(asyncio.Protocol):
    """One connection, a device of its own; a request comes whole or not at all on the loopback."""

    answered = 0
    phases = tuple(_registers(phase) for phase in range(PHASES))

    def __init__(self) -> None:
        self._phase = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        tid, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", data)
        if function == 3:
            self._phase = (self._phase + 1) % PHASES
            Device.answered += 1
            values = self.phases[self._phase][2 * address:2 * (address + count)]
        else:
            values = struct.pack(">I", Device.answered)
        self._transport.write(struct.pack(">HHHBBB", tid, 0, len(values) + 3, unit, function, len(values)) + values)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Device, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve())
