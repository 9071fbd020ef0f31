"""The control room over a real store and a simulated oven without a wire; time goes by only when a test lets it."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from edgeagent.acquire.plan import plan
from edgeagent.clock import Clock
from edgeagent.config import ControlTable, MachineTable, ModbusTcpTable
from edgeagent.control.procedures import PROCEDURES
from edgeagent.control.room import ControlRoom
from edgeagent.errors import CommandRefused, Silent
from edgeagent.model.callers import NO_ROLE, Caller
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.functions.console import CONSOLE
from edgeagent.own_alarms import OwnAlarms
from edgeagent.store import Archive, Database
from edgeagent.unit import Unit
from firmware_iface import catalog
from firmware_iface.encoding import encode
from firmware_iface.registers import RegisterMap
from firmware_iface.simulated.build import simulated
from tests.control.held import HeldAudit

ENGINEER = Caller("mes", "engineer", "http", "127.0.0.1", is_authenticated=True, token="0d5e1a7c")
CONSOLE_CALLER = Caller("console:anna", "administrator", "console", "uid 1000", is_authenticated=True)
ENABLED = ControlTable(enabled=True)
TABLE = MachineTable("RO0001", (ModbusTcpTable("reflow10", "127.0.0.1"),))
OVEN = catalog.builtin("reflow10")
SETPOINT = "zone/3/top/setpoint"
_READS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


class HandClock(Clock):
    """Stands still until it is set.

    Attributes:
        ahead_ns: by how much somebody set the time of the day forward.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 1_000_000_000_000
        self.ahead_ns = 0
        self.sleepers = 0
        self.is_trusted = True

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return 1_795_298_000_000_000_000 + self.now_ns + self.ahead_ns

    async def sleep_until(self, monotonic_ns: int) -> None:
        self.sleepers += 1
        try:
            while self.now_ns < monotonic_ns:  # noqa: ASYNC110  a test sets it
                await asyncio.sleep(0)
        finally:
            self.sleepers -= 1

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self.now_ns + round(seconds * 1e9))

    @property
    def trusted(self) -> bool:
        return self.is_trusted


class ShortReach:
    """Reaches into the simulated oven's memory.

    Attributes:
        wrote: each write that was tried. meets: called before each write; what it raises is raised instead of it.
        waits: called while a write waits for its turn on the wire, before it is asked once more whether it may go.
        deaf: paths whose writes the oven acknowledges and does not take. is_dark: it does not answer.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.wrote: list[tuple[str, float | str]] = []
        self.meets: Callable[[str, float | str], None] = lambda *_: None
        self.waits: Callable[[str, float | str], None] = lambda *_: None
        self.deaf: set[str] = set()
        self.is_dark = False

    async def write(self, path: str, value: float | str, allows: Callable[[], None]) -> None:
        await asyncio.sleep(0)
        self.waits(path, value)
        allows()
        self.wrote.append((path, value))
        self.meets(path, value)
        if self.is_dark:
            raise Silent("it did not answer in time")
        register = self._bench.unit.machine.register(path)
        words = encode(register, value)
        if register.table == "coil":
            asked = struct.pack(">BHH", 5, register.address, 0xFF00 * words[0])
        else:
            asked = struct.pack(f">BHHB{len(words)}H", 16, register.address, len(words), 2 * len(words), *words)
        if path not in self.deaf:
            answer = self._bench.device.answer(asked)
            assert answer[0] < 0x80, f"the oven refuses {path} = {value}: {answer!r}"

    async def refresh(self, paths: Collection[str]) -> None:
        await asyncio.sleep(0)
        if self.is_dark:
            raise Silent("it did not answer in time")
        for group in {self._bench.unit.machine.point(path).group for path in paths}:
            self._bench.beat(group)

    def why_not(self, path: str) -> str | None:
        return None


@dataclass
class Bench:
    unit: Unit
    device: Any
    clock: HandClock
    archive: Archive
    alarms: OwnAlarms
    audit: HeldAudit = field(default_factory=HeldAudit)
    settings: ControlTable = ENABLED
    table: MachineTable = TABLE
    procedures: dict[str, Any] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    _changed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._plans = plan(self.unit.machine, 0, self.unit.row)
        self.reach = ShortReach(self)
        self.room = self._room()

    def _room(self) -> ControlRoom:
        return ControlRoom(self.settings, [(self.unit, self.reach, self.table)], self.archive, self.audit, self.clock,
                           self.clock, PROCEDURES | self.procedures, self._as_now, report=self.alarms.report)

    def _as_now(self, caller: Caller) -> Caller:
        proof = caller.certificate.fingerprint if caller.certificate else caller.token
        is_revoked = bool(self.revoked & {caller.name, proof})
        return replace(caller, role=NO_ROLE, is_authenticated=False) if is_revoked else caller

    @property
    def remote(self) -> Any:
        return self.room.machines["RO0001"].remote

    def beat(self, group: int) -> None:
        planned = self._plans[group]
        if self.reach.is_dark:
            planned.miss()
        else:
            planned.decode([self._read(block.block) for block in planned.blocks], self.clock.now_ns,
                           self.clock.wall_ns())
        self.unit.beat(group)

    def run(self, seconds: float, beat_s: float = 0.1) -> None:
        """Let time pass for oven and agent, beat by beat; in longer beats than the oven's where little happens."""
        for _ in range(max(1, round(seconds / beat_s))):
            self.device.advance(beat_s)
            before_ns = self.clock.now_ns
            self.clock.now_ns += round(beat_s * 1e9)
            for group in self.unit.machine.groups:
                if self.clock.now_ns // group.period_ns > before_ns // group.period_ns:
                    self.beat(group.index)

    def _read(self, block: Any) -> bytes:
        asked = bytes([_READS[block.table]]) + block.address.to_bytes(2, "big") + block.count.to_bytes(2, "big")
        return self.device.answer(asked)[2:]

    def grant(self, minutes: int = 30) -> None:
        """Let somebody at the machine grant remote control."""
        self.room.look()
        self.remote.grant("console:anna", minutes)
        self.room.look()

    async def call(self, name: str, caller: Caller = ENGINEER, /, **params: Any) -> Any:
        """Call a function as an outlet does; what it answers is as JSON tells it."""
        function = (FUNCTIONS | CONSOLE)[name]
        parameters = msgspec.convert(params, function.parameters)
        handlers = self.room.handlers() | self.room.console()
        return json.loads(msgspec.json.encode(await handlers[name](parameters, caller)))

    async def refused(self, name: str, caller: Caller = ENGINEER, /, **params: Any) -> CommandRefused:
        """The refusal of a call."""
        try:
            answer = await self.call(name, caller, **params)
        except CommandRefused as error:
            return error
        raise AssertionError(f"{name} was not refused: {answer}")

    async def set(self, value: float = 178.0, caller: Caller = ENGINEER, **more: Any) -> Any:
        return await self.call("Configuration.SetObjectParameter", caller, **self.asks(value), **more)

    @staticmethod
    def asks(value: Any = 178.0, path: str = SETPOINT) -> dict[str, Any]:
        object_, _, name = path.rpartition("/")
        return {"object": object_, "name": name, "value": value}

    async def job(self, id_: str) -> dict[str, Any]:
        body = await self.archive.jobs.get(id_)
        return json.loads(body) if body else {}

    async def ended(self, id_: str) -> dict[str, Any]:
        """Let time pass until a job has ended, and is on disk."""
        async with asyncio.timeout(20):
            while True:
                job = await self.job(id_)
                if job.get("endedAt"):
                    return job
                await self._pass(0.1)

    async def until(self, holds: Callable[[], Any], beat_s: float = 0.1) -> None:
        """Let time pass until something holds; in longer beats the room looks, and the disk keeps up, at each."""
        async with asyncio.timeout(60):
            while not holds():
                await self._pass(beat_s)
                if beat_s >= 1:
                    await self.room.turn()
                    await self.settled()

    async def _pass(self, beat_s: float) -> None:
        """Let a beat go by, unless a job waits for the disk: a slow one makes no lease and no time-out shorter."""
        if not self.room.executor.jobs or self.unit._waiting or self.clock.sleepers:
            self.run(beat_s, beat_s)
        await asyncio.sleep(0)

    async def settled(self) -> None:
        """Let everything happen that a beat woke, on the disk too."""
        for _ in range(3):
            await self.archive.database.write(lambda connection: None)
            await asyncio.sleep(0)

    async def told(self, topic: str) -> list[dict[str, Any]]:
        """Data of all events of a topic."""
        journal = self.archive.journal
        await journal.settled(journal.last_sequence)
        events, _, _ = await journal.read(1, (topic,), None, 1000)
        return [json.loads(b"{" + event.body + b"}")["data"] for event in events]

    async def die_and_start_again(self) -> None:
        """The agent is killed and started on the same store: control is local then."""
        await self.room.close()
        await self.archive.database.write(lambda _: None)  # what was handed to the disk is there, or was lost
        self.room = self._room()
        await self.room.start()


@asynccontextmanager
async def bench(
    folder: Path, *, register_map: RegisterMap = OVEN, is_off: bool = False, **more: Any
) -> AsyncIterator[Bench]:
    """A warm, empty oven whose switch is on, ready or off, under local control."""
    clock, device = HandClock(), simulated(register_map, seed=7)
    while device.state != "ready":
        device.advance(1)
    if is_off:
        device._sequence.mode = "off"  # as it stands after a cool-down, but soon warm again
    database = Database(folder / "edge.db")
    database.open(asyncio.get_running_loop())
    try:
        archive = await Archive.open(database, clock)
        alarms = await OwnAlarms.open(("RO0001",), archive.journal, archive.checkpoints, clock)
        unit = Unit(more.get("table", TABLE), (register_map,), clock, archive.journal,
                    archive.checkpoints, lambda *_: None, own_alarms=alarms.of)
        await unit.resume()
        it = Bench(unit, device, clock, archive, alarms, **more)
        it.run(3)
        unit.confirm_empty(None, "looked", "anna")
        await it.room.start()
        try:
            yield it
        finally:
            await it.room.close()
    finally:
        await asyncio.to_thread(database.close)
