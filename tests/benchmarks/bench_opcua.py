"""What OPC UA costs: `python tests/benchmarks/bench_opcua.py [SECONDS]`, real time, real sockets, encrypted throughout.

First a tick of 60 changed values, CPU of the server's process alone: bare asyncua against ours, each a process with
100 variables, its clients another one. Then the whole agent with its OPC UA process: start, memory of both before,
after and a while after everything was browsed; how evenly the oven is polled and how fast JSON-RPC answers, without
clients and with ten on every value of the machine at 10 Hz.
"""

from __future__ import annotations

import asyncio
import compileall
import gc
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))

import asyncua
import uvloop
from asyncua import Client, Server, ua
from asyncua.server.internal_server import InternalServer

import edgeagent
from edgeagent.clock import Clock
from edgeagent.publish.opcua.certificates import CERTIFICATE_FILE, KEY_FILE
from edgeagent.publish.opcua.server import UaServer
from edgeagent.publish.opcua.values import put
from firmware_iface import catalog
from tests.benchmarks.bench_agent import FILL_S, MARKER, MarkedOven, map_text, rss_mb
from tests.publish.opcua.clients import Application
from tests.publish.opcua.fakes import FakePort, settings
from tests.surroundings import of_the_service

CLIENTS, VARIABLES, CHANGED, TICKS, TICK_S = 10, 100, 60, 50, 0.1
INTERVAL_MS = 100
"""At which every client is told."""

LET_GO_S = 15.0
_BEGUN = "begun"

NAMES = {"bare": "bare asyncua", "ours": "the agent's server"}


# One tick: a server is a process of its own, which starts its clients and tells what it took


async def bare(folder: Path) -> Server:
    """asyncua as it comes, with one good endpoint."""
    own = Application(folder, "urn:test:bare")
    internal = InternalServer()
    server = Server(iserver=internal)
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0")
    await server.set_application_uri(own.uri)
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    await server.load_certificate(folder / CERTIFICATE_FILE)
    await server.load_private_key(folder / KEY_FILE)
    return server


async def ours(folder: Path) -> Server:
    """The agent's server, of a machine without points."""
    server = UaServer(FakePort(settings(folder, anonymous_reading=True), ()))
    await server.init()
    return server


async def write_as_asyncua(server: Server, node: ua.NodeId, value: ua.DataValue) -> None:
    await server.write_attribute_value(node, value)


async def write_as_the_model(server: Server, node: ua.NodeId, value: ua.DataValue) -> None:
    await put(server.iserver.aspace[node].attributes[ua.AttributeIds.Value], value)


async def tick(kind: str, folder: Path) -> None:
    """Serve, change values, and print the CPU that one tick took: for writing them, and altogether, in ms."""
    server = await {"bare": bare, "ours": ours}[kind](folder)
    index = await server.register_namespace("urn:bench")
    parent = await server.nodes.objects.add_object(ua.NodeId(1, index), "Bench")
    nodes = [
        (await parent.add_variable(ua.NodeId(number + 2, index), f"Value{number}", 0.0)).nodeid
        for number in range(VARIABLES)
    ]
    await server.start()
    endpoint = server.endpoint.geturl()
    if kind == "bare":
        endpoint = f"opc.tcp://127.0.0.1:{server.bserver._server.sockets[0].getsockname()[1]}"
    if kind == "ours":
        gc.collect()
        gc.freeze()  # as the process does
    write = {"bare": write_as_asyncua, "ours": write_as_the_model}[kind]
    async with clients(endpoint, folder, [node.to_string() for node in nodes]):
        await asyncio.sleep(1)
        used: list[float] = []
        before = time.process_time()
        for number in range(TICKS):
            now = datetime.now(UTC)
            at = time.process_time()
            for node in nodes[:CHANGED]:
                changed = ua.Variant(float(number), ua.VariantType.Double)
                value = ua.DataValue(changed, SourceTimestamp=now, ServerTimestamp=now)
                await write(server, node, value)
            used.append((time.process_time() - at) * 1000)
            await asyncio.sleep(TICK_S)
        altogether = (time.process_time() - before) * 1000 / TICKS
    print(json.dumps([statistics.median(used), altogether]), flush=True)
    os._exit(0)  # what clients left behind is of no interest


async def measured_tick(kind: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "tick", kind, folder, stdout=subprocess.PIPE
        )
        output, _ = await process.communicate()
        writing, altogether = json.loads(output.splitlines()[-1])
        return writing, altogether


# Clients: one process with all of them


@asynccontextmanager
async def clients(endpoint: str, folder: Path, nodes: list[str]) -> AsyncIterator[None]:
    """Ten clients in a process of their own, each of which monitors all these nodes."""
    process = await asyncio.create_subprocess_exec(
        "nice", "-n", "19", sys.executable, __file__, "clients", endpoint, str(folder),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(nodes).encode() + b"\n")
    if (await process.stdout.readline()).decode().strip() != _BEGUN:
        raise SystemExit("the clients could not begin")
    try:
        yield
        if process.returncode is not None:
            raise SystemExit("the clients ended too early")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def connect(endpoint: str, folder: Path) -> Client:
    """A client that the server in this folder trusts."""
    application = await asyncio.to_thread(Application, folder / "client")
    application.is_trusted_by(folder)
    client = await application.client(endpoint, (folder / CERTIFICATE_FILE).read_bytes(), user=None)
    client._watchdog_intervall = 60.0  # a busy computer is no broken connection
    await client.connect()
    return client


async def monitor(endpoint: str, folder: Path) -> None:
    """Monitor what stdin names, with all clients, until this process is ended."""
    nodes = [ua.NodeId.from_string(name) for name in json.loads(sys.stdin.readline())]

    class Deaf:
        def datachange_notification(self, *_: Any) -> None: ...

    held = []
    for _ in range(CLIENTS):
        client = await connect(endpoint, folder)
        subscription = await client.create_subscription(INTERVAL_MS, Deaf())
        for start in range(0, len(nodes), 100):
            await subscription.subscribe_data_change([client.get_node(node) for node in nodes[start : start + 100]])
        held.append((client, subscription))
    print(_BEGUN, flush=True)
    await asyncio.Event().wait()


async def browse(client: Client) -> list[ua.NodeId]:
    """Browse everything below the root; return the variables that are none of the standard's."""
    seen, waiting, variables = {ua.NodeId(84)}, [ua.NodeId(84)], []
    while waiting:
        asked, waiting = waiting[:50], waiting[50:]
        parameters = ua.BrowseParameters()
        for node in asked:
            parameters.NodesToBrowse.append(
                ua.BrowseDescription(node, ua.BrowseDirection.Forward, ua.NodeId(ua.ObjectIds.References), True, 0, 63)
            )
        for result in await client.uaclient.browse(parameters):
            for reference in result.References:
                if reference.NodeId not in seen:
                    seen.add(reference.NodeId)
                    waiting.append(reference.NodeId)
                    if reference.NodeClass == ua.NodeClass.Variable and reference.NodeId.NamespaceIndex:
                        variables.append(reference.NodeId)
    return variables


# The whole agent


class TimedOven(MarkedOven):
    """Notes when it was polled."""

    def __init__(self, register_map: Any, clock: Clock) -> None:
        super().__init__(register_map, clock)
        self.polled_s: list[float] = []
        read = self.oven.read

        def noted(path: str) -> Any:
            if path == MARKER:
                self.polled_s.append(time.perf_counter())
            return read(path)

        self.oven.read = noted


async def latencies_ms(address: str, seconds: float) -> list[float]:
    """How long JSON-RPC takes to answer a small question, 20 times a second."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 22)
    taken, until = [], time.perf_counter() + seconds
    while (asked := time.perf_counter()) < until:
        writer.write(b'{"jsonrpc":"2.0","id":1,"method":"Configuration.GetMachine"}\n')
        await reader.readline()
        taken.append((time.perf_counter() - asked) * 1000)
        await asyncio.sleep(0.05)
    writer.close()
    return taken


async def phase(oven: TimedOven, address: str, seconds: float) -> tuple[float, float, float, float]:
    """Jitter of polling and latency of JSON-RPC for a while: median and p99 of each, ms."""
    oven.polled_s.clear()
    latency = sorted(await latencies_ms(address, seconds))
    beats = zip(oven.polled_s, oven.polled_s[1:], strict=False)
    jitter = sorted(abs(after - before - 0.1) * 1000 for before, after in beats)
    return tuple(each[int(len(each) * share)] for each in (jitter, latency) for share in (0.5, 0.99))  # type: ignore[return-value]


def child_of(pid: int) -> int:
    """The OPC UA process of this agent."""
    for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"edgeagent.publish.opcua" in Path(f"/proc/{each}/cmdline").read_bytes():
            return int(each)
    raise SystemExit("the agent has no OPC UA process")


async def agent(seconds: float) -> None:
    """Run the whole agent, and print what it takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "map.toml").write_text(map_text())
        oven = TimedOven(catalog.load(folder / "map.toml"), Clock())
        port = await oven.start()
        (folder / "agent.toml").write_text(
            f'[openapps.http]\nport = 0\n[openapps.lines]\nport = 0\n[opcua]\nport = 0\nanonymous_reading = true\n'
            f'folder = "./pki"\n[[machines]]\nid = "M"\n[[machines.sources]]\n'
            f'kind = "modbus-tcp"\nmap = "./map.toml"\nhost = "127.0.0.1"\nport = {port}\n')  # fmt: skip
        for package in (edgeagent, asyncua, sys.modules["firmware_iface"]):  # as every installed package is
            compileall.compile_dir(Path(package.__file__).parent, quiet=1)
        (folder / "pki").mkdir(mode=0o700)
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "edgeagent", "run", str(folder / "agent.toml"), stdout=subprocess.PIPE,
            env=of_the_service(),
        )  # fmt: skip
        try:
            await measure(process, oven, folder, seconds, started)
        finally:
            process.terminate()
            await process.wait()
            await oven.stop()


async def measure(
    process: asyncio.subprocess.Process, oven: TimedOven, folder: Path, seconds: float, started: float
) -> None:  # fmt: skip
    """Print one line after the other."""
    assert process.stdout is not None
    addresses: dict[str, str] = {}
    while not {"TCP lines", "OPC UA"} <= addresses.keys():
        line = (await process.stdout.readline()).decode().strip()
        name, _, address = line.partition(": ")
        addresses[name] = address
    start_s = time.perf_counter() - started
    apart = child_of(process.pid)

    def memory() -> str:
        parts = (rss_mb(process.pid), rss_mb(apart))
        return f"{parts[0]:.1f} + {parts[1]:.1f} = {sum(parts):.1f} MB"

    row("start to OPC UA bound", f"{start_s:.2f} s", "2 s")
    await asyncio.sleep(FILL_S)
    row("RSS of the agent and of OPC UA", memory(), "115 MB")
    client = await connect(addresses["OPC UA"], folder / "pki")
    begun = time.perf_counter()
    nodes = await browse(client)
    row("a full browse", f"{time.perf_counter() - begun:.1f} s", "-")
    row("RSS after it", memory(), "115 MB")
    await client.disconnect()
    await asyncio.sleep(LET_GO_S)
    row(f"RSS {LET_GO_S:.0f} s later", memory(), "115 MB")
    if not nodes:
        raise SystemExit("no value of a machine is shown")
    without = await phase(oven, addresses["TCP lines"], seconds)
    async with clients(addresses["OPC UA"], folder / "pki", [node.to_string() for node in nodes]):
        with_all = await phase(oven, addresses["TCP lines"], seconds)
        row(f"RSS with {CLIENTS} clients on {len(nodes)} values", memory(), "-")
    what = ("polling off its beat, median", "p99", "JSON-RPC answers, median", "p99")
    for text, before, after in zip(what, without, with_all, strict=True):
        most = max(before * 1.2, before + 5)
        row(f"{text}: without, with {CLIENTS} clients", f"{before:.2f} ms, {after:.2f} ms", f"{most:.1f} ms")


def row(name: str, value: str, target: str) -> None:
    print(f"  {name:<56} {value:>26}   target {target}", flush=True)


async def main(seconds: float) -> None:
    """Measure everything, and print it."""
    ticks = {kind: await measured_tick(kind) for kind in NAMES}
    print(f"A tick of {CHANGED} changed values, {CLIENTS} clients on {VARIABLES} at {INTERVAL_MS} ms, server's CPU")
    for kind, (writing, altogether) in ticks.items():
        print(f"  {NAMES[kind]:<56} {writing:6.2f} ms to write, {altogether:6.2f} ms altogether")
    share = ticks["ours"][1] / ticks["bare"][1]
    print(f"  {'ours of bare':<56} {share:16.0%}   target 33%")
    print(f"The agent, {seconds:.0f} s without and {seconds:.0f} s with clients")
    await agent(seconds)


_PARTS: dict[str, Callable[..., Awaitable[None]]] = {
    "tick": lambda kind, folder: tick(kind, Path(folder)),
    "clients": lambda endpoint, folder: monitor(endpoint, Path(folder)),
}

if __name__ == "__main__":
    logging.disable(logging.WARNING)
    if len(sys.argv) > 2:
        uvloop.run(_PARTS[sys.argv[1]](*sys.argv[2:]))
    else:
        asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
