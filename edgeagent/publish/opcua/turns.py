"""Whose request is next: the client that asked for least of late, so that floods wait for everybody else."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time

SLICE_S = 0.005
"""What one client may take before somebody else has a turn."""

_HALF_LIFE_S = 2.0
_MOST_BILLED_S = 0.05
"""Of one slice: a request that waits for the agent does not work meanwhile."""


class Turns:
    """The queue of those that wait for a turn; one goes on in each round of the event loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._is_due = False

    async def wait(self, used_s: float) -> None:
        """Wait for a turn; who used less goes first."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiting, (used_s, next(self._numbers), turn))
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._next)
        await turn

    def _next(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                break
        self._is_due = bool(self._waiting)
        if self._is_due:
            asyncio.get_running_loop().call_soon(self._next)


class Turn:
    """One client's share."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._used_s = 0.0
        self._used_at = self._since = time.monotonic()

    async def begin(self) -> None:
        """Wait for it."""
        await self._turns.wait(self._used())
        self._since = time.monotonic()

    async def between(self) -> None:
        """Let others go on, if it has lasted long enough."""
        if time.monotonic() - self._since > SLICE_S:
            self.end()
            await self.begin()

    def end(self) -> None:
        """What it took is counted, and forgotten by and by."""
        took = min(time.monotonic() - self._since, _MOST_BILLED_S)
        self._used_s = self._used() + took

    def _used(self) -> float:
        now = time.monotonic()
        self._used_s *= 0.5 ** ((now - self._used_at) / _HALF_LIFE_S)
        self._used_at = now
        return self._used_s
