"""Boards that come by themselves."""

from __future__ import annotations


class Schedule:
    """Boards that are to come into one lane.

    Args:
        interval_s: least time between two. count: how many; None for no end. next_s: when the first comes.
    """

    def __init__(self, lane: int, interval_s: float, count: int | None, next_s: float) -> None:
        self.lane = lane
        self._interval_s = interval_s
        self._left = count
        self._next_s = next_s

    def is_due(self, time_s: float) -> bool:
        """Say whether the next board should come."""
        return time_s >= self._next_s and self._left != 0

    def fed(self, time_s: float) -> None:
        """Note that a board came."""
        self._next_s = time_s + self._interval_s
        self._left = None if self._left is None else self._left - 1
