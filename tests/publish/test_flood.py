"""A hundred clients of every kind, ten of which never read: bounded memory, a reason, and nothing missed."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgpack  # type: ignore[import-untyped]
import pytest

from tests.publish.serving import request
from tests.surroundings import beside_the_tests

BYTES_OF_A_STUCK_CLIENT = 512 << 10
"""What the agent's process may grow by for each; 64 KiB are waiting to be sent, one batch of events is at hand."""

ROOT = Path(__file__).parents[2]


@dataclass
class Agent:
    process: asyncio.subprocess.Process
    http: int
    lines: int
    stream: str

    async def happen(self, count: int) -> int:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{count}\n".encode())
        return int(await asyncio.wait_for(self.process.stdout.readline(), 300))

    def rss(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10  # type: ignore[index]


@asynccontextmanager
async def agent(folder: Path, patience_s: float, farewell_s: float) -> AsyncIterator[Agent]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "tests.publish.flooded", str(folder), str(patience_s), str(farewell_s), cwd=ROOT,
        env=beside_the_tests(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout
        http, lines, stream = (await asyncio.wait_for(process.stdout.readline(), 30)).split()
        yield Agent(process, int(http), int(lines), stream.decode())
    finally:
        assert process.stdin
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 30)


@dataclass
class Client:
    """Takes what it is told until it has an event, or the reason why there will be none."""

    name: str
    seen: list[int] = field(default_factory=list)
    telemetry: int = 0
    reason: str | None = None
    next: Callable[[], Awaitable[Any]] | None = None
    acknowledge: Callable[[int], Awaitable[Any]] | None = None

    async def until(self, sequence: int) -> None:
        assert self.next
        while not self.seen or self.seen[-1] < sequence:
            message = await asyncio.wait_for(self.next(), 120)
            if message is None:
                return
            params = message.get("params", {})
            if "sequence" in params:
                assert params["previous"] == params["sequence"] - 1
                self.seen.append(params["sequence"])
                if self.acknowledge and params["sequence"] % 100 == 0:
                    await self.acknowledge(params["sequence"])
            elif message.get("error"):
                assert message["id"] is None
                self.reason = message["error"]["message"]
            self.telemetry += message.get("method") == "Status.MeasuredValueChanged"


def subscribe(client: Client, consumer: bool, stream: str) -> dict[str, Any]:
    if consumer:
        return {"topics": ["*"], "consumer": client.name, "maxInFlight": 1000}
    following = client.seen[-1] + 1 if client.seen else 1
    return {"topics": ["*"], "from": {"stream": stream, "sequence": following}}


def done(client: Client, serves: Agent, sequence: int) -> dict[str, Any]:
    return {"consumer": client.name, "stream": serves.stream, "sequence": sequence}


def narrow_socket() -> socket.socket:
    """A socket whose kernel takes little that is not read."""
    its = socket.socket()
    its.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return its


async def narrow(port: int) -> socket.socket:
    its = narrow_socket()
    its.setblocking(False)
    await asyncio.get_running_loop().sock_connect(its, ("127.0.0.1", port))
    return its


@asynccontextmanager
async def over_lines(client: Client, serves: Agent, consumer: bool, **_: Any) -> AsyncIterator[Any]:
    reader, writer = await asyncio.open_connection(sock=await narrow(serves.lines), limit=1 << 16)
    writer.write(request("Event.Subscribe", **subscribe(client, consumer, serves.stream)) + b"\n")
    assert "result" in json.loads(await reader.readline())

    async def message() -> Any:
        line = await reader.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    async def acknowledge(sequence: int) -> None:
        writer.write(request("Event.Acknowledge", **done(client, serves, sequence)) + b"\n")

    client.next, client.acknowledge = message, acknowledge if consumer else None
    try:
        yield writer.transport
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def over_websocket(client: Client, serves: Agent, consumer: bool, packed: bool) -> AsyncIterator[Any]:
    connector = aiohttp.TCPConnector(socket_factory=lambda _: narrow_socket())
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.ws_connect(
            f"http://127.0.0.1:{serves.http}/rpc", protocols=("msgpack",) if packed else (), max_msg_size=0
        ) as ws,
    ):
        wanted = {"jsonrpc": "2.0", "id": 1, "method": "Event.Subscribe",
                  "params": subscribe(client, consumer, serves.stream)}  # fmt: skip
        await (ws.send_bytes(msgpack.packb(wanted)) if packed else ws.send_json(wanted))
        read = msgpack.unpackb if packed else json.loads
        assert "result" in read((await ws.receive()).data)

        async def message() -> Any:
            frame = await ws.receive()
            if frame.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return read(frame.data)
            if frame.type is aiohttp.WSMsgType.CLOSE:
                client.reason = f"{frame.data} {frame.extra}"
            return None

        async def acknowledge(sequence: int) -> None:
            call = {"jsonrpc": "2.0", "id": 1, "method": "Event.Acknowledge",
                    "params": done(client, serves, sequence)}  # fmt: skip
            await (ws.send_bytes(msgpack.packb(call)) if packed else ws.send_json(call))

        client.next, client.acknowledge = message, acknowledge if consumer else None
        yield ws._response.connection.transport  # type: ignore[union-attr]


KINDS: list[tuple[Callable[..., Any], bool]] = [(over_lines, False), (over_websocket, False), (over_websocket, True)]


async def reads(number: int, client: Client, serves: Agent, ready: asyncio.Barrier, last: asyncio.Future[int]) -> None:
    opens, packed = KINDS[number % 3]
    async with opens(client, serves, number % 2 == 0, packed=packed):
        await ready.wait()
        while not last.done():
            await client.until((client.seen[-1] if client.seen else 0) + 1)
            assert client.reason is None
        await client.until(last.result())
    assert client.reason is None


async def is_stuck(
    number: int, client: Client, serves: Agent, ready: asyncio.Barrier, last: asyncio.Future[int], cut: asyncio.Event
) -> None:
    opens, packed = KINDS[number % 3]
    consumer = number % 2 == 0
    async with opens(client, serves, consumer, packed=packed) as transport:
        transport.pause_reading()
        client.acknowledge = None
        await ready.wait()
        await cut.wait()
        transport.resume_reading()
        await client.until(1 << 60)
    assert client.reason, f"{client.name} was not told why"
    assert "has read nothing for" in client.reason
    assert client.reason.startswith("1013 ") == (opens is over_websocket)
    before = len(client.seen)
    if consumer:  # it acknowledged nothing: everything comes again
        client.seen.clear()
    async with opens(client, serves, consumer, packed=packed):
        if last.result() > before:
            await client.until(last.result())


async def flood(folder: Path, events: int, patience_s: float, settle_s: float) -> None:
    async with agent(folder, patience_s, farewell_s=settle_s + 30) as serves, asyncio.timeout(500):
        clients = [Client(f"c{n}") for n in range(100)]
        ready, cut = asyncio.Barrier(101), asyncio.Event()
        last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        tasks = [
            asyncio.create_task(
                is_stuck(n, client, serves, ready, last, cut) if n < 10 else reads(n, client, serves, ready, last)
            )
            for n, client in enumerate(clients)
        ]
        await ready.wait()
        before = serves.rss()
        final = 0
        while final < events:
            final = await serves.happen(80)
            while min(client.seen[-1] if client.seen else 0 for client in clients[10:]) < final:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # a hundred that cannot keep up would be another test
        grown = serves.rss() - before
        last.set_result(final + 20)
        final = await serves.happen(20)
        await asyncio.gather(*tasks[10:])
        await asyncio.sleep(settle_s)
        cut.set()
        await asyncio.gather(*tasks[:10])
        for client in clients:
            assert client.seen == list(range(1, final + 1)), client.name
        assert all(client.telemetry for client in clients[10:])
        print(f"{grown} bytes for ten stuck clients and {final} events")
        assert grown < 10 * BYTES_OF_A_STUCK_CLIENT + (8 << 20), grown


def test_ninety_miss_nothing_and_ten_that_never_read_are_told_why_and_then_miss_nothing(tmp_path: Path) -> None:
    asyncio.run(flood(tmp_path, 320, 1.0, 2.0))


@pytest.mark.slow
def test_a_long_flood_costs_no_more_than_a_short_one(tmp_path: Path) -> None:
    asyncio.run(flood(tmp_path, 2000, 20.0, 25.0))
