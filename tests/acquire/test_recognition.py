"""A device that is not the one that the map describes gives no value, however well it answers."""

import asyncio
import struct
import time

from edgeagent.acquire.modbus import ModbusTcp, TcpConnection
from edgeagent.acquire.plan import plan
from edgeagent.acquire.poller import Poller
from edgeagent.clock import Clock
from edgeagent.errors import WrongDevice
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from firmware_iface import catalog
from tests.acquire.device import device, frame, right
from tests.acquire.test_poller import HandClock

MAP = """\
[map]
id = "controller"
version = "1"
title = "A controller"
kind = "instrument"
[machine]
manufacturer = "x"
model = "y"
firmware = "controller/1/firmware"
firmware_from = "3.04"
[groups.values]
period_ms = 100
[groups.values.points]
"controller/1/temperature" = { table = "holding", address = 10, type = "uint16", unit = "degC" }
"controller/1/size" = { table = "input", address = 122, type = "uint16", kind = "state" }
"controller/1/firmware" = { table = "input", address = 200, type = "text", length = 4 }
"controller/1/fingerprint" = { table = "input", address = 300, type = "uint32", kind = "state" }
[[identity]]
point = "controller/1/size"
equals = 0xA4
mask = 0xFF
text = "the panel's size"
"""


def described(tmp_path, text: str = MAP):
    (tmp_path / "map.toml").write_text(text)
    return catalog.load(tmp_path / "map.toml")


class Controller:
    """Answers as the map says, until something is changed."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = bytes.fromhex(fingerprint)
        self.size, self.firmware = 0x12A4, b"3.10\0\0\0\0"
        self.asked: list[int] = []
        self.asked_at: list[float] = []
        self.refuses_with = 0

    def answer(self, request: bytes) -> bytes | None:
        tid, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", request[:12])
        self.asked.append(address)
        self.asked_at.append(time.monotonic())
        if self.refuses_with and address == 122:
            return frame(tid, unit, bytes([function | 0x80, self.refuses_with]))
        if address < 150 < address + count:
            return frame(tid, unit, bytes([function | 0x80, 2]))
        data = {122: struct.pack(">H", self.size), 200: self.firmware, 300: self.fingerprint}.get(address)
        if data is None or not self.size:
            return right(request) if self.size else frame(tid, unit, bytes([function | 0x80, 2]))
        return frame(tid, unit, bytes([function, len(data)]) + data)


def polled(tmp_path, change, beats: int = 60, then=None, text: str = MAP):
    """(qualities seen, the poller, what was asked) after some beats with a controller that is changed."""
    register_map = described(tmp_path, text)
    machine = Machine("M", (register_map,))
    row, clock = Row(4, 1), HandClock()
    controller = Controller(register_map.fingerprint)
    change(controller)
    seen: list[int] = []

    async def go():
        done = asyncio.Event()
        async with device() as running:
            running.answer = controller.answer
            source = ModbusTcp(TcpConnection("127.0.0.1", running.port, 0.2), 1)

            def beat(_group: int) -> None:
                seen.append(row.quality[0])
                if then and len(seen) == beats // 2:
                    then(controller)
                if len(seen) >= beats:
                    done.set()

            poller = Poller(machine, source, plan(machine, 0, row), clock, beat, register_map)
            task = asyncio.create_task(poller.run())
            await done.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return poller

    return seen, asyncio.run(go()), controller.asked


def test_the_device_of_the_map_is_asked_once_and_then_read(tmp_path):
    seen, poller, asked = polled(tmp_path, lambda c: None)
    assert set(seen) == {Quality.GOOD}
    assert asked[:3] == [122, 200, 300], "who it is comes first"
    assert asked.count(10) == 60
    assert poller.errors.total() == 0


def test_another_device_gives_no_value(tmp_path, caplog):
    changes = {
        "fingerprint is": lambda c: setattr(c, "fingerprint", b"\0\1\2\3"),
        "controller/1/size is": lambda c: setattr(c, "size", 0x12A5),
        'the firmware is "3.03"': lambda c: setattr(c, "firmware", b"3.03\0\0\0\0"),
        "could not be read": lambda c: setattr(c, "size", 0),
    }
    for sentence, change in changes.items():
        caplog.clear()
        seen, poller, asked = polled(tmp_path, change)
        assert set(seen) == {Quality.BAD}, sentence
        assert poller.errors["wrong device"] > 0
        assert 10 not in asked, "a stranger is not asked for values"
        assert sentence in caplog.text


def test_a_device_that_refuses_to_be_read_across_gaps_is_asked_who_it_is_block_by_block(tmp_path):
    text = MAP.replace("[groups.values]", "[device]\nmax_gap = 100\n[groups.values]", 1)
    seen, poller, asked = polled(tmp_path, lambda c: None, text=text)
    assert asked[:4] == [122, 122, 200, 300]
    assert set(seen[1:]) == {Quality.GOOD}, "its first group is taken apart at the first beat"
    assert poller.errors == {"refused": 1}


def test_a_device_that_cannot_tell_who_it_is_just_now_is_no_stranger(tmp_path):
    for code in (6, 11):
        def recover(controller):
            controller.refuses_with = 0

        seen, poller, asked = polled(
            tmp_path, lambda c, code=code: setattr(c, "refuses_with", code), 1000, recover)
        assert set(seen[:500]) == {Quality.BAD}
        assert 10 not in asked[:asked.index(200)], "it is not believed either"
        assert seen[-1] == Quality.GOOD
        assert set(poller.errors) == {"refused"}, code


def test_who_it_is_is_asked_again_after_a_question_without_an_answer(tmp_path):
    """Long enough between two beats to put another device in its place."""
    fall_silent = []

    def exchange(controller):
        controller.size = 0xFF
        fall_silent.append(len(controller.asked))

    def once_silent(controller):
        answer = controller.answer

        def say(request):
            told = answer(request)
            if fall_silent and len(controller.asked) == fall_silent[0] + 1:
                return None
            return told

        controller.answer = say

    seen, poller, _ = polled(tmp_path, once_silent, 60, exchange)
    assert set(seen[:30]) == {Quality.GOOD}
    assert set(seen[30:]) == {Quality.BAD}
    assert poller.errors["silent"] == 1
    assert poller.errors["wrong device"] >= 1


def test_a_device_that_wants_rest_between_questions_has_it_when_it_is_asked_who_it_is(tmp_path):
    controllers = []
    text = MAP.replace("[groups.values]", "[device]\npause_ms = 20\n[groups.values]", 1)
    seen, _, asked = polled(tmp_path, controllers.append, 5, text=text)
    assert set(seen) == {Quality.GOOD}
    assert asked[:3] == [122, 200, 300]
    first, second, third = controllers[0].asked_at[:3]
    assert min(second - first, third - second) > 0.019


def test_a_stranger_is_asked_again_with_patience_and_taken_when_it_is_mended(tmp_path):
    def mend(controller):
        assert len(controller.asked) < 60, "not at each beat"
        controller.size = 0x00A4

    seen, poller, _ = polled(tmp_path, lambda c: setattr(c, "size", 0xFF), 1000, mend)
    assert set(seen[:500]) == {Quality.BAD}
    assert seen[-1] == Quality.GOOD
    assert poller.errors["wrong device"] < 20


def test_a_device_that_was_exchanged_is_found_out_at_the_next_connect(tmp_path):
    """The link breaks, and another device has the address."""
    register_map = described(tmp_path)
    machine = Machine("M", (register_map,))
    row, clock = Row(4, 1), HandClock()
    controller = Controller(register_map.fingerprint)
    seen: list[int] = []

    async def go():
        done = asyncio.Event()
        async with device() as running:
            running.answer = controller.answer

            def beat(_group: int) -> None:
                seen.append(row.quality[0])
                if len(seen) == 20:
                    running.answer = lambda request: b""
                if len(seen) == 25:
                    controller.size = 0xFF
                    running.answer = controller.answer
                if len(seen) == 500:
                    done.set()

            source = ModbusTcp(TcpConnection("127.0.0.1", running.port, 0.2), 1)
            task = asyncio.create_task(Poller(machine, source, plan(machine, 0, row), clock, beat, register_map).run())
            await done.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())
    assert set(seen[:20]) == {Quality.GOOD}
    assert set(seen[20:]) == {Quality.BAD}


class Meanwhile(Clock):
    """What a test does while somebody rests between two questions."""

    async def happens(self) -> None:
        """Nothing, if not told otherwise."""

    async def sleep(self, seconds: float) -> None:
        await self.happens()


def test_a_device_that_was_exchanged_in_the_midst_of_a_group_gives_no_value_of_it(tmp_path):
    """The link breaks between two questions, and a refresh opens it again, which is still asking who is there."""
    register_map = described(tmp_path, MAP.replace("[groups.values]", (
        '[device]\npause_ms = 1\n[groups.slow]\nperiod_ms = 3_600_000\n[groups.slow.points]\n'
        '"controller/1/setpoint" = { table = "holding", address = 40, type = "uint16" }\n[groups.values]'
    ), 1))  # fmt: skip
    machine = Machine("M", (register_map,))
    row, clock = Row(len(machine.points), len(machine.groups)), Meanwhile()
    controller = Controller(register_map.fingerprint)
    values, slow = (machine.point(f"controller/1/{name}") for name in ("temperature", "setpoint"))
    seen: list[int] = []

    async def go():
        done = asyncio.Event()
        refreshing: list[asyncio.Task[None]] = []
        async with device() as running:
            source = ModbusTcp(TcpConnection("127.0.0.1", running.port, 5.0), 1)

            def beat(group: int) -> None:
                if group == values.group:
                    seen.append(row.quality[values.index])
                    if refreshing:
                        done.set()

            poller = Poller(machine, source, plan(machine, 0, row), clock, beat, register_map)

            async def exchange() -> None:
                if len(seen) < 5 or refreshing or controller.asked[-1] != 300:
                    return
                while source.connected:  # noqa: ASYNC110
                    await asyncio.sleep(0)
                controller.size, running.accepts = 0xFF, True
                refreshing.append(asyncio.create_task(poller.refresh(slow.group)))
                await running.was_asked(len(running.requests) + 1)

            def answer(request: bytes) -> bytes | None:
                told = controller.answer(request)
                running.accepts = refreshing or len(seen) < 5 or controller.asked[-1] != 300
                return told

            running.answer, clock.happens = answer, exchange
            task = asyncio.create_task(poller.run())
            async with asyncio.timeout(30):
                await done.wait()
                (refused,) = await asyncio.gather(*refreshing, return_exceptions=True)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return refused

    assert isinstance(asyncio.run(go()), WrongDevice)
    assert set(seen[:5]) == {Quality.GOOD}
    assert seen[-1] == Quality.BAD
