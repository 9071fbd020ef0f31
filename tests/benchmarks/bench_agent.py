"""What the whole agent costs: `python tests/benchmarks/bench_agent.py [SECONDS]`, real time, real sockets, no speed-up.

The agent runs as a process of its own with `edgeagent run`, in the environment that the unit gives it; this process is
the oven and the MES. About 60 points are
read at 10 Hz, boards are inside, one subscriber takes every event. The bare client is the plain loop that the agent is
held against: the same reads by the same library, nothing kept, nothing told.
"""

from __future__ import annotations

import asyncio
import compileall
import json
import os
import re
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

import edgeagent
from edgeagent.acquire.modbus import ModbusTcp, TcpConnection
from edgeagent.acquire.plan import plan
from edgeagent.clock import Clock
from edgeagent.model.machine import Machine
from edgeagent.model.samples import Row
from edgeagent.simulate import SimulatedOven
from firmware_iface import catalog
from tests.surroundings import of_the_service

WARM_S, FILL_S = 180.0, 60.0
MARKER = "oxygen/1/concentration"
"""Serves a new number at every read, so that a line can be matched with the answer that carried it."""


def map_text() -> str:
    """The shipped map, its zones at 10 Hz and without the bits that would make more than 60 points of it."""
    text = (Path(catalog.__file__).parent / "maps" / "reflow10.toml").read_text()
    text = re.sub(r'^(".*/(heaterFault|sensorBreak)"|E[12]\d\d) = .*\n', "", text, flags=re.M)
    text = re.sub(r'^("oxygen/1/concentration" = .*)deadband = [0-9.]+', r"\1deadband = 0", text, flags=re.M)
    return text.replace("[groups.zones]\nperiod_ms = 500", "[groups.zones]\nperiod_ms = 100")


class MarkedOven(SimulatedOven):
    """Notes when each marker value was served, and when it was read first."""

    def __init__(self, register_map, clock) -> None:
        super().__init__(register_map, clock)
        self.count = 0
        self.served: dict[int, int] = {}
        self.first_read_s = 0.0
        read = self.oven.read

        def marked(path: str):
            if path == MARKER:
                self.first_read_s = self.first_read_s or time.perf_counter()
                self.count = 500 + (self.count + 1) % 400
                self.served[self.count] = time.perf_counter_ns()
                return self.count
            return read(path)

        self.oven.read = marked


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


async def listen(address: str, oven: MarkedOven, delays: list[float]) -> None:
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 22)
    writer.write(b'{"jsonrpc":"2.0","id":1,"method":"Event.Subscribe","params":{"topics":["*"]}}\n')
    async for line in reader:
        now = time.perf_counter_ns()
        message = json.loads(line)
        if message.get("method") == "Status.MeasuredValueChanged":
            for value in message["params"]["data"]["values"]:
                if f"{value['object']}/{value['name']}" == MARKER and value["value"] in oven.served:
                    delays.append((now - oven.served.pop(value["value"])) / 1e6)


async def bare_client_us(port: int, register_map) -> float:
    """CPU of one beat of the bare library in this process (both ends of the socket), µs."""
    machine = Machine("M", (register_map,))
    groups = plan(machine, 0, Row(len(machine.points), len(machine.groups)))
    blocks = [b.block for g in groups if machine.groups[g.index].period_ns == 100_000_000 for b in g.blocks]
    source = ModbusTcp(TcpConnection("127.0.0.1", port, 1.0), 1)
    await source.connect()
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(200):
        for block in blocks:
            await source.read(block)
    after = resource.getrusage(resource.RUSAGE_SELF)
    source.close()
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 200 * 1e6


async def bare_start_s() -> float:
    """How long an interpreter needs for the libraries alone, s."""
    started = time.perf_counter()
    bare = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import aiohttp.web, msgspec, pymodbus.client, sqlite3, uvloop",
        env=of_the_service())
    await bare.wait()
    return time.perf_counter() - started


async def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "map.toml").write_text(map_text())
        register_map = catalog.load(folder / "map.toml")
        machine = Machine("M", (register_map,))
        fast = sum(machine.groups[p.group].period_ns == 100_000_000 for p in machine.points)
        oven = MarkedOven(register_map, Clock())
        oven.oven.advance(WARM_S)
        oven.oven.schedule(15.0)
        port = await oven.start()
        (folder / "agent.toml").write_text(
            f'[openapps.http]\nport = 0\n[openapps.lines]\nport = 0\n[[machines]]\nid = "M"\n[[machines.sources]]\n'
            f'kind = "modbus-tcp"\nmap = "./map.toml"\nhost = "127.0.0.1"\nport = {port}\n')
        for package in (edgeagent, sys.modules["firmware_iface"]):  # as every installed package is
            compileall.compile_dir(Path(package.__file__).parent, quiet=1)
        libraries_s = await bare_start_s()
        oven.first_read_s, started = 0.0, time.perf_counter()
        agent = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "edgeagent", "run", str(folder / "agent.toml"), stdout=asyncio.subprocess.PIPE,
            env=of_the_service())
        address = ""
        while not address:
            line = (await agent.stdout.readline()).decode()
            address = line.strip().partition("TCP lines: ")[2]
        start_s = time.perf_counter() - started
        delays: list[float] = []
        listening = asyncio.create_task(listen(address, oven, delays))
        await asyncio.sleep(FILL_S)
        delays.clear()
        before, at = cpu_s(agent.pid), time.perf_counter()
        await asyncio.sleep(seconds)
        share = (cpu_s(agent.pid) - before) / (time.perf_counter() - at) * 100
        rss = rss_mb(agent.pid)
        listening.cancel()
        agent.terminate()
        await agent.wait()
        bare = await bare_client_us(port, register_map)
        await oven.stop()
    delays.sort()
    print(f"{fast} points at 10 Hz, {len(machine.points) - fast} slower, {len(oven.oven.boards)} boards inside, "
          f"1 subscriber, {seconds:.0f} s")
    rows = [
        ("start to addresses bound", f"{start_s:.2f} s", "-"),
        ("start to the first poll", f"{oven.first_read_s - started:.2f} s", "1 s"),
        ("start of the libraries alone", f"{libraries_s:.2f} s", "-"), ("CPU", f"{share:.2f} % of a core", "2 %"),
        ("CPU of a beat", f"{share * 1000:.0f} µs", "-"),
        ("the same reads by the bare library, both ends", f"{bare:.0f} µs", "-"),
        ("RSS", f"{rss:.1f} MB", "52 MB"),
        ("answer served to line received, p50", f"{statistics.median(delays):.2f} ms", "1 ms"),
        ("answer served to line received, p99", f"{delays[int(len(delays) * 0.99)]:.2f} ms", "3 ms"),
    ]  # fmt: skip
    for name, value, target in rows:
        print(f"  {name:<48} {value:>16}   target {target}")


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
