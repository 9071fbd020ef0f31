"""The stream of events: numbered on the loop, written in one transaction with what belongs to them, told after it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, Protocol

import msgspec

from edgeagent.clock import Clock, iso
from edgeagent.errors import StoreError
from edgeagent.model.events import AlarmTold, Event, GapRange, Kind, StoredEvent, matches
from edgeagent.store import boards, checkpoints, gone, salvaged, standing
from edgeagent.store import events as table
from edgeagent.store.alarms import noted
from edgeagent.store.counters import ENDINGS, ending
from edgeagent.store.database import Database
from edgeagent.store.mark import Mark, Reached
from edgeagent.store.standing import Standing
from edgeagent.store.tail import Tail
from edgeagent.store.transaction import at_one_moment
from edgeagent.store.waiters import Waiters

_MOST_CHOSEN = 64
"""Sets of patterns whose machines and topics are remembered."""

_SPAN = 50_000
"""Sequences examined by one read on disk: some milliseconds of a reader's time."""

_MOST_COUNTED = 100_000
"""Index entries that one count looks at: some milliseconds of a reader's time."""

_WITH_MORE = ENDINGS | {AlarmTold}
"""The data of events that have something in tables of their own, beside those that come with a record."""

_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)


class Kept(Protocol):
    """What is written in the transaction of the events that it belongs to; `size` is the bytes that it holds."""

    @property
    def size(self) -> int:
        """Bytes."""

    def insert(self, connection: sqlite3.Connection) -> object:
        """Write it; must not commit."""


class Journal:
    """Durable events numbered from 1 without a hole, over all machines and restarts; on the event loop only.

    If the journal's tail is ever found missing, a new stream begins: a number is never used twice.

    Attributes:
        stream: 16 hexadecimal digits, made with the file and anew when the tail is found missing.
        last_sequence: newest number given; committed_sequence: newest number on disk; first_sequence: oldest kept.
        missing: why a new stream began at this start; None where it goes on.
        on_commit: called on the loop with the events of each append, in order, once they are on disk; with none of
            them when the file refused them and their numbers are a gap.
    """

    def __init__(
        self, database: Database, clock: Clock, mark: Mark, patience_s: float, found: Standing
    ) -> None:
        self._database = database
        self._clock = clock
        self._mark = mark
        self._pending = 0
        self.missing = found.missing
        self.stream = found.stream
        self.first_sequence = found.first
        self.last_sequence = found.last
        self.committed_sequence = found.last
        self.on_commit: list[Callable[[Sequence[StoredEvent]], object]] = []
        self._kinds = found.kinds
        self._chosen: dict[tuple[tuple[str, ...], tuple[str, ...] | None], set[Kind]] = {}
        self._tail = Tail()
        self._waiters = Waiters(patience_s, lambda: database.health().failing or "the disk is slow")

    @classmethod
    async def open(cls, database: Database, clock: Clock | None = None, patience_s: float = 10.0) -> Journal:
        """Go on where the file ends, in a new stream when its end is missing.

        Args:
            clock: stamps checkpoints, real time if None.
            patience_s: longest wait of `settled`, in real seconds.

        Raises:
            StoreError: the mark beside the file cannot be written.
        """
        mark = Mark(database.path)
        found = await _standing(database, mark.read())
        await asyncio.to_thread(_begin, mark, found, database)
        database.after_commit.append(mark.keep)
        journal = cls(database, clock or Clock(), mark, patience_s, found)
        database.on_healed.append(journal._put_tail)
        journal._wait_for(await database.read(salvaged.pending_events))
        return journal

    def healed(self, pending: int) -> None:
        """Go on in another file, after the one of before was found damaged.

        Args:
            pending: last number of the older events that are not there yet; 0 where all are that can be.
        """
        self._wait_for(pending)

    def _put_tail(self) -> None:
        """Put what is young in memory into the file that took the place of a damaged one."""
        stored = self._tail.all()

        def write(connection: sqlite3.Connection) -> None:
            standing.go_on(connection, self.stream)
            table.insert(connection, stored, "OR IGNORE")

        self._database.submit(write)

    async def salvaged(self) -> None:
        """Read again what there is, once older events are back."""
        first, kinds = await self._database.read(table.extent)
        self._pending = 0
        self.first_sequence = first or self.committed_sequence + 1
        self._kinds = kinds | {kind: max(last, kinds.get(kind, 0)) for kind, last in self._kinds.items()}
        self._chosen.clear()

    @property
    def is_partial(self) -> bool:
        """Whether older events are still to be taken over, from a damaged file or one that waits for room."""
        return self._pending > 0 or self._database.waits is not None

    def _wait_for(self, pending: int) -> None:
        """Answer for older events only once they are taken over from a damaged file; 0 for none."""
        self._pending = pending
        if pending:
            self.first_sequence = 1

    def append(
        self, events: Sequence[Event], checkpoint: tuple[str, bytes] | None = None, clock: str = "trusted",
        also: Sequence[Kept] = (),
    ) -> int:  # fmt: skip
        """Number events and hand them, with all that belongs to them and a checkpoint, to the writer as one.

        Args:
            checkpoint: machine and body, kept exactly when the events are.
            clock: "trusted" or "untrusted", what is told of the events' times.
            also: further rows that are kept exactly when the events are; not without events.

        Returns:
            The last number given so far; await `settled` with it to know that it is on disk.

        Raises:
            TypeError, ValueError: an event cannot be JSON, or a trace or time of it is malformed; nothing is numbered.
            StoreError: the database is closed.
        """
        stored = [
            StoredEvent(sequence, event.topic, event.machine, _body(event, clock))
            for sequence, event in enumerate(events, self.last_sequence + 1)
        ]
        rows = [
            row for event in events if event.record or type(event.data) in _WITH_MORE for row in _rows(event)
        ]
        rows += also
        saved = checkpoints.take(*checkpoint, self._clock) if checkpoint else None
        if not stored and saved is None:
            return self.last_sequence

        def write(connection: sqlite3.Connection, is_refused: bool = False) -> bool:
            if not is_refused:
                table.insert(connection, stored)
                for row in rows:
                    row.insert(connection)
                if saved:
                    checkpoints.put(connection, saved)
            if stored:
                standing.keep(connection, stored[-1].sequence, is_refused)
                self._mark.reach(stored[-1].sequence)
            return True

        group = _Group(
            stored, [len(event.body) for event in stored], {(it.machine, it.topic): it.sequence for it in stored}
        )
        self._database.submit(
            write, lambda is_noted, error: self._settle(group, bool(is_noted), error),
            size=sum(group.sizes) + sum(row.size for row in rows), refused=partial(write, is_refused=True),
        )  # fmt: skip
        self.last_sequence += len(stored)
        return self.last_sequence

    async def settled(self, sequence: int) -> None:
        """Wait until everything up to `sequence` is on disk.

        Raises:
            ValueError: the number is not given yet.
            StoreError: it could not be written and will be told as a gap, or the disk does not take it in time.
        """
        if sequence > self.last_sequence:
            raise ValueError(f"sequence {sequence} is not given yet, the last one is {self.last_sequence}")
        if sequence <= self.committed_sequence:
            return
        await self._waiters.wait(sequence)

    async def read(
        self, first: int, topics: tuple[str, ...], machines: tuple[str, ...] | None, limit: int
    ) -> tuple[list[StoredEvent], int, list[GapRange]]:
        """Read events on disk from a number on, from memory while they are young.

        Args:
            topics: patterns as `model.events.matches` takes them. machines: ids, all if None.

        Returns:
            At most `limit` events in order; the number to go on from, which moves also when nothing matched, and is
            beyond `committed_sequence` at the end; what is gone or damaged and was, or may have been, wanted.

        Raises:
            StoreError: the file cannot be read, or these events are still being taken over from a damaged one.
        """
        self._require(first, self._pending)
        if first > self.committed_sequence:
            return [], first, []
        if at_hand := self.at_hand(first, topics, machines, limit):
            return *at_hand, []
        oldest, newest = self.first_sequence, self.committed_sequence
        known, wanted = tuple(self._kinds), self._wanted(topics, machines)

        def work(connection: sqlite3.Connection) -> tuple[list[StoredEvent], int, list[GapRange]]:
            self._require(first, salvaged.pending_events(connection))
            begin, before = first, None
            if first < oldest:
                before, numbers = gone.told(connection, first, oldest - 1, wanted)
                begin = oldest if numbers == oldest - first else first
            if begin > newest:
                return [], begin, [before] if before else []
            end = min(newest, begin + _SPAN - 1)
            found, last, lost = table.examine(connection, begin, end, known, wanted, limit)
            _require_final(connection, lost)
            return found, last + 1, [before, *lost] if before and begin == oldest else lost

        return await self._database.read(partial(at_one_moment, work))

    def _require(self, first: int, pending: int) -> None:
        if first <= pending:
            why = self._database.waits or "they are being taken over from a damaged file"
            last = min(pending, self.committed_sequence)
            raise StoreError(f"events up to {last} cannot be read yet, {why}: ask again later")

    def at_hand(
        self, first: int, topics: tuple[str, ...], machines: tuple[str, ...] | None, limit: int
    ) -> tuple[list[StoredEvent], int] | None:
        """Find events and the number to go on from as `read` does; None where the file must be asked."""
        if first < self._tail.first_sequence:
            return None
        return self._tail.read(first, self._wanted(topics, machines), limit)

    def trimmed(self, first: int, newest: int) -> None:
        """Take note of the oldest number that is kept, after others were deleted, up to `newest`."""
        self.first_sequence = max(self.first_sequence, first)
        if newest >= self._tail.first_sequence:
            self._tail.forget(self.committed_sequence + 1)

    def kinds(self) -> tuple[Kind, ...]:
        """Every machine and topic that there ever was an event of."""
        return tuple(self._kinds)

    async def previous(self, sequence: int, topics: tuple[str, ...], machines: tuple[str, ...] | None) -> int:
        """Find the number of the last matching event before `sequence`, also where it is gone; 0 if there was none."""
        wanted = self._wanted(topics, machines)
        newest = max((self._kinds[kind] for kind in wanted if self._kinds[kind] < sequence), default=0)
        older = [kind for kind in wanted if self._kinds[kind] >= sequence]
        if not older:
            return newest
        return max(newest, await self._database.read(lambda c: max(table.before(c, kind, sequence) for kind in older)))

    async def count(self, after: int, topics: tuple[str, ...], machines: tuple[str, ...] | None) -> int:
        """Count the matching events on disk after a number, up to 100 000."""
        newer = [kind for kind in self._wanted(topics, machines) if self._kinds[kind] > after]
        if not newer:
            return 0
        return await self._database.read(lambda c: table.count(c, newer, after, _MOST_COUNTED))

    def _wanted(self, topics: tuple[str, ...], machines: tuple[str, ...] | None) -> set[Kind]:
        """The machines and topics that patterns want; remembered until there is another one."""
        if (wanted := self._chosen.get((topics, machines))) is None:
            if len(self._chosen) >= _MOST_CHOSEN:
                self._chosen.clear()
            wanted = self._chosen[topics, machines] = {
                (machine, topic)
                for machine, topic in self._kinds
                if (machines is None or machine in machines) and any(matches(pattern, topic) for pattern in topics)
            }
        return wanted

    def _settle(self, group: _Group, is_noted: bool, error: BaseException | None) -> None:
        """Go on after events, or after numbers that are noted on disk as refused; after neither where it is closed."""
        if error is not None:
            _log.error("the journal could not take %d events and the records with them: %r", len(group.stored), error)
        if not group.stored:
            return
        last = group.stored[-1].sequence
        if is_noted:
            self.committed_sequence = last
            if error is None:
                self._remember(group)
            else:
                self._tail.forget(last + 1)
            loop = asyncio.get_running_loop()
            for callback in self.on_commit:
                loop.call_soon(callback, group.stored if error is None else [])
        self._waiters.wake(last, None if error is None else StoreError(f"an event could not be written: {error}"))

    def _remember(self, group: _Group) -> None:
        if not group.newest.keys() <= self._kinds.keys():
            self._chosen.clear()
        self._kinds |= group.newest
        self._tail.extend(group.stored, group.sizes)


class _Group(NamedTuple):
    """Events that are written as one, the bytes of their bodies, and the newest of each machine and topic."""

    stored: list[StoredEvent]
    sizes: list[int]
    newest: dict[Kind, int]


async def _standing(database: Database, reached: Reached | None) -> Standing:
    """Find where to go on; on a full disk too, where no new stream begins, or one of a store in memory."""

    def find(connection: sqlite3.Connection) -> Standing | None:
        return standing.find(connection, reached) if standing.goes_on(connection, reached) else None

    if (found := await database.read(find)) is not None:
        return found
    return await database.begin(lambda c: standing.find(c, reached))


def _require_final(connection: sqlite3.Connection, lost: Sequence[GapRange]) -> None:
    """Raise StoreError where it may still be found out what a lost event was: the file may be another one by now."""
    unknown = [gap.from_ for gap in lost if not gap.topics]
    if unknown and (found := salvaged.find(connection)) and any(map(found.may_bring, unknown)):
        raise StoreError("events are being taken over from a damaged file: ask again later")


def _begin(mark: Mark, found: Standing, database: Database) -> None:
    """Write the mark anew, with the room of the reserve where the disk is full; without any it stays as it was."""
    try:
        mark.begin(found.stream, found.last)
    except StoreError as error:
        if database.room.eases(error.__cause__):
            mark.begin(found.stream, found.last)
        elif not database.room.is_full(error.__cause__):
            raise


def _rows(event: Event) -> Iterator[Kept]:
    """What belongs to an event in tables of its own."""
    if event.record:
        yield boards.prepare(event.record, event.trace, event.topic == "Board.Lost")
    if note := noted(event):
        yield note
    if end := ending(event):
        yield end


class _Told(msgspec.Struct, gc=False):
    """What is told of an event, in this order."""

    time: str
    clock: str
    machine: str
    data: Any


def _body(event: Event, clock: str) -> bytes:
    return _encode(_Told(_stamp(event.time_ns // 1_000_000), clock, event.machine, event.data))[1:-1]


@lru_cache(maxsize=64)
def _stamp(milliseconds: int) -> str:
    """The time as it is told: one for all events of a millisecond."""
    return iso(milliseconds * 1_000_000)
