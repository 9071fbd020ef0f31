"""The control room itself over a simulated machine without a wire: real decisions, store and jobs, time handed in."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edgeagent.config import ControlTable, MachineTable, ModbusTcpTable
from edgeagent.control.room import ControlRoom
from edgeagent.errors import Silent
from edgeagent.model.audit import AuditEntry
from edgeagent.model.callers import Caller
from edgeagent.model.commands import Job
from edgeagent.model.functions import FUNCTIONS
from edgeagent.store import Archive, Database
from tests.control.rig import ANNA, Stand


class Notes:
    """An audit in memory."""

    failing: str | None = None

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def write(self, *entries: AuditEntry) -> None:
        self.entries += entries

    def note(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


class CommandedStand(Stand):
    """A machine that the control room commands; `reach` is itself."""

    def __init__(self, register_map: str = "reflow10", **power: float) -> None:
        super().__init__(register_map, **power)
        self.archive: Archive | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def run(self, seconds: float, beat_s: float = 1.0) -> None:
        super().run(seconds, beat_s)
        waiting, self._waiting = getattr(self, "_waiting", []), []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def next_beat(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def switch(self) -> bool | None:
        return self.pipeline.switch(self.clock.now_ns)

    def recipe(self):
        return self.pipeline.recipe()

    def tell(self, *events, rows=()) -> int:
        self.events += events
        return self.archive.journal.append(events, None, "trusted", rows)

    def turn(self, control: str, by: str, until: str | None) -> None:
        self.events += self.pipeline.turn(control, by, until, self.clock.now_ns, self.clock.wall_ns())

    def expect(self, values, by: str) -> None: ...

    def hold_ready(self, reason: str | None) -> None: ...

    # The way to its registers

    async def write(self, path: str, value) -> None:
        if self.device.is_silent:
            raise Silent("it did not answer in time")
        self.device.wire.take(path, value)

    async def refresh(self, paths) -> None:
        if self.device.is_silent:
            raise Silent("it did not answer in time")
        self.run(0.1, 0.1)

    def why_not(self, path: str) -> str | None:
        return None


class Room:
    """The control room, and time that goes by.

    Attributes:
        audit: what was audited.
    """

    def __init__(self, it: CommandedStand, room: ControlRoom, audit: Notes) -> None:
        self.it = it
        self.room = room
        self.audit = audit

    def grant(self) -> None:
        self.room.machines["RO0001"].remote.grant("console:anna", None)
        self.room.look()

    async def call(self, function: str, caller: Caller = ANNA, **parameters: Any) -> Any:
        return await self.room.handlers()[function](FUNCTIONS[function].parameters(**parameters), caller)

    async def answered(self, function: str, caller: Caller = ANNA, **parameters: Any) -> Any:
        """Call it, and let time go by until it is answered."""
        asked = asyncio.create_task(self.call(function, caller, **parameters))
        await self.until(asked.done)
        return await asked

    async def until(self, holds: Callable[[], Any], beat_s: float = 3.0, most_s: float = 20_000) -> None:
        """Let time go by, and the room look, until something holds."""
        end_ns = self.it.clock.now_ns + most_s * 1e9
        while not holds():
            assert self.it.clock.now_ns < end_ns, f"it did not come about within {most_s:g} s"
            self.it.run(beat_s, beat_s)
            self.room.look()
            for idle in self.room._idle:
                await idle.look()
            await self.settled()

    async def settled(self) -> None:
        """Let everything happen that a beat woke, the disk included."""
        for _ in range(3):
            await self.it.archive.database.write(lambda connection: None)
            await asyncio.sleep(0)

    def running(self, function: str) -> Job | None:
        return next((each.job for each in self.room.executor.jobs if each.job.function == function), None)

    def ended(self, function: str) -> list[Any]:
        """What `Command.Executed` told of a function."""
        return [event.data for event in self.it.events
                if event.topic == "Command.Executed" and event.data.function == function]  # fmt: skip


@asynccontextmanager
async def commanded(
    folder: Path, it: CommandedStand, **settings: Any
) -> AsyncIterator[Room]:
    """A control room over a machine; remote control is not granted yet."""
    database = Database(folder / "store.sqlite3")
    database.open(asyncio.get_running_loop())
    try:
        it.archive = await Archive.open(database, it.clock)
        table = MachineTable("RO0001", (ModbusTcpTable("reflow10", "127.0.0.1"),), **settings)
        audit = Notes()
        control = ControlTable(enabled=True, machine_per_minute=600, caller_per_minute=600)
        room = ControlRoom(control, [(it, it, table)], it.archive, audit, it.clock)
        await room.start()
        try:
            yield Room(it, room, audit)
        finally:
            await room.close()
    finally:
        await asyncio.to_thread(database.close)
