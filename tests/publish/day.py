"""A day at a simulated oven in small, always the same: what it makes the agent say are the examples of the contract."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from edgeagent import __version__
from edgeagent.acquire.plan import plan
from edgeagent.changes import tell_changes
from edgeagent.clock import Clock
from edgeagent.config import Configuration, ControlTable, MachineTable, ModbusTcpTable, WindowTable
from edgeagent.control.room import ControlRoom
from edgeagent.model.commands import Job, JobStep
from edgeagent.model.functions import FUNCTIONS
from edgeagent.own_alarms import OwnAlarms
from edgeagent.publish.access import Access
from edgeagent.publish.authentication import Authentication
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.jsonrpc import Dispatcher
from edgeagent.publish.openapps import answers
from edgeagent.publish.transports.admission import Admission
from edgeagent.publish.transports.lines import LineServer
from edgeagent.store import Archive, Database, jobs
from edgeagent.unit import Unit
from firmware_iface import catalog
from firmware_iface.simulated.build import simulated
from firmware_iface.simulated.device import Device
from firmware_iface.simulated.faults import parse
from tests.control.bench import ShortReach
from tests.control.held import HeldAudit
from tests.publish import commanding
from tests.publish.known import MES, TOKEN, Known
from tests.publish.serving import Line

MORNING_NS = 1_795_298_000_000_000_000
MORNING = datetime.fromtimestamp(MORNING_NS // 1_000_000_000, UTC)
BEAT_NS = 100_000_000
TABLE = MachineTable(
    "RO0001", (ModbusTcpTable("reflow10", "127.0.0.1"),),
    window=WindowTable(peak=(240.0, 250.0), time_above_liquidus=(40.0, 90.0), soak=(60.0, 120.0), max_rise=(0.0, 3.0),
                       max_fall=(-3.0, 0.0)),
)  # fmt: skip
_FUNCTION = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}

STARTED = Job(
    id="01M802F4D8TDX2Z6N0C4S5RM9E", function="Recipe.Start", machine="RO0001", request_id="4711", by="mes",
    state="done",
    steps=(
        JobStep("the recipe is written", "2026-11-21T22:10:20.000Z", "2026-11-21T22:10:21.200Z"),
        JobStep("the oven is ready for it", "2026-11-21T22:10:21.200Z", "2026-11-21T22:13:40.000Z"),
    ),
    accepted_at="2026-11-21T22:10:20.000Z", ended_at="2026-11-21T22:13:40.000Z",
)  # fmt: skip

Parameters = Callable[["Day"], dict[str, Any]]

ASKED: dict[str, Parameters] = {
    "Session.Authenticate": lambda day: {"token": TOKEN},
    "Event.Subscribe": lambda day: {"topics": ["Board.*", "Alarm.*"], "consumer": "mes", "maxInFlight": 50},
    "Event.Unsubscribe": lambda day: {"subscription": "3"},
    "Event.Acknowledge": lambda day: {"consumer": "mes", "stream": day.archive.journal.stream, "sequence": 8},
    "Event.DeleteConsumer": lambda day: {"consumer": "trial"},
    "Event.Read": lambda day: {"from": {"stream": day.archive.journal.stream, "sequence": 1}, "topics": ["Board.*"]},
    "Configuration.GetObjectParameters": lambda day: {"object": "zone/3/top"},
    "Status.GetValues": lambda day: {"objects": ["zone/3/top", "conveyor/1"]},
    "Board.Get": lambda day: {"id": day.finished},
    "Board.GetTrace": lambda day: {"id": day.finished, "maxPoints": 100},
    "Board.Find": lambda day: {"barcode": "PCB0001", "verdict": "pass"},
    "Recipe.Get": lambda day: {"name": "SAC305-A"},
    "Command.Get": lambda day: {"job": STARTED.id},
    "Command.List": lambda day: {"state": "done"},
    **commanding.ASKED,
}
"""Parameters of the example of each function that needs some, or that says more with some."""


class HandClock(Clock):
    """Stands still until it is set; known to be right."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 1_000_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return MORNING_NS + self.now_ns

    @property
    def trusted(self) -> bool:
        return True


@dataclass
class Day:
    """The oven, its unit in the agent without a wire, and a line to ask it over."""

    device: Device
    unit: Unit
    clock: HandClock
    archive: Archive
    delivery: Delivery
    line: Line
    functions: Access
    room: ControlRoom
    reach: ShortReach
    finished: str = ""
    told: list[dict[str, Any]] = field(default_factory=list)
    """Every notification that came, as it was on the wire."""

    def __post_init__(self) -> None:
        self._groups = plan(self.unit.machine, 0, self.unit.row)

    def run(self, seconds: float) -> None:
        """Let time pass for oven and agent, beat by beat."""
        for _ in range(round(10 * seconds)):
            self.device.advance(0.1)
            self.clock.now_ns += BEAT_NS
            for group in self.unit.machine.groups:
                if self.clock.now_ns % group.period_ns == 0:
                    self.beat(group.index)

    def _read(self, block: Any) -> bytes:
        request = bytes([_FUNCTION[block.table]]) + block.address.to_bytes(2, "big") + block.count.to_bytes(2, "big")
        return self.device.answer(request)[2:]

    async def written(self) -> int:
        journal = self.archive.journal
        await journal.settled(journal.last_sequence)
        return journal.last_sequence

    async def happen(self) -> None:
        """All that a day can bring, but for what commands cause."""
        self.device.insert_board("PCB0001", 180.0)
        self.run(600)
        self.finished = await self._last_board()
        await self._be_followed()
        await self.archive.database.write(lambda connection: jobs.put(connection, STARTED))
        self.device.write("zone/3/top/setpoint", 178.0)
        self.device.insert_board("PCB0002", 180.0)
        self.run(100)
        for fault in ("thermocouple-open:zone/5/top@{}+5", "board-removed@{}", "board-appears@{}",
                      "outlet-blocked@{}+400"):  # fmt: skip
            self.device.add_fault(parse(fault.format(self.device.time + 1)))
            self.run(30)
        self.device.insert_board("PCB0003", 180.0)
        self.run(400)
        self.device.insert_board("PCB0004", 180.0)
        self.run(120)
        self.device.add_fault(parse(f"thermocouple-open:zone/9/top@{self.device.time + 1}+900"))
        self.run(10)
        await self.written()

    async def _be_followed(self) -> None:
        """Let an MES hear of the first board, and try out a consumer that nobody needs."""
        for name in ("mes", "trial"):
            wanted = {"topics": ["Board.*"], "consumer": name}
            subscription = (await self.call("Event.Subscribe", wanted))["result"]["subscription"]
            while (await self.line.message())["method"] != "Board.ProcessCompleted":
                pass
            await self.call("Event.Unsubscribe", {"subscription": subscription})

    async def _last_board(self) -> str:
        await self.written()
        (record,), _ = await self.archive.boards.find()
        name: str = json.loads(record)["id"]
        return name

    async def hear(self) -> None:
        """Take every event from the beginning, then telemetry and a heartbeat."""
        last = await self.written()
        await self.call("Event.Subscribe", {"topics": ["Alarm.*"], "consumer": "trial", "from": "now"})
        await self.call("Event.DeleteConsumer", {"consumer": "trial"})
        await self._until(lambda message: message["method"] == "Event.SubscriptionEnded")
        await self.call("Event.Subscribe", {"topics": ["*"], "from": "beginning"})
        await self._until(lambda message: message["params"].get("sequence") == last)
        self.run(60)
        await self._until(lambda message: message["method"] == "Status.MeasuredValueChanged")
        await self.caught_up()

    async def caught_up(self) -> None:
        """Take everything that is pushed, until nothing is left to tell."""
        last = await self.written()
        await self._until(lambda message: message["params"]["data"].get("lastSequence") == last)

    async def _until(self, is_last: Callable[[dict[str, Any]], bool]) -> None:
        while not self.told or not is_last(self.told[-1]):
            self.told.append(await self.line.message())

    async def call(self, function: str, params: dict[str, Any]) -> Any:
        """Ask over the line; what is pushed meanwhile is told as well."""
        answer = await self._answer(function, params)
        while "method" in answer:
            self.told.append(answer)
            answer = await self.line.message()
        return answer

    async def _answer(self, function: str, params: dict[str, Any]) -> Any:
        asked = asyncio.ensure_future(self.line.call(function, **params))
        while function in commanding.DRIVEN and not asked.done():
            await commanding.a_beat_if_awaited(self)
        return await asked

    async def prepared(self, function: str) -> None:
        """Let be so what has to be before a command."""
        if function in commanding.BEFORE:
            await commanding.BEFORE[function](self)
        if function not in commanding.AMID:
            await commanding.at_rest(self)
        if function in FUNCTIONS and FUNCTIONS[function].needs_remote:
            self.room.look()
            self.room.machines["RO0001"].remote.grant("console:anna", 30)
            self.room.look()

    def beat(self, group: int) -> None:
        """Read a group and tell it."""
        planned = self._groups[group]
        planned.decode([self._read(block.block) for block in planned.blocks], self.clock.now_ns, self.clock.wall_ns())
        self.unit.beat(group)

    def asks(self, function: str) -> dict[str, Any]:
        """The parameters of a function's example."""
        return ASKED[function](self) if function in ASKED else {}


@contextmanager
def local_time(zone: str) -> Iterator[None]:
    """Let the computer stand in a zone, so that records tell the same offset everywhere."""
    with patch.dict(os.environ, TZ=zone):
        time.tzset()
        yield
    time.tzset()


@asynccontextmanager
async def day(folder: Path) -> AsyncIterator[Day]:
    """Live the day, after an evening with an older agent of which the disk lost an event; names are never random."""
    chance = random.Random(4)
    with (
        local_time("CET-1"),
        patch("secrets.randbits", chance.getrandbits),
        patch("secrets.token_hex", lambda n: chance.randbytes(n).hex()),
    ):
        clock, device = HandClock(), simulated(catalog.builtin("reflow10"), seed=7)
        while device.state != "ready":
            device.advance(1)
        async with _agent(folder, clock, device, "0.0.9") as evening:
            evening.run(5)
            await evening.written()
        with sqlite3.connect(folder / "edge.db") as connection:
            connection.execute("UPDATE events SET body = X'7B7D' WHERE sequence = 2")
        connection.close()
        async with _agent(folder, clock, device, __version__) as lived:
            await lived.happen()
            yield lived


@asynccontextmanager
async def _agent(folder: Path, clock: HandClock, device: Device, version: str) -> AsyncIterator[Day]:
    database = Database(folder / "edge.db")
    database.open(asyncio.get_running_loop())
    try:
        archive = await Archive.open(database, clock)
        delivery = Delivery(archive.journal, clock, heartbeat_s=0.5)
        maps = (catalog.builtin("reflow10"),)
        unit = Unit(
            TABLE, maps, clock, archive.journal, archive.checkpoints, delivery.telemetry, states=archive.states
        )
        await unit.resume()
        configuration = Configuration((TABLE,))
        await tell_changes(configuration, {TABLE.id: maps}, archive.journal, archive.checkpoints, clock, version)
        authentication = Authentication(Known((MES,)), now=lambda: MORNING)
        reach = ShortReach(None)  # type: ignore[arg-type]  the day that is made below
        room = ControlRoom(ControlTable(enabled=True), [(unit, reach, TABLE)], archive, HeldAudit(), clock, clock,
                           report=OwnAlarms((TABLE.id,), archive.journal, clock).report)
        functions = Access(FUNCTIONS, answers([unit], archive, delivery, clock, authentication) | room.handlers())
        server = LineServer(Dispatcher(functions), delivery, admission=Admission(authentication))
        port = await server.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        try:
            lived = Day(device, unit, clock, archive, delivery, Line(reader, writer), functions, room, reach)
            reach._bench = lived  # type: ignore[assignment]
            await room.start()
            await lived.call("Session.Authenticate", {"token": TOKEN})
            yield lived
        finally:
            writer.close()
            await server.stop()
            await room.close()
            await delivery.close()
    finally:
        await asyncio.to_thread(database.close)
