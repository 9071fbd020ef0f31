"""Modbus RTU over real ptys against units made of bytes by hand: never a wrong value, and the next request works."""

import asyncio
import os
import random
import struct
from contextlib import contextmanager

import pytest

from edgeagent.acquire.modbus_rtu import ModbusRtu
from edgeagent.acquire.serial_line import SerialLine
from edgeagent.acquire.source import Block
from edgeagent.errors import BadAnswer, MachineError, Refused, Silent, Unreachable
from tests.acquire.rtu_device import LATENCY_S, connected, crc, device, frame, right

BLOCK = Block("input", 7, 3)
RIGHT = struct.pack(">3H", 7, 8, 9)
NEXT = Block("input", 100, 3)
NEXT_RIGHT = struct.pack(">3H", 100, 101, 102)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


async def works(source) -> None:
    assert await source.read(NEXT) == NEXT_RIGHT


HARMLESS = {
    "one piece": lambda q: [right(q)],
    "R04 a leading 00": lambda q: [b"\x00" + right(q)],
    "R05 a leading ff": lambda q: [b"\xff\xff\xff" + right(q)],
    "R06 a leading 55 aa": lambda q: [b"\x55\xaa" + right(q)],
    "noise that begins like the answer": lambda q: [right(q)[:3] + right(q)],
    "noise that begins like a refusal": lambda q: [bytes([1, 0x84]) + right(q)],
    "R07 trailing noise": lambda q: [right(q) + b"\x00\xff"],
    "R08 the adapter's echo": lambda q: [q + right(q)],
    "the echo apart": lambda q: [q, 0.002, right(q)],
    "the echo in pieces": lambda q: [q[:3], 0.001, q[3:7], 0.001, q[7:] + right(q)],
    "another unit's answer before": lambda q: [frame(b"\x02\x04\x06abcdef") + right(q)],
    "another function's answer before": lambda q: [frame(b"\x01\x03\x06abcdef") + right(q)],
    "another length's answer before": lambda q: [frame(b"\x01\x04\x04abcd") + right(q)],
    "R11 every byte by itself": lambda q: [right(q)[i:i + 1] for i in range(11)],
    "R12 gaps": lambda q: [right(q)[:4], 0.006, right(q)[4:9], 0.006, right(q)[9:]],
    "R15 the same answer twice": lambda q: [right(q) * 2],
}  # fmt: skip


@pytest.mark.parametrize("case", HARMLESS)
def test_the_answer_is_found_in(case, tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            unit.answer = HARMLESS[case]
            for _ in range(3):
                assert await source.read(BLOCK) == RIGHT
            unit.answer = lambda q: [right(q)]
            await works(source)

    asyncio.run(go())


WRONG = {
    "R01 a flipped bit in the data": (lambda q: [flipped(right(q), 33)], BadAnswer),
    "R01 a flipped bit in the checksum": (lambda q: [flipped(right(q), 80)], BadAnswer),
    "R09 another unit": (lambda q: [frame(b"\x02\x04\x06abcdef")], BadAnswer),
    "R10 the own request": (lambda q: [q], Silent),
    "another function": (lambda q: [frame(b"\x01\x03\x06abcdef")], BadAnswer),
    "too few registers": (lambda q: [frame(b"\x01\x04\x04abcd")], BadAnswer),
    "too many registers": (lambda q: [frame(b"\x01\x04\x08abcdefgh")], BadAnswer),
    "an odd count": (lambda q: [frame(b"\x01\x04\x05abcde")], BadAnswer),
    "a count that lies": (lambda q: [frame(b"\x01\x04\x06abcd")], BadAnswer),
    "an exception": (lambda q: [frame(b"\x01\x84\x02")], Refused),
    "an exception behind noise": (lambda q: [b"\xff\x01", frame(b"\x01\x84\x06")], Refused),
    "an exception to another function": (lambda q: [frame(b"\x01\x83\x02")], BadAnswer),
    "R16 nothing": (lambda q: [], Silent),
    "R18 another speed": (lambda q: [random.Random(7).randbytes(40)], BadAnswer),
    "two answers that differ": (lambda q: [frame(b"\x01\x04\x06abcdef") + right(q)], BadAnswer),
    "an answer and a refusal": (lambda q: [right(q) + frame(b"\x01\x84\x02")], BadAnswer),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_no_value_comes_of(case, tmp_path):
    answer, error = WRONG[case]

    async def go():
        async with connected(tmp_path) as (unit, source):
            await works(source)
            unit.answer = answer
            with pytest.raises(error) as caught:
                await source.read(BLOCK)
            assert unit.port in str(caught.value)
            unit.answer = lambda q: [right(q)]
            await works(source)
            assert len(unit.requests) == 3

    asyncio.run(go())


def test_no_value_comes_of_a_truncated_answer_and_its_rest_is_not_the_next_one(tmp_path):
    """R03"""

    async def go():
        async with connected(tmp_path) as (unit, source):
            for length in (1, 3, 5, 10):
                unit.answer = lambda q, n=length: [right(q)[:n]]
                with pytest.raises(BadAnswer):
                    await source.read(BLOCK)
                unit.send(right(unit.requests[-1])[length:])
                unit.answer = lambda q: [right(q)]
                await works(source)

    asyncio.run(go())


def test_a_refusal_tells_its_code(tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            unit.answer = lambda q: [frame(b"\x01\x84\x06")]
            with pytest.raises(Refused, match="busy") as caught:
                await source.read(BLOCK)
            assert caught.value.code == 6

    asyncio.run(go())


def test_a_refusal_is_a_clean_answer_and_does_not_hold_up_the_next(tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            await works(source)
            unit.answer = lambda q: [frame(b"\x01\x84\x02")]
            with pytest.raises(Refused):
                await source.read(BLOCK)
            unit.answer = lambda q: [right(q), 0.02, frame(b"\x01\x84\x02")]
            assert await source.read(BLOCK) == RIGHT

    asyncio.run(go())


def test_the_line_works_on_the_loop_of_the_service_too(tmp_path):
    uvloop = pytest.importorskip("uvloop")

    async def go():
        async with connected(tmp_path) as (unit, source):
            await works(source)
            unit.answer = lambda q: []
            with pytest.raises(Silent):
                await source.read(BLOCK)
            unit.answer = lambda q: [right(q)]
            await works(source)
            unit.unplug()
            with pytest.raises(Unreachable):
                await source.read(BLOCK)

    uvloop.run(go())


def test_the_four_tables_are_read_as_raw_bytes(tmp_path):
    async def go():
        async with connected(tmp_path) as (_, source):
            assert await source.read(Block("holding", 1, 2)) == bytes([0, 1, 0, 2])
            assert await source.read(Block("input", 0x1234, 1)) == b"\x12\x34"
            assert await source.read(Block("coil", 0, 3)) == bytes([0b010])
            assert await source.read(Block("discrete", 1, 10)) == bytes([0b01010101, 0b01])

    asyncio.run(go())


def test_an_answer_after_the_time_is_up_is_not_the_next_one(tmp_path):
    """R13"""

    async def go():
        async with connected(tmp_path) as (unit, source):
            await works(source)
            unit.answer = lambda q: []
            with pytest.raises(Silent):
                await source.read(BLOCK)
            unit.answer = lambda q: [right(q)]
            unit.send(right(unit.requests[-1]))
            await works(source)
            assert len(unit.requests) == 3

    asyncio.run(go())


def test_a_late_answer_that_meets_the_next_request_is_told_by_the_second_answer(tmp_path):
    """R14: the late one comes first, the right one within the time."""

    async def go():
        async with connected(tmp_path) as (unit, source):
            await works(source)
            held = []
            unit.answer = lambda q: held.append(right(q)) or []
            with pytest.raises(Silent):
                await source.read(BLOCK)
            unit.answer = lambda q: [held.pop(), 0.01, right(q)]
            with pytest.raises(BadAnswer, match="two different answers"):
                await source.read(NEXT)
            unit.answer = lambda q: [right(q)]
            await works(source)

    asyncio.run(go())


def test_a_second_answer_that_comes_later_is_thrown_away_and_makes_the_line_suspect(tmp_path):
    """R15"""

    async def go():
        async with connected(tmp_path) as (unit, source):
            await works(source)
            unit.answer = lambda q: [right(q), 0.0005, right(q)]
            assert await source.read(BLOCK) == RIGHT
            await unit.quiet()
            unit.answer = lambda q: [right(q), 0.005, frame(b"\x01\x04\x06abcdef")]
            for _ in range(5):  # on a busy computer the second one may be said too late to meet the first
                try:
                    await source.read(NEXT)
                except BadAnswer as error:
                    assert "two different answers" in str(error)
                    break
                await unit.quiet()
            else:
                pytest.fail("two different answers were never found")
            unit.answer = lambda q: [right(q)]
            await works(source)

    asyncio.run(go())


def test_a_request_that_is_a_valid_answer_to_itself_is_not_a_value(tmp_path):
    """R10: seven of the echo's eight bytes are, checksum and all, an answer of one register."""
    address, number = next(
        (address, number) for number in range(1, 248) for address in range(0x0200, 0x0300)
        if crc(frame(struct.pack(">BBHH", number, 3, address, 1))[:7]) == b"\0\0"
    )  # fmt: skip
    question = Block("holding", address, 1)

    async def go():
        async with connected(tmp_path, number) as (unit, source):
            for echo in (lambda q: q, lambda q: q[:7]):
                unit.answer = lambda q, echo=echo: [echo(q)]
                with pytest.raises(MachineError):
                    await source.read(question)
                unit.answer = lambda q, echo=echo: [echo(q) + right(q)]
                assert await source.read(question) == struct.pack(">H", address)

    asyncio.run(go())


def test_a_babbling_line_is_not_asked_and_works_again_when_it_is_silent(tmp_path):
    """R17"""

    async def go():
        async with connected(tmp_path) as (unit, source):
            await works(source)

            async def babble():
                noise = random.Random(3)
                while True:
                    unit.send(noise.randbytes(50))
                    await asyncio.sleep(0.002)

            babbler = asyncio.ensure_future(babble())
            await asyncio.sleep(0.02)
            with pytest.raises(BadAnswer, match="never silent"):
                await source.read(BLOCK)
            assert len(unit.requests) == 1
            babbler.cancel()
            await asyncio.wait({babbler})
            await works(source)

    asyncio.run(go())


def test_a_cancelled_caller_leaves_the_exchange_to_its_end(tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            await works(source)
            unit.answer = lambda q: [0.02, right(q)]
            caller = asyncio.ensure_future(source.read(BLOCK))
            await unit.was_asked(2)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            unit.answer = lambda q: [right(q)]
            await works(source)
            assert len(unit.requests) == 3

    asyncio.run(go())


def test_a_caller_that_is_cancelled_before_its_turn_asks_nothing(tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            first, second = (asyncio.ensure_future(source.read(block)) for block in (BLOCK, NEXT))
            await unit.was_asked(1)
            second.cancel()
            assert await first == RIGHT
            await works(source)
            assert len(unit.requests) == 2

    asyncio.run(go())


def test_units_share_the_line_one_request_at_a_time_and_in_turn(tmp_path):
    async def go():
        async with connected(tmp_path, 1, 2, 3) as (unit, *sources):
            open_requests = 0

            def answer(q):
                nonlocal open_requests
                open_requests += 1
                assert open_requests == 1
                yield 0.001
                open_requests -= 1
                yield right(q)

            unit.answer = answer
            for _ in range(3):
                answers = await asyncio.gather(*(s.read(Block("input", 10 * i, 1)) for i, s in enumerate(sources)))
                assert answers == [b"\x00\x00", b"\x00\x0a", b"\x00\x14"]
            assert [request[0] for request in unit.requests] == [1, 2, 3] * 3

    asyncio.run(go())


def test_a_dead_unit_does_not_spoil_the_others_answers(tmp_path):
    async def go():
        async with connected(tmp_path, 1, 2) as (unit, alive, dead):
            unit.answer = lambda q: [right(q)] if q[0] == 1 else []
            for _ in range(3):
                with pytest.raises(Silent, match="unit 2"):
                    await dead.read(BLOCK)
                assert await alive.read(BLOCK) == RIGHT

    asyncio.run(go())


def test_the_port_is_open_as_long_as_one_unit_uses_it(tmp_path):
    async def go():
        async with connected(tmp_path, 1, 2) as (_, one, two):
            one.close()
            one.close()
            assert not one.connected
            assert two.connected
            await works(two)
            two.close()
            with pytest.raises(Unreachable):
                await two.read(BLOCK)
            await one.connect()
            await works(one)

    asyncio.run(go())


def test_an_adapter_that_is_pulled_and_put_back_is_found_by_its_name(tmp_path):
    """R19: pulled while idle, and pulled between question and answer."""

    async def go():
        async with connected(tmp_path) as (unit, source):
            await works(source)
            unit.unplug()
            with pytest.raises(Unreachable, match="pulled out"):
                await source.read(BLOCK)
            assert not source.connected
            with pytest.raises(Unreachable):
                await source.connect()
            unit.plug(tmp_path / "tty-oven")
            await source.connect()
            await works(source)

            unit.answer = lambda q: unit.unplug() or []
            with pytest.raises(Unreachable, match="pulled out"):
                await source.read(BLOCK)
            unit.answer = lambda q: [right(q)]
            unit.plug(tmp_path / "tty-oven")
            await source.connect()
            await works(source)

    asyncio.run(go())


def test_an_idle_line_notices_that_its_adapter_is_gone(tmp_path):
    async def go():
        async with connected(tmp_path) as (unit, source):
            unit.unplug()
            while source.connected:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    asyncio.run(go())


def test_a_port_that_is_not_there_is_unreachable(tmp_path):
    async def go():
        source = ModbusRtu(SerialLine(str(tmp_path / "tty-none")), 1, LATENCY_S)
        with pytest.raises(Unreachable, match="no such port"):
            await source.connect()
        assert not source.connected
        source.close()

    asyncio.run(go())


def test_units_behind_a_port_that_was_opened_again_are_not_known_any_more(tmp_path):
    """Each of them comes back by itself, so that each is asked who it is."""

    async def go():
        async with connected(tmp_path, 1, 2) as (units, first, second):
            await works(first)
            await works(second)
            units.unplug()
            with pytest.raises(Unreachable):
                await first.read(BLOCK)
            units.plug(tmp_path / "tty-oven")
            await first.connect()
            assert first.connected
            assert not second.connected
            await second.connect()
            await works(second)

    asyncio.run(go())


def test_a_port_in_use_is_unreachable(tmp_path):
    """R21"""

    async def go():
        async with connected(tmp_path) as (unit, source):
            second = ModbusRtu(SerialLine(unit.port), 1, LATENCY_S)
            with pytest.raises(Unreachable, match="in use by another program"):
                await second.connect()
            await works(source)

    asyncio.run(go())


@contextmanager
def as_nobody():
    """Root may open everything: be somebody else for a while."""
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(uid)


def test_a_port_that_may_not_be_opened_is_unreachable(tmp_path):
    """R20"""

    async def go():
        async with device(tmp_path) as unit:
            unit.forbid()
            with as_nobody(), pytest.raises(Unreachable, match="not permitted"):
                await ModbusRtu(SerialLine(unit.port), 1, LATENCY_S).connect()

    asyncio.run(go())


def test_a_file_that_is_no_serial_port_is_unreachable(tmp_path):
    async def go():
        path = tmp_path / "file"
        path.write_bytes(b"")
        with pytest.raises(Unreachable, match=str(path)):
            await ModbusRtu(SerialLine(str(path)), 1, LATENCY_S).connect()

    asyncio.run(go())


def test_a_slow_line_is_given_the_time_its_characters_take():
    assert SerialLine("any", 9600, "even", 1).seconds(8 + 5 + 250) == pytest.approx(0.301, abs=0.001)
    assert SerialLine("any", 9600, "none", 1).seconds(960) == pytest.approx(1.0)


def test_a_port_that_does_not_take_the_parity_is_unreachable_and_says_so(tmp_path):
    async def go():
        async with device(tmp_path) as pty:
            line = SerialLine(pty.port, 9600, "none", 1)
            line.join(1)
            line.leave(1)
            # Only the parity differs from what is set now, and a pty has none.
            with pytest.raises(Unreachable, match="does not take this speed, parity"):
                SerialLine(pty.port, 9600, "even", 1).join(1)

    asyncio.run(go())
