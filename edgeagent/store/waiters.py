"""Who waits until an event is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import takewhile
from operator import itemgetter

from edgeagent.errors import StoreError


class Waiters:
    """Those who wait for a number each, all equally long; on the event loop only.

    Args:
        patience_s: longest wait, in real seconds.
        reason: says why the disk does not take an event in time.
    """

    def __init__(self, patience_s: float, reason: Callable[[], str]) -> None:
        self._patience_s = patience_s
        self._reason = reason
        self._waiting: dict[asyncio.Future[None], tuple[int, float]] = {}
        """Number and end of the wait, by number: of fifty who wait, each is found without looking at the others."""
        self._last = 0
        self._watch: asyncio.TimerHandle | None = None
        """One for all of them: most events are on disk long before it is due."""

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self, sequence: int) -> None:
        """Wait until `wake` is called with this number or a later one.

        Raises:
            StoreError: with what `wake` was given, or that the wait was too long.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting[future] = sequence, loop.time() + self._patience_s
        if sequence < self._last:
            self._waiting = dict(sorted(self._waiting.items(), key=itemgetter(1)))
        self._last = max(self._last, sequence)
        if self._watch is None:
            self._watch = loop.call_later(self._patience_s, self._give_up)
        try:
            await future
        finally:
            self._waiting.pop(future, None)

    def wake(self, last: int, error: StoreError | None) -> None:
        """End the wait of all who wait for a number up to `last`."""
        for future in [it for it, _ in takewhile(lambda waiting: waiting[1][0] <= last, self._waiting.items())]:
            del self._waiting[future]
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def _give_up(self) -> None:
        """End the wait of those who waited too long, and look again when the next one has."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for future, (sequence, until_s) in self._waiting.items():
            if until_s <= now_s and not future.done():
                late = f"event {sequence} is not on disk after {self._patience_s:g} s: {self._reason()}"
                future.set_exception(StoreError(late))
        due_s = min((until_s for _, until_s in self._waiting.values() if until_s > now_s), default=None)
        self._watch = None if due_s is None else loop.call_at(due_s, self._give_up)
