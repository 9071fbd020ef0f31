import asyncio
import contextlib
import itertools
import math
import os
import re
import socket
from dataclasses import replace

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from edgeagent.capture.alarms import AlarmWatch
from edgeagent.clock import Clock
from edgeagent.errors import ConfigError
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from edgeagent.simulate import MAX_CONNECTIONS, PortTaken, SimulatedOven, Tcp, serve
from firmware_iface import catalog
from firmware_iface.simulated.faults import parse
from firmware_iface.simulated.oven import Oven
from firmware_iface.simulated.wave import WaveMachine

REFLOW = catalog.builtin("reflow10")
WAVE = catalog.builtin("wave")


class HandClock(Clock):
    """A clock that shows what the test says."""

    def __init__(self):
        super().__init__()
        self.now_s = 100.0

    def monotonic_ns(self):
        return round(self.now_s * 1e9)


@contextlib.asynccontextmanager
async def _served():
    clock = HandClock()
    simulated = SimulatedOven(REFLOW, clock)
    port = await simulated.start()
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=0.5, retries=0, reconnect_delay=0)
    try:
        assert await client.connect()
        yield clock, simulated, client
    finally:
        client.close()
        await simulated.stop()
        await asyncio.sleep(0)


def test_zones_come_near_their_setpoints_as_the_clock_goes():
    async def journey():
        async with _served() as (clock, simulated, client):
            before = (await client.read_input_registers(100, count=20)).registers
            clock.now_s += 100
            after = (await client.read_input_registers(100, count=20)).registers
            setpoints = (await client.read_holding_registers(17, count=20)).registers
            assert all(a < s - 40 for a, s in zip(before, setpoints, strict=True))
            assert all(abs(a - s) <= 30 for a, s in zip(after, setpoints, strict=True))
            assert (await client.read_input_registers(1, count=1)).registers == [6]
            name = (await client.read_holding_registers(0, count=16)).registers
            assert client.convert_from_registers(name, client.DATATYPE.STRING) == "SAC305-A"
            assert simulated.oven.time == pytest.approx(100)

    asyncio.run(journey())


def test_a_board_that_enters_covers_and_frees_the_inlet():
    async def journey():
        async with _served() as (clock, simulated, client):
            simulated.oven.insert_board("PCB7")
            code = (await client.read_input_registers(300, count=18)).registers
            assert code[:2] == [1, 1]
            assert client.convert_from_registers(code[2:], client.DATATYPE.STRING) == "PCB7"
            levels = []
            for _ in range(60):
                clock.now_s += 0.5
                levels.append((await client.read_discrete_inputs(0, count=5)).bits[0])
            edges = [(a, b) for a, b in itertools.pairwise(levels) if a != b]
            assert edges == [(False, True), (True, False)]

    asyncio.run(journey())


def test_a_setpoint_is_written_and_an_address_without_a_point_refused():
    async def journey():
        async with _served() as (_, simulated, client):
            assert not (await client.write_register(17, 1400)).isError()
            assert simulated.oven.read("zone/1/top/setpoint") == 140.0
            assert (await client.write_register(17, 9000)).exception_code == 3
            assert (await client.read_holding_registers(60, count=2)).exception_code == 2
            assert (await client.read_coils(9, count=1)).exception_code == 2
            assert (await client.read_holding_registers(17, count=1, device_id=9)).exception_code == 11

    asyncio.run(journey())


def test_a_cold_oven_is_switched_on_over_the_wire_and_a_lost_answer_is_silence():
    async def journey():
        async with _served() as (clock, simulated, client):
            simulated.oven.switch_off()
            assert not (await client.write_coil(0, True)).isError()
            assert not (await client.write_coil(0, False)).isError()
            assert (await client.read_input_registers(1, count=1)).registers == [2]
            clock.now_s += 10
            assert (await client.read_input_registers(1, count=1)).registers == [3]
            simulated.oven.add_fault(parse("write-unanswered"))
            clock.now_s += 1
            with pytest.raises(ModbusException):
                await client.write_coil(2, True)
            assert simulated.oven.state == "off"

    asyncio.run(journey())


def test_a_silent_oven_answers_again_when_the_fault_is_over():
    async def journey():
        async with _served() as (clock, simulated, client):
            simulated.oven.add_fault(parse("silent@1+10"))
            clock.now_s += 2
            with pytest.raises(ModbusException):
                await client.read_input_registers(0, count=2)
            clock.now_s += 10
            assert not (await client.read_input_registers(0, count=2)).isError()

    asyncio.run(journey())


def test_a_slow_oven_answers_late_and_right():
    async def journey():
        async with _served() as (_, simulated, client):
            simulated.oven.add_fault(parse("slow:60"))
            simulated.oven.advance(1)
            start = asyncio.get_running_loop().time()
            assert (await client.read_holding_registers(16, count=1)).registers == [3]
            assert asyncio.get_running_loop().time() - start >= 0.059

    asyncio.run(journey())


def test_a_rebooting_oven_drops_connections_and_starts_its_uptime_anew():
    async def journey():
        async with _served() as (clock, simulated, client):
            clock.now_s += 50
            port = client.comm_params.port
            simulated.catch_up()
            simulated.oven.add_fault(parse("controller-reboot"))
            clock.now_s += 1
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            with pytest.raises(ModbusException):
                await client.read_input_registers(417, count=2)
            clock.now_s += 25
            client.close()
            assert await client.connect()
            uptime = (await client.read_input_registers(417, count=2)).registers
            assert uptime[0] == 0
            assert uptime[1] < 10

    asyncio.run(journey())


def test_a_frame_that_is_no_modbus_ends_the_connection_and_connections_are_bounded():
    async def journey():
        async with _served() as (_, _simulated, client):
            port = client.comm_params.port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS)]
            assert await asyncio.wait_for(streams[-1][0].read(), 5) == b""
            for _, each in streams:
                each.close()

    asyncio.run(journey())


def test_many_connections_at_once_are_bounded_as_well():
    async def journey():
        simulated = SimulatedOven(REFLOW, HandClock())
        port = await simulated.start()
        streams = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(90)))
        request = bytes.fromhex("000100000006010400000001")
        open_ = 0
        for reader, writer in streams:
            with contextlib.suppress(ConnectionError):
                writer.write(request)
                open_ += len(await asyncio.wait_for(reader.read(64), 5)) > 0
        assert open_ == MAX_CONNECTIONS
        for _, writer in streams:
            writer.close()
        await simulated.stop()
        await asyncio.sleep(0)

    asyncio.run(journey())


def test_a_taken_port_is_told_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as other:
        simulated, port = SimulatedOven(REFLOW, HandClock()), other.getsockname()[1]
        told = f"port {port} on 127.0.0.1 is in use: stop what listens there, or choose another port"
        with pytest.raises(PortTaken, match=f"^{re.escape(told)}$"):
            asyncio.run(simulated.start(port=port))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "oven.example"])
def test_a_host_beyond_loopback_is_refused(host):
    with pytest.raises(ConfigError, match="not a loopback address"):
        asyncio.run(SimulatedOven(REFLOW, HandClock()).start(host))


def test_serving_takes_faults_as_arguments_and_as_typed_lines(monkeypatch):
    output, put = os.pipe()

    async def journey():
        told, changed = [], asyncio.Event()

        def announce(line):
            told.append(line)
            changed.set()

        async def wait_for(fragment):
            while not any(fragment in line for line in told):
                changed.clear()
                await asyncio.wait_for(changed.wait(), 5)

        task = asyncio.create_task(serve({1: REFLOW}, Tcp(port=0), announce, speed=50.0, boards=0,
                                         faults=["belt-slip:0.95"]))
        await wait_for("simulated reflow10 as unit 1 on 127.0.0.1 port")
        os.write(put, b"emergency-stop\nnonsense\n")
        await wait_for("no fault 'nonsense'")
        await wait_for("emergencyStop")
        os.write(put, b"mend\n")
        await wait_for("all faults mended")
        os.write(put, b"silent@0+1\nboard-removed\n")
        await wait_for("silent: its time is over")
        await wait_for("refused: board-removed: there is no board in the tunnel")
        os.write(put, b"belt-stop")
        os.close(put)
        await wait_for("s: belt-stop")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with os.fdopen(output) as typed:
        monkeypatch.setattr("sys.stdin", typed)
        asyncio.run(journey())


def test_a_wrong_fault_among_the_arguments_is_refused_before_listening():
    with pytest.raises(ConfigError, match="--fault: no fault 'bang'"):
        asyncio.run(serve({1: REFLOW}, Tcp(port=0), print, faults=["bang"]))


def test_a_map_that_cannot_be_simulated_is_refused_before_listening():
    bare = replace(REFLOW, zones=tuple(replace(zone, setpoints=()) for zone in REFLOW.zones))
    with pytest.raises(ConfigError, match="--map: reflow10 gives no setpoints for heated zone 1, 2"):
        asyncio.run(serve({1: bare}, Tcp(port=0), print))


class Watched:
    """A ready machine, and the alarms of its map held against it."""

    def __init__(self, kind=Oven, register_map=REFLOW):
        self.oven = kind(register_map)
        self._machine = Machine("RO0001", (register_map,))
        self._row = Row(len(self._machine.points), len(self._machine.groups))
        self._alarms = AlarmWatch(self._machine, {})
        while self.oven.state != "ready":
            self.go(1)

    def go(self, seconds):
        for _ in range(round(2 * seconds)):
            self.oven.advance(0.5)
            for point in self._machine.points:
                if not point.is_text:
                    value = float(self.oven.read(point.path))
                    self._row.values[point.index] = value
                    self._row.quality[point.index] = Quality.BAD if math.isnan(value) else Quality.GOOD
            now = round(self.oven.time * 1e9)
            for group in range(len(self._machine.groups)):
                list(self._alarms.update(self._row, group, self.oven.state, now, now))

    @property
    def standing(self):
        return set(self._alarms.standing)


def test_a_zone_without_heat_is_told_as_too_cold_until_it_is_back():
    watched = Watched()
    half = watched.oven.heaters.halves["zone/3/top"]
    watched.oven.add_fault(parse(f"heater-dead:zone/3/top@{watched.oven.time}+200"))
    states = set()
    while half.temperature > 165 - 8:
        watched.go(1)
    watched.go(12)
    while half.temperature < 165 - 8:
        watched.go(1)
        states.add(watched.oven.state)
        assert "E405" in watched.standing
    assert "fault" in states
    watched.go(60)
    assert "E405" not in watched.standing
    watched.go(600)
    assert (watched.standing, watched.oven.state) == (set(), "ready")


@pytest.mark.parametrize(("fault", "codes"), [
    ("nozzle-blocked", {"E050"}),
    ("pump-stop:wave/1", {"E002", "E061"}),
    ("pump-stop:wave/2", {"E002", "E062"}),
    ("heater-dead:pot/1", {"E105"}),
    ("heater-dead:preheat/3/top", {"E104", "E404"}),
    ("thermocouple-open:pot/1", {"E002", "E205"}),
    ("belt-stop", {"E002", "E010"}),
    ("emergency-stop", {"E001"}),
])  # fmt: skip
def test_each_fault_of_the_wave_machine_raises_its_alarms_while_a_board_comes(fault, codes):
    watched = Watched(WaveMachine, WAVE)
    watched.oven.schedule(60)
    watched.go(150)
    assert not watched.standing
    watched.oven.add_fault(parse(fault))
    raised = set()
    for _ in range(120):
        watched.go(1)
        raised |= watched.standing
    assert raised == codes


def test_a_low_pot_of_solder_is_told_until_it_is_filled():
    watched = Watched(WaveMachine, WAVE)
    watched.oven.pot.level = 84.0
    watched.go(12)
    assert watched.standing == {"E072"}
    watched.oven.pot.level = 95.0
    watched.go(12)
    assert not watched.standing


@pytest.mark.parametrize(("fault", "codes"), [
    ("belt-stop", {"E002", "E010"}),
    ("belt-slip:0.8", set()),
    ("emergency-stop", {"E001"}),
    ("oxygen-leak", {"E020"}),
    ("heater-dead:zone/1/bottom", {"E102"}),
    ("thermocouple-open:zone/10/top", {"E002", "E219"}),
])  # fmt: skip
def test_each_fault_of_the_oven_raises_its_alarms(fault, codes):
    watched = Watched()
    assert not watched.standing
    watched.oven.add_fault(parse(fault))
    watched.go(45)
    assert watched.standing == codes
    watched.go(15)
    assert watched.standing >= codes
