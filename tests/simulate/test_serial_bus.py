"""The simulated bus as masters see it that share no code with it: bytes by hand, pymodbus, libmodbus."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusIOException

from edgeagent.clock import Clock
from edgeagent.errors import ConfigError
from edgeagent.simulate import Serial, SerialBus, serve
from edgeagent.simulate.typed import Faults
from firmware_iface import catalog
from firmware_iface.simulated.build import simulated
from firmware_iface.simulated.eurotherm import TemperatureController
from firmware_iface.simulated.faults import FaultError, parse
from firmware_iface.simulated.loop import Loop
from tests.acquire.rtu_device import frame
from tests.acquire.test_libmodbus import missing

REFLOW = catalog.builtin("reflow10")
VERSION = bytes.fromhex("0300100001")
"""Reads the recipe's version: 3 in every simulated oven."""


class Master:
    """Opens the line as any program would, and waits for whole answers."""

    def __init__(self, port: Path) -> None:
        self._descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._heard = b""
        self._arrived = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._descriptor, self._hear)

    def _hear(self) -> None:
        self._heard += os.read(self._descriptor, 4096)
        self._arrived.set()

    def send(self, data: bytes) -> None:
        os.write(self._descriptor, data)

    async def hear(self, size: int) -> bytes:
        async with asyncio.timeout(5):
            while len(self._heard) < size:
                self._arrived.clear()
                await self._arrived.wait()
        heard, self._heard = self._heard[:size], self._heard[size:]
        return heard

    async def silent(self, seconds: float = 0.3) -> None:
        """Drop what another master's question still brings, until the line has been silent for so long."""
        with contextlib.suppress(TimeoutError):
            while True:
                self._arrived.clear()
                await asyncio.wait_for(self._arrived.wait(), seconds)
        self._heard = b""

    async def ask(self, body: bytes, size: int) -> bytes:
        self.send(frame(body))
        return await self.hear(size)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)


@contextlib.asynccontextmanager
async def on_a_bus(folder: Path, *units: int, baud: int = 115200):
    """(bus, devices by unit, master)"""
    devices = {unit: simulated(REFLOW, seed=unit) for unit in units}
    bus = SerialBus(devices, Clock(), str(folder / "tty"), baud, "none", 1)
    await bus.start()
    master = Master(folder / "tty")
    try:
        yield bus, devices, master
    finally:
        master.close()
        await bus.stop()


def version_of(unit: int) -> bytes:
    return frame(bytes([unit, 3, 2, 0, 3]))


def test_each_unit_answers_for_itself_and_nobody_for_one_that_is_not_there(tmp_path):
    async def journey():
        async with on_a_bus(tmp_path, 1, 2) as (_, devices, master):
            devices[2].write("zone/1/top/setpoint", 111.0)
            for unit, setpoint in ((1, 1300), (2, 1110)):
                told = frame(bytes([unit, 3, 2]) + setpoint.to_bytes(2, "big"))
                assert await master.ask(bytes([unit]) + bytes.fromhex("0300110001"), 7) == told
            master.send(frame(b"\x09" + VERSION))
            assert await master.ask(b"\x01" + VERSION, 7) == version_of(1)
            assert await master.ask(b"\x02\x03\x00\x3c\x00\x01", 5) == frame(b"\x02\x83\x02")

    asyncio.run(journey())


def test_noise_halves_wrong_checksums_and_the_talk_of_others_are_passed_over(tmp_path):
    async def journey():
        async with on_a_bus(tmp_path, 1) as (_, _, master):
            foreign = frame(bytes.fromhex("070300010001")) + frame(bytes.fromhex("07030212 34".replace(" ", "")))
            whole = frame(b"\x01" + VERSION)
            for before in (b"\x00\xff\x55\xaa", b"\x01", whole[:5], whole[:-1] + b"\x00", foreign, b"\x01\x10\x00\x00"):
                master.send(before)
                assert await master.ask(b"\x01" + VERSION, 7) == version_of(1)

    asyncio.run(journey())


def test_a_broadcast_is_obeyed_by_all_and_answered_by_none(tmp_path):
    async def journey():
        async with on_a_bus(tmp_path, 1, 2) as (_, devices, master):
            master.send(frame(bytes.fromhex("00060011 05dc".replace(" ", ""))))
            await asyncio.sleep(0.05)
            assert await master.ask(b"\x02" + VERSION, 7) == version_of(2)
            assert [device.read("zone/1/top/setpoint") for device in devices.values()] == [150.0, 150.0]

    asyncio.run(journey())


@pytest.mark.parametrize(("parity", "stop_bits", "bits"), [("none", 1, 10), ("even", 1, 11), ("odd", 2, 12)])
def test_no_answer_is_faster_than_its_line_can_carry(tmp_path, parity, stop_bits, bits):
    async def journey():
        bus = SerialBus({1: simulated(REFLOW)}, Clock(), str(tmp_path / "tty"), 9600, parity, stop_bits)
        await bus.start()
        master = Master(tmp_path / "tty")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await master.ask(bytes.fromhex("010400640014"), 45)
        took = loop.time() - began
        master.close()
        await bus.stop()
        assert took >= (8 + 3.5 + 45) * bits / 9600 - 0.002

    asyncio.run(journey())


def test_a_silent_device_leaves_the_others_their_line(tmp_path):
    async def journey():
        async with on_a_bus(tmp_path, 1, 2) as (bus, devices, master):
            devices[1].add_fault(parse("silent"))
            devices[1].advance(1)
            bus.catch_up()
            master.send(frame(b"\x01" + VERSION))
            await asyncio.sleep(0.05)
            assert await master.ask(b"\x02" + VERSION, 7) == version_of(2)

    asyncio.run(journey())


def test_an_agent_that_goes_and_comes_again_finds_the_line_as_it_was(tmp_path):
    async def journey():
        async with on_a_bus(tmp_path, 1) as (_, _, first):
            assert await first.ask(b"\x01" + VERSION, 7) == version_of(1)
            for _ in range(3):
                client = AsyncModbusSerialClient(str(tmp_path / "tty"), baudrate=115200, timeout=2, retries=0,
                                                 reconnect_delay=0)  # fmt: skip
                assert await client.connect()
                asyncio.get_running_loop().remove_reader(first._descriptor)
                assert (await client.read_holding_registers(16, count=1)).registers == [3]
                assert (await client.read_discrete_inputs(0, count=5)).bits[:5] == [False, False, True, False, True]
                assert (await client.write_register(17, 1234)).registers == [1234]
                assert (await client.read_holding_registers(17, count=1)).registers == [1234]
                client.close()

    asyncio.run(journey())


def test_a_unit_nobody_has_stays_silent_for_an_independent_client(tmp_path):
    async def journey():
        async with on_a_bus(tmp_path, 1) as (_, _, master):
            asyncio.get_running_loop().remove_reader(master._descriptor)
            client = AsyncModbusSerialClient(str(tmp_path / "tty"), baudrate=115200, timeout=0.1, retries=0,
                                             reconnect_delay=0)  # fmt: skip
            assert await client.connect()
            with pytest.raises(ModbusIOException):
                await client.read_holding_registers(16, count=1, device_id=5)
            client.close()

    asyncio.run(journey())


def test_a_unit_that_no_line_knows_is_refused():
    with pytest.raises(ConfigError, match="--map: unit 248: a unit that answers on a serial line is 1 to 247"):
        asyncio.run(serve({248: REFLOW}, Serial("/nowhere"), print))


CLIENT = """
#include <modbus.h>
#include <stdio.h>
int main(int count, char **given)
{
    modbus_t *bus = modbus_new_rtu(count > 1 ? given[1] : "", 115200, 'N', 8, 1);
    uint16_t words[20];
    uint8_t bits[5];
    int unit, i;
    if (bus == NULL || modbus_connect(bus)) return 1;
    modbus_set_response_timeout(bus, 2, 0);
    for (unit = 1; unit <= 2; unit++) {
        modbus_set_slave(bus, unit);
        if (modbus_write_register(bus, 17, 1000 + unit) != 1) return 2;
        if (modbus_read_registers(bus, 17, 20, words) != 20) return 3;
        for (i = 0; i < 20; i++) printf("%d ", words[i]);
        if (modbus_read_input_bits(bus, 0, 5, bits) != 5) return 4;
        for (i = 0; i < 5; i++) printf("%d ", bits[i]);
    }
    return modbus_read_registers(bus, 60, 1, words) == -1 ? 0 : 5;
}
"""


@pytest.mark.skipif(bool(missing()), reason=missing() or "libmodbus is here")
def test_libmodbus_reads_and_writes_two_units_of_one_line(tmp_path):
    flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "libmodbus"], text=True).split()
    (tmp_path / "client.c").write_text(CLIENT)
    gcc = shutil.which("gcc")
    subprocess.run([gcc, tmp_path / "client.c", "-o", tmp_path / "client", *flags], check=True)

    async def journey():
        async with on_a_bus(tmp_path, 1, 2) as (_, _, master):
            asyncio.get_running_loop().remove_reader(master._descriptor)
            client = await asyncio.create_subprocess_exec(tmp_path / "client", str(tmp_path / "tty"),
                                                          stdout=asyncio.subprocess.PIPE)  # fmt: skip
            told, _ = await asyncio.wait_for(client.communicate(), 20)
            assert client.returncode == 0
            rest = [130, 145, 145, 165, 165, 180, 180, 185, 185, 190, 190, 200, 200, 225, 225, 240, 240, 275, 275]
            expected = []
            for unit in (1, 2):
                expected += [1000 + unit, 1300, *[10 * each for each in rest[1:]], 0, 0, 1, 0, 1]
            assert [int(word) for word in told.split()] == expected

    asyncio.run(journey())


class StandingClock(Clock):
    """A clock that stands, so that nothing changes between two requests."""

    def monotonic_ns(self) -> int:
        return 1_000_000_000


@contextlib.asynccontextmanager
async def a_controller(folder: Path, loop: Loop, *faults: str):
    """The port of unit 2 on a line of 9600 baud."""
    device = TemperatureController(catalog.builtin("eurotherm2000"), loop=loop)
    for fault in faults:
        device.faults.add(parse(fault), 0.0)
    list(device.faults.advance(0.0))
    bus = SerialBus({2: device}, StandingClock(), str(folder / "tty"), 9600, "none", 1)
    await bus.start()
    try:
        yield folder / "tty"
    finally:
        await bus.stop()


@pytest.mark.parametrize(("loop", "faults", "answer"), [
    (Loop(22.0, 18.0), ["decimal-point:0"], "02 03 04 00 12 00 16 E8 F8"),
    (Loop(21.6, 17.8), [], "02 03 04 00 B2 00 D8 69 4E"),
])  # fmt: skip
def test_the_controllers_handbook_is_answered_byte_by_byte_on_the_line(tmp_path, loop, faults, answer):
    async def journey():
        async with a_controller(tmp_path, loop, *faults) as port:
            master = Master(port)
            master.send(bytes.fromhex("02 03 00 01 00 02 95 F8"))
            assert await master.hear(9) == bytes.fromhex(answer)
            master.send(bytes.fromhex("02 07 41 12"))
            assert await master.hear(5) == frame(b"\x02\x07\x00")
            master.send(bytes.fromhex("02 08 00 00 12 34 ED 4F"))
            assert await master.hear(8) == bytes.fromhex("02 08 00 00 12 34 ED 4F")
            master.close()

    asyncio.run(journey())


def test_an_independent_client_reads_and_writes_the_controller_in_both_regions(tmp_path):
    async def journey():
        async with a_controller(tmp_path, Loop(21.6, 17.8)) as port:
            client = AsyncModbusSerialClient(str(port), baudrate=9600, timeout=2, retries=0, reconnect_delay=0)
            assert await client.connect()
            assert (await client.read_holding_registers(1, count=2, device_id=2)).registers == [178, 216]
            floats = (await client.read_holding_registers(0x8002, count=4, device_id=2)).registers
            told = client.convert_from_registers(floats, client.DATATYPE.FLOAT32)
            assert told == pytest.approx([17.8, 21.6])
            words = client.convert_to_registers(23.5, client.DATATYPE.FLOAT32)
            assert not (await client.write_registers(0x8004, words, device_id=2)).isError()
            assert (await client.read_holding_registers(2, count=1, device_id=2)).registers == [235]
            assert (await client.read_exception_status(device_id=2)).status == 0
            assert (await client.read_holding_registers(0x8003, count=2, device_id=2)).exception_code == 2
            client.close()

    asyncio.run(journey())


def test_a_port_that_goes_away_ends_the_simulation(tmp_path):
    async def journey():
        master, slave = os.openpty()
        served = asyncio.Event()
        wire = Serial(os.ttyname(slave), 115200, "none", 1)
        task = asyncio.create_task(serve({1: REFLOW}, wire, lambda line: served.set(), boards=0))
        await served.wait()
        os.close(master)
        with pytest.raises(OSError, match="the port is gone: Input/output error"):
            await asyncio.wait_for(task, 5)
        os.close(slave)

    asyncio.run(journey())


def test_faults_are_given_to_the_unit_that_they_name():
    devices = {unit: simulated(REFLOW) for unit in (3, 4)}
    faults = Faults(devices)
    assert faults.take("4 emergency-stop") == "0 s: emergency-stop"
    for device in devices.values():
        device.advance(1)
    assert [device.state for device in devices.values()] == ["warmingUp", "emergencyStop"]
    for text, reason in (("silent", "which device.*one of 3, 4"), ("5 silent", "no unit 5: there are 3, 4"),
                         ("4 bang", "no fault 'bang'")):  # fmt: skip
        with pytest.raises(FaultError, match=reason):
            faults.take(text)
    assert faults.take("mend") == "1 s: all faults mended"
    devices[4].advance(1)
    assert devices[4].state == "warmingUp"
