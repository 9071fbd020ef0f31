"""What waits to be written, in order and bounded: what is only nice to have gives way, what must be told never does."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
Done = Callable[[T | None, BaseException | None], None]

_MOST_BYTES = 64 << 20
"""Of writes that never give way: beyond it only the newest write of each name waits beside them."""


class Write:
    """One write that waits; without work when a newer one took its place or it is on disk."""

    __slots__ = ("done", "queued_at", "refused", "size", "work")

    def __init__(self, work: Work[Any], done: Done[Any] | None, size: int, refused: Work[Any] | None = None) -> None:
        self.work: Work[Any] | None = work
        self.refused = refused
        self.done = done
        self.size = size
        self.queued_at = monotonic()
        """Real seconds."""


class Backlog:
    """The queue of writes; whoever calls holds the lock of its owner."""

    def __init__(self) -> None:
        self._queue: deque[Write] = deque()
        self._named: dict[str, deque[Write]] = {}
        self._held = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def age_s(self) -> float:
        """How long the oldest write waits, in real seconds; 0 when none does."""
        oldest = next((write for write in self._queue if write.work), None)
        return monotonic() - oldest.queued_at if oldest else 0.0

    @property
    def overflow(self) -> str | None:
        """Say how much is held in memory when it is more than it should be."""
        return f"{self._held >> 20} MiB wait in memory" if self._held > _MOST_BYTES else None

    def add(self, write: Write, name: str | None, most: int) -> None:
        """Queue a write; of one name at most `most` wait, the oldest gives way."""
        self._queue.append(write)
        self._held += write.size
        if name is None:
            return
        waiting = self._named.setdefault(name, deque())
        waiting.append(write)
        while len(waiting) > (1 if self.overflow else most):
            waiting.popleft().work = None

    def batch(self) -> tuple[Write, ...]:
        """All that is still to be written, oldest first."""
        self._queue = deque(write for write in self._queue if write.work)
        return tuple(self._queue)

    def took(self, batch: tuple[Write, ...]) -> None:
        """Forget the oldest writes: they are on disk, or nobody tries any more."""
        for write in batch:
            self._queue.popleft()
            write.work = None
        self._held = sum(write.size for write in self._queue)
        named = {name: deque(w for w in waiting if w.work) for name, waiting in self._named.items()}
        self._named = {name: waiting for name, waiting in named.items() if waiting}
