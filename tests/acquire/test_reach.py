"""A machine's points are written and read back while it is polled: the simulated oven's, and those of made devices."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from edgeagent.acquire.wires import Wires
from edgeagent.clock import Clock
from edgeagent.config import LineTable, MachineTable, ModbusRtuTable, ModbusTcpTable, SerialInstrumentTable
from edgeagent.errors import MachineError, Refused, Silent, Unreachable
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from edgeagent.simulate import SimulatedOven
from firmware_iface import catalog
from firmware_iface.registers import Group
from tests.acquire import rtu_device
from tests.acquire.device import device, right

SETPOINT = "zone/1/top/setpoint"
REST = 1
"""Index of the group of `bytewise` that has all but one register."""

LIBMODBUS = Path(__file__).parent / "libmodbus.toml"


class Polled:
    """A machine whose readers run, and the beats that were told: group, time of the read, time of the beat."""

    def __init__(self, wires: Wires, table: MachineTable, *maps) -> None:
        self.clock = Clock()
        self.machine = Machine(table.id, maps)
        self.row = Row(len(self.machine.points), len(self.machine.groups))
        self.beats: list[tuple[int, int, int]] = []
        self._told = asyncio.Event()
        self.readers = wires.readers(table, self.machine, self.row, self._beat)
        self.reach = wires.reaches[table.id]

    def _beat(self, group: int) -> None:
        self.beats.append((group, self.row.times[group], self.clock.monotonic_ns()))
        self._told.set()

    async def any_beat(self) -> None:
        """Wait for a beat, read or missed."""
        self._told.clear()
        await self._told.wait()

    async def all_told(self) -> None:
        """Wait until every group was told once."""
        while len({index for index, _, _ in self.beats}) < len(self.machine.groups):
            await self.any_beat()

    async def beat(self, group: int) -> None:
        """Wait for the next good beat of a group."""
        first = len(self.beats)
        while not any(index == group and self.good(group) for index, _, _ in self.beats[first:]):
            await self.any_beat()

    def good(self, group: int) -> bool:
        return all(self.row.quality[p.index] == Quality.GOOD for p in self.machine.points if p.group == group)

    def value(self, path: str) -> float:
        column = self.machine.column[path]
        assert self.row.quality[column] == Quality.GOOD
        return self.row.values[column]

    def group(self, path: str) -> int:
        return self.machine.point(path).group


@asynccontextmanager
async def running(polled: Polled):
    tasks = [asyncio.create_task(reader.run()) for reader in polled.readers]
    try:
        async with asyncio.timeout(30):
            yield
            assert not any(task.done() for task in tasks)
    finally:
        while not all(task.done() for task in tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.2)


@asynccontextmanager
async def oven(**device_keys):
    """The simulated oven, polled, with the settings' group at so slow a beat that none comes by itself twice."""
    whole = catalog.builtin("reflow10")
    slow = tuple(replace(g, period_ms=3_600_000, max_age_ms=10_800_000) if g.name == "settings" else g
                 for g in whole.groups)
    the_map = replace(whole, groups=slow, device=replace(whole.device, **device_keys))
    simulated = SimulatedOven(whole, Clock(), seed=3)
    port = await simulated.start()
    wires = Wires((), Clock())
    polled = Polled(wires, MachineTable("RO1", (ModbusTcpTable("reflow10", "127.0.0.1", port),)), the_map)
    try:
        async with running(polled):
            await polled.all_told()
            yield simulated, polled, wires
    finally:
        await simulated.stop()


def bytewise(port: int) -> Polled:
    """A device made of bytes: a group of one register keeps the pace, another one has all the rest."""
    the_map = catalog.load(LIBMODBUS)
    registers = tuple(replace(r, writable=r.table in ("coil", "holding")) for r in the_map.registers
                      if r.path[0] != "w" and r.path not in ("a/absent", "a/tooHot", "a/name", "a/longer"))  # fmt: skip
    pace = replace(the_map.register("a/negative"), group="pace")
    the_map = replace(
        the_map, groups=(Group("pace", 50, 5000), *the_map.groups), registers=(pace, *registers[1:]),
        device=replace(the_map.device, max_gap=0, timeout_ms=5000))
    table = MachineTable("M", (ModbusTcpTable(str(LIBMODBUS), "127.0.0.1", port),))
    return Polled(Wires((), Clock()), table, the_map)


def test_a_setpoint_is_written_and_read_back_at_once_and_capture_is_told():
    async def go():
        async with oven() as (simulated, polled, _):
            await polled.reach.refresh([SETPOINT])
            asked_ns = polled.clock.monotonic_ns()
            before = polled.value(SETPOINT)
            await polled.reach.write(SETPOINT, before + 12.5)
            assert simulated.oven.read(SETPOINT) == before + 12.5
            assert polled.value(SETPOINT) == before, "only what was read is shown"
            told = len(polled.beats)
            await polled.reach.refresh([SETPOINT])
            assert polled.value(SETPOINT) == before + 12.5
            group = polled.group(SETPOINT)
            assert polled.row.times[group] > asked_ns
            assert polled.row.stamps[group] > 0
            assert [index for index, _, _ in polled.beats[told:]].count(group) == 1
            assert polled.readers[0].writes == {"done": 1}

    asyncio.run(go())


def test_values_that_a_point_cannot_have_and_points_that_are_only_read_send_nothing():
    async def go():
        async with oven() as (_, polled, wires):
            reach = polled.reach
            for path, value, why in (
                (SETPOINT, 351.0, "from 0 to 350"), (SETPOINT, 20.01, "no raw number"), (SETPOINT, "hot", "number"),
                (SETPOINT, float("nan"), "never nan"), ("zone/1/top/temperature", 20.0, "only read"),
                ("none/such", 1.0, "no point"),
            ):  # fmt: skip
                with pytest.raises(ValueError, match=why):
                    await reach.write(path, value)
            assert reach.why_not(SETPOINT) is None
            assert "only read" in reach.why_not("zone/1/top/temperature")
            assert "no point" in reach.why_not("none/such")
            with pytest.raises(KeyError):
                await reach.refresh(["none/such"])
            assert not polled.readers[0].writes
            (frames,) = wires.last_frames.frames().values()
            assert {frame.data[7] for frame in frames if frame.is_sent} <= {1, 2, 3, 4}
            await reach.write(SETPOINT, 100.0)
            (frames,) = wires.last_frames.frames().values()
            (sent, answered) = (frame for frame in frames if frame.data[7] == 6)
            assert (sent.is_sent, answered.is_sent) == (True, False)
            assert sent.data == answered.data

    asyncio.run(go())


def test_a_device_that_is_not_recognised_now_is_not_written():
    async def go():
        async with oven() as (simulated, polled, _):
            await simulated.stop()
            with pytest.raises(MachineError):
                await polled.reach.refresh([SETPOINT])
            for _ in range(2):
                with pytest.raises(Unreachable):
                    await polled.reach.write(SETPOINT, 100.0)
                with pytest.raises(MachineError):
                    await polled.reach.refresh([SETPOINT])

    asyncio.run(go())


def test_a_write_and_its_read_back_go_before_a_poll_of_many_blocks():
    async def go():
        async with device() as made:
            made.answers_after_s = 0.02
            polled = bytewise(made.port)
            async with running(polled):
                await polled.beat(REST)
                blocks = len(polled.readers[0]._groups[REST].blocks)
                assert blocks > 4
                await made.was_asked((asked := len(made.requests)) + 2)
                await polled.reach.write("b/coil", 1)
                await polled.reach.refresh(["a/long"])
                sent = [request[7] for request in made.requests[asked:]]
                at = sent.index(5)
                assert at <= 3, "the write waited for no more than what was in flight"
                # Between two requests of the read-back the poller's next one is under way already.
                assert len(sent) - at <= 1 + 2 * blocks

    asyncio.run(go())


def test_what_a_poll_read_before_a_refresh_does_not_take_its_place():
    """The poll began earlier and ends later: the row keeps the newer read, and one beat is told of both."""

    async def go():
        async with device() as made:
            polled = bytewise(made.port)
            async with running(polled):
                await polled.beat(REST)
                made.answers_after_s = 0.005
                for _ in range(5):
                    await made.was_asked(len(made.requests) + 2)
                    await polled.reach.refresh(["a/long"])
                    read_ns = polled.row.times[REST]
                    await polled.beat(REST)
                    assert polled.row.times[REST] >= read_ns
            times = [at for group, at, _ in polled.beats if group == REST]
            assert all(a < b for a, b in pairwise(times)), "times of reads strictly rise"

    asyncio.run(go())


def test_the_group_that_keeps_the_pace_is_waited_for_until_a_beat_that_begins_later():
    async def go():
        async with oven() as (simulated, polled, _):
            pace = polled.machine.pace
            for _ in range(5):
                asked_ns, told = polled.clock.monotonic_ns(), len(polled.beats)
                await polled.reach.refresh(["machine/state"])
                assert polled.row.times[pace] > asked_ns
                assert 1 <= [group for group, _, _ in polled.beats[told:]].count(pace) <= 2
            await simulated.stop()
            for _ in range(2):
                with pytest.raises(MachineError):
                    await polled.reach.refresh(["machine/state"])

    asyncio.run(go())


def test_a_refused_and_an_unanswered_write_are_told_apart_and_never_repeated():
    async def go():
        async with device() as made:
            polled = bytewise(made.port)
            async with running(polled):
                await polled.beat(REST)
                for answer, error in ((b"\x85\x02", Refused), (None, Silent)):
                    polled.readers[0].source.timeout_s = 0.2

                    def say(request: bytes, answer=answer) -> bytes | None:
                        if request[7] != 5:
                            return right(request)
                        return answer and request[:4] + b"\0\3" + request[6:7] + answer

                    made.answer = say
                    while not polled.readers[0].is_known:
                        await polled.beat(REST)
                    with pytest.raises(error):
                        await polled.reach.write("b/coil", 1)
                assert [request[7] for request in made.requests].count(5) == 2
                with pytest.raises(Unreachable):
                    await polled.reach.write("b/coil", 1)
                await polled.reach.refresh(["b/coil"])
                made.answer = right
                await polled.reach.write("b/coil", 1)
                assert polled.readers[0].writes == {"refused": 1, "silent": 1, "unreachable": 1, "done": 1}

    asyncio.run(go())


def test_a_write_that_waits_behind_a_question_without_an_answer_is_not_sent():
    """Who is there is asked first, before anything is written."""

    async def go():
        async with device() as made:
            polled = bytewise(made.port)
            async with running(polled):
                await polled.beat(REST)
                polled.readers[0].source.timeout_s = 0.5
                made.answer = lambda request: right(request) if request[7] == 5 else None
                await made.was_asked(len(made.requests) + 1)
                with pytest.raises(Unreachable, match="not recognised"):
                    await polled.reach.write("b/coil", 1)
            assert [request[7] for request in made.requests].count(5) == 0

    asyncio.run(go())


def test_why_a_point_is_never_written_is_told():
    the_map = catalog.load(LIBMODBUS)
    writable = replace(the_map, registers=tuple(replace(r, writable=r.table in ("coil", "holding"))
                                                for r in the_map.registers))  # fmt: skip
    lines = [LineTable("heard", "/dev/none1"), LineTable("asked", "/dev/none2", master=True),
             LineTable("text", "/dev/none3", master=True, data_bits=7)]  # fmt: skip

    def why_not(source, path: str, one_map=writable) -> str | None:
        wires = Wires(lines, Clock())
        return Polled(wires, MachineTable("M", (source,)), one_map).reach.why_not(path)

    async def go():
        asked, heard = ModbusRtuTable("x", "asked"), ModbusRtuTable("x", "heard")
        for path in ("a/long", "b/coil", "a/name"):
            assert why_not(asked, path) is None
        assert "only read" in why_not(asked, "b/three")
        assert "one bit of a register" in why_not(asked, "a/flag")
        assert "only listens" in why_not(heard, "a/long")
        assert "everybody" in why_not(ModbusTcpTable("x", "127.0.0.1", unit=0), "a/long")
        text = catalog.builtin("eurotherm2000-bisynch")
        assert "speaks text" in why_not(SerialInstrumentTable("x", "text"), text.registers[0].path, text)
        listening = Polled(Wires(lines, Clock()), MachineTable("M", (heard,)), writable)
        with pytest.raises(Unreachable, match="only listens"):
            await listening.reach.refresh(["a/long"])

    asyncio.run(go())


def test_units_on_one_line_are_written_before_the_polls_of_the_others(tmp_path):
    async def go():
        async with rtu_device.device(tmp_path) as made:
            the_map = replace(catalog.load(LIBMODBUS), registers=tuple(
                replace(r, writable=True) for r in catalog.load(LIBMODBUS).registers if r.path in ("a/long", "b/coil")))
            line = LineTable("rs485", made.port, 115200, "none", master=True)
            wires = Wires([line], Clock())
            ovens = [Polled(wires, MachineTable(f"M{unit}", (ModbusRtuTable("x", "rs485", unit),)), the_map)
                     for unit in (1, 2, 3)]  # fmt: skip
            made.answer = lambda q: [0.005, rtu_device.right(q)]
            async with running(ovens[0]), running(ovens[1]), running(ovens[2]):
                for each in ovens:
                    await each.beat(0)
                await made.was_asked((asked := len(made.requests)) + 1)
                await ovens[2].reach.write("a/long", 70_000)
                sent = [tuple(request[:2]) for request in made.requests[asked:]]
                assert sent.index((3, 16)) <= 2
                await ovens[2].reach.refresh(["a/long"])

    asyncio.run(go())
