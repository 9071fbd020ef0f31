"""A simulated machine with its pipeline and no wire, and a `Work` that lets its time go by."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

from edgeagent.acquire.plan import plan
from edgeagent.capture.pipeline import Pipeline
from edgeagent.clock import Clock
from edgeagent.config import ControlTable
from edgeagent.control import interlocks
from edgeagent.control.ports import Context
from edgeagent.control.procedure import Failed, NotConfirmed, Procedure, Stopped, Withdrawn
from edgeagent.errors import Silent
from edgeagent.model.callers import Caller
from edgeagent.model.machine import Machine
from edgeagent.model.samples import Row
from firmware_iface import catalog
from firmware_iface.simulated.build import simulated
from firmware_iface.simulated.faults import parse

_FUNCTION = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
_WALL_NS = 1_790_000_000_000_000_000
ANNA = Caller("anna", "engineer", "lines", "127.0.0.1", is_authenticated=True)


class HandClock(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 1_000_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return _WALL_NS + self.now_ns

    async def sleep_until(self, monotonic_ns: int) -> None:
        while self.now_ns < monotonic_ns:  # noqa: ASYNC110  the hand that sets it wakes nobody
            await asyncio.sleep(0.001)

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self.now_ns + round(seconds * 1e9))


class Stand:
    """A machine as procedures see it; a beat brings every group. Its events are kept in `events`."""

    def __init__(self, register_map: str = "reflow10", **power: float) -> None:
        its = catalog.builtin(register_map)
        its = replace(its, power=replace(its.power, **({"safe_celsius": 180.0, "cool_down_timeout_s": 900.0} | power)))
        self.device = simulated(its, seed=7)
        self.machine = Machine("RO0001", (its,))
        self.row = Row(len(self.machine.points), len(self.machine.groups))
        self.pipeline = Pipeline(self.machine, self.row)
        self.clock = HandClock()
        self.events = []
        self._plans = plan(self.machine, 0, self.row)
        self.context = Context(ANNA, self.clock, None, None, SimpleNamespace(), ControlTable())  # type: ignore[arg-type]

    def run(self, seconds: float, beat_s: float = 1.0) -> None:
        """Let time pass for machine and agent."""
        for _ in range(max(1, round(seconds / beat_s))):
            self.device.advance(beat_s)
            self.clock.now_ns += round(beat_s * 1e9)
            for group, planned in zip(self.machine.groups, self._plans, strict=True):
                if self.device.is_silent:
                    planned.miss()
                else:
                    answers = [self._read(block.block) for block in planned.blocks]
                    planned.decode(answers, self.clock.now_ns, self.clock.wall_ns())
                self.events += self.pipeline.feed(group.index, self.clock.now_ns, self.clock.wall_ns())

    def _read(self, block) -> bytes:
        asked = bytes([_FUNCTION[block.table]]) + block.address.to_bytes(2, "big") + block.count.to_bytes(2, "big")
        return self.device.answer(asked)[2:]

    def fault(self, text: str) -> None:
        """A fault from now on, or from so many seconds on: "silent@10+20"."""
        name, _, rest = text.partition("@")
        start, plus, length = rest.partition("+")
        self.device.add_fault(parse(f"{name}@{self.device.time + float(start or 0)}{plus}{length}"))


    def emptied(self) -> "Stand":
        self.confirm_empty(None, "looked", "anna")
        return self

    async def next_beat(self) -> None:
        self.run(1)

    # As procedures see it

    def status(self):
        return self.pipeline.status(self.clock.now_ns)

    def values(self, objects):
        return self.pipeline.values(objects, self.clock.now_ns)

    def boards(self):
        return self.pipeline.boards()

    def alarms(self):
        return self.pipeline.alarms()

    def remove_board(self, board: str, reason: str, by: str) -> tuple[str, ...]:
        place = self.pipeline.place_of(board)
        return self._booked(*place, reason, by) if place else ()

    def confirm_empty(self, lane: int | None, reason: str, by: str) -> tuple[str, ...]:
        return self._booked(lane, None, reason, by)

    def _booked(self, lane: int | None, number: int | None, reason: str, by: str) -> tuple[str, ...]:
        made = self.pipeline.book_out(lane, number, reason, by, self.clock.now_ns, self.clock.wall_ns())
        self.events += made
        return tuple(event.record.id for event in made if event.record)


class HandWork:
    """Does what a procedure asks for, by the rules of the port, and notes it.

    Attributes:
        steps: as they were told. wrote: path and value of each write. told: events.
        ends: looked at before each write and at each beat; what it returns is raised, once and for all.
    """

    def __init__(self, stand: Stand, procedure: Procedure) -> None:
        self.stand = stand
        self.procedure = procedure
        self.steps: list[str] = []
        self.wrote: list[tuple[str, float]] = []
        self.told = []
        self.ends: Callable[[], Exception | None] = lambda: None
        self._end: Exception | None = None

    def was_sent(self, path: str) -> bool:
        return path in dict(self.wrote)

    async def step(self, text: str) -> None:
        self.steps.append(text)

    def tell(self, event) -> None:
        self.told.append(event)

    async def write(self, path: str, value: float, name: str = "") -> None:
        if not self._end and self._look():
            raise self._end
        if self._end:
            if (name or path) not in self.procedure.safe:
                raise self._end
        elif reasons := list(self.procedure.interlocks()):
            self._end = Withdrawn(" ".join(reasons))
            raise self._end
        self.wrote.append((path, value))
        if self.stand.device.is_silent:
            raise Silent("it did not answer in time")
        self.stand.device.wire.take(path, value)
        self.stand.run(0.1, 0.1)

    async def command(self, name: str) -> None:
        order = self.stand.machine.map.command(name)
        assert order is not None
        await self.read()
        if reasons := list(interlocks.preconditions(self.stand, order.preconditions, name)):
            raise Failed(" ".join(reasons))
        await self.write(order.write, order.value, name)
        if order.pulse_ms:
            self.stand.run(order.pulse_ms / 1000, order.pulse_ms / 1000)
            self.stand.device.wire.take(order.write, 0.0)
        for _ in range(round(order.timeout_s)):
            if not list(interlocks.preconditions(self.stand, order.confirm, name)):
                return
            self.stand.run(1)
        raise NotConfirmed(f"the machine did not do {name}")

    async def read(self, *paths: str) -> dict[str, float]:
        self.stand.run(0.1, 0.1)
        values = {path: interlocks.number(self.stand, path) for path in paths}
        if None in values.values():
            raise Silent(f"{values} are not good")
        return values  # type: ignore[return-value]

    async def until(self, holds: Callable[[], bool | None], timeout_s: float) -> bool:
        end_ns = self.stand.clock.now_ns + timeout_s * 1e9
        while not holds():
            if self.stand.clock.now_ns >= end_ns:
                return False
            if not self._end and self._look():
                raise self._end
            self.stand.run(3)
        return True

    async def sleep(self, seconds: float) -> None:
        await self.until(lambda: False, seconds)

    def _look(self) -> Exception | None:
        self._end = self.ends()
        return self._end


def done(work: HandWork, *, resumed: bool = False) -> str | None:
    """Run the work's procedure to its end, as the executor does after it was permitted."""
    if not resumed:
        assert list(work.procedure.limits()) == []
        assert list(work.procedure.interlocks()) == []
    return asyncio.run(work.procedure.resume(work) if resumed else work.procedure.run(work))


def cold(register_map: str = "reflow10", **power: float) -> Stand:
    """A machine that is off, and known to be empty."""
    it = Stand(register_map, **power)
    it.device._sequence.mode = "off"  # as it stands after a cool-down, but soon warm again
    it.run(3)
    return it.emptied()


def warm(**power: float) -> Stand:
    """A machine that is ready, and known to be empty."""
    it = Stand(**power)
    while it.device.state != "ready":
        it.device.advance(1)
    it.run(3)
    return it.emptied()


def stop() -> Exception:
    return Stopped("anna stopped it")
