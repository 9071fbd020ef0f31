"""A heartbeat is written at its period while the device is known, only where it is switched on, and then no more."""

import asyncio
from dataclasses import replace

import pytest

from edgeagent.acquire.wires import Wires
from edgeagent.clock import Clock
from edgeagent.config import MachineTable, ModbusTcpTable
from firmware_iface import catalog
from firmware_iface.commands import Heartbeat
from tests.acquire.device import device, right
from tests.acquire.test_reach import LIBMODBUS, Polled, running


def alive(port: int, style: str, is_on: bool = True) -> tuple[Polled, Wires]:
    """A device that wants its heartbeat twenty times a second."""
    the_map = catalog.load(LIBMODBUS)
    first = the_map.register("a/long")
    point = replace(first, path="alive/count", address=150, type="uint16", count=1, writable=True, low=0.0, high=3.0)
    the_map = replace(the_map, registers=(first, point), heartbeat=Heartbeat("alive/count", 50, style))
    wires = Wires((), Clock())
    source = ModbusTcpTable("x", "127.0.0.1", port, heartbeat=is_on)
    return Polled(wires, MachineTable("M", (source,)), the_map), wires


def written(made) -> list[int]:
    return [int.from_bytes(request[10:12], "big") for request in made.requests if request[7] == 6]


async def until(made, writes: int) -> None:
    while len(written(made)) < writes:
        await made.was_asked(len(made.requests) + 1)


@pytest.mark.parametrize(("style", "values"), [("toggle", [1, 0, 1, 0, 1]), ("count", [1, 2, 3, 0, 1])])
def test_it_is_written_again_and_again(style, values):
    async def go():
        async with device() as made:
            polled, wires = alive(made.port, style)
            (heartbeat,) = wires.heartbeats
            async with running(polled):
                task = asyncio.create_task(heartbeat.run())
                await until(made, 5)
                task.cancel()
                await asyncio.wait({task})
                assert written(made)[:5] == values
                sent = len(written(made))
                for _ in range(3):
                    await polled.any_beat()
                assert len(written(made)) == sent, "it stops with its task"

    asyncio.run(go())


def test_it_is_off_unless_it_is_switched_on():
    async def go():
        async with device() as made:
            _, wires = alive(made.port, "toggle", is_on=False)
            assert wires.heartbeats == []

    assert ModbusTcpTable("x", "127.0.0.1").heartbeat is False
    asyncio.run(go())


def test_one_that_fails_is_counted_told_once_and_goes_on(caplog):
    def refuse(request: bytes) -> bytes:
        return request[:4] + b"\0\3\1\x86\4" if request[7] == 6 else right(request)

    def refuse_plainly(request: bytes) -> bytes:
        return request[:4] + b"\0\3\1\x86\2" if request[7] == 6 else right(request)

    async def go():
        async with device() as made:
            polled, wires = alive(made.port, "toggle")
            made.answer = refuse_plainly
            async with running(polled):
                task = asyncio.create_task(wires.heartbeats[0].run())
                await until(made, 4)
                made.answer = refuse
                await until(made, 6)
                made.answer = right
                await until(made, 9)
                task.cancel()
                await asyncio.wait({task})
                writes = polled.readers[0].writes
                assert writes["refused"] >= 3
                assert writes["silent"] >= 1
                assert writes["done"] >= 1

    with caplog.at_level("INFO", "edgeagent.acquire.heartbeat"):
        asyncio.run(go())
    told = [record.levelname for record in caplog.records if record.name == "edgeagent.acquire.heartbeat"]
    assert told == ["WARNING", "WARNING", "INFO"]


def test_it_waits_for_a_device_that_is_known():
    async def go():
        async with device() as made:
            made.accepts = False
            polled, wires = alive(made.port, "toggle")
            async with running(polled):
                task = asyncio.create_task(wires.heartbeats[0].run())
                while len(polled.beats) < 5:
                    await polled.any_beat()
                assert not polled.readers[0].writes
                made.accepts = True
                await until(made, 1)
                assert [request[7] for request in made.requests].index(6) > 0, "first of all it is read"
                task.cancel()
                await asyncio.wait({task})

    asyncio.run(go())
