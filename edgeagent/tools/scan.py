"""`edgeagent scan PORT`: who is on a serial line, at which speed, and what the configuration for it would be."""

from __future__ import annotations

import asyncio
import sys
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from edgeagent.acquire.listening import ListeningLine
from edgeagent.acquire.modbus_rtu import ModbusRtu
from edgeagent.acquire.recognition import Recognition
from edgeagent.acquire.serial_line import SerialLine
from edgeagent.acquire.source import Block
from edgeagent.clock import Clock
from edgeagent.errors import BadAnswer, MachineError, Refused, Silent, Unreachable
from edgeagent.model.machine import Machine
from edgeagent.tools.live import tell_questions
from edgeagent.tools.proposal import Fit, Found, Settings, proposal
from edgeagent.tools.stopping import until
from edgeagent.tools.survey import Survey, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from firmware_iface.registers import RegisterMap

_PROBES = (Block("holding", 0, 1), Block("input", 0, 1))
"""What is asked: reading one register changes nothing, and a refusal proves a unit as well as data does."""
_CHARACTERS = 15
"""Of a question for one register and its answer."""
_NOISE = 8
"""Bytes heard that may be chance; more are somebody who talks."""
_TELL_EVERY = 50


class Wanted(NamedTuple):
    """What is tried.

    Attributes:
        units: 1 to 247. timeout_s: longest wait for an answer's begin. listen_s: time listened with each settings.
        maps: by their names, held against every unit that is found. is_named: the user named them, so each is told of.
        anyway: send where somebody else was heard, too.
    """

    port: str
    settings: Sequence[Settings]
    units: Sequence[int]
    timeout_s: float
    listen_s: float
    maps: Mapping[str, RegisterMap]
    is_named: bool
    anyway: bool


def settings(bauds: Iterable[int], parities: Iterable[str], stop_bits: Iterable[int]) -> list[Settings]:
    """Every combination, speeds first, in the order given."""
    return [Settings(*one) for one in product(bauds, parities, stop_bits)]


class Scan:
    """Listens first, then asks one unit after the other; what was found is kept when it is stopped.

    Attributes:
        found: the settings and units that answered. heard: the settings and units of another master's conversation.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.found: tuple[Settings, list[Found]] | None = None
        self.heard: tuple[Settings, list[Found]] | None = None
        self._wanted = wanted
        self._clock = Clock()

    async def run(self, stop: asyncio.Event) -> bool:
        """Print a configuration for what is found, when all was tried or `stop` is set; says whether there is any.

        Raises:
            Unreachable: the port cannot be used.
        """
        self._estimate()
        if not await until(stop, self._all()):
            _say("stopped; this is what was found so far")
        there = self.found or self.heard
        if there is None:
            _say(f"{self._wanted.port}: nobody found")
            return False
        print(proposal(self._wanted.port, *there, is_master=self.found is not None), end="", flush=True)
        return True

    def _estimate(self) -> None:
        wanted = self._wanted
        listen_s = len(wanted.settings) * wanted.listen_s
        ask_s = sum(self._seconds(one) for one in wanted.settings) * len(wanted.units)
        _say(f"{wanted.port}: listening takes {listen_s:.0f} s, asking {len(wanted.units)} units with "
             f"{len(wanted.settings)} settings at most {ask_s:.0f} s; Ctrl-C ends it with what was found so far")

    def _seconds(self, one: Settings) -> float:
        """How long a unit that is not there takes: an answer's time, and the silence after it."""
        return SerialLine(self._wanted.port, *one).seconds(_CHARACTERS) + 2 * self._wanted.timeout_s + 0.05

    async def _all(self) -> None:
        usable, heard = list[Settings](), False
        refused: Unreachable | None = None
        for one in self._wanted.settings:
            try:
                heard |= await self._hears(one)
                usable.append(one)
            except Unreachable as error:
                if str(error) != str(refused):
                    _say(f"{one}: {error}")
                refused = error
        if refused and not usable:
            raise refused
        if heard and not self._wanted.anyway:
            _say("somebody talks on this line, so nothing is sent: two masters disturb each other. Let the agent "
                 "listen (master = false), or switch the other master off, or say --anyway")
            return
        await self._ask_until_found(usable)

    async def _ask_until_found(self, usable: Sequence[Settings]) -> None:
        """Ask with each settings until somebody answers; raises Unreachable where none of them can be used any more."""
        refused = list[Unreachable]()
        for one in usable:
            try:
                await self._ask_all(one)
            except Unreachable as error:
                _say(f"{one}: {error}")
                refused.append(error)
            if self.found is not None:
                return
        if len(refused) == len(usable):
            raise refused[-1]

    async def _hears(self, one: Settings) -> bool:
        """Listen with these settings; says whether somebody talks."""
        heard = bytearray()
        line = ListeningLine(self._wanted.port, *one, self._clock, lambda _, data: heard.extend(data[:_NOISE]))
        line.open()
        try:
            await asyncio.sleep(self._wanted.listen_s)
        finally:
            line.close()
        if line.questions:
            _say(f"{one}: another master asks on this line")
            tell_questions(line.questions)
            units = sorted({question.unit for question in line.questions})
            self.heard = (one, [Found(unit, "asked by another master") for unit in units])
        elif len(heard) >= _NOISE:
            _say(f"{one}: somebody talks, but not understandably with these settings")
        return bool(line.questions) or len(heard) >= _NOISE

    async def _ask_all(self, one: Settings) -> None:
        line = SerialLine(self._wanted.port, *one)
        sources: list[ModbusRtu] = []
        _say(f"{one}: asking units {self._wanted.units[0]} to {self._wanted.units[-1]}")
        try:
            for place, unit in enumerate(self._wanted.units, start=1):
                sources.append(ModbusRtu(line, unit, self._wanted.timeout_s))
                await self._ask(sources[-1], unit, one)
                if place % _TELL_EVERY == 0:
                    _say(f"{one}: {place} of {len(self._wanted.units)} units asked")
        finally:
            for source in sources:
                source.close()

    async def _ask(self, source: ModbusRtu, unit: int, one: Settings) -> None:
        await source.connect()
        answers = []
        for probe in _PROBES:
            try:
                answers.append(f"{probe.table} 0: {(await source.read(probe)).hex().upper()}")
            except Refused as error:
                answers.append(f"{probe.table} 0: {told(error)}")
            except Silent:
                if not answers:
                    return
            except BadAnswer as error:
                _say(f"{one}: {error}")
                if not answers:
                    return
        proof = ", ".join(answers)
        _say(f"{one}: unit {unit} answers ({proof})")
        self.found = self.found or (one, [])
        self.found[1].append(Found(unit, proof))
        fits = [await self._hold(source, name, each) for name, each in self._wanted.maps.items()]
        self.found[1][-1] = Found(unit, proof, tuple(fit for fit in fits if fit))

    async def _hold(self, source: ModbusRtu, name: str, register_map: RegisterMap) -> Fit | None:
        """Hold a map against a unit; None where the unit is another device than the map's."""
        try:
            misfits = await Recognition(register_map).misfits(source)
        except MachineError as error:
            misfits = [told(error)]
        if misfits:
            if self._wanted.is_named:
                _say(f"  {name}: {'; '.join(misfits)}")
            return None
        survey = Survey(Machine("scan", (register_map,)), 0, self._clock)
        await survey.read(source)
        await source.connect()
        readings = survey.readings()
        fit = Fit(name, sum(bool(reading.raw) for reading in readings), len(readings))
        _say(f"  {name}: {fit.answered} of its {fit.points} points are answered, "
             f"{sum(not reading.why for reading in readings)} of them good")
        return fit


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
