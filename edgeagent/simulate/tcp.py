"""Simulated devices on a socket: Modbus TCP on loopback."""

from __future__ import annotations

import asyncio
import errno
import struct
from collections.abc import Mapping

from edgeagent.clock import Clock
from edgeagent.config import is_loopback
from edgeagent.errors import ConfigError
from edgeagent.simulate.devices import Running
from firmware_iface.map_reader import FileFault
from firmware_iface.registers import RegisterMap
from firmware_iface.simulated import modbus
from firmware_iface.simulated.device import Device
from firmware_iface.simulated.oven import Oven

MAX_CONNECTIONS = 32

_HEADER = struct.Struct(">HHHB")
_LONGEST_PDU = 253


class PortTaken(OSError):
    """The port cannot be listened on."""


class TcpServer:
    """Serves devices by unit over Modbus TCP.

    Faults on the wire: `slow` delays answers (real time), `silent` swallows them, `controller-reboot` closes
    connections, new ones at once.
    """

    def __init__(self, devices: Mapping[int, Device], clock: Clock) -> None:
        self.lost = ""
        """A socket of this computer is never lost."""
        self._running = Running(devices, clock, self._drop)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen and let time run; the port listened on.

        Raises:
            ConfigError: the host is not loopback: the protocol knows no password.
            PortTaken: another process listens there, or the port is not ours to take.
        """
        _check_loopback(host)
        try:
            self._server = await asyncio.start_server(self._connected, host, port)
        except OSError as error:
            is_used = error.errno == errno.EADDRINUSE
            reason = "is in use: stop what listens there, or" if is_used else f"cannot be taken: {error.strerror};"
            raise PortTaken(f"port {port} on {host} {reason} choose another port") from None
        self._running.start()
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        await self._running.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def catch_up(self) -> None:
        """Bring the devices to the clock's time, and drop the connections of a controller that starts again."""
        self._running.catch_up()

    def _drop(self) -> None:
        if self._is_rebooting:
            for writer in self._writers:
                writer.close()

    @property
    def _is_rebooting(self) -> bool:
        return all(device.is_rebooting for device in self._running.devices.values())

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.catch_up()
        if self._is_rebooting or len(self._writers) >= MAX_CONNECTIONS:
            writer.close()
        else:
            self._writers.add(writer)
            task = asyncio.create_task(self._converse(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                transaction, protocol, length, unit = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                if protocol != 0 or not 2 <= length <= _LONGEST_PDU + 1:
                    return
                pdu, delay_s = self._answer(unit, await reader.readexactly(length - 1))
                if delay_s:
                    await asyncio.sleep(delay_s)
                if pdu:
                    writer.write(_HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, unit: int, request: bytes) -> tuple[bytes, float]:
        if unit in self._running.devices:
            return self._running.answer(unit, request)
        return modbus.refusal(request[0], modbus.GATEWAY_NO_RESPONSE), 0.0


class SimulatedOven(TcpServer):
    """One oven over Modbus TCP.

    Raises:
        NotSimulated: the map describes no oven that can be simulated.
    """

    def __init__(self, register_map: RegisterMap, clock: Clock, *, cold: bool = False, seed: int = 1) -> None:
        self.oven = Oven(register_map, seed=seed, cold=cold)
        super().__init__({register_map.device.unit: self.oven}, clock)


def _check_loopback(host: str) -> None:
    if not is_loopback(host):
        reason = f"{host} is not a loopback address: whoever reaches the simulated device can write to it"
        raise ConfigError([FileFault("command line", None, "--host", reason, "use 127.0.0.1")])
