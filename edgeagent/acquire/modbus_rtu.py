"""Modbus RTU: one unit on a serial line, with every answer held against its question."""

from __future__ import annotations

from edgeagent.acquire.line_unit import LineUnit
from edgeagent.acquire.serial_line import SerialLine
from edgeagent.acquire.serial_port import MARGIN_S
from edgeagent.acquire.source import Allows, Block, Words, always, unknown_outcome
from edgeagent.errors import MachineError, Refused, Unreachable
from firmware_iface.frames.rtu import Answer, Confirmation, Refusal
from firmware_iface.frames.writes import write

_FUNCTION = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


class ModbusRtu(LineUnit):
    """One unit on a serial line.

    Args:
        unit: 1 to 247. latency_s: see LineUnit.
        pause_s: how long the unit rests between two requests, whoever makes them.
    """

    _unit: int

    def __init__(self, line: SerialLine, unit: int, latency_s: float, pause_s: float = 0.0) -> None:
        super().__init__(line, unit, latency_s)
        line.rest(unit, pause_s)

    async def read(self, block: Block, is_urgent: bool = False) -> bytes:
        """Ask once; the answer's unit, function, length and checksum must fit the question."""
        answer = Answer(self._unit, _FUNCTION[block.table], block.address, block.count)
        return await self._ask(answer, block, is_urgent)

    async def write(self, words: Words, allows: Allows = always) -> None:
        """Write once; the answer's unit, function, address, value or count and checksum must fit the request.

        On a line of which it is not known whether it gives back what is sent nothing is written: the echo of a write
        of one value is its answer, bit for bit. Any answer on the line tells it.
        """
        pdu = write(words.table, words.address, words.values)
        if self._line.is_echoed is None:
            raise Unreachable(f"{self.name}: nobody has answered on the line yet")
        with unknown_outcome():
            await self._ask(Confirmation(self._unit, pdu, self._line.is_echoed), words, is_urgent=True, allows=allows)

    async def _ask(
        self, answer: Answer, what: Block | Words, is_urgent: bool, allows: Allows = always
    ) -> bytes:
        timeout_s = self._line.seconds(len(answer.request) + answer.length) + self._latency_s + MARGIN_S
        try:
            return await self._line.ask(answer, timeout_s, is_urgent, allows)
        except Refusal as refusal:
            raise Refused(f"{self.name} refused {what}: {refusal}", refusal.code) from refusal
        except MachineError as error:
            raise type(error)(f"{error} ({what})") from error
