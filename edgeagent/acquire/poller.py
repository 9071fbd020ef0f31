"""The beat of one wire: every group at its absolute time, one request at a time, own retry and back-off."""

from __future__ import annotations

import logging
import random
from collections import Counter
from typing import TYPE_CHECKING

from edgeagent.acquire.beats import Beats
from edgeagent.acquire.recognition import Recognition
from edgeagent.durations import Durations
from edgeagent.errors import BadAnswer, MachineError, Refused, Silent
from edgeagent.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeagent.acquire.plan import GroupPlan
    from edgeagent.acquire.source import Source
    from edgeagent.clock import Clock
    from edgeagent.model.machine import Machine
    from firmware_iface.registers import RegisterMap

_log = logging.getLogger(__name__)

_ILLEGAL_ADDRESS = 2
_TARGET_IS_SILENT = (10, 11)
"""A gateway says that the device behind it does not answer; asking on would only keep its line busy."""

_BACK_OFF_S = 0.5
_BACK_OFF_CAP_S = 30.0
_DOUBLINGS = 6
_STABLE_NS = 10_000_000_000
_UNANSWERED_LIMIT = 3
"""Questions in a row without a right answer, before the device is left alone for a while."""


class Poller:
    """Reads one source's groups on time and tells each beat, read or missed.

    Args:
        register_map: what the source's device must be, and how much rest it wants.
        beat: called after every beat with the group's index; the row then holds what was read, or bad values.

    Attributes:
        errors: failed requests by cause. reads: answered requests. skipped: beats that were too late to be read.
        durations: how long each whole group took to read; lateness: how late each beat came; both by the clock.
        pulse: turns with each beat and each request, answered or not.
    """

    def __init__(
        self, machine: Machine, source: Source, groups: Sequence[GroupPlan], clock: Clock, beat: Callable[[int], None],
        register_map: RegisterMap,
    ) -> None:  # fmt: skip
        self.name = source.name
        self.source = source
        self.errors: Counter[str] = Counter()
        self.reads = 0
        self.skipped = 0
        self.durations = Durations()
        self.lateness = Durations()
        self.pulse = Pulse()
        self._machine = machine
        self._groups = groups
        self._clock = clock
        self._beat = beat
        self._pause_s = register_map.device.pause_ms / 1000
        self._recognition = Recognition(register_map)
        self._is_known = False
        self._unanswered = 0
        self._failures = 0
        self._next_try_ns = 0
        self._good_since_ns = 0
        self._told: dict[int, str] = {}
        """Group → what is wrong with it, as last logged."""

    async def run(self) -> None:
        """Poll until cancelled; a beat that comes too late is skipped and counted, never made up for in a burst."""
        beats = Beats([self._machine.groups[group.index].period_ns for group in self._groups], self._clock,
                      self.lateness, self.pulse)
        try:
            while True:
                group = self._groups[await beats.next()]
                self.skipped = beats.skipped
                await self._read(group)
                self._beat(group.index)
        except Exception:
            for group in self._groups:
                group.miss()
            raise
        finally:
            self.source.close()

    async def _read(self, group: GroupPlan) -> None:
        """Fill the row from one read of the whole group, or mark it as missed."""
        try:
            begun_ns = self._clock.monotonic_ns()
            if begun_ns < self._next_try_ns:
                group.miss()
                return
            await self._connect()
            answers = []
            read_ns = wall_ns = 0
            for block in group.blocks:
                if self._pause_s:
                    await self._clock.sleep(self._pause_s)
                self.pulse.turn()
                answers.append(await self.source.read(block.block))
                read_ns = read_ns or self._clock.monotonic_ns()
                wall_ns = wall_ns or self._clock.wall_ns()
                self.reads += 1
            group.decode(answers, read_ns, wall_ns)
            self.durations.add(self._clock.monotonic_ns() - begun_ns)
            self._worked(read_ns, group)
        except MachineError as error:
            group.miss()
            self._failed(error, group)

    async def _connect(self) -> None:
        """Open the way, and make sure who is at its end, wherever that is not known any more."""
        if not self.source.connected:
            self._is_known = False
            await self.source.connect()
            self.pulse.turn()
        if not self._is_known:
            await self._recognition.demand(self.source)
            self._is_known = True
            self._good_since_ns = 0

    def _worked(self, now: int, group: GroupPlan) -> None:
        self._unanswered = 0
        self._good_since_ns = self._good_since_ns or now
        if self._failures and now - self._good_since_ns > _STABLE_NS:
            self._failures = 0
        if self._told.pop(group.index, ""):
            name = self._machine.groups[group.index].name
            _log.info("%s: %s answers for %s again", self._machine.id, self.source.name, name)

    def _failed(self, error: MachineError, group: GroupPlan) -> None:
        self.errors[error.cause] += 1
        if self._told.get(group.index) != error.cause:
            _log.warning("%s: %s: %s", self._machine.id, self._machine.groups[group.index].name, error)
            self._told[group.index] = error.cause
        if isinstance(error, Refused) and error.code not in _TARGET_IS_SILENT:
            if error.code == _ILLEGAL_ADDRESS and group.split():
                _log.warning("%s: %s refuses to be read across gaps; reading its blocks one by one",
                             self._machine.id, self.source.name)
            return
        self._good_since_ns = 0
        self._is_known = False
        if isinstance(error, (Silent, BadAnswer, Refused)):
            self._unanswered += 1
            if self._unanswered < _UNANSWERED_LIMIT and not self._failures:
                return
        if not isinstance(error, Refused):
            self.source.close()
        self._rest()

    def _rest(self) -> None:
        """Leave the device alone: full jitter, longer with each failure, shorter only after a stable while."""
        self._unanswered = 0
        longest = min(_BACK_OFF_CAP_S, _BACK_OFF_S * 2.0 ** min(self._failures, _DOUBLINGS))
        self._failures += 1
        wait_s = random.uniform(0, longest)  # noqa: S311
        self._next_try_ns = self._clock.monotonic_ns() + round(wait_s * 1e9)
