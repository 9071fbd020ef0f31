"""Writing over Modbus RTU, on real ptys: an echo, a late or a foreign answer never makes a write look done."""

import asyncio
import struct
from itertools import pairwise
from time import monotonic

import pytest

from edgeagent.acquire.modbus_rtu import ModbusRtu
from edgeagent.acquire.serial_line import SerialLine
from edgeagent.acquire.source import Block, Words
from edgeagent.errors import BadAnswer, Refused, Silent, Unreachable
from tests.acquire.rtu_device import LATENCY_S, connected, frame, right

ANY = Block("input", 7, 3)
ANY_RIGHT = struct.pack(">3H", 7, 8, 9)
ONE = Words("holding", 17, (1750,))
TWO = Words("holding", 17, (0x4296, 0))
COIL = Words("coil", 3, (1,))
COILS = Words("coil", 3, (1, 0, 1))


def echoed(answer):
    return lambda q: [q, 0.002, *answer(q)]


LINES = {"a line without an echo": lambda answer: answer, "a line that echoes": echoed}


@pytest.mark.parametrize("words", [ONE, TWO, COIL, COILS], ids=str)
@pytest.mark.parametrize("line", LINES)
def test_it_writes_on(line, words, tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            unit.answer = LINES[line](lambda q: [right(q)])
            assert await source.read(ANY) == ANY_RIGHT
            await source.write(words)
            assert await source.read(ANY) == ANY_RIGHT
            assert [request[1] for request in unit.requests] == [4, unit.requests[1][1], 4]
            assert unit.requests[1][1] in (5, 6, 15, 16)

    asyncio.run(go())


WRONG = {
    "nothing": (ONE, lambda q: [], Silent),
    "another value": (ONE, lambda q: [frame(b"\x01\x06\x00\x11\x06\xd7")], BadAnswer),
    "another address": (ONE, lambda q: [frame(b"\x01\x06\x00\x12\x06\xd6")], BadAnswer),
    "another unit": (ONE, lambda q: [frame(b"\x02" + q[1:6])], BadAnswer),
    "another count": (TWO, lambda q: [frame(b"\x01\x10\x00\x11\x00\x01")], BadAnswer),
    "a wrong checksum": (TWO, lambda q: [right(q)[:-1] + b"\x00"], BadAnswer),
    "half of it": (TWO, lambda q: [right(q)[:5]], BadAnswer),
    "an answer to a read": (ONE, lambda q: [frame(b"\x01\x03\x02\x06\xd6")], BadAnswer),
    "an exception": (ONE, lambda q: [frame(b"\x01\x86\x02")], Refused),
    "an exception that does not say that nothing was written": (ONE, lambda q: [frame(b"\x01\x86\x04")], Silent),
    "its request alone, of several values": (TWO, lambda q: [q], (Silent, BadAnswer)),
    "two answers that differ": (ONE, lambda q: [right(q) + frame(b"\x01\x86\x02")], BadAnswer),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("line", LINES)
def test_it_is_not_called_written_after(line, case, tmp_path):
    words, answer, error = WRONG[case]

    async def go():
        async with connected(tmp_path) as (unit, source):
            wire = LINES[line]
            unit.answer = wire(lambda q: [right(q)])
            assert await source.read(ANY) == ANY_RIGHT
            if case.startswith("two answers"):
                # From now on the unit has to prove itself: whatever comes within its time is looked at.
                unit.answer = lambda q: []
                with pytest.raises(Silent):
                    await source.read(ANY)
            asked = len(unit.requests)
            unit.answer = wire(answer)
            with pytest.raises(error):
                await source.write(words)
            assert len(unit.requests) == asked + 1, "a write is never repeated"
            unit.answer = wire(lambda q: [right(q)])
            assert await source.read(ANY) == ANY_RIGHT
            await source.write(words)

    asyncio.run(go())


def test_the_echo_of_a_write_of_one_value_does_not_make_it_look_done(tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            unit.answer = echoed(lambda q: [right(q)])
            await source.read(ANY)
            for words in (ONE, COIL):
                unit.answer = lambda q: [q]
                with pytest.raises(Silent):
                    await source.write(words)
                unit.answer = echoed(lambda q: [right(q)])
                assert await source.read(ANY) == ANY_RIGHT

    asyncio.run(go())


def test_nothing_is_written_before_it_is_known_whether_the_line_echoes(tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            with pytest.raises(Unreachable, match="nobody has answered"):
                await source.write(ONE)
            assert not unit.requests

    asyncio.run(go())


@pytest.mark.parametrize("words", [ONE, TWO], ids=str)
def test_a_late_answer_to_a_write_does_not_confirm_the_next_one(words, tmp_path):
    later = Words(words.table, words.address, (1, *words.values[1:]))

    async def go():
        async with connected(tmp_path) as (unit, source):
            await source.read(ANY)
            late = []
            unit.answer = lambda q: late.append(right(q)) or []
            with pytest.raises(Silent):
                await source.write(words)
            unit.answer = lambda q: [late.pop(), 0.005, frame(bytes([1, q[1] | 0x80, 3]))]
            with pytest.raises((BadAnswer, Refused)):
                await source.write(later)
            unit.answer = lambda q: [right(q)]
            assert await source.read(ANY) == ANY_RIGHT

    asyncio.run(go())


def test_a_late_answer_to_a_write_is_no_value(tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            await source.read(ANY)
            late = []
            unit.answer = lambda q: late.append(right(q)) or []
            with pytest.raises(Silent):
                await source.write(TWO)
            unit.answer = lambda q: [late.pop(), 0.002, right(q)]
            assert await source.read(ANY) == ANY_RIGHT

    asyncio.run(go())


def test_a_line_that_dies_behind_a_write_leaves_it_unknown_and_before_it_unwritten(tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            await source.read(ANY)
            unit.answer = lambda q: asyncio.get_running_loop().call_soon(unit.unplug) and []
            with pytest.raises(Silent, match="may be written or not"):
                await source.write(ONE)
            with pytest.raises(Unreachable) as caught:
                await source.write(ONE)
            assert type(caught.value) is Unreachable
            assert [request[1] for request in unit.requests] == [4, 6]

    asyncio.run(go())


def test_a_line_that_dies_between_a_write_and_its_read_back_gives_no_value(tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            await source.read(ANY)
            await source.write(ONE)
            unit.unplug()
            with pytest.raises(Unreachable):
                await source.read(Block("holding", 17, 1), is_urgent=True)

    asyncio.run(go())


def test_a_write_that_waited_while_the_port_was_lost_and_opened_again_is_not_sent(tmp_path):
    """Nobody has asked who is there now."""

    async def go():
        async with connected(tmp_path, 1, 2) as (unit, first, second):
            await first.read(ANY)

            def replug(_request: bytes) -> list[bytes]:
                unit.unplug()
                unit.plug(tmp_path / "tty-oven")
                return []

            unit.answer = replug
            reading = asyncio.create_task(second.read(ANY))
            await unit.was_asked(2)
            writing = asyncio.create_task(first.write(ONE))
            await asyncio.wait({reading})
            assert isinstance(reading.exception(), Unreachable)
            unit.answer = lambda q: [right(q)]
            await second.connect()
            with pytest.raises(Unreachable):
                await writing
            assert await second.read(ANY) == ANY_RIGHT
            with pytest.raises(Unreachable):
                await first.write(ONE)
            assert 6 not in [request[1] for request in unit.requests]

    asyncio.run(go())


def test_a_write_is_the_next_request_on_a_line_with_several_units(tmp_path):
    async def go():
        async with connected(tmp_path, 1, 2, 3) as (unit, *sources):
            for source in sources:
                await source.read(ANY)
            unit.answer = lambda q: [0.01, right(q)]
            reads = [asyncio.create_task(source.read(ANY)) for source in sources for _ in range(4)]
            await unit.was_asked(5)
            asked = len(unit.requests)
            writing = asyncio.create_task(sources[2].write(ONE))
            await asyncio.gather(*reads, writing)
            assert [tuple(request[:2]) for request in unit.requests[asked:asked + 1]] == [(3, 6)]
            assert len(unit.requests) == 3 + 12 + 1

    asyncio.run(go())


def test_a_unit_rests_before_and_behind_a_write(tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, first):
            await first.read(ANY)
            resting = ModbusRtu(first._line, 1, LATENCY_S, pause_s=0.05)
            asked_at: list[float] = []
            unit.answer = lambda q: [right(q)] if q[0] != 1 else asked_at.append(monotonic()) or [right(q)]
            await asyncio.gather(*(resting.read(ANY) for _ in range(2)), resting.write(ONE))
            assert [tuple(request[:2]) for request in unit.requests[1:]] == [(1, 4), (1, 6), (1, 4)]
            assert all(later - before >= 0.05 for before, later in pairwise(asked_at))

    asyncio.run(go())


def test_a_caller_that_is_gone_leaves_the_write_to_its_end(tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            await source.read(ANY)
            unit.answer = lambda q: [0.01, right(q)]
            writing = asyncio.create_task(source.write(ONE))
            await unit.was_asked(2)
            writing.cancel()
            await asyncio.wait({writing})
            assert await source.read(ANY) == ANY_RIGHT
            assert [request[1] for request in unit.requests] == [4, 6, 4]

    asyncio.run(go())


def test_no_unit_that_does_not_answer_is_written(tmp_path):
    line = SerialLine(str(tmp_path / "none"))
    line.is_echoed = False
    with pytest.raises(ValueError, match="1 to 247"):
        asyncio.run(ModbusRtu(line, 0, LATENCY_S).write(ONE))


@pytest.mark.parametrize("in_flight", ["a read that is answered", "a read that nobody answers"])
def test_a_write_that_is_forbidden_while_it_waits_for_its_turn_is_not_sent(in_flight, tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            await source.read(ANY)
            unit.answer = lambda q: [0.02, right(q)] if in_flight == "a read that is answered" else []
            reading = asyncio.create_task(source.read(ANY))
            await unit.was_asked(2)
            is_allowed = True

            def allows() -> None:
                if not is_allowed:
                    raise Forbidden

            writing = asyncio.create_task(source.write(ONE, allows))
            await asyncio.sleep(0)
            is_allowed = False
            with pytest.raises(Forbidden):
                await writing
            await asyncio.wait({reading})
            assert isinstance(reading.exception(), (Silent, type(None)))
            unit.answer = lambda q: [right(q)]
            assert await source.read(ANY) == ANY_RIGHT
            is_allowed = True
            await source.write(ONE, allows)
            assert [request[1] for request in unit.requests] == [4, 4, 4, 6]

    asyncio.run(go())


class Forbidden(Exception):
    """Something came in between."""
