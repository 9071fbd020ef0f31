from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest

from edgeagent.errors import CommandRefused
from edgeagent.publish.opcua import frames
from edgeagent.publish.opcua.frames import Channel, Gone


class Heard:
    """One end's receiver: notes all, answers what `answer` makes of a call."""

    def __init__(self, answer: Callable[[str, list[Any]], Any] = lambda *_: None) -> None:
        self.answer = answer
        self.notices: list[tuple[str, list[Any]]] = []
        self.reason: str | None = None
        self.news = asyncio.Event()

    async def asked(self, name: str, arguments: list[Any]) -> Any:
        answer = self.answer(name, arguments)
        return await answer if asyncio.iscoroutine(answer) else answer

    def told(self, name: str, arguments: list[Any]) -> None:
        self.notices.append((name, arguments))
        self.news.set()

    def gone(self, reason: str) -> None:
        self.reason = reason
        self.news.set()


@asynccontextmanager
async def pair(one: Heard, other: Heard) -> Any:
    near, far = socket.socketpair()
    channels = await Channel.over(near, one), await Channel.over(far, other)
    try:
        yield channels
    finally:
        for channel in channels:
            await channel.close()


def test_a_call_is_answered_while_another_waits() -> None:
    async def run() -> None:
        gate = asyncio.Event()

        async def slow() -> str:
            await gate.wait()
            return "slow"

        def answer(name: str, arguments: list[Any]) -> Any:
            return slow() if name == "slow" else {"twice": arguments[0] * 2}

        async with pair(Heard(), Heard(answer)) as (near, _):
            waiting = asyncio.create_task(near.call("slow"))
            assert await near.call("double", 21) == {"twice": 42}
            assert not waiting.done()
            gate.set()
            assert await waiting == "slow"

    asyncio.run(run())


def test_a_refusal_arrives_as_it_was_raised() -> None:
    def refuse(_: str, __: list[Any]) -> Any:
        raise CommandRefused("outOfRange", "300 °C is too hot.", "RO0001", high=250)

    async def run() -> None:
        async with pair(Heard(), Heard(refuse)) as (near, _):
            with pytest.raises(CommandRefused, match="too hot") as caught:
                await near.call("set", 300)
            raised = caught.value
            assert (raised.kind, raised.machine, raised.more) == ("outOfRange", "RO0001", {"high": 250})

    asyncio.run(run())


def test_what_was_not_foreseen_is_an_answer_too(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with pair(Heard(), Heard(lambda *_: 1 / 0)) as (near, _):
            with pytest.raises(CommandRefused) as caught:
                await near.call("divide")
            assert caught.value.kind == "internal"

    asyncio.run(run())
    assert "divide could not be answered" in caplog.text


def test_notices_keep_their_order() -> None:
    async def run() -> None:
        heard = Heard()
        async with pair(Heard(), heard) as (near, _):
            for number in range(1000):
                near.tell("event", number)
            while len(heard.notices) < 1000:
                heard.news.clear()
                await heard.news.wait()
            assert [arguments[0] for _, arguments in heard.notices] == list(range(1000))

    asyncio.run(run())


def test_an_end_that_goes_ends_the_calls_that_wait_for_it() -> None:
    async def run() -> None:
        one = Heard()
        async with pair(one, Heard(lambda *_: asyncio.sleep(3600))) as (near, far):
            waiting = asyncio.create_task(near.call("for ever"))
            await asyncio.sleep(0)
            await far.close()
            with pytest.raises(Gone):
                await waiting
            assert one.reason is not None
            near.tell("nobody hears it")
            with pytest.raises(Gone):
                await near.call("nobody answers it")

    asyncio.run(run())


@pytest.mark.parametrize("garbage", [b"\xc1", b"\x93\x07\x01\x02", b"\x01", b"\x91\x00", b"\x93\x01\x01\x02\x91\x09"])
def test_what_is_no_frame_ends_the_channel(garbage: bytes) -> None:
    async def run() -> None:
        near, far = socket.socketpair()
        heard = Heard()
        channel = await Channel.over(near, heard)
        far.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(far, garbage)
        await asyncio.wait_for(heard.news.wait(), 10)
        assert "cannot be understood" in (heard.reason or "")
        await channel.close()
        far.close()

    asyncio.run(run())


def test_a_notice_that_nobody_can_take_ends_the_channel() -> None:
    class Picky(Heard):
        def told(self, name: str, arguments: list[Any]) -> None:
            raise RuntimeError("no such notice")

    async def run() -> None:
        heard = Picky()
        async with pair(Heard(), heard) as (near, _):
            near.tell("anything")
            await asyncio.wait_for(heard.news.wait(), 10)
            assert "cannot be understood" in (heard.reason or "")

    asyncio.run(run())


def test_a_frame_beyond_the_bound_ends_the_channel_before_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MOST_BYTES", 1 << 16)

    async def run() -> None:
        heard = Heard()
        async with pair(Heard(), heard) as (near, _):
            near.tell("much", b"x" * (1 << 17))
            await asyncio.wait_for(heard.news.wait(), 10)
            assert not heard.notices
            assert "cannot be understood" in (heard.reason or "")

    asyncio.run(run())


def test_an_end_that_does_not_read_is_noticed() -> None:
    async def run() -> None:
        near, far = socket.socketpair()
        channel = await Channel.over(near, Heard())
        assert channel.keeps_up
        while channel.keeps_up:
            channel.tell("much", b"x" * (1 << 16))
        await channel.close()
        far.close()

    asyncio.run(run())


def test_who_asks_and_does_not_read_is_held_to_what_was_agreed_on() -> None:
    asked = 0

    def answer(*_: Any) -> bytes:
        nonlocal asked
        asked += 1
        return b"x" * (1 << 20)

    async def run() -> None:
        near, far = socket.socketpair()
        far.setblocking(False)
        heard = Heard(answer)
        channel = await Channel.over(near, heard)
        loop = asyncio.get_running_loop()
        for number in range(10 * frames.MOST_CALLS):
            with suppress(OSError):
                await loop.sock_sendall(far, msgspec.msgpack.encode((0, number, "much", ())))
            await asyncio.sleep(0)
        await asyncio.wait_for(heard.news.wait(), 10)
        assert "more calls at a time" in (heard.reason or "")
        assert asked < 10
        await channel.close()
        far.close()

    asyncio.run(run())
