"""How often a file is healed under way: a disk that damages everything is not written full with new stores."""

from __future__ import annotations

from time import monotonic

PERIOD_S = 600.0
"""Real seconds."""
_MOST = 3
"""Healings in that time."""
_ROOM_S = 5.0
"""Real seconds until it is tried again where there was no room."""


class HealingPace:
    """Belongs to the writer's thread."""

    def __init__(self) -> None:
        self._began_s: list[float] = []
        self._not_before_s = 0.0

    def may_begin(self) -> bool:
        """Whether a healing may begin, which counts then: three in ten minutes."""
        now = monotonic()
        self._began_s = [began for began in self._began_s if now - began < PERIOD_S]
        if now < self._not_before_s or len(self._began_s) >= _MOST:
            return False
        self._began_s.append(now)
        return True

    def lacked_room(self) -> None:
        """The healing that began was none, because there is no room: it does not count."""
        self._began_s.pop()
        self._not_before_s = monotonic() + _ROOM_S
