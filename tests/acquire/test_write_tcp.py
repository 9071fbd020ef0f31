"""Writing over Modbus TCP: one request, next on the wire, never repeated, and its answer held against it."""

import asyncio
import struct
from itertools import pairwise
from time import monotonic

import pytest

from edgeagent.acquire.modbus import ModbusTcp, TcpConnection
from edgeagent.acquire.source import Block, Words
from edgeagent.errors import BadAnswer, MachineError, NotWritable, Refused, Silent, Unreachable
from tests.acquire.device import connected, device, frame, right

ONE = Words("holding", 17, (1750,))
TWO = Words("holding", 17, (0x4296, 0))


def tid(request: bytes) -> int:
    return struct.unpack(">H", request[:2])[0]


REQUESTS = {
    "one register by function 6": (ONE, "06 0011 06d6"),
    "several by function 16": (TWO, "10 0011 0002 04 4296 0000"),
    "one coil by function 5": (Words("coil", 3, (1,)), "05 0003 ff00"),
    "several coils by function 15": (Words("coil", 3, (1, 0, 1)), "0f 0003 0003 01 05"),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_it_writes(case):
    words, pdu = REQUESTS[case]

    async def go():
        async with connected() as (running, source):
            await source.read(Block("input", 7, 1))
            await source.write(words)
            await source.read(Block("input", 7, 1))
            assert [request[7:] for request in running.requests[1:2]] == [bytes.fromhex(pdu)]
            assert len(running.requests) == 3
            assert len({tid(request) for request in running.requests}) == 3

    asyncio.run(go())


def said(pdu: str):
    return lambda q: frame(tid(q), 1, bytes.fromhex(pdu))


WRONG = {
    "another value": (ONE, said("06 0011 06d7"), BadAnswer),
    "another address": (ONE, said("06 0012 06d6"), BadAnswer),
    "another function": (ONE, said("10 0011 0001"), BadAnswer),
    "too little": (ONE, said("06 0011 06"), BadAnswer),
    "too much": (ONE, said("06 0011 06d6 00"), BadAnswer),
    "another count": (TWO, said("10 0011 0001"), BadAnswer),
    "another coil's value": (Words("coil", 3, (1,)), said("05 0003 0000"), BadAnswer),
    "transaction 0": (ONE, lambda q: frame(0, 1, q[7:12]), BadAnswer),
    "another transaction": (ONE, lambda q: frame(tid(q) + 7, 1, q[7:12]), Silent),
    "another unit": (ONE, lambda q: frame(tid(q), 2, q[7:12]), MachineError),
    "nothing": (ONE, lambda q: None, Silent),
    "half of it": (ONE, lambda q: right(q)[:9], Silent),
    "a connection that breaks behind the request": (ONE, lambda q: b"", Silent),
    "an exception": (ONE, said("86 03"), Refused),
    "an exception for another function": (ONE, said("90 03"), BadAnswer),
    "an exception that does not say that nothing was written": (ONE, said("86 0b"), Silent),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_is_not_called_written_and_not_written_again_after(case):
    words, answer, error = WRONG[case]

    async def go():
        async with connected() as (running, source):
            running.answer = answer
            with pytest.raises(error):
                await source.write(words)
            assert len(running.requests) == 1
            running.answer = right
            if not source.connected:
                await source.connect()
            assert await source.read(Block("input", 200, 1)) == b"\x00\xc8"
            await source.write(words)
            assert [request[7:] for request in running.requests].count(running.requests[0][7:]) == 2

    asyncio.run(go())


def test_a_late_answer_to_a_write_is_not_taken_for_the_next_ones():
    async def go():
        async with connected() as (running, source):
            held: list[bytes] = []
            running.answer = lambda q: held.append(right(q))
            with pytest.raises(Silent):
                await source.write(ONE)
            running.answer = lambda q: held.pop()
            with pytest.raises((Silent, BadAnswer)):
                await source.write(ONE)

    asyncio.run(go())


def test_nothing_is_sent_without_a_connection():
    async def go():
        async with connected() as (running, source):
            running.answer = lambda q: b""
            with pytest.raises(Unreachable):
                await source.read(Block("input", 7, 1))
            with pytest.raises(Unreachable):
                await source.write(ONE)
            assert len(running.requests) == 1
            assert running.connects == 1

    asyncio.run(go())


def test_unit_0_is_read_and_never_written():
    async def go():
        async with connected(unit=0) as (running, source):
            await source.read(Block("input", 7, 1))
            with pytest.raises(NotWritable, match="everybody"):
                await source.write(ONE)
            assert len(running.requests) == 1

    asyncio.run(go())


def test_a_write_is_the_next_request_on_the_wire_before_all_reads_of_all_units():
    async def go():
        async with device() as gateway:
            gateway.answers_after_s = 0.02
            connection = TcpConnection("127.0.0.1", gateway.port, 10.0)
            first, second = ModbusTcp(connection, 1), ModbusTcp(connection, 2)
            await first.connect()
            await second.connect()
            reads = [asyncio.create_task(unit.read(Block("input", 7, 1))) for unit in (first, second) for _ in range(5)]
            await gateway.was_asked(2)
            before = len(gateway.requests)
            urgent = asyncio.create_task(second.read(Block("holding", 17, 1), is_urgent=True))
            await asyncio.sleep(0)
            await first.write(ONE)
            await asyncio.gather(*reads, urgent)
            assert before < 6
            assert [request[7] for request in gateway.requests[before:before + 2]] == [3, 6]
            assert len(gateway.requests) == 12
            first.close()
            second.close()
            await asyncio.sleep(0.01)

    asyncio.run(go())


def test_a_unit_rests_before_and_behind_a_write():
    async def go():
        async with device() as made:
            asked_at: list[float] = []
            made.answer = lambda q: asked_at.append(monotonic()) or right(q)
            source = ModbusTcp(TcpConnection("127.0.0.1", made.port, 10.0), 1, pause_s=0.05)
            await source.connect()
            await asyncio.gather(*(source.read(Block("input", 7, 1)) for _ in range(2)), source.write(ONE))
            assert [request[7] for request in made.requests] == [4, 6, 4]
            assert all(later - before >= 0.05 for before, later in pairwise(asked_at))
            source.close()
            await asyncio.sleep(0.01)

    asyncio.run(go())


def test_a_write_that_is_forbidden_while_it_waits_for_its_turn_is_not_sent():
    async def go():
        async with device() as made:
            may_answer = asyncio.Event()
            source = ModbusTcp(TcpConnection("127.0.0.1", made.port, 10.0), 1)
            await source.connect()
            made.holds = may_answer
            reading = asyncio.create_task(source.read(Block("input", 7, 1)))
            await made.was_asked(1)
            is_allowed = True

            def allows() -> None:
                if not is_allowed:
                    raise Forbidden

            writing = asyncio.create_task(source.write(ONE, allows))
            await asyncio.sleep(0)
            is_allowed = False
            may_answer.set()
            with pytest.raises(Forbidden):
                await writing
            await reading
            await source.read(Block("input", 7, 1))
            assert [request[7] for request in made.requests] == [4, 4]
            is_allowed = True
            await source.write(ONE, allows)
            assert made.requests[-1][7] == 6
            source.close()
            await asyncio.sleep(0.01)

    asyncio.run(go())


class Forbidden(Exception):
    """Something came in between."""
