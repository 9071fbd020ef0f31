"""A value that the device itself calls wrong is bad, from the simulated controller over a real line into the row."""

import asyncio
import contextlib
import math

import pytest

from edgeagent.acquire.modbus_rtu import ModbusRtu
from edgeagent.acquire.plan import plan
from edgeagent.acquire.serial_line import SerialLine
from edgeagent.clock import Clock
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from edgeagent.simulate import SerialBus
from firmware_iface import catalog
from firmware_iface.simulated.build import simulated
from firmware_iface.simulated.faults import parse

LATENCY_S = 0.5
"""The loop's five words take up to 20 ms."""


class Read:
    """One reading of a group: values and qualities by the points' names."""

    def __init__(self, machine: Machine, row: Row) -> None:
        self._machine, self._row = machine, row

    def value(self, name: str) -> float:
        column = self._machine.column[f"controller/1/{name}"]
        assert self._row.quality[column] == Quality.GOOD, name
        return self._row.values[column]

    def is_bad(self, name: str) -> bool:
        column = self._machine.column[f"controller/1/{name}"]
        assert (self._row.quality[column] == Quality.BAD) == math.isnan(self._row.values[column])
        return self._row.quality[column] == Quality.BAD


@contextlib.asynccontextmanager
async def controllers(folder, map_id, *units):
    """(bus, devices by unit, what reads the group `loop` or another of one unit)"""
    register_map = catalog.builtin(map_id)
    devices = {unit: simulated(register_map, seed=unit) for unit in units}
    bus = SerialBus(devices, Clock(), str(folder / "tty"), 115200, "none", 1)
    await bus.start()
    line = SerialLine(str(folder / "tty"), 115200, "none", 1)
    sources = {unit: ModbusRtu(line, unit, LATENCY_S) for unit in units}
    for source in sources.values():
        await source.connect()

    async def read(unit: int, group: int = 0) -> Read:
        machine = Machine("M1", (register_map,))
        row = Row(len(machine.points), len(machine.groups))
        planned = plan(machine, 0, row)[group]
        planned.decode([await sources[unit].read(block.block) for block in planned.blocks], 1, 1)
        return Read(machine, row)

    try:
        yield bus, devices, read
    finally:
        for source in sources.values():
            source.close()
        await bus.stop()


@pytest.mark.parametrize("map_id", ["eurotherm2000", "eurotherm2000-ieee"])
def test_a_broken_sensor_makes_the_temperature_bad_and_nothing_else(tmp_path, map_id):
    async def journey():
        async with controllers(tmp_path, map_id, 1) as (_, devices, read):
            told = await read(1)
            assert told.value("temperature") == pytest.approx(180, abs=2)
            assert told.value("setpoint") == told.value("workingSetpoint") == 180.0
            assert told.value("sensorBreak") == 0
            devices[1].add_fault(parse("sensor-break"))
            devices[1].advance(1)
            told = await read(1)
            assert told.value("sensorBreak") == 1
            assert told.is_bad("temperature")
            assert not told.is_bad("setpoint")
            devices[1].faults.clear()
            devices[1].advance(1)
            assert (await read(1)).value("temperature") == pytest.approx(180, abs=5)
            assert (await read(1, 2)).value("instrumentCode") == 0x2400
            assert devices[1].eeprom_writes == 0

    asyncio.run(journey())


def test_two_controllers_share_a_line_and_a_broken_sensor_of_one_is_not_the_others(tmp_path):
    async def journey():
        async with controllers(tmp_path, "eurotherm2000", 1, 2) as (_, devices, read):
            devices[2].loop.aim(120.0)
            devices[1].add_fault(parse("sensor-break"))
            devices[1].advance(1)
            assert (await read(1)).is_bad("temperature")
            told = await read(2)
            assert told.value("setpoint") == 120.0
            assert not told.is_bad("temperature")

    asyncio.run(journey())


def test_the_decimal_point_at_the_panel_moves_the_scaled_map_and_not_the_floats(tmp_path):
    async def journey(map_id):
        async with controllers(tmp_path, map_id, 1) as (_, devices, read):
            devices[1].add_fault(parse("decimal-point:0"))
            devices[1].advance(1)
            return (await read(1)).value("setpoint")

    assert asyncio.run(journey("eurotherm2000")) == 18.0
    assert asyncio.run(journey("eurotherm2000-ieee")) == 180.0
