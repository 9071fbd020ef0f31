"""An instrument that tells its values without being asked: its newest line becomes rows; nothing is ever sent."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from edgeagent.acquire.beats import Beats
from edgeagent.acquire.plan import plan
from edgeagent.acquire.serial_port import LONGEST_PAUSE_NS, OPEN_AGAIN_NS, SerialPort
from edgeagent.acquire.text_instrument import Causes
from edgeagent.durations import Durations
from edgeagent.errors import Unreachable
from edgeagent.pulse import Pulse
from firmware_iface.frames.text_line import Lines, Phrases
from firmware_iface.instrument import registers

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeagent.acquire.plan import GroupPlan
    from edgeagent.acquire.serial_port import Tap
    from edgeagent.acquire.source import Block
    from edgeagent.clock import Clock
    from edgeagent.config import LineTable
    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row
    from firmware_iface.frames.text_line import Said

_log = logging.getLogger(__name__)

class TextStream:
    """Makes rows of an instrument's lines; tells each beat as a poller does.

    A group has the newest line's values while that is no older than the group's longest age; the time of the group is
    when the line was heard. A line that began before the port was open, or with a pause in it, is not believed.

    Attributes:
        groups: the read plan.
        errors: beats without a value by cause. reads: lines understood. skipped: beats that were too late.
        lateness: how late the others came, by the clock.
    """

    durations = None
    """Nobody is asked here."""

    def __init__(
        self, machine: Machine, source: int, line: LineTable, address: str, row: Row, clock: Clock,
        beat: Callable[[int], None], tap: Tap | None = None,
    ) -> None:  # fmt: skip
        register_map = machine.maps[source]
        assert register_map.instrument is not None
        self.name = f"{line.port}/{address}"
        self.errors: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.reads = 0
        self.skipped = 0
        self.lateness = Durations()
        self.pulse = Pulse()
        self._machine = machine
        self._clock = clock
        self._beat = beat
        self.groups = plan(machine, source, row)
        self._port = SerialPort(line.port, line.baud, line.parity, line.stop_bits, self._take, line.data_bits, tap)
        self._longest = register_map.instrument.max_line
        self._lines = Lines(self._longest, is_inside=True)
        self._phrases = Phrases(register_map.instrument, address)
        self._causes = Causes(self.name, register_map)
        self._said: Said | None = None
        self._said_at = (0, 0)
        """Monotonic and wall ns of the newest line that was understood."""
        self._strange = ""
        self._heard_ns = 0
        self._tried_ns = -OPEN_AGAIN_NS
        self._told = ""

    async def run(self) -> None:
        """Listen until cancelled."""
        beats = Beats([self._machine.groups[group.index].period_ns for group in self.groups], self._clock,
                      self.lateness, self.pulse)
        try:
            while True:
                group = self.groups[await beats.next()]
                self.skipped = beats.skipped
                self._update(group)
                self._beat(group.index)
        finally:
            self._port.close()

    def latest(self, block: Block) -> bytes | None:
        """The newest line's values as registers; None where none was understood."""
        return registers(self._said.values, block.address, block.count) if self._said else None

    def open(self) -> None:
        """Open the port; raises Unreachable."""
        self._lines = Lines(self._longest, is_inside=True)
        self._port.open()

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _update(self, group: GroupPlan) -> None:
        self._open()
        # What the port has by now is as new as the beat.
        self._port.receive()
        oldest = self._clock.monotonic_ns() - self._machine.groups[group.index].max_age_ns
        answers = [self.latest(part.block) for part in group.blocks] if self._said_at[0] >= oldest else []
        if answers and None not in answers:
            group.decode([answer for answer in answers if answer is not None], *self._said_at)
            self._tell("", f"{self.name} is understood")
            return
        group.miss()
        if self._port.is_open and self._tried_ns < oldest:
            self.errors["not heard"] += 1
            heard = f"; heard was {self._strange!r}" if self._strange else ""
            self._tell("not heard", f"{self.name}: no line that the map describes{heard}")

    def _open(self) -> None:
        """Open the port where it is not, seldom when that fails."""
        now = self._clock.monotonic_ns()
        if self._port.is_open or now < self._tried_ns + OPEN_AGAIN_NS:
            return
        self._tried_ns = now
        try:
            self.open()
        except Unreachable as error:
            self.errors[error.cause] += 1
            self._tell(error.cause, str(error))

    def _take(self, data: bytes) -> None:
        now = self._clock.monotonic_ns()
        if not data:
            self._said = None
        if self._lines.is_inside and now - self._heard_ns > LONGEST_PAUSE_NS:
            self._lines.drop()
        self._heard_ns = now
        for line in self._lines.feed(data):
            said = self._phrases.understand(line)
            if said is None:
                self._strange = line[:60]
                continue
            self.reads += 1
            self._strange = ""
            self._said, self._said_at = said, (now, self._clock.wall_ns())
            self._causes.tell_all(said.causes)

    def _tell(self, cause: str, sentence: str) -> None:
        if cause != self._told:
            (_log.warning if cause else _log.info)("%s: %s", self._machine.id, sentence)
            self._told = cause
