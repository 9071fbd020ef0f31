"""When to read: every group at its absolute time; a beat that comes too late is skipped, never made up for."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeagent.clock import Clock
    from edgeagent.durations import Durations
    from edgeagent.pulse import Pulse


class Beats:
    """The beats of several groups, one after the other.

    Args:
        periods_ns: time between two beats of each group.
        lateness: takes how late each beat that is given came, by the clock.
        pulse: turns with each beat.

    Attributes:
        skipped: beats that were too late.
    """

    def __init__(
        self, periods_ns: Sequence[int], clock: Clock, lateness: Durations, pulse: Pulse
    ) -> None:
        self.skipped = 0
        self._lateness = lateness
        self._periods_ns = periods_ns
        self._clock = clock
        self._pulse = pulse
        start = clock.monotonic_ns()
        self._due = [(start, place) for place in range(len(periods_ns))]
        self._is_begun = False

    async def next(self) -> int:
        """Wait for the next beat and return the place of its group; the beat given before is over now."""
        if self._is_begun:
            due, place = self._due[0]
            heapq.heapreplace(self._due, (self._after(due, self._periods_ns[place]), place))
        self._is_begun = True
        due, place = self._due[0]
        self._pulse.turn(max(0.0, (due - self._clock.monotonic_ns()) / 1e9 / self._clock.speed))
        await self._clock.sleep_until(due)
        self._lateness.add(self._clock.monotonic_ns() - due)
        self._pulse.turn()
        return place

    def _after(self, due: int, period: int) -> int:
        late = self._clock.monotonic_ns() - (due + period)
        if late < period:
            return due + period
        skipped = late // period
        self.skipped += skipped
        return due + period * (1 + skipped)
