"""What polling costs from 1 to 200 devices: `python tests/benchmarks/bench_poll.py [SECONDS]`, real time, real sockets.

100 registers of each device at 10 Hz over TCP, then as fast as it goes. Each client is a process of its own, measured
by its own CPU time, the least of three runs; the devices are another process. The clients: libmodbus in C (left out,
and said, where compiler or library are missing), asyncio with bytes and nothing else, pymodbus as its manual shows it,
the agent's poller into a row, the agent's whole unit with pipeline and store. Last the whole agent with 1,000 and
10,000 points; that alone, and longer: `bench_poll.py agent DEVICES SECONDS`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fleet
import msgspec
import uvloop
from pymodbus.client import AsyncModbusTcpClient

from edgeagent.acquire.modbus import ModbusTcp, TcpConnection
from edgeagent.acquire.plan import plan
from edgeagent.acquire.poller import Poller
from edgeagent.acquire.wires import Wires
from edgeagent.clock import Clock
from edgeagent.config import MachineTable, ModbusTcpTable
from edgeagent.model.machine import Machine
from edgeagent.model.samples import Row
from edgeagent.store import Checkpoints, Database, Journal
from edgeagent.unit import Unit
from firmware_iface import catalog

HERE = Path(__file__).resolve().parent
DEVICES = (1, 10, 50, 200)
PERIOD_S = 0.1
WARM_S = 2.0
REPEATS = 3

Run = Callable[[int, int, float], Awaitable[None]]
"""Reads so many devices at a port with a period in s (0: as fast as it goes) until it is cancelled."""


async def beats(read: Callable[[], Awaitable[object]], period_s: float) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        await read()
        due += period_s
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)


class Bytes(asyncio.Protocol):
    """A question, its answer, and no check but the transaction's number: the least that asyncio costs."""

    def connection_made(self, transport) -> None:
        self._transport, self._count, self._heard = transport, 0, b""
        self._answer = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if len(self._heard) >= 9 + 2 * fleet.REGISTERS:
            self._answer.set_result(self._heard)

    async def read(self) -> tuple[int, ...]:
        self._count, self._heard = self._count % 65_000 + 1, b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(struct.pack(">HHHBBHH", self._count, 0, 6, 1, 3, 0, fleet.REGISTERS))
        answer = await self._answer
        if int.from_bytes(answer[:2], "big") != self._count:
            raise ValueError("the answer is to another question")
        return struct.unpack_from(f">{fleet.REGISTERS}h", answer, 9)


async def run_asyncio(port: int, devices: int, period_s: float) -> None:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(Bytes, "127.0.0.1", port) for _ in range(devices)]
    await asyncio.gather(*(beats(protocol.read, period_s) for _, protocol in made))


async def run_pymodbus(port: int, devices: int, period_s: float) -> None:
    async def one() -> None:
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        await client.connect()

        async def read() -> list[float]:
            answer = await client.read_holding_registers(0, count=fleet.REGISTERS)
            return [(value - 65_536 if value > 32_767 else value) * 0.1 for value in answer.registers]

        await beats(read, period_s)

    await asyncio.gather(*(one() for _ in range(devices)))


def set_period(machine: Machine, period_s: float) -> None:
    """The pollers' groups at another period; as fast as it goes is a period of which every beat is late."""
    period_ns = max(1, round(period_s * 1e9))
    machine.groups = tuple(msgspec.structs.replace(group, period_ns=period_ns) for group in machine.groups)


async def run_poller(port: int, devices: int, period_s: float) -> None:
    maps = [catalog.load(path) for path in fleet.write_maps(Path.cwd())]
    clock, pollers = Clock(), []
    for first in range(0, devices, fleet.SOURCES):
        machine = Machine("M", tuple(maps[:devices - first]))
        set_period(machine, period_s)
        row = Row(len(machine.points), len(machine.groups))
        pollers += [Poller(machine, ModbusTcp(TcpConnection("127.0.0.1", port, 1.0), 1), plan(machine, source, row),
                           clock, lambda group: None, each) for source, each in enumerate(machine.maps)]
    await asyncio.gather(*(poller.run() for poller in pollers))


async def run_unit(port: int, devices: int, period_s: float) -> None:
    maps = [catalog.load(path) for path in fleet.write_maps(Path.cwd())]
    clock, pollers = Clock(), []
    wires = Wires((), clock)
    database = Database(Path("store.sqlite3"))
    database.open()
    journal = await Journal.open(database, clock)
    for first in range(0, devices, fleet.SOURCES):
        here = tuple(maps[:devices - first])
        table = MachineTable(f"M{first}", tuple(ModbusTcpTable("bench", "127.0.0.1", port) for _ in here))
        unit = Unit(table, here, clock, journal, Checkpoints(database, clock), lambda machine, values, wall_ns: None)
        set_period(unit.machine, period_s)
        pollers += wires.readers(table, unit.machine, unit.row, unit.beat)
    await asyncio.gather(*(poller.run() for poller in pollers))


RUNS: dict[str, Run] = {
    "asyncio": run_asyncio, "pymodbus": run_pymodbus, "poller": run_poller, "unit": run_unit,
}  # fmt: skip


def answered(port: int) -> int:
    """Requests that the devices have answered so far."""
    with socket.create_connection(("127.0.0.1", port)) as asking:
        asking.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 0, 2))
        return struct.unpack(">I", asking.recv(100)[9:])[0]


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


async def client(kind: str, port: int, devices: int, period_s: float, seconds: float) -> None:
    """Run one client, and print what it cost after it has got going."""
    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    running = asyncio.create_task(RUNS[kind](port, devices, period_s))
    await asyncio.sleep(WARM_S)
    reads, cpu_s, at = answered(port), spent(), time.perf_counter()
    await asyncio.wait((running,), timeout=seconds)
    if running.done():
        running.result()
    figures = {"reads": answered(port) - reads, "cpu_s": spent() - cpu_s, "seconds": time.perf_counter() - at,
               "rss_mb": rss_mb(os.getpid())}
    print(json.dumps(figures), flush=True)
    os._exit(0)


@contextmanager
def devices_served() -> Iterator[int]:
    serving = subprocess.Popen([sys.executable, HERE / "fleet.py"], stdout=subprocess.PIPE, text=True)
    try:
        yield int(serving.stdout.readline())
    finally:
        serving.kill()
        serving.wait()
        serving.stdout.close()


def compiled(folder: Path) -> Path | None:
    """Build the C client; None, and says so, where that cannot be."""
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libmodbus"], capture_output=True, text=True,
                           check=False) if shutil.which("pkg-config") and shutil.which("gcc") else None
    if flags is None or flags.returncode:
        print("no gcc, pkg-config or libmodbus here: the C client is left out")
        return None
    source, program = HERE / "libmodbus_client.c", folder / "libmodbus_client"
    subprocess.run(["gcc", "-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", source, "-o", program,
                    *flags.stdout.split()], check=True)
    return program


def measured(kind: str, program: Path | None, folder: Path, devices: int, period_s: float, seconds: float) -> dict:
    start = [program] if kind == "libmodbus" else [sys.executable, Path(__file__).resolve(), kind]
    with devices_served() as port, tempfile.TemporaryDirectory(dir=folder) as here:
        command = [*start, str(port), str(devices), f"{period_s:g}", f"{seconds:g}"]
        return json.loads(subprocess.check_output(command, text=True, cwd=here))


def least(kind: str, program: Path | None, folder: Path, devices: int, period_s: float, seconds: float) -> dict:
    runs = [measured(kind, program, folder, devices, period_s, seconds) for _ in range(REPEATS)]
    return min(runs, key=lambda figures: figures["cpu_s"] / figures["reads"])


def table(program: Path | None, folder: Path, seconds: float) -> None:
    print(f"{'client':<10} {'devices':>7} {'reads/s':>8} {'points/s':>10} {'µs/read':>8} {'a core':>7} {'RSS MB':>7}")
    for period_s in (PERIOD_S, 0.0):
        print("at 10 Hz" if period_s else "as fast as it goes")
        for devices in DEVICES:
            for kind in (("libmodbus",) if program else ()) + tuple(RUNS):
                figures = least(kind, program, folder, devices, period_s, seconds)
                rate = figures["reads"] / figures["seconds"]
                print(f"{kind:<10} {devices:>7} {rate:>8.0f} {rate * fleet.REGISTERS:>10.0f} "
                      f"{figures['cpu_s'] / figures['reads'] * 1e6:>8.1f} "
                      f"{figures['cpu_s'] / figures['seconds']:>7.1%} {figures['rss_mb']:>7.1f}", flush=True)


async def listen(address: str) -> None:
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b'{"jsonrpc":"2.0","id":1,"method":"Event.Subscribe","params":{"topics":["*"]}}\n')
    while await reader.read(1 << 20):
        pass


async def agent(devices: int, seconds: float) -> None:
    """`edgeagent run` with so many devices: what it takes with no subscriber, then with one to everything."""
    with devices_served() as port, tempfile.TemporaryDirectory() as folder:
        configuration = fleet.write_configuration(Path(folder), devices, port)
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "edgeagent", "run", str(configuration), stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL)
        address = ""
        while not address:
            if not (line := await running.stdout.readline()):
                sys.exit("the agent ended; `edgeagent run` says why")
            address = line.decode().strip().partition("TCP lines: ")[2]
        for subscribers in range(2):
            listening = [asyncio.create_task(listen(address)) for _ in range(subscribers)]
            await asyncio.sleep(WARM_S)
            reads, cpu, at = answered(port), cpu_s(running.pid), time.perf_counter()
            await asyncio.sleep(seconds)
            took, reads, cpu = time.perf_counter() - at, answered(port) - reads, cpu_s(running.pid) - cpu
            print(f"{devices * fleet.REGISTERS:>6} points, {subscribers} subscribers, {reads / took:>6.1f} reads/s, "
                  f"{cpu / reads * 1e6:>6.1f} µs/read, {cpu / took:>6.1%} of a core, RSS {rss_mb(running.pid):.1f} MB",
                  flush=True)
        for task in listening:
            task.cancel()
        running.terminate()
        await running.wait()


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        table(compiled(Path(name)), Path(name), seconds)
    print("the whole agent at 10 Hz")
    for devices in (10, 100):
        asyncio.run(agent(devices, 4 * seconds))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        asyncio.run(agent(int(sys.argv[2]), float(sys.argv[3])))
    elif len(sys.argv) > 2:
        uvloop.run(client(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
