"""A serial port that does not do what it is told."""

import asyncio
from contextlib import suppress

from edgeagent.acquire.modbus_rtu import ModbusRtu
from edgeagent.acquire.serial_line import SerialLine
from edgeagent.errors import Unreachable
from tests.acquire.rtu_device import LATENCY_S, device


def test_a_port_that_does_not_take_its_settings_is_unreachable(tmp_path):
    """A pty has no parity: opened again, asking for it alone changes nothing, which the C library calls an error."""

    async def go():
        async with device(tmp_path) as unit:
            source = ModbusRtu(SerialLine(unit.port, 19200, "even", 1), 1, LATENCY_S)
            await source.connect()
            source.close()
            with suppress(Unreachable):
                await source.connect()
            source.close()

    asyncio.run(go())
