"""From the configuration to the readers of a machine: one owner for each serial port, shared by all units on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeagent.acquire.listening import Listener, ListeningLine
from edgeagent.acquire.modbus import ModbusTcp
from edgeagent.acquire.plan import plan
from edgeagent.acquire.poller import Poller
from edgeagent.acquire.serial_line import ModbusRtu, SerialLine
from edgeagent.acquire.text_instrument import Bisynch, PolledText
from edgeagent.acquire.text_stream import TextStream
from edgeagent.config import ModbusTcpTable, SerialInstrumentTable, address_of, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgeagent.acquire.source import Source
    from edgeagent.clock import Clock
    from edgeagent.config import LineTable, SourceTable
    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row
    from firmware_iface.registers import RegisterMap

_LEAST_TIMEOUT_S = 0.25
"""Real seconds: a sped-up clock does not make the computer's network faster."""

Reader = Poller | Listener | TextStream
"""Keeps the beat of one source."""


class Wires:
    """All wires of one agent."""

    def __init__(self, lines: Iterable[LineTable], clock: Clock) -> None:
        self._clock = clock
        self._tables = {line.id: line for line in lines}
        self._lines: dict[str, SerialLine | ListeningLine] = {
            line.id: SerialLine(line.port, line.baud, line.parity, line.stop_bits, line.data_bits) if line.master
            else ListeningLine(line.port, line.baud, line.parity, line.stop_bits, clock)
            for line in self._tables.values()
        }  # fmt: skip

    def reader(
        self, table: SourceTable, machine: Machine, index: int, row: Row, beat: Callable[[int], None]
    ) -> Reader:
        """Make the reader of a machine's source.

        Args:
            index: the source's place in the machine. beat: called after each beat with its group's index.
        """
        register_map = machine.maps[index]
        if isinstance(table, SerialInstrumentTable):
            if register_map.instrument and register_map.instrument.streams:
                address = str(address_of(table, register_map))
                return TextStream(machine, index, self._tables[table.line], address, row, self._clock, beat)
        elif not isinstance(table, ModbusTcpTable):
            line = self._lines[table.line]
            if isinstance(line, ListeningLine):
                return Listener(machine, index, line, unit_of(table, register_map), row, self._clock, beat)
        return Poller(machine, self.source(table, register_map), plan(machine, index, row), self._clock, beat,
                      register_map.device.pause_ms)

    def source(self, table: SourceTable, register_map: RegisterMap) -> Source:
        """Make the way to a device that this agent may ask.

        Raises:
            ValueError: it is on a line where another master asks, or talks without being asked.
        """
        device = register_map.device
        if isinstance(table, ModbusTcpTable):
            timeout_s = device.timeout_ms / 1000
            if self._clock.speed != 1.0:
                timeout_s = max(_LEAST_TIMEOUT_S, timeout_s / self._clock.speed)
            return ModbusTcp(table.host, table.port, unit_of(table, register_map), timeout_s)
        line = self._lines[table.line]
        if isinstance(line, ListeningLine):
            raise ValueError(f"another master asks on line {table.line}")
        if isinstance(table, SerialInstrumentTable):
            return self._instrument(line, table, register_map)
        return ModbusRtu(line, unit_of(table, register_map), device.latency_ms / 1000)

    def _instrument(self, line: SerialLine, table: SerialInstrumentTable, register_map: RegisterMap) -> Source:
        instrument, address = register_map.instrument, address_of(table, register_map)
        if instrument is None or instrument.streams:
            raise ValueError(f"{register_map.id} is not asked: it talks by itself")
        if instrument.protocol == "ei-bisynch":
            return Bisynch(line, register_map, int(address))
        return PolledText(line, register_map, str(address))
