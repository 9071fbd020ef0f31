"""The beat of one wire: every group at its absolute time, one request at a time, own retry and back-off."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from typing import TYPE_CHECKING

from edgeagent.acquire.awaited import Awaited
from edgeagent.acquire.beats import Beats
from edgeagent.acquire.recognition import Recognition
from edgeagent.acquire.source import always
from edgeagent.durations import Durations
from edgeagent.errors import BadAnswer, MachineError, NotWritable, Refused, Silent, Unreachable
from edgeagent.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeagent.acquire.plan import GroupPlan
    from edgeagent.acquire.source import Allows, Source, Words
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
_LEFT_ALONE = "does not answer and is left alone for a while"
_UNANSWERED_LIMIT = 3
"""Questions in a row without a right answer, before the device is left alone for a while."""


class Poller:
    """Reads one source's groups on time and tells each beat, read or missed; and writes, and reads, when it is told to.

    Args:
        register_map: what the source's device must be, and how much rest it wants.
        beat: called after every beat with the group's index; the row then holds what was read, or bad values.

    Attributes:
        errors: failed requests by cause. reads: answered requests. skipped: beats that were too late to be read.
        writes: requests to write by what became of them, "done" or a cause.
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
        self.writes: Counter[str] = Counter()
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
        self._connects = 0
        self._asking_who = asyncio.Lock()
        self._pace = Awaited()
        self._unanswered = 0
        self._failures = 0
        self._next_try_ns = 0
        self._good_since_ns = 0
        self._told: dict[int, str] = {}
        """Group → what is wrong with it, as last logged."""

    @property
    def is_known(self) -> bool:
        """Whether the device is connected, and was found to be what its map describes."""
        return self._is_known and self.source.connected

    async def write(self, words: Words, allows: Allows = always) -> None:
        """Write once, as the next request on the wire.

        Raises:
            Unreachable: the device is not known, now or when the turn has come; else as the source does, and as
                `allows` when the turn has come.
        """

        def is_its_turn() -> None:
            self._require_known()
            allows()

        try:
            self._require_known()
            await self.source.write(words, is_its_turn)
        except MachineError as error:
            self.writes[error.cause] += 1
            self._doubt(error)
            raise
        self.writes["done"] += 1

    def _require_known(self) -> None:
        if not self.is_known:
            raise Unreachable(f"{self.source.name} is not connected, or not recognised yet")

    async def refresh(self, index: int) -> None:
        """Read a group now, before all that waits, and tell an extra beat; its own beats go on as they would.

        The group that keeps the pace is waited for instead, until a beat of its own that begins after this call: boards
        count the beats that they were inside, and an extra one would hide one that was missed.

        Raises:
            Unreachable: the device does not answer and is left alone for a while; else as the source does. The row
                stays as it was.
        """
        if index == self._machine.pace:
            await self._pace.wait()
            return
        group = next(group for group in self._groups if group.index == index)
        if self._clock.monotonic_ns() < self._next_try_ns:
            raise Unreachable(f"{self.source.name} {_LEFT_ALONE}")
        try:
            await self._connect()
            is_newest = await self._fill(group, is_urgent=True)
        except MachineError as error:
            self.errors[error.cause] += 1
            self._doubt(error)
            raise
        if is_newest:
            self._beat(index)

    def _doubt(self, error: MachineError) -> None:
        """Ask the device who it is, before anything else, where it did not answer as it should."""
        if not isinstance(error, (Refused, NotWritable)):
            self._is_known = False

    async def run(self) -> None:
        """Poll until cancelled; a beat that comes too late is skipped and counted, never made up for in a burst."""
        beats = Beats([self._machine.groups[group.index].period_ns for group in self._groups], self._clock,
                      self.lateness, self.pulse)
        try:
            while True:
                group = self._groups[await beats.next()]
                self.skipped = beats.skipped
                is_pace = group.index == self._machine.pace
                if is_pace:
                    self._pace.begin()
                error = await self._read(group)
                if is_pace:
                    self._pace.end(error)
        except Exception:
            for group in self._groups:
                group.miss()
            raise
        finally:
            self._pace.begin()
            self._pace.end(Unreachable(f"{self.source.name} is polled no more"))
            self.source.close()

    async def _read(self, group: GroupPlan) -> MachineError | None:
        """Fill the row from one read of the whole group, or mark it as missed, and tell the beat; why it was missed."""
        missed: MachineError | None = None
        begun_ns = self._clock.monotonic_ns()
        if begun_ns < self._next_try_ns:
            missed = Unreachable(f"{self.source.name} {_LEFT_ALONE}")
            group.miss()
        else:
            try:
                await self._connect()
                is_newest = await self._fill(group)
                self.durations.add(self._clock.monotonic_ns() - begun_ns)
                self._worked(group)
                if not is_newest:
                    # A refresh was quicker, and has told the beat.
                    return None
            except MachineError as error:
                missed = error
                group.miss()
                self._failed(error, group)
        self._beat(group.index)
        return missed

    async def _fill(self, group: GroupPlan, is_urgent: bool = False) -> bool:
        """Read the whole group into the row; False where a newer read is in there already, which stays.

        All of it comes over the connection of which it is known who is at its end; raises BadAnswer otherwise.
        """
        blocks, answers = group.blocks, []
        connects = self._connects
        read_ns = wall_ns = 0
        for block in blocks:
            if self._pause_s:
                # The source makes sure of the rest; meanwhile others may ask on the same wire.
                await self._clock.sleep(self._pause_s)
            self.pulse.turn()
            answers.append(await self.source.read(block.block, is_urgent))
            if self._connects != connects:
                # Somebody else connected anew meanwhile, and may not know yet who it was that answered.
                raise BadAnswer(f"{self.source.name} was connected anew while {block.block} was read")
            read_ns = read_ns or self._clock.monotonic_ns()
            wall_ns = wall_ns or self._clock.wall_ns()
            self.reads += 1
        if group.blocks is not blocks:
            # Taken apart meanwhile, because the device refused a gap: the answers fit the plan no more.
            return await self._fill(group, is_urgent)
        is_newest = read_ns > group.read_ns
        if is_newest:
            group.decode(answers, read_ns, wall_ns)
        return is_newest

    async def _connect(self) -> None:
        """Open the way, and make sure who is at its end, wherever that is not known any more."""
        if self.is_known:
            return
        async with self._asking_who:
            if not self.source.connected:
                self._is_known = False
                self._connects += 1
                await self.source.connect()
                self.pulse.turn()
            if not self._is_known:
                await self._recognition.demand(self.source)
                self._is_known = True
                self._good_since_ns = 0

    def _worked(self, group: GroupPlan) -> None:
        now = self._clock.monotonic_ns()
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
