"""How many commands somebody gave within the last minute."""

from __future__ import annotations

from collections import deque

_MINUTE_NS = 60_000_000_000
_MOST_NAMES = 256
"""Names that are kept; beyond it those go that have given nothing for the longest time."""


class Rates:
    """Counts by name; of one name no more is remembered than is ever allowed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: dict[str, deque[int]] = {}

    def count(self, name: str, now_ns: int) -> int:
        """Commands of this name within the minute before, at most as many as are allowed."""
        times = self._times.get(name, ())
        return sum(now_ns - time < _MINUTE_NS for time in times)

    def add(self, name: str, now_ns: int) -> None:
        """Note a command."""
        times = self._times.pop(name, None) or deque(maxlen=self._most)
        times.append(now_ns)
        self._times[name] = times
        if len(self._times) > _MOST_NAMES:
            del self._times[next(iter(self._times))]
