"""From the configuration to the readers of a machine: one owner for each port, shared by all units behind it."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from edgeagent.acquire.heartbeat import Heartbeat
from edgeagent.acquire.last_frames import LastFrames
from edgeagent.acquire.listening import Listener, ListeningLine
from edgeagent.acquire.modbus import ModbusTcp, TcpConnection
from edgeagent.acquire.modbus_rtu import ModbusRtu
from edgeagent.acquire.plan import plan
from edgeagent.acquire.poller import Poller
from edgeagent.acquire.reach import Reach
from edgeagent.acquire.recorder import RecordedSource
from edgeagent.acquire.serial_line import SerialLine
from edgeagent.acquire.text_instrument import Bisynch, PolledText
from edgeagent.acquire.text_stream import TextStream
from edgeagent.config import ModbusTcpTable, SerialInstrumentTable, address_of, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgeagent.acquire.plan import GroupPlan
    from edgeagent.acquire.recorder import Recorder
    from edgeagent.acquire.serial_port import Tap
    from edgeagent.acquire.source import Source
    from edgeagent.clock import Clock
    from edgeagent.config import LineTable, MachineTable, SourceTable
    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row
    from firmware_iface.registers import Device, RegisterMap

_LEAST_TIMEOUT_S = 0.25
"""Real seconds: a sped-up clock does not make the computer's network faster."""

Reader = Poller | Listener | TextStream
"""Keeps the beat of one source."""


class Wires:
    """All wires of one agent.

    Args:
        recorder: takes everything that happens on them.

    Attributes:
        last_frames: the newest bytes of each.
        reaches: machine id → the way to its points, once its readers are made.
        heartbeats: of the sources that the configuration has it written to.
        longest_wait_s: real seconds in which a request ends, or a device is recognised, even where none answers.
    """

    def __init__(self, lines: Iterable[LineTable], clock: Clock, recorder: Recorder | None = None) -> None:
        self._clock = clock
        self._recorder = recorder
        self.last_frames = LastFrames(clock.wall_ns)
        self.reaches: dict[str, Reach] = {}
        self.heartbeats: list[Heartbeat] = []
        self.longest_wait_s = 0.0
        self._asked = Counter[tuple[str, int]]()
        self._connections: dict[tuple[str, int, int], TcpConnection] = {}
        self._tables = {line.id: line for line in lines}
        self._lines: dict[str, SerialLine | ListeningLine] = {
            line.id: SerialLine(line.port, line.baud, line.parity, line.stop_bits, line.data_bits, self._tap(line.id))
            if line.master
            else ListeningLine(line.port, line.baud, line.parity, line.stop_bits, clock, self._tap(line.id))
            for line in self._tables.values()
        }  # fmt: skip

    def readers(self, table: MachineTable, machine: Machine, row: Row, beat: Callable[[int], None]) -> list[Reader]:
        """Make the readers of all sources of a machine; `beat` is called after each beat with its group's index."""
        readers = [self.reader(source, machine, index, row, beat) for index, source in enumerate(table.sources)]
        units = [None if isinstance(source, SerialInstrumentTable) else unit_of(source, each)
                 for source, each in zip(table.sources, machine.maps, strict=True)]
        self.reaches[machine.id] = Reach(machine, readers, units)
        return readers

    def reader(
        self, table: SourceTable, machine: Machine, index: int, row: Row, beat: Callable[[int], None]
    ) -> Reader:
        """Make the reader of the source that is at this place of the machine."""
        register_map = machine.maps[index]
        device = register_map.device
        # All devices may share a line, and the one whose turn it is may be asked for a few things in a row.
        self.longest_wait_s += 4 * (device.timeout_ms + device.latency_ms + device.pause_ms) / 1000
        if isinstance(table, SerialInstrumentTable):
            if register_map.instrument and register_map.instrument.streams:
                stream = self.stream(table, machine, index, row, beat)
                self._watch(machine, stream.groups)
                return stream
        elif not isinstance(table, ModbusTcpTable):
            line = self._lines[table.line]
            if isinstance(line, ListeningLine):
                listener = Listener(machine, index, line, unit_of(table, register_map), row, self._clock, beat)
                self._watch(machine, chain.from_iterable(listener.groups.values()))
                return listener
        groups, source = plan(machine, index, row), self.source(table, register_map)
        if self._recorder:
            source = RecordedSource(source, self._recorder)
        self._watch(machine, groups)
        poller = Poller(machine, source, groups, self._clock, beat, register_map)
        if not isinstance(table, SerialInstrumentTable) and table.heartbeat and register_map.heartbeat:
            self.heartbeats.append(Heartbeat(register_map, poller, self._clock))
        return poller

    def _watch(self, machine: Machine, groups: Iterable[GroupPlan]) -> None:
        if self._recorder:
            self._recorder.watch(machine, groups)

    def _tap(self, wire: str) -> Tap:
        keep = self.last_frames.tap(wire)
        if self._recorder is None:
            return keep
        record = partial(self._recorder.wire, wire)

        def both(is_sent: bool, data: bytes) -> None:
            keep(is_sent, data)
            record(is_sent, data)

        return both

    def source(self, table: SourceTable, register_map: RegisterMap) -> Source:
        """Make the way to a device that this agent may ask.

        Raises:
            ValueError: it is on a line where another master asks, or talks without being asked.
        """
        device = register_map.device
        if isinstance(table, ModbusTcpTable):
            timeout_s = self._timeout_s(device)
            return ModbusTcp(self._connection(table, device, timeout_s), unit_of(table, register_map), timeout_s)
        line = self._lines[table.line]
        if isinstance(line, ListeningLine):
            raise ValueError(f"another master asks on line {table.line}")
        if isinstance(table, SerialInstrumentTable):
            return self._instrument(line, table, register_map)
        return ModbusRtu(line, unit_of(table, register_map), device.latency_ms / 1000)

    def _timeout_s(self, device: Device) -> float:
        """Real seconds that the device has for an answer."""
        timeout_s = device.timeout_ms / 1000
        return timeout_s if self._clock.speed == 1.0 else max(_LEAST_TIMEOUT_S, timeout_s / self._clock.speed)

    def _connection(self, table: ModbusTcpTable, device: Device, timeout_s: float) -> TcpConnection:
        """A connection to the device of its own, or one of as many as the device takes."""
        asked = self._asked[table.host, table.port]
        self._asked[table.host, table.port] += 1
        place = (table.host, table.port, asked % device.connections)
        if place not in self._connections:
            tap = self._tap(f"{table.host}:{table.port}")
            self._connections[place] = TcpConnection(table.host, table.port, timeout_s, tap)
        return self._connections[place]

    def stream(
        self, table: SerialInstrumentTable, machine: Machine, index: int, row: Row, beat: Callable[[int], None]
    ) -> TextStream:
        """Make the ear for an instrument that talks by itself."""
        line, address = self._tables[table.line], str(address_of(table, machine.maps[index]))
        return TextStream(machine, index, line, address, row, self._clock, beat, self._tap(table.line))

    def _instrument(self, line: SerialLine, table: SerialInstrumentTable, register_map: RegisterMap) -> Source:
        instrument, address = register_map.instrument, address_of(table, register_map)
        if instrument is None or instrument.streams:
            raise ValueError(f"{register_map.id} is not asked: it talks by itself")
        if instrument.protocol == "ei-bisynch":
            return Bisynch(line, register_map, int(address))
        return PolledText(line, register_map, str(address))
