"""Damaged frames against the readers themselves: every bit, every length, and in the long run a million at random."""

import asyncio
import re
import struct
from collections import Counter
from itertools import combinations
from random import Random

import pytest
from pymodbus.exceptions import ModbusException

from edgeagent.acquire.modbus import _REQUEST, ModbusTcp, TcpConnection
from edgeagent.acquire.source import Block
from edgeagent.errors import BadAnswer, Refused, Silent, Unreachable
from firmware_iface.frames.rtu import Answer, Refusal
from tests.acquire import device as tcp
from tests.acquire import rtu_device as rtu

MILLION = 1_000_000
QUESTIONS = [(1, 4, 7, 3), (17, 3, 0x0200, 1), (247, 4, 0, 125), (2, 1, 20, 13), (9, 2, 0x0100, 8)]
"""Unit, function, address, count."""


def read(question: tuple[int, int, int, int], heard: bytes) -> tuple[str, bytes | None]:
    """What the RTU reader makes of it: a word, and data where it gives some."""
    try:
        data = Answer(*question).feed(heard)
    except Refusal:
        return "refused by the device", None
    return ("nothing that fits", None) if data is None else ("value", data)


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_with_any_one_bit_flipped_is_no_value(question):
    """R02"""
    right = rtu.right(Answer(*question).request)
    assert read(question, right)[1] == right[3:-2]
    for bit in range(8 * len(right)):
        damaged = bytearray(right)
        damaged[bit // 8] ^= 1 << bit % 8
        assert read(question, bytes(damaged))[1] is None, bit


def test_an_answer_with_any_two_bits_flipped_is_no_value():
    right = rtu.right(Answer(*QUESTIONS[0]).request)
    for one, two in combinations(range(8 * len(right)), 2):
        damaged = bytearray(right)
        damaged[one // 8] ^= 1 << one % 8
        damaged[two // 8] ^= 1 << two % 8
        assert read(QUESTIONS[0], bytes(damaged))[1] is None, (one, two)


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_of_any_shorter_length_is_no_value(question):
    """R03: with its end or with its beginning missing."""
    right = rtu.right(Answer(*question).request)
    for length in range(len(right)):
        assert read(question, right[:length]) == ("nothing that fits", None)
        assert read(question, right[len(right) - length:])[1] is None


def damaged(random: Random, right: bytes, head: int, end: int) -> tuple[str, bytes]:
    """One bad frame and how it was made; `head` bytes say what it answers, the last `end` are its checksum."""
    kind = random.randrange(5)
    if kind == 0:
        return "random bytes", random.randbytes(random.randrange(1, 60))
    if kind == 1:
        changed = bytearray(right)
        for _ in range(random.randrange(1, 6)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        return "some bytes changed", bytes(changed)
    if kind == 2:
        cut = random.randrange(len(right))
        return "cut in two, noise between", right[:cut] + random.randbytes(random.randrange(1, 9)) + right[cut:]
    if kind == 3:
        return "noise before, end missing", random.randbytes(random.randrange(9)) + right[:random.randrange(len(right))]
    middle = random.randbytes(len(right) - head - end)
    return "right head, random content", right[:head] + middle + random.randbytes(end)


def report(counts: Counter[tuple[str, str]]) -> None:
    print()
    for (kind, outcome), times in sorted(counts.items()):
        print(f"{kind:28} {outcome:60} {times:8}")


@pytest.mark.slow
def test_a_million_bad_frames_do_not_give_the_rtu_reader_a_value():
    """What has the right head and CRC cannot be told: it is counted, and is no more than one in 65,536."""
    random, counts = Random(33), Counter()
    rights = [(question, rtu.right(Answer(*question).request)) for question in QUESTIONS]
    for _ in range(MILLION):
        question, right = random.choice(rights)
        kind, heard = damaged(random, right, 3, 2)
        outcome, data = read(question, heard)
        if data is not None:
            assert rtu.frame(right[:3] + data) in heard, heard.hex()
            outcome = "the right answer" if data == right[3:-2] else "value, its CRC fits by chance"
        counts[kind, outcome] += 1
    report(counts)
    assert sum(counts.values()) == MILLION
    lucky = {kind: times for (kind, outcome), times in counts.items() if outcome.startswith("value")}
    assert sum(lucky.values()) <= 3 * MILLION / 65536
    assert "random bytes" not in lucky


def judged(source: ModbusTcp, block: Block, request: object, heard: bytes) -> tuple[str, bytes | None]:
    """What the TCP reader makes of the bytes of one segment: pymodbus' framer and decoder, then our own check."""
    try:
        _, pdu = source._connection._client.ctx.framer.handleFrame(heard, source._unit, request.transaction_id)
        if pdu is None:
            return "passed over, or waits for more until the time is up", None
        return "value", source._sized(block, source._checked(block, request, pdu))
    except Refused:
        return "refused by the device", None
    except BadAnswer as error:
        return re.sub(r"-?\d+| to .* from \d+", "n", str(error).partition(" ")[2]), None
    except ModbusException:
        return "cannot be decoded, closes the connection", None


def tcp_head(transaction: int, unit: int, function: int, size: int) -> bytes:
    return struct.pack(">HHHBBB", transaction, 0, size + 3, unit, function, size)


@pytest.mark.slow
def test_a_million_bad_frames_do_not_give_the_tcp_reader_a_value():
    """A frame of Modbus TCP has no checksum: what has the right head is a value, TCP answers for its bytes."""
    random, counts = Random(34), Counter()

    async def go():
        for _ in range(MILLION):
            unit, function, address, count = random.choice(QUESTIONS)
            block = Block({1: "coil", 2: "discrete", 3: "holding", 4: "input"}[function], address, count)
            source = sources[unit]
            request = _REQUEST[block.table](dev_id=unit, address=address, count=count)
            request.transaction_id = random.randrange(1, 65001)
            right = tcp.right(struct.pack(">HHHBBHH", request.transaction_id, 0, 6, unit, function, address, count))
            kind, heard = damaged(random, right, 9, 0)
            outcome, data = judged(source, block, request, heard)
            if data is not None:
                assert tcp_head(request.transaction_id, unit, function, len(data)) + data in heard, heard.hex()
                assert len(data) == block.size
                outcome = "value, its head is right"
            counts[kind, outcome] += 1

    async def with_sources():
        for unit, *_ in QUESTIONS:
            sources[unit] = ModbusTcp(TcpConnection("127.0.0.1", 1, 1.0), unit)
        await go()

    sources: dict[int, ModbusTcp] = {}
    asyncio.run(with_sources())
    report(counts)
    assert sum(counts.values()) == MILLION
    assert not [key for key in counts if key[1].startswith("value") and key[0] == "random bytes"]


@pytest.mark.slow
def test_thirty_thousand_bad_frames_over_sockets_give_no_value_and_the_next_right_answer_does():
    counts: Counter[tuple[str, str]] = Counter()

    async def one(number: int) -> None:
        random, block = Random(number), Block("input", 7, 3)
        sent = [("", b"")]

        def answer(request: bytes) -> bytes:
            sent[0] = damaged(random, tcp.right(request), 9, 0)
            return sent[0][1]

        async with tcp.device() as device:
            source = ModbusTcp(TcpConnection("127.0.0.1", device.port, 0.05), 1)
            device.answer, failures = answer, 0
            for _ in range(500):
                try:
                    if not source.connected:
                        await source.connect()
                    data = await source.read(block)
                    assert tcp_head(int.from_bytes(device.requests[-1][:2]), 1, 4, 6) + data in sent[0][1]
                    outcome = "value, its head is right"
                except (BadAnswer, Silent, Unreachable, Refused) as error:
                    outcome, failures = error.cause, failures + 1
                    if not isinstance(error, Silent) or failures % 3 == 0:
                        source.close()
                counts[sent[0][0], outcome] += 1
            source.close()
            source = ModbusTcp(TcpConnection("127.0.0.1", device.port, 5.0), 1)
            device.answer = tcp.right
            await source.connect()
            assert await source.read(block) == struct.pack(">3H", 7, 8, 9)
            source.close()

    async def all_at_once():
        await asyncio.gather(*(one(number) for number in range(60)))
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=5)

    asyncio.run(all_at_once())
    report(counts)
    assert sum(counts.values()) == 30_000
    assert not [key for key in counts if key[1].startswith("value") and key[0] == "random bytes"]
