"""A light barrier, debounced by time and by belt travel."""

from __future__ import annotations

import math

import msgspec


class Edge(msgspec.Struct, frozen=True):
    """A confirmed edge: when the barrier's level changed, and at which belt travel.

    Attributes:
        blur_mm: belt travel in which the change lies; more than a beat's worth when an outage hid the moment.
    """

    covered: bool
    time_ns: int
    travel_mm: float
    blur_mm: float

    def hidden_mm(self, least_mm: float) -> float:
        """The travel in which the change lies, where an outage hid that; 0 where it is less than `least_mm`."""
        return self.blur_mm if self.blur_mm >= least_mm else 0.0

    def blurred(self, mm: float) -> Edge:
        """The same, when nobody knows how much of these millimetres the belt has moved since."""
        return msgspec.structs.replace(self, blur_mm=self.blur_mm + mm)


class BarrierMemory(msgspec.Struct):
    """What survives a restart."""

    covered: bool | None = None
    changed: Edge | None = None
    steady_ns: int = 0
    last_level: bool | None = None
    last_ns: int = 0
    last_mm: float = 0.0


class Barrier:
    """Turns the raw level of each beat into edges.

    A change counts once the new level has been steady for `debounce_ns` and the belt has moved on by `covered_mm`
    (something that long covers the barrier) or `free_mm` (a gap that long) since the change began. It began when the
    level first left the old one, however much it bounced; it is forgotten when the old level is steady again.
    What covers the barrier now came no more than `longest_mm` ago, however long nobody looked.
    """

    def __init__(
        self, memory: BarrierMemory, debounce_ns: int, covered_mm: float, free_mm: float, longest_mm: float
    ) -> None:
        self.memory = memory
        self._debounce_ns = debounce_ns
        self._needed_mm = {True: covered_mm, False: free_mm}
        self._reach_mm = {True: longest_mm, False: math.inf}

    def update(self, level: bool, time_ns: int, travel_mm: float, unseen_mm: float = 0.0) -> Edge | None:
        """Take one good reading.

        Args:
            unseen_mm: how much farther than `travel_mm` says the belt can have moved since the last one.

        Returns:
            The edge that this reading confirms. The first steady level after the start is taken without an edge.
        """
        m = self.memory
        if level != m.last_level:
            m.steady_ns = time_ns
        before_ns, before_mm = (m.last_ns, m.last_mm) if m.last_ns else (time_ns, travel_mm)
        m.last_level, m.last_ns, m.last_mm = level, time_ns, travel_mm
        steady = time_ns - m.steady_ns >= self._debounce_ns
        if m.covered is None:
            m.covered = level if steady else None
            return None
        if level == m.covered:
            if steady:
                m.changed = None
            return None
        if m.changed is None:
            moved_mm, longest_mm = travel_mm - before_mm, self._reach_mm[level]
            m.changed = Edge(level, (before_ns + time_ns) // 2, travel_mm - min(moved_mm, longest_mm) / 2,
                             min(moved_mm + unseen_mm, longest_mm))
        if not steady or travel_mm - m.changed.travel_mm < self._needed_mm[level]:
            return None
        edge, m.changed, m.covered = m.changed, None, level
        return edge

    def blur(self, mm: float) -> None:
        """Know the place of a change that is not confirmed yet so much worse."""
        if self.memory.changed:
            self.memory.changed = self.memory.changed.blurred(mm)

    def release(self) -> None:
        """Take the barrier for free: what covered it was taken away by hand; what covers it on from here is new."""
        if self.memory.covered:
            self.memory.covered, self.memory.changed = False, None

    def shift(self, shift_ns: int) -> None:
        """Move all remembered times, after a restart of the computer."""
        m = self.memory
        m.steady_ns += shift_ns
        m.last_ns += shift_ns
        if m.changed:
            m.changed = msgspec.structs.replace(m.changed, time_ns=m.changed.time_ns + shift_ns)
