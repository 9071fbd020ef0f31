"""Every answer is held against its question, over a real socket with hand-made bytes."""

import asyncio
import socket
import struct
from dataclasses import replace

import pytest

from edgeagent.acquire.modbus import ModbusTcp, TcpConnection
from edgeagent.acquire.source import Block, Words
from edgeagent.acquire.wires import Wires
from edgeagent.clock import Clock
from edgeagent.config import ModbusTcpTable
from edgeagent.errors import BadAnswer, Broken, MachineError, Refused, Silent, Unreachable
from firmware_iface import catalog
from tests.acquire.device import connected, device, frame, right

BLOCK = Block("input", 7, 3)


def tid(request: bytes) -> int:
    return struct.unpack(">H", request[:2])[0]


def test_the_four_tables_are_read_as_raw_bytes():
    async def go():
        async with connected() as (_, source):
            assert await source.read(Block("holding", 1, 2)) == bytes([0, 1, 0, 2])
            assert await source.read(Block("input", 0x1234, 1)) == b"\x12\x34"
            assert await source.read(Block("coil", 0, 3)) == bytes([0b010])
            assert await source.read(Block("discrete", 1, 10)) == bytes([0b01010101, 0b01])

    asyncio.run(go())


WRONG = {
    "another function": (lambda q: frame(tid(q), 1, b"\x03\x06" + bytes(6)), BadAnswer),
    "another unit": (lambda q: frame(tid(q), 2, b"\x04\x06" + bytes(6)), Silent),
    "too few registers": (lambda q: frame(tid(q), 1, b"\x04\x04" + bytes(4)), BadAnswer),
    "too many registers": (lambda q: frame(tid(q), 1, b"\x04\x08" + bytes(8)), BadAnswer),
    "a count that lies": (lambda q: frame(tid(q), 1, b"\x04\x06" + bytes(4)), BadAnswer),
    "an odd count": (lambda q: frame(tid(q), 1, b"\x04\x05" + bytes(5)), BadAnswer),
    "no data at all": (lambda q: frame(tid(q), 1, b"\x04"), BadAnswer),
    "transaction 0": (lambda q: frame(0, 1, b"\x04\x06" + bytes(6)), BadAnswer),
    "another transaction": (lambda q: frame(tid(q) + 7, 1, b"\x04\x06" + bytes(6)), Silent),
    "another protocol": (lambda q: frame(tid(q), 1, b"\x04\x06" + bytes(6), protocol=1), Silent),
    "a length of 0": (lambda q: frame(tid(q), 1, b"\x04\x06" + bytes(6), length=0), MachineError),
    "a length of 65535": (lambda q: frame(tid(q), 1, b"\x04\x06" + bytes(6), length=65535), Silent),
    "garbage": (lambda q: bytes(range(1, 200)) * 3, MachineError),
    "nothing": (lambda q: None, Silent),
    "half a frame": (lambda q: frame(tid(q), 1, b"\x04\x06" + bytes(6))[:9], Silent),
    "a closed connection": (lambda q: b"", Unreachable),
    "an exception": (lambda q: frame(tid(q), 1, b"\x84\x02"), Refused),
    "an exception for another function": (lambda q: frame(tid(q), 1, b"\x83\x02"), BadAnswer),
    "an unknown function": (lambda q: frame(tid(q), 1, b"\x65\x06" + bytes(6)), MachineError),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_an_answer_that_does_not_fit_is_an_error_and_never_data(case):
    answer, error = WRONG[case]

    async def go():
        async with connected() as (device, source):
            device.answer = answer
            with pytest.raises(error):
                await source.read(BLOCK)

    asyncio.run(go())


def test_a_refusal_tells_its_code():
    async def go():
        async with connected() as (device, source):
            device.answer = lambda q: frame(tid(q), 1, b"\x84\x06")
            with pytest.raises(Refused, match="busy") as caught:
                await source.read(BLOCK)
            assert caught.value.code == 6

    asyncio.run(go())


def test_a_late_answer_is_not_taken_for_the_next_one():
    async def go():
        async with connected() as (device, source):
            held: list[bytes] = []
            device.answer = lambda q: held.append(right(q))
            with pytest.raises(Silent):
                await source.read(Block("input", 100, 1))
            device.answer = lambda q: held.pop() + right(q)
            assert await source.read(Block("input", 200, 1)) == b"\x00\xc8"

    asyncio.run(go())


def test_a_device_that_is_not_there_is_unreachable():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

        async def go():
            source = ModbusTcp(TcpConnection("127.0.0.1", port, 0.2), 1)
            with pytest.raises(Unreachable):
                await source.connect()
            assert not source.connected

        asyncio.run(go())


def test_one_question_is_asked_once():
    async def go():
        async with connected() as (device, source):
            device.answer = lambda q: None
            with pytest.raises(Silent):
                await source.read(BLOCK)
            assert len(device.requests) == 1

    asyncio.run(go())


def test_a_connection_on_which_nobody_answers_is_held_for_dead_after_five_questions_of_all_units():
    async def go():
        async with device() as gateway:
            connection = TcpConnection("127.0.0.1", gateway.port, 0.05)
            first, second = ModbusTcp(connection, 1), ModbusTcp(connection, 2)
            await first.connect()
            await second.connect()
            gateway.answer = lambda q: None
            for unit in (first, second, first, second):
                with pytest.raises(Silent):
                    await unit.read(BLOCK)
            with pytest.raises(Broken):
                await first.read(BLOCK)
            assert not first.connected
            assert not second.connected
            gateway.answer = right
            await second.connect()
            assert await second.read(BLOCK)
            gateway.answer = lambda q: None
            for _ in range(4):
                with pytest.raises(Silent):
                    await second.read(BLOCK)

    asyncio.run(go())


def test_units_behind_one_gateway_share_its_connection():
    async def go():
        async with device() as gateway:
            connection = TcpConnection("127.0.0.1", gateway.port, 0.15)
            first, second = ModbusTcp(connection, 1), ModbusTcp(connection, 2)
            await first.connect()
            assert not second.connected
            await second.connect()
            answers = await asyncio.gather(*(unit.read(BLOCK) for unit in (first, second) for _ in range(20)))
            assert answers == [answers[0]] * 40
            assert gateway.connects == 1
            assert [request[6] for request in gateway.requests[:4]] == [1, 1, 1, 1]

            gateway.answer = lambda q: None if q[6] == 1 else right(q)
            with pytest.raises(Silent, match="/1 did not answer"):
                await first.read(BLOCK)
            assert await second.read(BLOCK) == answers[0]
            first.close()
            assert second.connected, "one unit that is left alone does not cost the others their connection"

            await first.connect()
            gateway.answer = lambda q: frame(tid(q), 2, b"\x03\x02\x00\x07")
            with pytest.raises(BadAnswer):
                await second.read(BLOCK)
            assert not first.connected, "what comes next on this stream is not to be believed by anybody"
            first.close()
            second.close()
            await asyncio.sleep(0.01)

    asyncio.run(go())


def test_a_connection_that_broke_is_not_opened_again_behind_the_callers_back():
    """Whoever answers there now has not been asked who it is."""

    async def go():
        async with device() as gateway:
            connection = TcpConnection("127.0.0.1", gateway.port, 0.15)
            first, second = ModbusTcp(connection, 1), ModbusTcp(connection, 2)
            await first.connect()
            await second.connect()
            gateway.answer = lambda q: b""
            waiting = asyncio.gather(first.read(BLOCK), second.read(BLOCK), return_exceptions=True)
            assert [type(error) for error in await waiting] == [Broken, Unreachable]
            gateway.answer = right
            with pytest.raises(Unreachable):
                await first.read(BLOCK)
            assert gateway.connects == 1
            await first.connect()
            assert not second.connected
            with pytest.raises(Unreachable):
                await second.read(BLOCK)
            await first.read(BLOCK)
            assert gateway.connects == 2
            first.close()
            await asyncio.sleep(0.01)

    asyncio.run(go())


ENDS = {
    "the device closes it": lambda device, source: device.holds.set(),
    "this side closes it": lambda device, source: source.close(),
    "the device sends what is no answer": lambda device, source: device.holds.set(),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_question_whose_connection_is_lost_ends_then_and_its_answer_is_taken_for_no_other(how):
    async def go():
        async with asyncio.timeout(60), connected(timeout_s=3600.0) as (device, source):
            device.holds = asyncio.Event()
            device.answer = lambda q: frame(tid(q), 1, b"\x65\x06" + bytes(6)) if "no answer" in how else b""
            asked = asyncio.create_task(source.read(Block("input", 100, 1)))
            await device.was_asked(1)
            ENDS[how](device, source)
            with pytest.raises(Broken, match="the connection was lost"):
                await asked
            assert not source.connected
            device.holds = None
            device.answer = lambda q: right(device.requests[0]) + right(q)
            await source.connect()
            assert await source.read(Block("input", 200, 1)) == b"\x00\xc8"

    asyncio.run(go())


def test_a_write_whose_connection_is_lost_ends_then_and_nobody_knows_whether_it_was_done():
    async def go():
        async with asyncio.timeout(60), connected(timeout_s=3600.0) as (device, source):
            device.answer = lambda q: b""
            with pytest.raises(Silent, match="the connection was lost; it may be written or not"):
                await source.write(Words("holding", 7, (3,)))
            assert len(device.requests) == 1

    asyncio.run(go())


def test_each_unit_behind_a_gateway_has_its_own_time_to_answer():
    async def go():
        async with device() as gateway:
            oven = catalog.builtin("reflow10")
            wires = Wires((), Clock())
            quick, slow = (
                wires.source(ModbusTcpTable("reflow10", "127.0.0.1", gateway.port, unit),
                             replace(oven, device=replace(oven.device, timeout_ms=timeout_ms)))
                for unit, timeout_ms in ((1, 50), (2, 5000))
            )
            await quick.connect()
            await slow.connect()
            gateway.answers_after_s = 0.3
            assert await slow.read(Block("input", 7, 1)) == b"\x00\x07"
            with pytest.raises(Silent):
                await quick.read(BLOCK)
            assert await slow.read(Block("input", 8, 1)) == b"\x00\x08"
            assert gateway.connects == 1
            quick.close()
            slow.close()
            await asyncio.sleep(0.01)

    asyncio.run(go())


def test_an_answer_to_an_earlier_connections_question_is_not_taken_over_the_next_one():
    """A gateway that is one answer behind, and goes on so when it is connected to again."""

    async def go():
        async with connected() as (device, source):
            held = [right(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 100, 1))]

            def behind(request: bytes) -> bytes:
                held.append(right(request))
                return held.pop(0)

            for _ in range(3):
                source.close()
                await source.connect()
                if not device.requests:
                    assert await source.read(Block("input", 100, 1)) == b"\x00\x64"
                    device.answer = behind
                    held[:] = [right(device.requests[0])]
                    continue
                with pytest.raises((Silent, BadAnswer)):
                    await source.read(Block("input", 200 + len(device.requests), 1))
            assert len({tid(request) for request in device.requests}) == 3

    asyncio.run(go())
