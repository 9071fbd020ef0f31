"""The demonstration: a simulated oven, the agent against it over real sockets, and a client that shows it all."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from edgeagent.agent import Agent
from edgeagent.clock import Clock
from edgeagent.config import (
    AgentTable,
    Configuration,
    HttpTable,
    LinesTable,
    MachineTable,
    ModbusTcpTable,
    OpcuaTable,
    OpenAppsTable,
    SimulationTable,
    WindowTable,
)
from edgeagent.errors import ConfigError
from edgeagent.publish.transports import CannotListen
from edgeagent.screen import Screen
from edgeagent.simulate import PortTaken, SimulatedOven
from firmware_iface import catalog
from firmware_iface.map_reader import FileFault
from firmware_iface.simulated.faults import FaultError, parse
from firmware_iface.simulated.oven import Oven

_HOST = "127.0.0.1"
_REFRESH_S = 0.25
_LONGEST_WARM_UP_S = 3600.0
_WINDOW = WindowTable(peak=(240.0, 250.0), time_above_liquidus=(40.0, 90.0), soak=(60.0, 120.0),
                      max_rise=(0.0, 3.0), max_fall=(-3.0, 0.0))
"""The window of contest problem CUMCM 2020 A, for SAC305."""


class Demo:
    """Runs until enough boards are finished, or until it is interrupted.

    Args:
        options: speed, cold, seed, interval, fault, boards, json, http_port, tcp_port, opcua_port, modbus_port.
    """

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._stop = asyncio.Event()
        self._finished = 0

    async def run(self) -> int:
        """Show the demonstration; returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        folder = Path(tempfile.mkdtemp(prefix="edgeagent-demo-"))
        try:
            async with self._running(folder) as agent:
                await self._show(agent)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return 0

    @asynccontextmanager
    async def _running(self, folder: Path) -> AsyncIterator[Agent]:
        options = self._options
        clock = Clock(options.speed, Clock().wall_ns())
        register_map = catalog.builtin("reflow10")
        oven = SimulatedOven(register_map, clock, cold=options.cold, seed=options.seed)
        for fault in options.fault:
            try:
                oven.oven.add_fault(parse(fault))
            except FaultError as error:
                raise ConfigError([FileFault("command line", None, "--fault", str(error))]) from None
        oven.oven.schedule(options.interval)
        try:
            modbus_port = await oven.start(_HOST, options.modbus_port)
        except PortTaken as error:
            raise OSError(f"{error} with --modbus-port") from None
        configuration = Configuration(
            machines=(MachineTable("RO0001", (ModbusTcpTable("reflow10", _HOST, port=modbus_port),), window=_WINDOW),),
            agent=AgentTable(str(folder / "edgeagent.sqlite3")),
            openapps=OpenAppsTable(HttpTable(_HOST, options.http_port), LinesTable(_HOST, options.tcp_port)),
            opcua=OpcuaTable(_HOST, options.opcua_port, anonymous_reading=True),
            simulation=SimulationTable(options.speed),
        )
        agent = Agent(configuration, {"RO0001": (register_map,)}, folder / "edgeagent.sqlite3", clock)
        try:
            await _started(agent, options)
            agent.addresses["OPC UA certificates"] = str(folder / "pki")
            agent.addresses["Modbus TCP of the oven"] = f"{_HOST}:{modbus_port}"
            yield agent
        finally:
            await agent.stop()
            await oven.stop()

    async def _show(self, agent: Agent) -> None:
        host, port = agent.addresses["TCP lines"].rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 22)
        screen = None if self._options.json else await self._screen(reader, writer, agent)
        _ask(writer, "subscribe", "Event.Subscribe", {"topics": ["*"], "from": "beginning"})
        listening = asyncio.create_task(self._listen(reader, screen))
        asking = asyncio.create_task(self._ask_for_state(writer)) if screen else None
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait((listening, stopped), return_when=asyncio.FIRST_COMPLETED)
        for task in (listening, asking, stopped):
            if task:
                task.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        writer.close()
        if screen:
            screen.end(self._finished)

    async def _screen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: Agent) -> Screen:
        _ask(writer, "machine", "Configuration.GetMachine", {})
        machine = msgspec.json.decode(await reader.readline())["result"]
        screen = Screen(sys.stdout, self._options.speed, agent.addresses, machine["lanes"][0]["outletMm"])
        kind = "cold" if self._options.cold else "nearly warm"
        takes = await asyncio.to_thread(_warm_up_s, self._options.cold, self._options.seed)
        screen.say(f"The {kind} oven warms up first: {takes / 60:.0f} min of its time, "
                   f"{takes / self._options.speed:.0f} s at this speed.")
        return screen

    async def _ask_for_state(self, writer: asyncio.StreamWriter) -> None:
        while True:
            _ask(writer, "snapshot", "Event.Snapshot", {})
            await asyncio.sleep(_REFRESH_S)

    async def _listen(self, reader: asyncio.StreamReader, screen: Screen | None) -> None:
        async for line in reader:
            message: dict[str, Any] = msgspec.json.decode(line)
            if "method" not in message:
                if screen and message.get("id") == "snapshot":
                    screen.show(message["result"])
                continue
            if screen:
                screen.event(message["method"], message["params"])
            elif not _printed(line):
                return
            if message["method"] == "Board.ProcessCompleted":
                self._finished += 1
                if self._finished == self._options.boards:
                    return


async def _started(agent: Agent, options: Namespace) -> None:
    """Start the agent; where a port is taken, name its option."""
    try:
        await agent.start()
    except CannotListen as error:
        option = "--http-port" if error.port == options.http_port else "--tcp-port"
        raise OSError(f"{error} with {option}") from None


def _warm_up_s(cold: bool, seed: int) -> float:
    """Oven seconds until ready, seen on a twin of the oven that runs as fast as it can."""
    twin = Oven(catalog.builtin("reflow10"), seed=seed, cold=cold)
    while twin.state == "warmingUp" and twin.time < _LONGEST_WARM_UP_S:
        twin.advance(1.0)
    return twin.time


def _ask(writer: asyncio.StreamWriter, id_: str, method: str, params: dict[str, Any]) -> None:
    writer.write(msgspec.json.encode({"jsonrpc": "2.0", "id": id_, "method": method, "params": params}) + b"\n")


def _printed(line: bytes) -> bool:
    """Print a line; False when whoever read them has gone."""
    try:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Without this Python complains once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
