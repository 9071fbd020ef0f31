"""Consumers that listen: one connection at a time has each of them, and is told no more than it acknowledges."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from edgeagent.clock import Clock
from edgeagent.store.consumers import Consumers


class Cursor:
    """A consumer's place on one connection.

    Args:
        told: highest number told, here or on an earlier connection.
        most: events that may be told and not acknowledged.
        topics, machines: what is told; all machines if None.

    Attributes:
        acknowledged: what was told up to this number needs not be told again.
        left: this connection does not listen for the consumer any more.
        wake: called when events may be told again.
        end: called with a reason when the connection is to listen no more.
        on_leave: called once when it does not.
    """

    def __init__(
        self, consumer: str, acknowledged: int, told: int, most: int, topics: tuple[str, ...],
        machines: tuple[str, ...] | None,
    ) -> None:  # fmt: skip
        self.consumer = consumer
        self.topics = topics
        self.machines = machines
        self.told = told
        self.left = False
        self.wake: Callable[[], object] = _nothing
        self.end: Callable[[str], object] = _nothing
        self.on_leave: Callable[[], object] = _nothing
        self.acknowledged = acknowledged
        self._most = most
        self._open: deque[int] = deque()

    @property
    def room(self) -> int:
        """Events that may be told before some are acknowledged."""
        return self._most - len(self._open)

    def tell(self, sequence: int, is_event: bool = True) -> None:
        """Count an event, or a gap up to a number, that is about to be told."""
        self.told = max(self.told, sequence)
        if is_event and sequence > self.acknowledged:
            self._open.append(sequence)

    def tells_as(self, other: Cursor) -> bool:
        """Whether both tell the same."""
        return (self.topics, self.machines) == (other.topics, other.machines)

    def move(self, sequence: int) -> None:
        """Make room for as many events as are done."""
        self.acknowledged = max(self.acknowledged, sequence)
        while self._open and self._open[0] <= sequence:
            self._open.popleft()
        self.wake()

    def leave(self) -> None:
        """Listen no more; what was told stays told."""
        if not self.left:
            self.left = True
            self.on_leave()


class Cursors:
    """The newest cursor of each consumer since the agent's start."""

    def __init__(self, consumers: Consumers, clock: Clock) -> None:
        self._consumers = consumers
        self._clock = clock
        self._cursors: dict[str, Cursor] = {}

    def get(self, consumer: str) -> Cursor | None:
        """The newest cursor of a consumer, whether or not somebody listens on it still; None where nobody has."""
        return self._cursors.get(consumer)

    def listens(self, consumer: str) -> bool:
        """Whether a connection has the consumer now."""
        cursor = self._cursors.get(consumer)
        return cursor is not None and not cursor.left

    def take(self, cursor: Cursor) -> None:
        """Give a consumer to a new connection; the one that has it ends its subscription and is told why."""
        self.drop(cursor.consumer, "another connection took the consumer over")
        self._cursors[cursor.consumer] = cursor
        if not cursor.left:
            self._consumers.present.add(cursor.consumer)
            cursor.on_leave = partial(self._left, cursor.consumer)

    def _left(self, consumer: str) -> None:
        self._consumers.present.discard(consumer)
        self._consumers.saw(consumer, self._clock.wall_ns())

    def drop(self, consumer: str, reason: str) -> None:
        """Take a consumer from the connection that has it, which is told why."""
        cursor = self._cursors.pop(consumer, None)
        if cursor is not None and not cursor.left:
            cursor.end(reason)


def _nothing(*_: object) -> None: ...
