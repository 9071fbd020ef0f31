"""What waits to be written, in order and bounded: what is only nice to have gives way first, then what is newest."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from edgeagent.errors import StoreError

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
Done = Callable[[T | None, BaseException | None], None]

_MOST_BYTES = 64 << 20
"""Of writes that have a size: beyond it they are left out, and only the newest write of each name waits beside them."""
_OVERHEAD = 1 << 10
"""Bytes that a write holds beside its own."""
_LEFT_OUT = "left out"
"""Name of the write that notes what was left out."""


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
    """The queue of writes; whoever calls holds the lock of its owner.

    Attributes:
        left_out: writes that found no room, until that is noted on disk.
    """

    def __init__(self) -> None:
        self._queue: deque[Write] = deque()
        self._named: dict[str, deque[Write]] = {}
        self._held = 0
        self.left_out = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def age_s(self) -> float:
        """How long the oldest write waits, in real seconds; 0 when none does."""
        oldest = next((write for write in self._queue if write.work), None)
        return monotonic() - oldest.queued_at if oldest else 0.0

    @property
    def overflow(self) -> str | None:
        """Say how much is held in memory when there is no room for more."""
        if not self.left_out:
            return None
        return f"{self._held >> 20} MiB wait in memory, and {self.left_out} newer writes found no room and are lost"

    def add(self, write: Write, name: str | None, most: int) -> None:
        """Queue a write; of one name at most `most` wait, the oldest gives way.

        One that has a size and finds no room is left out: what is `refused` of it is written in its place, and only
        the newest of these, when its turn comes. From then on all are, until that is on disk.
        """
        if write.size and self._is_full(write.size):
            self.left_out += 1
            if write.refused is None:
                return
            write, name, most = _noted(write), _LEFT_OUT, 1
        self._queue.append(write)
        self._held += _held(write)
        if name is None:
            return
        waiting = self._named.setdefault(name, deque())
        waiting.append(write)
        while len(waiting) > (1 if self.overflow else most):
            waiting.popleft().work = None

    def _is_full(self, more: int) -> bool:
        return self.left_out > 0 or (self._held > 0 and self._held + more + _OVERHEAD > _MOST_BYTES)

    def batch(self) -> tuple[Write, ...]:
        """All that is still to be written, oldest first."""
        waiting = tuple(write for write in self._queue if write.work)
        if len(waiting) < len(self._queue):
            self._queue = deque(waiting)
        return waiting

    def took(self, batch: tuple[Write, ...]) -> None:
        """Forget the oldest writes: they are on disk, or nobody tries any more."""
        for write in batch:
            self._queue.popleft()
            write.work = None
        self._held = sum(map(_held, self._queue)) if self._queue else 0
        if self._named:
            named = {name: deque(w for w in waiting if w.work) for name, waiting in self._named.items()}
            self._named = {name: waiting for name, waiting in named.items() if waiting}
        if self._held < _MOST_BYTES and _LEFT_OUT not in self._named:
            self.left_out = 0


def _held(write: Write) -> int:
    return write.size + _OVERHEAD if write.size else 0


def _noted(write: Write) -> Write:
    """What is written in place of a write that found no room; its `done` is told so."""
    done = write.done

    def tell(value: Any, error: BaseException | None) -> None:
        if done:
            done(value, error or StoreError("the disk refused for too long, and there was no room left in memory"))

    assert write.refused is not None
    return Write(write.refused, tell, 0)
