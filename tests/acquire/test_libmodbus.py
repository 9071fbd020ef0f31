"""A server that shares no code with this project is read through a map of its own."""

import asyncio
import math
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from edgeagent.acquire.modbus import ModbusTcp, TcpConnection
from edgeagent.acquire.plan import plan
from edgeagent.acquire.reach import words
from edgeagent.acquire.source import Words
from edgeagent.errors import Refused
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from firmware_iface import catalog

HERE = Path(__file__).parent


def missing() -> str:
    if not shutil.which("gcc") or not shutil.which("pkg-config"):
        return "no C compiler or no pkg-config"
    found = subprocess.run(["pkg-config", "--exists", "libmodbus"], check=False)
    return "libmodbus-dev is not installed" if found.returncode else ""


@pytest.fixture
def server(tmp_path):
    if reason := missing():
        pytest.skip(reason)
    flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "libmodbus"], text=True).split()
    program = tmp_path / "server"
    source = HERE / "libmodbus_server.c"
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", source, "-o", program, *flags], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([program, str(port)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield port
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_every_type_table_and_order_is_read_as_it_was_written(server):
    machine = Machine("L1", (catalog.load(HERE / "libmodbus.toml"),))
    row = Row(len(machine.points), len(machine.groups))
    (group,) = plan(machine, 0, row)

    async def go():
        source = ModbusTcp(TcpConnection("127.0.0.1", server, 2.0), 1)
        await source.connect()
        group.decode([await source.read(block.block) for block in group.blocks], 1, 1)
        source.close()
        await asyncio.sleep(0)

    asyncio.run(go())

    def value(path: str) -> float:
        assert row.quality[machine.column[path]] == Quality.GOOD, path
        return row.values[machine.column[path]]

    assert value("a/negative") == pytest.approx(-12.3)
    assert value("a/abcd") == 242.25
    assert value("a/cdab") == -17.5
    assert value("a/badc") == pytest.approx(1.001)
    assert value("a/dcba") == 75.0
    assert value("a/long") == 209_000
    assert value("a/longer") == -5_000_000_000
    assert row.texts[machine.column["a/name"]] == "OVEN"
    bits = ("a/flag", "a/noFlag", "b/three", "b/four", "b/seventeen", "b/coil")
    assert [value(path) for path in bits] == [1, 0, 1, 0, 1, 1]
    for path in ("a/absent", "a/tooHot"):
        assert row.quality[machine.column[path]] == Quality.BAD
        assert math.isnan(row.values[machine.column[path]])


WRITTEN = {
    "w/word": -12.3, "w/abcd": 242.25, "w/cdab": -17.5, "w/badc": 1.5, "w/long": -70_000, "w/longer": 5_000_000_000,
    "w/name": "SAC305-A", "w/coil": 1,
}  # fmt: skip


def test_every_type_and_order_that_is_written_is_taken_and_read_back(server):
    the_map = catalog.load(HERE / "libmodbus.toml")
    machine = Machine("L1", (the_map,))
    row = Row(len(machine.points), len(machine.groups))
    (group,) = plan(machine, 0, row)

    async def go():
        source = ModbusTcp(TcpConnection("127.0.0.1", server, 2.0), 1)
        await source.connect()
        for path, value in WRITTEN.items():
            await source.write(words(the_map.register(path), value))
        await source.write(Words("coil", 35, (1, 0, 1)))
        group.decode([await source.read(block.block) for block in group.blocks], 1, 1)
        for beyond in (Words("holding", 5000, (1,)), Words("holding", 199, (1, 2)), Words("coil", 39, (1, 1))):
            with pytest.raises(Refused, match="illegal address"):
                await source.write(beyond)
        source.close()
        await asyncio.sleep(0)

    asyncio.run(go())
    for path, value in WRITTEN.items():
        column = machine.column[path]
        assert row.quality[column] == Quality.GOOD, path
        assert (row.texts[column] if isinstance(value, str) else row.values[column]) == pytest.approx(value)
