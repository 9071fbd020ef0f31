"""The faulty line itself: the same seed does the same, and nothing is faster than its baud."""

import asyncio
import os

from tests.acquire import device as tcp
from tests.acquire import rtu_device as rtu
from tests.fault_kit import faults
from tests.fault_kit.faults import Fault
from tests.fault_kit.frames import next_tcp
from tests.fault_kit.line import pty_line, tcp_line

QUESTION = rtu.frame(bytes([1, 4, 0, 10, 0, 100]))
SEVERAL = [tcp.frame(n, 1, bytes([4, 0, n, 0, 3])) for n in range(1, 9)]


async def damaged(seed: int) -> tuple[list[str], list[bytes]]:
    """The log and the answers of eight questions over a line that flips bits."""
    async with tcp.device() as device, tcp_line(device.port, seed) as line:
        reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
        await line.begin(Fault("flipped", lambda x: [b"".join(faults.corrupt(x)).ljust(15)[:15]]))
        answers = []
        for question in SEVERAL:
            writer.write(question)
            answers.append(await reader.readexactly(15))
        writer.close()
        return line.log, answers


def test_the_same_seed_does_the_same_and_tells_it():
    one, again, other = (asyncio.run(damaged(seed)) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    log, answers = one
    for told, question, answer in zip(log, SEVERAL, answers, strict=True):
        assert told == f"flipped: {question.hex()} → {answer.hex()}"
        assert sum((a ^ b).bit_count() for a, b in zip(answer, tcp.right(question), strict=True)) == 1


def test_a_mended_line_carries_what_the_device_says():
    async def go():
        async with tcp.device() as device, tcp_line(device.port, 1) as line:
            await line.begin(Fault("gone", gate=faults.Gate.REFUSE))
            await line.end()
            reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
            writer.write(SEVERAL[0])
            assert await next_tcp(reader) == tcp.right(SEVERAL[0])
            assert not line.log
            writer.close()

    asyncio.run(go())


def test_an_answer_takes_the_time_of_its_characters(tmp_path):
    async def go():
        async with rtu.device(tmp_path) as device, pty_line(tmp_path / "tty-agent", device.port, 19200, 1) as line:
            agent = os.open(line.port, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
            loop, heard, arrived = asyncio.get_running_loop(), bytearray(), asyncio.Event()
            loop.add_reader(agent, lambda: (heard.extend(os.read(agent, 4096)), arrived.set()))
            start = loop.time()
            os.write(agent, QUESTION)
            right = rtu.right(QUESTION)
            while len(heard) < len(right):
                arrived.clear()
                await arrived.wait()
                assert len(heard) <= (loop.time() - start) * 19200 / 11 - len(QUESTION)
            assert heard == right
            loop.remove_reader(agent)
            os.close(agent)

    asyncio.run(go())


def test_a_fault_of_one_unit_leaves_the_others_alone(tmp_path):
    async def go():
        async with rtu.device(tmp_path) as device, pty_line(tmp_path / "tty-agent", device.port, 115200, 1) as line:
            await line.begin(Fault("silent", faults.drop), 2)
            agent = os.open(line.port, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
            heard = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().add_reader(agent, lambda: heard.done() or heard.set_result(os.read(agent, 1)))
            os.write(agent, rtu.frame(bytes([2, 4, 0, 10, 0, 3])) + rtu.frame(bytes([1, 4, 0, 10, 0, 3])))
            assert await heard == b"\x01"
            assert line.requests == {1: 1, 2: 1}
            asyncio.get_running_loop().remove_reader(agent)
            os.close(agent)

    asyncio.run(go())
