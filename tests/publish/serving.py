"""The whole room over a real journal and real sockets, for the tests beside."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Any

from edgeagent.clock import Clock
from edgeagent.config import ControlTable, MachineTable, ModbusTcpTable
from edgeagent.control.room import ControlRoom
from edgeagent.model.alarms import Alarm
from edgeagent.model.events import AlarmTold, Event, MachineStatusChanged
from edgeagent.model.functions import FUNCTIONS
from edgeagent.own_alarms import OwnAlarms
from edgeagent.publish.access import Access
from edgeagent.publish.authentication import Authentication
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.jsonrpc import Dispatcher
from edgeagent.publish.openapps import answers
from edgeagent.publish.transports.admission import Admission
from edgeagent.publish.transports.http import HttpServer
from edgeagent.publish.transports.lines import LineServer
from edgeagent.publish.transports.listening import Places
from edgeagent.publish.transports.websocket import WebSocketRoute
from edgeagent.store import Archive, Database, Journal
from tests.control.held import HeldAudit, Nowhere
from tests.fakes import FakeMachine
from tests.publish.known import MES, Known

STARTED_NS = 1_795_298_000_000_000_000


@dataclass
class Served:
    machine: FakeMachine
    journal: Journal
    delivery: Delivery
    dispatcher: Dispatcher
    lines: LineServer
    http: HttpServer
    lines_port: int
    http_port: int
    archive: Archive
    authentication: Authentication

    def happen(self, count: int = 1, topic: str = "Status.MachineStatusChanged", machine: str = "RO0001") -> int:
        return self.journal.append([event(topic, machine) for _ in range(count)])

    async def left(self, connections: int) -> None:
        """Wait until only so many line connections are left."""
        while len(self.lines.connections) > connections:  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def connect(self, context: SSLContext | None = None) -> Line:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.lines_port, limit=1 << 24, ssl=context)
        return Line(reader, writer)


def event(topic: str, machine: str = "RO0001", reason: str = "boards inside") -> Event:
    if topic.startswith("Alarm."):
        alarm = Alarm("a1", "E100", "too hot", "fault", "zone/1/top", "2026-11-21T21:53:00.000Z", False)
        return Event(topic, STARTED_NS, machine, AlarmTold(alarm))
    return Event(topic, STARTED_NS, machine, MachineStatusChanged("ready", "running", reason))


@dataclass
class Line:
    """A client of the line protocol."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def message(self) -> Any:
        line = await asyncio.wait_for(self.reader.readline(), 10)
        return json.loads(line) if line else None

    async def call(self, method: str, **params: Any) -> Any:
        self.write(request(method, **params) + b"\n")
        return await self.message()

    async def ask(self, method: str, **params: Any) -> Any:
        return (await self.call(method, **params))["result"]

    async def close(self) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)


def ours() -> list[asyncio.Task[Any]]:
    """The tasks that run the agent's code."""
    files = {task: getattr(task.get_coro(), "cr_code", None) for task in asyncio.all_tasks()}
    return [task for task, code in files.items() if code and f"{os.sep}edgeagent{os.sep}" in code.co_filename]


def request(method: str, ident: Any = 1, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": ident}).encode()


@asynccontextmanager
async def serving(
    folder: Path, *, machines: tuple[str, ...] = ("RO0001",), most: int = 256, limit: int = 1 << 20,
    header_s: float = 10.0, farewell_s: float = 0.2, known: Known | None = None, anonymous: str = "viewer",
    context: SSLContext | None = None, sign_in_s: float = 10.0, **patience: float
) -> AsyncIterator[Served]:  # fmt: skip
    database = Database(folder / "edge.db")
    database.open(asyncio.get_running_loop())
    try:
        clock = Clock()
        archive = await Archive.open(database, clock)
        journal = archive.journal
        delivery = Delivery(journal, clock, **patience)
        fakes = [FakeMachine(name) for name in machines]
        tables = [MachineTable(name, (ModbusTcpTable("small", "127.0.0.1"),)) for name in machines]
        commanded = [(fake, Nowhere(), table) for fake, table in zip(fakes, tables, strict=True)]
        room = ControlRoom(ControlTable(), commanded, archive, HeldAudit(), clock,
                           report=OwnAlarms(machines, journal, clock).report)
        tally = delivery.notices.tally
        authentication = Authentication(known or Known((MES,)), tally)
        admission = Admission(authentication, anonymous)
        handlers = answers(fakes, archive, delivery, clock, authentication) | room.handlers()
        dispatcher = Dispatcher(Access(FUNCTIONS, handlers, as_now=authentication.as_now))
        places = Places(most)
        lines = LineServer(
            dispatcher, delivery, admission=admission, places=places, limit=limit, farewell_s=farewell_s,
            sign_in_s=sign_in_s, context=context,
        )  # fmt: skip
        route = WebSocketRoute(
            dispatcher, delivery, admission=admission, limit=limit, farewell_s=farewell_s, sign_in_s=sign_in_s)
        http = HttpServer(
            dispatcher, route, admission=admission, limit=limit, places=places, origins=("http://panel:8080",),
            header_s=header_s, patience_s=patience.get("patience_s", 60.0), tally=tally, context=context,
        )  # fmt: skip
        watch = asyncio.create_task(authentication.watch()) if known else None
        ports = await lines.start("127.0.0.1", 0), await http.start("127.0.0.1", 0)
        try:
            yield Served(fakes[0], journal, delivery, dispatcher, lines, http, *ports, archive, authentication)
        finally:
            if watch:
                watch.cancel()
            await lines.stop()
            await http.stop()
            await delivery.close()
            assert not journal.on_commit
            for _ in range(10):
                await asyncio.sleep(0)  # what was cancelled ends
            assert not ours(), f"tasks of the agent outlive it: {ours()}"
    finally:
        await asyncio.to_thread(database.close)
