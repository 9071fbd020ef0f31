"""On a line with another master the agent sends nothing, and shows what that master is answered."""

import asyncio
import math
import os
from contextlib import asynccontextmanager

from edgeagent.acquire.listening import Listener, ListeningLine
from edgeagent.acquire.plan import plan
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from firmware_iface import catalog
from firmware_iface.frames.rtu import framed, request
from tests.acquire.rtu_device import Device, right
from tests.acquire.test_poller import HandClock

MAP = """\
[map]
id = "controller"
version = "1"
title = "A controller on a line with a panel"
kind = "instrument"
[machine]
manufacturer = "x"
model = "y"
[groups.values]
period_ms = 500
max_age_ms = 2000
[groups.values.points]
"controller/1/temperature" = { table = "holding", address = 10, type = "uint16", unit = "degC" }
"controller/1/output" = { table = "holding", address = 11, type = "uint16", unit = "percent" }
"controller/1/power" = { table = "input", address = 20, type = "uint32", unit = "count" }
"controller/1/alarm" = { table = "coil", address = 3, type = "bit" }
"""
TEMPERATURE, OUTPUT, POWER, ALARM = range(4)


@asynccontextmanager
async def listening(tmp_path, text: str = MAP):
    (tmp_path / "map.toml").write_text(text)
    machine = Machine("M", (catalog.load(tmp_path / "map.toml"),))
    row, clock = Row(len(machine.points), len(machine.groups)), HandClock()
    other = Device()
    other.plug(tmp_path / "tty")
    line = ListeningLine(other.port, 115200, "none", 1, clock)
    beats = asyncio.Queue()
    listener = Listener(machine, 0, line, 5, row, clock, beats.put_nowait)
    turn = asyncio.Event()

    async def until(monotonic_ns):
        await turn.wait()
        turn.clear()
        clock.now = max(clock.now, monotonic_ns)

    clock.sleep_until = until
    task = asyncio.create_task(listener.run())

    async def beat(*frames: bytes):
        """Frames are said on the line, then it is time for a beat."""
        answers, size = line.answers, sum(map(len, frames))
        if frames:
            other.send(b"".join(frames))
            for _ in range(200):
                await asyncio.sleep(0.002)
                if line.answers >= answers + len(frames) // 2:
                    break
            assert size
        turn.set()
        await beats.get()

    try:
        yield beat, row, clock, other, listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        os.set_blocking(other._master, False)
        try:
            sent = os.read(other._master, 4096)
        except BlockingIOError:
            sent = b""
        other.unplug()
        assert sent == b"", "nothing is ever sent"


def asked(function: int, address: int, count: int, unit: int = 5) -> tuple[bytes, bytes]:
    question = request(unit, function, address, count)
    return question, right(question)


def test_what_the_other_master_is_answered_becomes_values(tmp_path):
    async def go():
        async with listening(tmp_path) as (beat, row, clock, _, _):
            await beat()
            assert list(row.quality) == [Quality.BAD] * 4
            await beat(*asked(3, 8, 4), *asked(4, 20, 2), *asked(1, 0, 8))
            assert list(row.values) == [10.0, 11.0, (20 << 16) + 21, 1.0]
            assert list(row.quality) == [Quality.GOOD] * 4
            assert row.times[0] <= clock.now

    asyncio.run(go())


def test_a_point_that_nobody_asks_for_stays_bad_and_the_others_are_good(tmp_path):
    async def go():
        async with listening(tmp_path) as (beat, row, *_):
            await beat()
            await beat(*asked(3, 10, 1), *asked(4, 20, 1))
            assert row.values[TEMPERATURE] == 10.0
            assert row.quality[TEMPERATURE] == Quality.GOOD
            assert math.isnan(row.values[OUTPUT])
            assert [row.quality[c] for c in (OUTPUT, POWER, ALARM)] == [Quality.BAD] * 3, "half a number is none"

    asyncio.run(go())


def test_a_number_whose_halves_came_in_two_answers_is_none(tmp_path):
    async def go():
        async with listening(tmp_path) as (beat, row, *_):
            await beat()
            await beat(*asked(4, 20, 2))
            assert row.quality[POWER] == Quality.GOOD
            await beat(*asked(4, 21, 1))
            assert row.quality[POWER] == Quality.BAD, "its upper half may be of before a carry, its lower of after it"
            await beat(*asked(4, 20, 1), *asked(4, 21, 1))
            assert row.quality[POWER] == Quality.BAD
            await beat(*asked(4, 20, 2))
            assert row.quality[POWER] == Quality.GOOD

    asyncio.run(go())


def test_a_jump_that_was_heard_once_is_doubted_until_it_is_heard_again(tmp_path):
    async def go():
        async with listening(tmp_path, MAP.replace('"degC"', '"degC", max_rate = 5')) as (beat, row, clock, *_):
            question, jumped = request(5, 3, 10, 1), framed(b"\x05\x03\x02\x01\x2c")
            await beat()
            await beat(*asked(3, 10, 1))
            assert row.quality[TEMPERATURE] == Quality.GOOD
            await beat(question, jumped)
            for _ in range(3):
                assert (row.quality[TEMPERATURE], row.values[TEMPERATURE]) == (Quality.UNCERTAIN, 300.0)
                await beat()
            clock.now += 1_000_000
            await beat(question, jumped)
            assert (row.quality[TEMPERATURE], row.values[TEMPERATURE]) == (Quality.GOOD, 300.0)

    asyncio.run(go())


def test_another_units_answers_and_silence_are_no_values(tmp_path):
    async def go():
        async with listening(tmp_path) as (beat, row, clock, _, listener):
            await beat()
            await beat(*asked(3, 10, 2, unit=6))
            assert list(row.quality) == [Quality.BAD] * 4
            await beat(*asked(3, 10, 2))
            assert row.quality[TEMPERATURE] == Quality.GOOD
            heard_at = row.times[0]
            clock.now += 1_000_000_000
            await beat()
            assert row.quality[TEMPERATURE] == Quality.GOOD
            assert row.times[0] == heard_at, "what is old is not shown as new"
            clock.now += 1_000_000_000
            await beat()
            assert row.quality[TEMPERATURE] == Quality.BAD
            assert listener.errors["not heard"] > 0

    asyncio.run(go())


def test_the_time_of_a_group_is_that_of_its_oldest_value(tmp_path):
    async def go():
        async with listening(tmp_path) as (beat, row, clock, *_):
            await beat()
            await beat(*asked(3, 10, 1))
            first = row.times[0]
            clock.now += 500_000_000
            await beat(*asked(3, 11, 1))
            assert row.quality[TEMPERATURE] == row.quality[OUTPUT] == Quality.GOOD
            assert row.times[0] == first

    asyncio.run(go())


def test_a_pulled_adapter_is_found_again_under_its_name(tmp_path):
    async def go():
        async with listening(tmp_path) as (beat, row, clock, other, _):
            await beat()
            await beat(*asked(3, 10, 2))
            assert row.quality[TEMPERATURE] == Quality.GOOD
            other.unplug()
            await asyncio.sleep(0.05)
            clock.now += 3_000_000_000
            await beat()
            assert row.quality[TEMPERATURE] == Quality.BAD
            other.plug(tmp_path / "tty")
            clock.now += 3_000_000_000
            await beat()
            await beat(*asked(3, 10, 2))
            assert row.quality[TEMPERATURE] == Quality.GOOD

    asyncio.run(go())


def test_a_listener_and_a_poller_decode_the_same(tmp_path):
    """Both use the read plan; a block of the plan and the listener's single points give one row."""
    (tmp_path / "map.toml").write_text(MAP)
    machine = Machine("M", (catalog.load(tmp_path / "map.toml"),))

    async def go():
        async with listening(tmp_path) as (beat, row, *_):
            await beat()
            await beat(*asked(3, 10, 2), *asked(4, 20, 2), *asked(1, 3, 1))
            polled = Row(4, 1)
            [group] = plan(machine, 0, polled)
            tables = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
            group.decode([right(request(5, tables[b.block.table], b.block.address, b.block.count))[3:-2]
                          for b in group.blocks], 1, 1)
            assert list(polled.values) == list(row.values)
            assert polled.quality == row.quality

    asyncio.run(go())


def test_a_late_answer_on_the_line_is_no_value(tmp_path):
    async def go():
        async with listening(tmp_path) as (beat, row, *_):
            await beat()
            question = request(5, 3, 10, 2)
            await beat(question, question, framed(b"\x05\x03\x04\x00\x63\x00\x63"))
            assert row.quality[TEMPERATURE] == Quality.BAD

    asyncio.run(go())


RARE = """\
[groups.rare]
period_ms = 500
[groups.rare.points]
"controller/1/limit" = { table = "holding", address = 50, type = "uint16", unit = "degC" }
"""


def test_a_group_that_nobody_asks_for_is_told_once_while_another_is_heard(tmp_path, caplog):
    async def go():
        question = request(5, 3, 10, 2)
        async with listening(tmp_path, MAP + RARE) as (beat, row, *_):
            for _ in range(6):
                await beat(question, right(question))
            assert row.quality[TEMPERATURE] == Quality.GOOD

    caplog.set_level("INFO")
    asyncio.run(go())
    told = [record.getMessage() for record in caplog.records]
    assert sum("nobody is heard asking it for rare" in sentence for sentence in told) == 1
    assert sum("is heard again for values" in sentence for sentence in told) <= 1, told
