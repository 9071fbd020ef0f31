"""A simulated machine on a socket: Modbus TCP on loopback, its time on the agent's clock."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import struct
import sys
from collections.abc import Callable, Iterable

from edgeagent.clock import Clock
from edgeagent.config import is_loopback
from edgeagent.errors import ConfigError
from firmware_iface.map_reader import FileFault
from firmware_iface.registers import RegisterMap
from firmware_iface.simulated import modbus
from firmware_iface.simulated.faults import FaultError, parse
from firmware_iface.simulated.machine import Machine
from firmware_iface.simulated.memory import Memory
from firmware_iface.simulated.oven import Oven
from firmware_iface.simulated.recipes import NotSimulated
from firmware_iface.simulated.wave import WaveMachine

MAX_CONNECTIONS = 32
BEAT_S = 0.1
"""Real seconds between two moves of the oven that nobody asked for."""

LONGEST_STEP_S = 120.0
"""Oven seconds made up at once; a computer that slept longer stops the oven instead of stalling the loop."""

_HEADER = struct.Struct(">HHHB")
_LONGEST_PDU = 253
_LONGEST_LINE = 1000


class PortTaken(OSError):
    """The port cannot be listened on."""


class SimulatedOven:
    """Serves an oven's memory over Modbus TCP; its time follows the clock lazily, at each request and each beat.

    Faults on the wire: `slow` delays answers (real time), `silent` swallows them, `controller-reboot` closes
    connections, new ones at once.

    Raises:
        NotSimulated: the map describes no oven that can be simulated.
    """

    def __init__(self, register_map: RegisterMap, clock: Clock, *, cold: bool = False, seed: int = 1) -> None:
        kind = WaveMachine if register_map.kind == "wave" else Oven
        self.oven: Machine = kind(register_map, seed=seed, cold=cold)
        self._memory = Memory(register_map, self.oven)
        self._unit = register_map.device.unit
        self._clock = clock
        self._last_ns = clock.monotonic_ns()
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
        self._last_ns = self._clock.monotonic_ns()
        self._keep(asyncio.create_task(self._beat()))
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def catch_up(self) -> None:
        """Bring the oven to the clock's time, and drop the connections of a controller that starts again."""
        now = self._clock.monotonic_ns()
        self.oven.advance(min(max(0.0, (now - self._last_ns) / 1e9), LONGEST_STEP_S))
        self._last_ns = now
        if self.oven.is_rebooting:
            for writer in self._writers:
                writer.close()

    async def _beat(self) -> None:
        while True:
            self.catch_up()
            await asyncio.sleep(BEAT_S)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.catch_up()
        if self.oven.is_rebooting or len(self._writers) >= MAX_CONNECTIONS:
            writer.close()
        else:
            self._writers.add(writer)
            self._keep(asyncio.create_task(self._converse(reader, writer)))

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                transaction, protocol, length, unit = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                if protocol != 0 or not 2 <= length <= _LONGEST_PDU + 1:
                    return
                pdu = self._answer(unit, await reader.readexactly(length - 1))
                if delay := self.oven.answer_delay_s:
                    await asyncio.sleep(delay)
                if pdu:
                    writer.write(_HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, unit: int, request: bytes) -> bytes:
        self.catch_up()
        if self.oven.is_silent:
            return b""
        if unit != self._unit:
            return modbus.refusal(request[0], modbus.GATEWAY_NO_RESPONSE)
        return modbus.answer(self._memory, request)


def _check_loopback(host: str) -> None:
    if not is_loopback(host):
        reason = f"{host} is not a loopback address: whoever reaches the simulated oven can write to it"
        raise ConfigError([FileFault("command line", None, "--host", reason, "use 127.0.0.1")])


async def serve(register_map: RegisterMap, host: str, port: int, speed: float, cold: bool, seed: int,
                boards: int | None, interval_s: float, faults: Iterable[str],
                announce: Callable[[str], None]) -> None:  # fmt: skip
    """Serve an oven until cancelled; faults come as arguments and as lines typed on standard input.

    Args:
        boards: how many enter, one every `interval_s` of oven time; None for no end, 0 for none.
        announce: takes one sentence: where it listens, each new state, each fault taken or refused.

    Raises:
        ConfigError: the map describes no oven that can be simulated, the host is not loopback, or a fault cannot be
            understood. PortTaken: the port.
    """
    try:
        simulated = SimulatedOven(register_map, Clock(speed), cold=cold, seed=seed)
    except NotSimulated as error:
        raise ConfigError([FileFault("command line", None, "--map", str(error), "use reflow10 or wave")]) from None
    oven = simulated.oven
    try:
        for text in faults:
            oven.add_fault(parse(text))
    except FaultError as error:
        raise ConfigError([FileFault("command line", None, "--fault", str(error))]) from None
    if boards != 0:
        oven.schedule(interval_s, boards)
    port = await simulated.start(host, port)
    announce(f"simulated machine {register_map.id} on {host} port {port}, {speed:g} times real time")
    typed = _typed(oven, announce)
    state = ""
    try:
        while True:
            if oven.state != state:
                state = oven.state
                announce(f"{oven.time:.0f} s: {state}")
            while oven.refusals:
                announce(f"refused: {oven.refusals.popleft()}")
            await asyncio.sleep(BEAT_S)
    finally:
        if typed is not None:
            asyncio.get_running_loop().remove_reader(typed)
        await simulated.stop()


def _typed(oven: Machine, announce: Callable[[str], None]) -> int | None:
    """Take faults typed on standard input, a terminal or a pipe; its descriptor, None where there is neither."""
    try:
        descriptor = sys.stdin.fileno()
        mode = os.fstat(descriptor).st_mode
    except (AttributeError, OSError, ValueError):
        return None
    if not (stat.S_ISFIFO(mode) or os.isatty(descriptor)):
        return None
    loop = asyncio.get_running_loop()
    held = b""

    def read() -> None:
        nonlocal held
        received = os.read(descriptor, 4096)
        # The end of the input ends the last line too.
        *lines, held = (held + (received or b"\n")).split(b"\n")
        held = held[:_LONGEST_LINE]
        for line in lines:
            _take(oven, line.decode(errors="replace").strip(), announce)
        if not received:
            loop.remove_reader(descriptor)

    loop.add_reader(descriptor, read)
    return descriptor


def _take(oven: Machine, line: str, announce: Callable[[str], None]) -> None:
    if line == "mend":
        oven.faults.clear()
        announce(f"{oven.time:.0f} s: all faults mended")
    elif line:
        try:
            oven.add_fault(parse(line))
        except FaultError as error:
            announce(str(error))
        else:
            announce(f"{oven.time:.0f} s: {line}")
