"""Plays the beats of a recording: what was answered then is decoded again, at the times of then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeagent.acquire.pieces import Pieces, point_by_point
from edgeagent.acquire.plan import GroupPlan, plan
from edgeagent.acquire.source import Block
from edgeagent.acquire.trust import rules
from edgeagent.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row
    from edgeagent.recording.entries import Beat


class ReplayClock(Clock):
    """Shows the times of a recording, and stands still between them."""

    def __init__(self) -> None:
        super().__init__()
        self._monotonic_ns = 0
        self._wall_ns = 0
        self._trusted = False

    def show(self, monotonic_ns: int, wall_ns: int, trusted: bool) -> None:
        """Show another moment."""
        self._monotonic_ns, self._wall_ns, self._trusted = monotonic_ns, wall_ns, trusted

    def monotonic_ns(self) -> int:
        """Monotonic time of then."""
        return self._monotonic_ns

    def wall_ns(self) -> int:
        """Wall time of then."""
        return self._wall_ns

    @property
    def trusted(self) -> bool:
        """Whether the clock was known to be synchronised."""
        return self._trusted


class ReplaySource:
    """One source of a machine, fed from a recording.

    Args:
        is_listened_to: it is on a line where another master asks, so each point was decoded by itself.
        beat: called after each beat with its group's index.

    Attributes:
        unknown: groups of the recording that the map has not. uncovered: groups of which the map wants registers that
            were not recorded; their points are bad.
    """

    def __init__(
        self, machine: Machine, index: int, row: Row, is_listened_to: bool, beat: Callable[[int], None]
    ) -> None:
        self.unknown: set[str] = set()
        self.uncovered: set[str] = set()
        self._row = row
        self._beat = beat
        self._plans: dict[int, list[GroupPlan]] = (
            point_by_point(machine, index, row) if is_listened_to
            else {group.index: [group] for group in plan(machine, index, row)}
        )  # fmt: skip
        self._rules = rules(machine, index, row) if is_listened_to else {}
        self._index = {group.name: group.index for group in machine.groups if group.source == index}

    def play(self, beat: Beat) -> None:
        """Decode what was read at a beat, or miss it as it was missed, and tell it."""
        index = self._index.get(beat.group)
        if index is None:
            self.unknown.add(beat.group)
            return
        pieces, times = Pieces(), {}
        for part in beat.parts:
            pieces.keep(Block(part.table, part.address, part.count), part.data)
            times[part.table, part.address] = (part.monotonic_ns, part.wall_ns)
        for group in self._plans[index]:
            answers = _answers(group, pieces) if beat.parts else None
            if answers is None:
                group.miss()
            else:
                first = group.blocks[0].block
                group.decode(answers, *times.get((first.table, first.address), (beat.read_ns, beat.read_wall_ns)))
        if beat.parts:
            if len(self._plans[index]) == 1 and answers is None:
                self.uncovered.add(beat.group)
            self._row.times[index], self._row.stamps[index] = beat.read_ns, beat.read_wall_ns
            for rule in self._rules.get(index, ()):
                rule.judge(beat.read_ns)
        self._beat(index)


def _answers(group: GroupPlan, pieces: Pieces) -> list[bytes] | None:
    """What was answered to the plan's blocks, split as it was then where the device refused; None if not recorded."""
    answers = [pieces.read(planned.block) for planned in group.blocks]
    if None in answers and group.split():
        answers = [pieces.read(planned.block) for planned in group.blocks]
    found = [answer for answer in answers if answer is not None]
    return found if len(found) == len(answers) else None
