"""The beat: absolute times, missed beats, back-off; with a handed-in clock and real sockets."""

import asyncio
import struct
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

from edgeagent.acquire.modbus import ModbusTcp, TcpConnection
from edgeagent.acquire.plan import plan
from edgeagent.acquire.poller import Poller
from edgeagent.clock import Clock
from edgeagent.errors import Unreachable
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from firmware_iface import catalog
from tests.acquire.device import device, frame, right


class HandClock(Clock):
    """Time goes on only when somebody sleeps, and by as much as a test adds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 10**12

    def monotonic_ns(self) -> int:
        return self.now

    def wall_ns(self) -> int:
        return 10**18 + self.now

    async def sleep_until(self, monotonic_ns: int) -> None:
        self.now = max(self.now, monotonic_ns)
        await asyncio.sleep(0)


@asynccontextmanager
async def polling(beats: int, on_beat=None, answer=None, without: str = "", timeout_s: float = 0.1):
    """Run a poller against a device until that many beats are done.

    The shipped map, less one point, the fingerprint and the watchdog: the device serves each register's own number.
    """
    whole = catalog.builtin("reflow10")
    left_out = (without, "machine/fingerprint")
    register_map = replace(whole, watchdog=None, registers=tuple(r for r in whole.registers if r.path not in left_out))
    machine = Machine("RO0001", (register_map,))
    row = Row(len(machine.points), len(machine.groups))
    clock = HandClock()
    seen: list[tuple[int, int]] = []
    done = asyncio.Event()
    async with device() as running:
        running.answer = answer or running.answer

        def beat(group: int) -> None:
            seen.append((group, clock.now))
            if on_beat:
                on_beat(running, clock, row, len(seen))
            if len(seen) >= beats:
                done.set()

        source = ModbusTcp(TcpConnection("127.0.0.1", running.port, timeout_s), 1)
        poller = Poller(machine, source, plan(machine, 0, row), clock, beat, machine.map)
        task = asyncio.create_task(poller.run())
        await asyncio.wait_for(done.wait(), 30)
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.1)
        yield running, poller, row, seen, machine


def test_every_group_keeps_its_own_absolute_period():
    async def go():
        async with polling(200) as (_, poller, _, seen, machine):
            for group in machine.groups:
                times = [at for index, at in seen if index == group.index]
                assert [b - a for a, b in pairwise(times)] == [group.period_ns] * (len(times) - 1)
            assert poller.skipped == 0
            assert not poller.errors

    asyncio.run(go())


def test_a_late_beat_is_skipped_and_not_made_up_for():
    def stall(_device, clock, _row, beats):
        if beats == 50:
            clock.now += 2_000_000_000

    async def go():
        async with polling(150, stall) as (_, poller, _, seen, _):
            motion = [at for index, at in seen if index == 0]
            gaps = [b - a for a, b in pairwise(motion)]
            assert max(gaps) >= 2_000_000_000
            assert all((at - motion[0]) % 100_000_000 == 0 for at in motion[-10:]), "back on the old grid"
            assert poller.skipped >= 19

    asyncio.run(go())


def test_a_silent_device_gives_bad_values_and_is_not_asked_at_every_beat():
    bad_beats = []

    def watch(running, _clock, row, beats):
        if beats == 20:
            running.answer = lambda q: None
        if beats > 30:
            bad_beats.append(set(row.quality[:7]))

    async def go():
        async with polling(400, watch, timeout_s=0.05) as (_, poller, _, _, _):
            assert set.union(*bad_beats) == {Quality.BAD}
            assert 3 <= poller.errors["silent"] < 30

    asyncio.run(go())


def test_a_device_that_accepts_and_closes_is_not_hammered():
    def shut(running, _clock, _row, beats):
        running.accepts = False

    async def go():
        async with polling(2000, shut) as (running, _, _, seen, _):
            seconds = (seen[-1][1] - seen[0][1]) / 1e9
            assert seconds > 90
            assert running.connects < seconds / 3

    asyncio.run(go())


class Absent:
    """A source that nobody answers at."""

    name = "nowhere"
    connected = False

    def __init__(self) -> None:
        self.tries = 0

    async def connect(self) -> None:
        self.tries += 1
        raise Unreachable("nobody is there")

    async def read(self, block) -> bytes:
        raise AssertionError("read without a connection")

    def close(self) -> None:
        pass


def test_a_device_that_is_off_over_a_weekend_is_still_waited_for():
    machine = Machine("RO0001", (catalog.builtin("reflow10"),))
    row = Row(len(machine.points), len(machine.groups))
    clock, source = HandClock(), Absent()
    start = clock.now

    async def go():
        done = asyncio.Event()

        def beat(_group: int) -> None:
            clock.now += 60_000_000_000
            if clock.now - start > 48 * 3600 * 10**9:
                done.set()

        poller = Poller(machine, source, plan(machine, 0, row), clock, beat, machine.map)
        task = asyncio.create_task(poller.run())
        waiting = asyncio.create_task(done.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        assert not task.done(), task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())
    assert source.tries > 2000


def test_a_device_that_comes_back_is_read_again():
    def reboot(running, _clock, _row, beats):
        if beats == 30:
            running.answer = lambda q: b""
        if beats == 300:
            running.answer = right

    async def go():
        async with polling(1200, reboot) as (_, poller, row, _, _):
            assert row.quality[0] == Quality.GOOD
            assert poller.errors["unreachable"] >= 1

    asyncio.run(go())


def test_a_device_that_refuses_gaps_is_read_block_by_block():
    hole = catalog.builtin("reflow10").register("zone/3/top/output").address

    def refuse_the_hole(request: bytes) -> bytes:
        function, address, count = struct.unpack(">BHH", request[7:12])
        if function == 4 and address <= hole < address + count:
            return frame(struct.unpack(">H", request[:2])[0], 1, b"\x84\x02")
        return right(request)

    async def go():
        async with polling(100, answer=refuse_the_hole, without="zone/3/top/output") as (_, poller, row, _, machine):
            assert poller.errors["refused"] == 1
            assert row.quality[machine.column["zone/1/top/temperature"]] == Quality.GOOD

    asyncio.run(go())
