"""`edgeagent check CONFIG --live`: every source asked once for everything, or listened to where another master asks."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from edgeagent.acquire.listening import ListeningLine
from edgeagent.acquire.wires import Wires
from edgeagent.clock import Clock
from edgeagent.config import ModbusRtuTable, SerialInstrumentTable, place_of, unit_of
from edgeagent.errors import Unreachable
from edgeagent.model.machine import Machine
from edgeagent.model.samples import Row
from edgeagent.store.connection import holder
from edgeagent.tools.stopping import until
from edgeagent.tools.survey import Survey

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edgeagent.config import Configuration, LineTable, SourceTable
    from edgeagent.tools.survey import Reading
    from firmware_iface.frames.overheard import Question
    from firmware_iface.registers import RegisterMap

_TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
_COLUMNS = ("point", "raw", "value", "unit", "quality", "why")
_WIDEST = 40
"""Characters of a column but the last."""


class LiveCheck:
    """Reads everything that a configuration describes, once.

    Args:
        maps: machine id → the maps of its sources. store: the agent's database file.
        seconds: how long is listened on a line on which another master asks.
        as_json: print one JSON object for each point instead of tables.
    """

    def __init__(
        self, configuration: Configuration, maps: dict[str, tuple[RegisterMap, ...]], store: Path, seconds: float,
        as_json: bool,
    ) -> None:  # fmt: skip
        self._configuration = configuration
        self._store = store
        self._seconds = seconds
        self._as_json = as_json
        self._clock = Clock()
        self._wires = Wires(configuration.lines, self._clock)
        self._machines = [Machine.configured(table, maps[table.id]) for table in configuration.machines]
        self._seen: Counter[bool] = Counter()
        """Points that are good, and points that are not."""
        self._strangers = 0

    async def run(self, stop: asyncio.Event) -> bool:
        """Print what is read until all is, or `stop` is set; says whether every point is good."""
        if owner := holder(self._store):
            _say(f"the agent is running with this configuration (process {owner}): it owns its serial lines, and a "
                 "device that takes one connection is taken; stop it for this check")
        is_whole = await until(stop, self._all())
        _say(f"{self._seen.total()} points, {self._seen[True]} good, {self._seen[False]} not"
             + ("" if is_whole else "; stopped before the end"))
        return is_whole and not self._seen[False] and not self._strangers

    async def _all(self) -> None:
        overheard = {source.line for _, _, source in self._sources() if isinstance(source, ModbusRtuTable)}
        for line in self._configuration.lines:
            if not line.master and line.id in overheard:
                await self._listen(line)
        for machine, index, source in self._sources():
            if not self._is_listened_to(source):
                survey = Survey(machine, index, self._clock)
                if isinstance(source, SerialInstrumentTable) and _talks(machine.maps[index]):
                    await self._hear(machine, index, source, survey)
                    continue
                await survey.read(self._wires.source(source, machine.maps[index]))
                self._show(machine, index, source, survey.readings())
                self._compare(machine, index, survey)

    def _sources(self) -> Iterable[tuple[Machine, int, SourceTable]]:
        for machine, table in zip(self._machines, self._configuration.machines, strict=True):
            for index, source in enumerate(table.sources):
                yield machine, index, source

    def _is_listened_to(self, source: SourceTable) -> bool:
        return isinstance(source, ModbusRtuTable) and not self._line_of(source).master

    def _line_of(self, source: ModbusRtuTable) -> LineTable:
        return next(line for line in self._configuration.lines if line.id == source.line)

    async def _listen(self, line: LineTable) -> None:
        _say(f"line {line.id} ({line.port}): master = false, so nothing is sent; listening for {self._seconds:g} s")
        heard = ListeningLine(line.port, line.baud, line.parity, line.stop_bits, self._clock)
        surveys = [(survey, machine, index, source) for machine, index, source in self._sources()
                   if isinstance(source, ModbusRtuTable) and source.line == line.id
                   for survey in [Survey(machine, index, self._clock)]]  # fmt: skip
        for _, machine, index, source in surveys:
            for register in machine.maps[index].registers:
                heard.want(unit_of(source, machine.maps[index]), register)
        missing = f"nobody was heard asking for it in {self._seconds:g} s"
        try:
            heard.open()
            await asyncio.sleep(self._seconds)
        except Unreachable as error:
            missing = str(error)
            _say(missing)
        heard.close()
        tell_questions(heard.questions)
        for survey, machine, index, source in surveys:
            survey.hear(heard, unit_of(source, machine.maps[index]))
            self._show(machine, index, source, survey.readings(missing))

    async def _hear(self, machine: Machine, index: int, source: SerialInstrumentTable, survey: Survey) -> None:
        """Listen to an instrument that talks by itself."""
        _say(f"{machine.id}: {place_of(source, machine.maps[index])} talks by itself; listening for"
             f" {self._seconds:g} s")
        stream = self._wires.stream(source, machine, index, Row(len(machine.points), len(machine.groups)), _nobody)
        missing = f"no line that the map describes was heard in {self._seconds:g} s"
        try:
            stream.open()
            await asyncio.sleep(self._seconds)
        except Unreachable as error:
            missing = str(error)
        survey.take(stream.latest)
        stream.close()
        self._show(machine, index, source, survey.readings(missing))

    def _compare(self, machine: Machine, index: int, survey: Survey) -> None:
        """Say whether it is the device that the map describes; a running agent would take no value of another."""
        misfits = survey.misfits()
        for misfit in misfits:
            _say(f"{machine.id}: not the device that {machine.maps[index].id} describes: {misfit}")
        self._strangers += bool(misfits)

    def _show(self, machine: Machine, index: int, source: SourceTable, readings: list[Reading]) -> None:
        self._seen.update(not reading.why for reading in readings)
        if self._as_json:
            for reading in readings:
                print(msgspec.json.encode(reading).decode(), flush=True)
            return
        register_map = machine.maps[index]
        print(f"{machine.id}: {place_of(source, register_map)}, {register_map.id} {register_map.version}")
        for line in _table(readings):
            print(f"  {line}")
        sys.stdout.flush()


def _talks(register_map: RegisterMap) -> bool:
    return bool(register_map.instrument and register_map.instrument.streams)


def _nobody(_group: int) -> None:
    """Nobody waits for the beats of an instrument that is only looked at."""


def tell_questions(questions: Counter[Question]) -> None:
    """Say who was asked for what by another master."""
    for question, times in questions.most_common(50):
        _say(f"heard: unit {question.unit} is asked for {question.quantity} of table {_TABLES[question.function]} "
             f"from {question.address} ({times} times)")
    if not questions:
        _say("heard: no question of a master")


def _table(readings: list[Reading]) -> Iterable[str]:
    rows = [_COLUMNS, *((r.point, r.raw, _plain(r.value), r.unit or "", r.quality, r.why) for r in readings)]
    widths = [min(_WIDEST, max(len(row[i]) for row in rows)) for i in range(len(_COLUMNS) - 1)]
    for row in rows:
        cells = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)]
        yield "  ".join((*cells, row[-1])).rstrip()


def _plain(value: float | bool | str | None) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
