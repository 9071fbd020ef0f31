"""Listening on a line where another master asks: what it is answered becomes values; nothing is ever sent."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from edgeagent.acquire.beats import Beats
from edgeagent.acquire.pieces import packed, piece, point_by_point
from edgeagent.acquire.serial_port import LONGEST_PAUSE_NS, OPEN_AGAIN_NS, SerialPort, Tap
from edgeagent.acquire.trust import rules
from edgeagent.durations import Durations
from edgeagent.errors import Unreachable
from edgeagent.pulse import Pulse
from firmware_iface.frames.overheard import Conversation
from firmware_iface.spans import BIT_TABLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeagent.acquire.source import Block
    from edgeagent.clock import Clock
    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row
    from firmware_iface.frames.overheard import Overheard, Question
    from firmware_iface.registers import Register

_log = logging.getLogger(__name__)

_TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}


class Heard(NamedTuple):
    """One register (two bytes) or one bit (one byte, 0 or 1), when it was heard, and which of the line's answers."""

    data: bytes
    monotonic_ns: int
    wall_ns: int
    answer: int


class ListeningLine:
    """A port on which nothing is sent, and the newest of what was said there of the places that are wanted."""

    def __init__(
        self, port: str, baud: int, parity: str, stop_bits: int, clock: Clock, tap: Tap | None = None
    ) -> None:
        self.port = port
        self.answers = 0
        """Answers understood so far."""
        self._port = SerialPort(port, baud, parity, stop_bits, self._take, tap=tap)
        self._clock = clock
        self._conversation = Conversation()
        self._heard_ns = 0
        self._open_ns = 0
        self._places: dict[tuple[int, str, int], Heard | None] = {}

    @property
    def questions(self) -> Counter[Question]:
        """What the other master asks for, and how often since the port was opened."""
        return self._conversation.questions

    def want(self, unit: int, register: Register) -> None:
        """Keep what is heard of a register."""
        for address in range(register.address, register.address + register.count):
            self._places.setdefault((unit, register.table, address), None)

    def open(self) -> bool:
        """Open the port where it is not, seldom when that fails; says whether it is open. Raises Unreachable."""
        if self._port.is_open:
            return True
        now = self._clock.monotonic_ns()
        if now < self._open_ns:
            return False
        self._open_ns = now + OPEN_AGAIN_NS
        self._conversation = Conversation()
        self._port.open()
        return True

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def read(self, unit: int, block: Block, since_ns: int) -> tuple[bytes, int, int] | None:
        """What was heard of a block, with its monotonic and wall time.

        None where it is older, or where it did not come in one answer: halves of two moments are no number.
        """
        parts = [self._places.get((unit, block.table, block.address + i)) for i in range(block.count)]
        first = parts[0]
        if first is None or first.monotonic_ns < since_ns:
            return None
        data = [part.data for part in parts if part is not None and part.answer == first.answer]
        if len(data) < len(parts):
            return None
        return packed(data) if block.table in BIT_TABLES else b"".join(data), first.monotonic_ns, first.wall_ns

    def _take(self, data: bytes) -> None:
        now = self._clock.monotonic_ns()
        if not data or now - self._heard_ns > LONGEST_PAUSE_NS:
            self._conversation.silence()
        self._heard_ns = now
        for answer in self._conversation.feed(data):
            self.answers += 1
            self._keep(answer, now, self._clock.wall_ns())

    def _keep(self, answer: Overheard, now: int, wall: int) -> None:
        table = _TABLES[answer.function]
        for i in range(answer.quantity):
            place = (answer.unit, table, answer.address + i)
            if place in self._places:
                self._places[place] = Heard(piece(table, answer.data, i), now, wall, self.answers)


class Listener:
    """Makes rows of what another master is answered by one unit; tells each beat as a poller does.

    A point's value is good while it was heard within its group's longest age; nothing of it is invented, so a point
    that the other master never asks for stays bad. The time of a group is that of its oldest value.
    """

    durations = None
    """Nobody is asked here."""

    def __init__(
        self, machine: Machine, source: int, line: ListeningLine, unit: int, row: Row, clock: Clock,
        beat: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.name = f"{line.port}/{unit}"
        self.errors: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.skipped = 0
        self.lateness = Durations()
        self.pulse = Pulse()
        self._machine = machine
        self._line = line
        self._unit = unit
        self._row = row
        self._clock = clock
        self._beat = beat
        self.groups = point_by_point(machine, source, row)
        for register in machine.maps[source].registers:
            line.want(unit, register)
        self._rules = rules(machine, source, row)
        self._told: dict[int, str] = {}
        """Group → what is wrong with it, as last logged."""

    @property
    def reads(self) -> int:
        """Answers understood on the line."""
        return self._line.answers

    async def run(self) -> None:
        """Listen until cancelled."""
        indexes = list(self.groups)
        beats = Beats([self._machine.groups[index].period_ns for index in indexes], self._clock, self.lateness,
                      self.pulse)
        try:
            while True:
                index = indexes[await beats.next()]
                self.skipped = beats.skipped
                self._update(index)
                self._beat(index)
        finally:
            self._line.close()

    def _update(self, index: int) -> None:
        """Fill the group's points with what was heard of each within the group's longest age."""
        try:
            is_open = self._line.open()
        except Unreachable as error:
            is_open = False
            self.errors[error.cause] += 1
            self._tell(index, error.cause, str(error))
        since = self._clock.monotonic_ns() - self._machine.groups[index].max_age_ns
        times = []
        for point in self.groups[index]:
            block = point.blocks[0].block
            heard = self._line.read(self._unit, block, since) if is_open else None
            if heard is None:
                point.miss()
            else:
                point.decode([heard[0]], heard[1], heard[2])
                times.append(heard[1:])
        if times:
            self._row.times[index], self._row.stamps[index] = min(times)
            for rule in self._rules.get(index, ()):
                # At the time of what was heard: a replay of it must come to the same.
                rule.judge(self._row.times[index])
            self._tell(index, "", f"{self.name} is heard again for {self._machine.groups[index].name}")
        elif is_open:
            self.errors["not heard"] += 1
            self._tell(index, "not heard", f"{self.name}: nobody is heard asking it for "
                       f"{self._machine.groups[index].name}; where this agent is to ask by itself, and no other master "
                       "does, say `master = true` of the line")

    def _tell(self, index: int, cause: str, sentence: str) -> None:
        if cause != self._told.get(index, ""):
            (_log.warning if cause else _log.info)("%s: %s", self._machine.id, sentence)
            self._told[index] = cause
