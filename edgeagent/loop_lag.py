"""How late the event loop is: a light task looks twice a second."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from edgeagent.durations import Durations

_PERIOD_S = 0.5
_KEPT = 120
"""Looks of the last minute."""


class LoopLag:
    """Measures how much later than asked the loop comes back; all waits of the agent are late by as much.

    Attributes:
        durations: every lag since the start.
    """

    def __init__(self, period_s: float = _PERIOD_S) -> None:
        self.durations = Durations()
        self._period_s = period_s
        self._newest = deque[int](maxlen=_KEPT)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            due = time.monotonic_ns() + round(self._period_s * 1e9)
            await asyncio.sleep(self._period_s)
            lag = max(0, time.monotonic_ns() - due)
            self.durations.add(lag)
            self._newest.append(lag)

    @property
    def longest_s(self) -> float | None:
        """The longest lag of the last 120 looks, one minute, in seconds; None before the first."""
        return max(self._newest) / 1e9 if self._newest else None
