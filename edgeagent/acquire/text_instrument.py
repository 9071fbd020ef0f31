"""Instruments on a serial line that are asked in text: each answer becomes float64 registers, NaN for what is none."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from edgeagent.acquire.line_unit import LineUnit
from edgeagent.acquire.serial_port import MARGIN_S
from edgeagent.acquire.source import always
from edgeagent.errors import NotWritable
from firmware_iface.frames import bisynch, text_line
from firmware_iface.instrument import number, registers, status_bit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeagent.acquire.serial_line import SerialLine
    from edgeagent.acquire.source import Allows, Block, Words
    from firmware_iface.instrument import Reading
    from firmware_iface.registers import RegisterMap

_log = logging.getLogger(__name__)

SPEAKS_TEXT = "the instrument speaks text, and this agent only reads such ones"
"""Why it is not written."""


class Causes:
    """Logs why an instrument that answers gives no value of a reading, once until that changes by more than numbers.

    Args:
        name: of the instrument, for the log.
    """

    def __init__(self, name: str, register_map: RegisterMap) -> None:
        self._name = name
        self._paths = {register.address: register.path for register in register_map.registers}
        self._told: dict[int, str] = {}

    def tell(self, address: int, cause: str) -> None:
        """Say why the reading at an address has no value; empty where it has one."""
        words = "".join(filter(str.isalpha, cause))
        if cause and self._told.get(address) != words:
            _log.warning("%s: no %s: %s", self._name, self._paths[address], cause)
            self._told[address] = words
        elif not cause and self._told.pop(address, ""):
            _log.info("%s: %s has a value again", self._name, self._paths[address])

    def tell_all(self, causes: Mapping[int, str]) -> None:
        """Say it of every reading; those without a cause have a value."""
        for address in self._paths:
            self.tell(address, causes.get(address, ""))


class _TextUnit(LineUnit):
    """An instrument that is asked in text and never written."""

    def __init__(self, line: SerialLine, register_map: RegisterMap, unit: int | str) -> None:
        super().__init__(line, unit, register_map.device.latency_ms / 1000)
        self._causes = Causes(self.name, register_map)

    async def write(self, _words: Words, _allows: Allows = always) -> None:
        """Never: this agent only reads instruments that speak text; raises NotWritable."""
        raise NotWritable(f"{self.name}: {SPEAKS_TEXT}")


class Bisynch(_TextUnit):
    """One EI-Bisynch unit; every reading is a question of its own, with a pause between two for the others' questions.

    Args:
        register_map: with an instrument of the protocol.
        unit: 1 to 99.
    """

    _unit: int

    def __init__(self, line: SerialLine, register_map: RegisterMap, unit: int) -> None:
        assert register_map.instrument is not None
        super().__init__(line, register_map, unit)
        self._readings = register_map.instrument.readings
        self._pause_s = register_map.device.pause_ms / 1000

    async def read(self, block: Block, is_urgent: bool = False) -> bytes:
        """Ask for the block's readings one after the other; a parameter that the unit does not know has no value."""
        here = range(block.address, block.address + block.count)
        wanted = [reading for reading in self._readings if reading.address in here]
        answers: dict[str, bytes] = {}
        for mnemonic in dict.fromkeys(reading.mnemonic or "" for reading in wanted):
            if answers:
                await asyncio.sleep(self._pause_s)
            answers[mnemonic] = await self._ask(mnemonic, is_urgent)
        values = {reading.address: self._value(reading, answers[reading.mnemonic or ""]) for reading in wanted}
        return registers(values, block.address, block.count)

    async def _ask(self, mnemonic: str, is_urgent: bool) -> bytes:
        answer = bisynch.Answer(self._unit, mnemonic)
        characters = len(answer.request) + bisynch.LONGEST
        return await self._line.ask(answer, self._line.seconds(characters) + self._latency_s + MARGIN_S, is_urgent)

    def _value(self, reading: Reading, answer: bytes) -> float:
        refusal = bisynch.REFUSALS.get(answer)
        text = "" if refusal else answer.decode("ascii")[2:]
        value = number(text) if reading.bit is None else status_bit(text, reading.bit)
        wrong = "" if value == value else f"{text!r} is no number"  # noqa: PLR0124
        self._causes.tell(reading.address, refusal or wrong)
        return value


class PolledText(_TextUnit):
    """An instrument that answers a poll with a line of text.

    Args:
        register_map: with an instrument that has a poll.
        address: the instrument's own.
    """

    _unit: str

    def __init__(self, line: SerialLine, register_map: RegisterMap, address: str) -> None:
        assert register_map.instrument is not None
        super().__init__(line, register_map, address)
        self._instrument = register_map.instrument
        self._phrases = text_line.Phrases(register_map.instrument, address)
        self._timeout_s = register_map.device.timeout_ms / 1000

    async def read(self, block: Block, is_urgent: bool = False) -> bytes:
        """Ask for one line; of an instrument that is not ready no reading has a value."""
        answer = text_line.Answer(self._instrument, self._phrases, self._unit)
        line = await self._line.ask(answer, self._timeout_s, is_urgent)
        said = self._phrases.understand(line.decode("ascii"))
        assert said is not None
        self._causes.tell_all(said.causes)
        return registers(said.values, block.address, block.count)
