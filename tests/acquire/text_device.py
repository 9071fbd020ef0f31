"""Instruments that speak text on the other end of a pty, and a machine that is read from them."""

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from edgeagent.acquire.wires import Wires
from edgeagent.clock import Clock
from edgeagent.config import LineTable, SerialInstrumentTable
from edgeagent.model.machine import Machine
from edgeagent.model.samples import Row
from firmware_iface import catalog
from firmware_iface.registers import RegisterMap
from tests.acquire.rtu_device import Device

BUS = {"id": "bus", "baud": 115_200, "parity": "even", "data_bits": 7, "master": True}


class TextDevice(Device):
    """Takes what comes in one piece for one question."""

    def _hear(self) -> None:
        request = os.read(self._master, 4096)
        self.requests.append(request)
        self._arrived.set()
        task = asyncio.ensure_future(self._say(self.answer(request)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class StepClock(Clock):
    """Stands still until a test lets time go on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 10**12
        self._sleepers = asyncio.Event()

    def monotonic_ns(self) -> int:
        return self.now

    def wall_ns(self) -> int:
        return 10**18 + self.now

    def go_on(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)
        self._sleepers.set()

    async def sleep_until(self, monotonic_ns: int) -> None:
        while self.now < monotonic_ns:
            self._sleepers.clear()
            await self._sleepers.wait()


class Read:
    """A machine of one instrument for each address, read by the agent's own readers beat by beat.

    Args:
        line: keys of the [[lines]] table.

    Attributes:
        row: of the machine. clock: time goes on by the longest period with each beat.
    """

    def __init__(self, register_maps: dict[int, RegisterMap], line: dict[str, object]) -> None:
        self.clock = StepClock()
        self.machine = Machine("M1", tuple(register_maps.values()))
        self.row = Row(len(self.machine.points), len(self.machine.groups))
        wires = Wires([LineTable(**line)], self.clock)
        self.readers = [
            wires.reader(SerialInstrumentTable("map", "bus", address), self.machine, index, self.row, self._told)
            for index, address in enumerate(register_maps)
        ]
        self._beats = self._wanted = 0
        self._beat = asyncio.Event()

    def _told(self, _group: int) -> None:
        self._beats += 1
        self._beat.set()

    async def beat(self, seconds: float = 1.0) -> None:
        """Let time go on, by less than two periods, and wait until every reader has had its beat."""
        self.clock.go_on(seconds)
        await self.first_beat()

    async def first_beat(self) -> None:
        """Wait until every reader has had the beat that is due."""
        self._wanted += len(self.readers)
        while self._beats < self._wanted:
            self._beat.clear()
            await asyncio.wait_for(self._beat.wait(), 10)
        assert self._beats == self._wanted

    def quality(self, path: str) -> int:
        return self.row.quality[self.machine.column[path]]

    def value(self, path: str) -> float:
        return self.row.values[self.machine.column[path]]


@asynccontextmanager
async def read(tmp_path: Path, register_maps: dict[int, RegisterMap], answer, **line):
    """(device, what is read of the instruments at the addresses); the first beat has been.

    Args:
        answer: what the device says to a question, as `Device` has it.
    """
    the_device = TextDevice()
    the_device.plug(tmp_path / "tty-instrument")
    the_device.answer = answer
    reading = Read(register_maps, BUS | {"port": the_device.port} | line)
    tasks = [asyncio.create_task(reader.run()) for reader in reading.readers]
    try:
        await reading.first_beat()
        yield the_device, reading
        await the_device.quiet()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        the_device.unplug()


def quick(name: str) -> RegisterMap:
    """A shipped map whose instrument is given little time, for a pty."""
    register_map = catalog.builtin(name)
    times = {"timeout_ms": 60, "latency_ms": 20, "pause_ms": 0}
    groups = tuple(replace(group, period_ms=1000, max_age_ms=3000) for group in register_map.groups)
    return replace(register_map, device=replace(register_map.device, **times), groups=groups)
