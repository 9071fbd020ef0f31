"""Every group of a device read once: each point as it is on the wire, its value, and why that is not good."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from edgeagent.acquire.pieces import Pieces, point_by_point
from edgeagent.acquire.plan import GroupPlan, plan
from edgeagent.acquire.source import Block
from edgeagent.errors import MachineError, Refused, Silent, Unreachable
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row, rounded, show
from firmware_iface import identity
from firmware_iface.frames.rtu import EXCEPTION
from firmware_iface.registers import Device
from firmware_iface.spans import BIT_TABLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeagent.acquire.listening import ListeningLine
    from edgeagent.acquire.source import Source
    from edgeagent.clock import Clock
    from edgeagent.model.machine import Machine
    from firmware_iface.registers import Register


class Reading(msgspec.Struct, frozen=True):
    """One point as it was read.

    Attributes:
        raw: the registers in hexadecimal as on the wire, "00F3 1200", with the bit where it is one of a register, or
            the bit of a table of bits; empty where nothing came.
        why: why the value is not good, in words; empty where it is.
    """

    machine: str
    source: int
    group: str
    point: str
    raw: str
    value: float | bool | str | None
    unit: str | None
    quality: str
    why: str


class Survey:
    """What was read of one of a machine's sources, kept until it is shown.

    Attributes:
        pieces: what the device answered.
    """

    def __init__(self, machine: Machine, index: int, clock: Clock) -> None:
        self.pieces = Pieces()
        self._machine = machine
        self._index = index
        self._clock = clock
        self._row = Row(len(machine.points), len(machine.groups))
        self._failed: dict[tuple[str, int], str] = {}
        self._points = point_by_point(machine, index, self._row)
        self._gone = ""

    async def read(self, source: Source) -> None:
        """Ask for every group once; a block that is refused is asked for again point by point. Raises nothing."""
        device = self._machine.maps[self._index].device
        for group in plan(self._machine, self._index, self._row):
            for merged in group.blocks:
                error = await self._ask(source, merged.block)
                if isinstance(error, Refused):
                    for point in self._points[group.index]:
                        if _is_in(point.blocks[0].block, merged.block):
                            await self._ask(source, point.blocks[0].block)
                await self._clock.sleep(device.pause_ms / 1000)
        source.close()

    def hear(self, line: ListeningLine, unit: int) -> None:
        """Take what was heard of a unit on a line where another master asks."""
        for points in self._points.values():
            for point in points:
                block = point.blocks[0].block
                if heard := line.read(unit, block, 0):
                    self.pieces.keep(block, heard[0])

    def take(self, latest: Callable[[Block], bytes | None]) -> None:
        """Take what an instrument told without being asked; `latest` gives the data of a block."""
        for points in self._points.values():
            for point in points:
                if data := latest(point.blocks[0].block):
                    self.pieces.keep(point.blocks[0].block, data)

    async def _ask(self, source: Source, block: Block) -> MachineError | None:
        if self._gone:
            return self._failing(block, Unreachable(self._gone))
        try:
            if not source.connected:
                await self._connect(source)
            self.pieces.keep(block, await source.read(block))
        except MachineError as error:
            if not isinstance(error, Refused):
                source.close()
            return self._failing(block, error)
        return None

    async def _connect(self, source: Source) -> None:
        try:
            await source.connect()
        except Unreachable as error:
            self._gone = str(error)
            raise

    def _failing(self, block: Block, error: MachineError) -> MachineError:
        """Keep why a block could not be read."""
        for i in range(block.count):
            self._failed[block.table, block.address + i] = told(error)
        return error

    def readings(self, missing: str = "not read") -> list[Reading]:
        """Every point in the order of the map; `missing` says why where nothing is known of one."""
        now, wall = self._clock.monotonic_ns(), self._clock.wall_ns()
        for group in plan(self._machine, self._index, self._row):
            answers = [self.pieces.read(block.block) for block in group.blocks]
            whole = [answer for answer in answers if answer is not None]
            if len(whole) == len(answers):
                group.decode(whole, now, wall)
                continue
            for point in self._points[group.index]:
                data = self.pieces.read(point.blocks[0].block)
                if data is None:
                    point.miss()
                else:
                    point.decode([data], now, wall)
        return [self._reading(register, now, missing) for register in self._machine.maps[self._index].registers]

    def misfits(self) -> list[str]:
        """What says that the device is another than the map describes, once all was decoded by `readings`."""
        register_map = self._machine.maps[self._index]
        values: dict[str, float | str | None] = {}
        for register in identity.points(register_map):
            column = self._machine.column[register.path]
            if self._row.good(column):
                is_text = register.type == "text"
                values[register.path] = self._row.texts.get(column) if is_text else self._row.values[column]
        return identity.misfits(register_map, values)

    def _reading(self, register: Register, now_ns: int, missing: str) -> Reading:
        machine = self._machine
        point = machine.point(register.path)
        data = self.pieces.read(Block(register.table, register.address, register.count))
        shown = show(machine, self._row, point, now_ns)
        why = ""
        if data is None:
            why = self._failed.get((register.table, register.address), "") or missing
        elif self._row.quality[point.index] != Quality.GOOD:
            why = _doubt(register, data)
        return Reading(machine.id, self._index, machine.groups[point.group].name, register.path,
                       "" if data is None else _raw(register, data), shown.value, shown.unit, shown.quality, why)


def _is_in(block: Block, around: Block) -> bool:
    return (block.table == around.table and around.address <= block.address
            and block.address + block.count <= around.address + around.count)


def told(error: MachineError) -> str:
    """Why a question brought nothing, in short."""
    if isinstance(error, Refused):
        return f"refused: {EXCEPTION.get(error.code, 'exception')} ({error.code})"
    if isinstance(error, Silent):
        return "silent"
    return f"{'' if isinstance(error, Unreachable) else 'bad answer: '}{error}"


def _raw(register: Register, data: bytes) -> str:
    if register.table in BIT_TABLES:
        return str(data[0] & 1)
    bit = "" if register.bit is None else f" bit {register.bit}"
    return data.hex(" ", 2).upper() + bit


def _doubt(register: Register, data: bytes) -> str:
    """Why an answered point is not good."""
    unlimited = replace(register, low=None, high=None)
    value = _decoded(unlimited, data)
    if math.isnan(value):
        is_told = not math.isnan(_decoded(replace(unlimited, not_available=()), data))
        return "not available: the device says that it has no value" if is_told else "no number"
    low = -math.inf if register.low is None else register.low
    high = math.inf if register.high is None else register.high
    if not low <= value <= high:
        return f"out of range: {rounded(value, register.decimals)} is not from {low:g} to {high:g}"
    return "not to be trusted by a rule of the map"


def _decoded(register: Register, data: bytes) -> float:
    """A point's number, or NaN."""
    row = Row(1, 1)
    GroupPlan(0, [(0, register)], Device(), row).decode([data], 0, 0)
    return row.values[0]
