"""What serving costs: `python tests/benchmarks/bench_serve.py [SECONDS]`, CPU of the server's process alone, in µs.

Every server is a process of its own, and so are its clients; sockets are real, on loopback. Three servers stand side by
side: the agent's rooms (dispatcher, catalogue, journal on disk, transports), a plain aiohttp handler, and a plain
asyncio protocol that takes lines, the last two with msgspec on uvloop and with nothing else. A request echoes 60
floats; an event is told every 2 ms to all who listen; the agent's is on disk before, which is all of one to nobody.
The floor is what SQLite and the kernel take of that by themselves: one thread that commits and sends the same bytes.
Sends are what the kernel alone takes: the same bytes by one call of a loop in C, and nothing on disk.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import select
import socket
import sqlite3
import struct
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from edgeagent._core.kernel import send_to_all
from edgeagent.clock import Clock
from edgeagent.config import ControlTable
from edgeagent.control.room import ControlRoom
from edgeagent.model.events import Event, MachineBusyChanged
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.functions.forms import Function, Parameters, Result
from edgeagent.own_alarms import OwnAlarms
from edgeagent.publish.access import Access
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.jsonrpc import Dispatcher
from edgeagent.publish.openapps.answers import answers
from edgeagent.publish.transports.http import HttpServer
from edgeagent.publish.transports.lines import LineServer
from edgeagent.publish.transports.websocket import WebSocketRoute
from edgeagent.store import Archive, Audit, Database
from edgeagent.store.connection import connect_writer

CLIENTS = 4
"""Connections that ask at the same time, each its next question when it has the answer."""

EVENT_S = 0.002
FLOATS = [round(random.Random(1).uniform(0, 300), 1) for _ in range(60)]
MARK, HOST = b"\n", "127.0.0.1"
LINE = b"x" * 270 + MARK


class Floats(Parameters, frozen=True):
    """Sixty of them."""

    values: tuple[float, ...]


class Echoed(Result, frozen=True):
    """The same sixty."""

    values: tuple[float, ...]


# The servers: each prints its ports and serves until it is ended


async def serve_agent(folder: Path) -> tuple[int, int]:
    """The agent's own rooms; the function Bench.Tell appends one event after the other."""
    clock, database = Clock(), Database(folder / "store.sqlite3")
    database.open()
    archive = await Archive.open(database, clock)
    delivery = Delivery(archive.journal, clock)

    async def echo(wanted: Floats, _: Any) -> Echoed:
        return Echoed(wanted.values)

    async def tell() -> None:
        for number in range(1 << 30):
            archive.journal.append([Event("Status.MachineBusyChanged", clock.wall_ns(), "M",
                                          MachineBusyChanged(bool(number % 2), number % 7))])  # fmt: skip
            await asyncio.sleep(EVENT_S)

    room = ControlRoom(ControlTable(), (), archive, await Audit.open(database, clock), clock,
                       report=OwnAlarms((), archive.journal, clock).report)
    handlers = answers((), archive, delivery, clock) | room.handlers()
    handlers |= {"Bench.Echo": echo, "Bench.Tell": Telling(tell)}
    functions = FUNCTIONS | {name: Function(name, "viewer", False, parameters, Result, "")
                             for name, parameters in (("Bench.Echo", Floats), ("Bench.Tell", Parameters))}
    dispatcher = Dispatcher(Access(functions, handlers))
    http = await HttpServer(dispatcher, WebSocketRoute(dispatcher, delivery)).start(HOST, 0)
    return http, await LineServer(dispatcher, delivery).start(HOST, 0)


async def serve_bare(_: Path) -> tuple[int, int]:
    """What everybody would write: decode, echo, encode, send; an event is encoded once and sent to all."""
    tellers: list[Any] = []
    encode, decode = msgspec.json.encode, msgspec.json.decode

    async def tell() -> None:
        for number in range(1 << 30):
            message = encode({"jsonrpc": "2.0", "method": "Status.MachineBusyChanged", "params": {
                "sequence": number, "previous": number - 1, "time": time.time(), "clock": "trusted", "machine": "M",
                "data": {"busy": bool(number % 2), "boards": number % 7}}})  # fmt: skip
            for write in tellers:
                await write(message)
            await asyncio.sleep(EVENT_S)

    def answered(message: bytes) -> bytes:
        call = decode(message)
        if call["method"] == "Bench.Tell":
            Telling.task = asyncio.ensure_future(tell())
        return encode({"jsonrpc": "2.0", "id": call["id"], "result": call.get("params")})

    class Lines(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.held = transport, b""

        def data_received(self, data: bytes) -> None:
            *lines, self.held = (self.held + data).split(MARK)
            for line in lines:
                if b"Subscribe" in line:
                    tellers.append(self.tell)
                self.transport.write(answered(line) + MARK)

        async def tell(self, message: bytes) -> None:
            self.transport.write(message + MARK)

    async def post(request: web.Request) -> web.Response:
        return web.Response(body=answered(await request.read()), content_type="application/json")

    async def upgrade(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            if "Subscribe" in message.data:
                tellers.append(lambda told: ws.send_frame(told, aiohttp.WSMsgType.TEXT))
            await ws.send_frame(answered(message.data.encode()), aiohttp.WSMsgType.TEXT)
        return ws

    app = web.Application()
    app.add_routes([web.post("/rpc", post), web.get("/rpc", upgrade)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    loop = asyncio.get_running_loop()
    http = await loop.create_server(runner.server, HOST, 0)
    lines = await loop.create_server(Lines, HOST, 0)
    return http.sockets[0].getsockname()[1], lines.sockets[0].getsockname()[1]


async def serve_floor(folder: Path) -> tuple[int, int]:
    """No server: one thread, which inserts a row of an event, commits, sends a line to each peer, and sleeps."""
    connection = connect_writer(folder / "store.sqlite3")
    return 0, beside(commit_and_send, connection)


async def serve_sends(_: Path) -> tuple[int, int]:
    """The same without SQLite, and all sends by one call of the core."""
    return 0, beside(send_alone)


def beside(work: Any, *arguments: Any) -> int:
    """Send to all who subscribe, in a thread of its own."""
    server = socket.create_server((HOST, 0))

    def run() -> None:
        tellers = subscribed(server)
        with suppress(OSError):  # the clients are gone
            for number in range(1, 1 << 30):
                work(number, tellers, *arguments)
                time.sleep(EVENT_S)
        threading.Event().wait()  # a thread that ended is not counted any more

    threading.Thread(target=run, daemon=True).start()
    return server.getsockname()[1]


def subscribed(server: socket.socket) -> list[socket.socket]:
    tellers, peers = [], [server]
    while peers:
        for ready in select.select(peers, [], [])[0]:
            if ready is server:
                peers.append(server.accept()[0])
                peers[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            elif b"Subscribe" in (said := ready.recv(4096)):
                ready.sendall(MARK)
                tellers.append(ready)
            elif b"Bench.Tell" in said:
                peers.clear()
    return tellers


def commit_and_send(number: int, tellers: list[socket.socket], connection: sqlite3.Connection) -> None:
    row = "INSERT INTO events(sequence, topic, machine, crc, body) VALUES(?, ?, ?, ?, ?)"
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(row, (number, "Status.MachineBusyChanged", "M", 1, b"x" * 100))
    connection.execute("COMMIT")
    for teller in tellers:
        teller.send(LINE)


def send_alone(_: int, tellers: list[socket.socket]) -> None:
    if send_to_all([teller.fileno() for teller in tellers], LINE):
        raise BrokenPipeError


class Telling:
    """A handler that begins to tell events."""

    task: asyncio.Future | None = None

    def __init__(self, tell: Any) -> None:
        self._tell = tell

    async def __call__(self, *_: Any) -> dict[str, str]:
        Telling.task = asyncio.ensure_future(self._tell())
        return {}


async def serve(kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        servers = {"agent": serve_agent, "bare": serve_bare, "floor": serve_floor, "sends": serve_sends}
        print(*await servers[kind](Path(folder)), flush=True)
        await asyncio.Event().wait()


# The clients: plain sockets, so that they can keep up


class Wire:
    """A connection that says a message and hears messages, over "http", "lines" or "websocket"."""

    def __init__(self, way: str, port: int) -> None:
        self.way = way
        self.socket = socket.create_connection((HOST, port))
        self._held = b""
        if way == "websocket":
            key = base64.b64encode(os.urandom(16)).decode()
            self.socket.sendall(
                f"GET /rpc HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
            assert b"101" in self.socket.recv(4096)
        self._head = (f"POST /rpc HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Type: application/json\r\n"
                      "Content-Length: ").encode()  # fmt: skip

    def say(self, message: bytes) -> None:
        if self.way == "lines":
            framed = message + MARK
        elif self.way == "http":
            framed = self._head + b"%d\r\n\r\n" % len(message) + message
        else:  # a mask of zeros leaves the bytes as they are
            framed = struct.pack(">BBH", 0x81, 0xFE, len(message)) + bytes(4) + message
        self.socket.sendall(framed)

    def hear(self) -> None:
        """Wait for one whole message."""
        while (end := self._end()) is None:
            self._held += self.socket.recv(1 << 16)
        self._held = self._held[end:]

    def is_behind(self) -> bool:
        """Whether there is something to hear."""
        return self._end() is not None or bool(select.select([self.socket], [], [], 0)[0])

    def _end(self) -> int | None:
        held = self._held
        if self.way == "lines":
            return held.find(MARK) + 1 or None
        if self.way == "http":
            head = held.find(b"\r\n\r\n")
            size = int(held[held.find(b"Content-Length: ") + 16:head].split(b"\r")[0]) + 4 if head >= 0 else 0
        else:
            size = held[1] if len(held) > 3 else 0
            head, size = (4, int.from_bytes(held[2:4], "big")) if size == 126 else (2, size)
        return head + size if size and len(held) >= head + size else None


def ask(way: str, port: int, seconds: float) -> int:
    """Ask over some connections at once for a time; returns how many were answered."""
    wires = [Wire(way, port) for _ in range(CLIENTS)]
    question = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "Bench.Echo", "params": {"values": FLOATS}}).encode()
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        for wire in wires:
            wire.say(question)
        for wire in wires:
            wire.hear()
        count += CLIENTS
    return count


def listen(way: str, port: int, listeners: int, seconds: float) -> int:
    """Let events be told to some listeners for a time; returns how many they were told, heard in time or not."""
    wires = [Wire(way, port) for _ in range(max(1, listeners))]
    for wire in wires[:listeners]:
        wire.say(b'{"jsonrpc":"2.0","id":1,"method":"Event.Subscribe","params":{"topics":["Status.*"]}}' + b" " * 60)
        wire.hear()
    wires[0].say(b'{"jsonrpc":"2.0","id":2,"method":"Bench.Tell","params":{}}' + b" " * 90)
    until, count = time.monotonic() + seconds, 0
    while listeners and time.monotonic() < until:
        for wire in wires:
            wire.hear()
        count += 1
    while listeners and wires[0].is_behind():  # on a busy computer the clients are, and the server has worked for it
        wires[0].hear()
        count += 1
    if not listeners:
        time.sleep(seconds)
        return round(seconds / EVENT_S)
    return count


# The measurement


def cpu_s(pid: int) -> float:
    """CPU of all threads of a process."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


async def measured(kind: str, work: str, way: str, *arguments: str) -> float:
    """CPU of a server for one request or one event, µs."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "serve", kind, stdout=asyncio.subprocess.PIPE)  # fmt: skip
    http, lines = (await server.stdout.readline()).split()
    await asyncio.sleep(0.3)
    before = cpu_s(server.pid)
    client = await asyncio.create_subprocess_exec(
        sys.executable, __file__, work, way, (lines if way == "lines" else http).decode(), *arguments,
        stdout=asyncio.subprocess.PIPE)  # fmt: skip
    heard, _ = await client.communicate()
    spent = cpu_s(server.pid) - before
    server.kill()
    await server.wait()
    return spent / int(heard) * 1e6


async def main(seconds: float) -> None:
    print("| CPU of the server, µs | edgeagent | bare | ratio | floor | sends | target |")
    print("|---|---|---|---|---|---|---|")
    rows = [(f"a request of 60 floats over {way}", ("ask", way), "60") for way in ("http", "lines", "websocket")]
    for way in ("lines", "websocket"):
        rows += [(f"an event to {n} over {way}", ("listen", way, str(n)), "400" if n == 50 else "-")
                 for n in (0, 1, 10, 50)]  # fmt: skip
    for name, work, target in rows:
        agent, bare = [await measured(kind, *work, str(seconds)) for kind in ("agent", "bare")]
        floor = sends = "-"
        if work[:2] == ("listen", "lines"):
            floor, sends = [f"{await measured(kind, *work, str(seconds)):.0f}" for kind in ("floor", "sends")]
        print(f"| {name} | {agent:.0f} | {bare:.0f} | {agent / bare:.2f} | {floor} | {sends} | {target} |", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", kind]:
            uvloop.run(serve(kind))
        case ["ask", way, port, seconds]:
            print(ask(way, int(port), float(seconds)))
        case ["listen", way, port, listeners, seconds]:
            print(listen(way, int(port), int(listeners), float(seconds)))
        case given:
            asyncio.run(main(float(given[0]) if given else 3.0))
