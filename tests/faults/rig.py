"""The agent's pollers in front of a bad line with two devices, and what their points were beat by beat."""

from __future__ import annotations

import asyncio
import math
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path

from edgeagent.acquire.modbus import ModbusTcp, TcpConnection
from edgeagent.acquire.modbus_rtu import ModbusRtu
from edgeagent.acquire.plan import plan
from edgeagent.acquire.poller import Poller
from edgeagent.acquire.serial_line import SerialLine
from edgeagent.acquire.source import Source
from edgeagent.clock import Clock
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from firmware_iface import catalog
from tests.acquire import device as tcp
from tests.acquire import rtu_device as rtu
from tests.fault_kit.line import Line, pty_line, tcp_line

SPEED = 5.0
"""The agent's clock runs so much faster; time-outs, the drips of a line and its baud are real time."""
TIMEOUT_S = 0.2
LATENCY_S = 0.05
LEVEL, TEMPERATURE = 17.5, 175.4
_HERE = Path(__file__).parent


class SteppingClock(Clock):
    """A clock whose wall time can be set to another one, as NTP does."""

    def __init__(self, speed: float) -> None:
        super().__init__(speed, 10**18)
        self.step_ns = 0

    def wall_ns(self) -> int:
        return super().wall_ns() + self.step_ns


class Registers:
    """What the units hold; the first register of each block is the number of the question, so that old answers tell.

    Register n of unit u is 1000 f + 100 u + n by function f, but for the points that the map scales.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self.asked: dict[tuple[int, int], int] = {}

    def answer(self, unit: int, function: int, address: int, count_: int) -> bytes:
        words = {101: round(LEVEL * 10)} | dict(zip((102, 103), struct.unpack(">HH", struct.pack(">f", TEMPERATURE)),
                                                    strict=True))
        if address in {10, 100}:
            self.asked[unit, address] = words[address] = next(self._numbers)
        data = [words.get(a, 1000 * function + 100 * unit + a) for a in range(address, address + count_)]
        return bytes([function, 2 * count_]) + struct.pack(f">{count_}H", *data)

    def truth(self, unit: int) -> dict[str, float]:
        """Name of a point → what the unit said when it was last asked."""
        return {
            "number": self.asked.get((unit, 10), 0), "first": 4011 + 100 * unit, "second": 4013 + 100 * unit,
            "nextNumber": self.asked.get((unit, 100), 0), "level": LEVEL, "temperature": TEMPERATURE,
        }  # fmt: skip

    def to_tcp(self, request: bytes) -> bytes:
        transaction, _, _, unit, function, address, count_ = struct.unpack(">HHHBBHH", request)
        return tcp.frame(transaction, unit, self.answer(unit, function, address, count_))

    def to_rtu(self, request: bytes) -> list[bytes]:
        unit, function, address, count_ = struct.unpack(">BBHH", request[:6])
        return [rtu.frame(bytes([unit]) + self.answer(unit, function, address, count_))]


@dataclass(frozen=True)
class Beat:
    """One beat of one unit: when (ns of the clock), the quality of each of its points, and what was wrong and good."""

    time_ns: int
    quality: dict[str, Quality]
    wrong: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return set(self.quality.values()) == {Quality.GOOD}


class Rig:
    """A machine with one source a unit, its pollers, and the line with the first unit on it."""

    def __init__(self, units: int, period_ms: int, clock: SteppingClock) -> None:
        self.clock = clock
        self.period_ns = period_ms * 1_000_000
        self.registers = Registers()
        self.line: Line
        self.beats: dict[int, list[Beat]] = {unit: [] for unit in range(1, units + 1)}
        self.machine = Machine("FAULTS", tuple(_map_of(unit, period_ms) for unit in self.beats))
        self.row = Row(len(self.machine.points), len(self.machine.groups))
        self._happened = asyncio.Event()
        self._pollers: list[Poller] = []

    @asynccontextmanager
    async def polling(self, sources: list[Source]) -> AsyncIterator[None]:
        """Let the pollers of all units run; raises what one of them did not foresee."""
        self._pollers = [
            Poller(self.machine, source, plan(self.machine, place, self.row), self.clock, self._beat,
                   self.machine.maps[place])
            for place, source in enumerate(sources)
        ]  # fmt: skip
        tasks = [asyncio.create_task(poller.run()) for poller in self._pollers]
        try:
            yield
        finally:
            ended = [task for task in tasks if task.done()]
            # A time-out that comes at the same moment can swallow a cancellation.
            while [task for task in tasks if not task.done()]:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks, timeout=0.1)
        for task in ended:
            task.result()

    def errors(self, unit: int) -> Counter[str]:
        """Failed requests of a unit by cause."""
        return Counter(self._pollers[unit - 1].errors)

    def skipped(self, unit: int) -> int:
        """Beats of a unit that were too late to be read."""
        return self._pollers[unit - 1].skipped

    def _beat(self, group: int) -> None:
        unit = self.machine.groups[group].source + 1
        truth = self.registers.truth(unit)
        points = [point for point in self.machine.points if point.group == group]
        quality = {point.name: Quality(self.row.quality[point.index]) for point in points}
        values = {point.name: self.row.values[point.index] for point in points}
        wrong = tuple(name for name, value in values.items()
                      if quality[name] == Quality.GOOD and not math.isclose(value, truth[name], rel_tol=1e-6))
        assert all(math.isnan(value) for name, value in values.items() if quality[name] == Quality.BAD)
        self.beats[unit].append(Beat(self.clock.monotonic_ns(), quality, wrong))
        self._happened.set()

    async def until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Wait for something that a beat brings, at most so many seconds of the clock; say whether it came."""
        end = self.clock.monotonic_ns() + round(limit_s * 1e9)
        while not condition() and (left_ns := end - self.clock.monotonic_ns()) > 0:
            self._happened.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._happened.wait(), left_ns / 1e9 / self.clock.speed)
        return condition()


@cache
def _map_of(unit: int, period_ms: int):
    one = catalog.load(_HERE / "device.toml")
    return replace(
        one,
        registers=tuple(replace(r, path=r.path.replace("unit", f"unit{unit}")) for r in one.registers),
        groups=tuple(replace(g, period_ms=period_ms, max_age_ms=3 * period_ms) for g in one.groups),
    )  # fmt: skip


@asynccontextmanager
async def tcp_rig(seed: int) -> AsyncIterator[Rig]:
    """Two devices, each on a socket of its own; the line is the first one's."""
    rig = Rig(2, 2000, SteppingClock(SPEED))
    async with tcp.device() as one, tcp.device() as two, tcp_line(one.port, seed) as rig.line:
        one.answer = two.answer = rig.registers.to_tcp
        ports = ((1, rig.line.port), (2, two.port))
        sources = [ModbusTcp(TcpConnection("127.0.0.1", port, TIMEOUT_S), unit) for unit, port in ports]
        async with rig.polling(sources):
            yield rig
        await asyncio.sleep(0)


@asynccontextmanager
async def rtu_rig(seed: int, folder: Path, units: int = 2, baud: int = 115200, period_ms: int = 2000,
                  speed: float = SPEED) -> AsyncIterator[Rig]:  # fmt: skip
    """Units on one serial line."""
    rig = Rig(units, period_ms, SteppingClock(speed))
    async with rtu.device(folder) as devices, pty_line(folder / "tty-agent", devices.port, baud, seed) as rig.line:
        devices.answer = rig.registers.to_rtu
        serial = SerialLine(rig.line.port, baud, "none", 2)
        async with rig.polling([ModbusRtu(serial, unit, LATENCY_S) for unit in rig.beats]):
            yield rig
        await asyncio.sleep(0)
