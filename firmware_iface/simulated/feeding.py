"""Boards that are to come, into one lane or into several in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Schedule:
    """One board every so many seconds of the oven.

    Args:
        lanes: numbers; the boards come in turn, and a lane that takes none is passed over.
        count: how many in all, None for no end.
    """

    def __init__(self, lanes: Sequence[int], interval_s: float, count: int | None, next_s: float) -> None:
        self._lanes = list(lanes)
        self._interval_s = interval_s
        self._left = count
        self._next_s = next_s

    def is_due(self, time_s: float) -> bool:
        """Say whether the next board should come."""
        return time_s >= self._next_s and self._left != 0

    def lane(self, takes: Callable[[int], bool]) -> int | None:
        """The lane whose turn it is, of those that take a board; None when none does."""
        return next((lane for lane in self._lanes if takes(lane)), None)

    def fed(self, time_s: float, lane: int) -> None:
        """Note that a board came into a lane, whose turn it is last now."""
        self._lanes.remove(lane)
        self._lanes.append(lane)
        self._next_s = time_s + self._interval_s
        self._left = None if self._left is None else self._left - 1
