"""The stream of events: numbered on the loop, written in one transaction with what belongs to them, told after it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from edgeagent.clock import Clock, iso
from edgeagent.errors import StoreError
from edgeagent.model.events import Event, GapRange, StoredEvent, matches
from edgeagent.store import boards, checkpoints, meta
from edgeagent.store import events as table
from edgeagent.store.database import Database
from edgeagent.store.events import Kind
from edgeagent.store.tail import Tail

_STREAM, _LAST = "journal.stream", "journal.last"
_SPAN = 50_000
"""Sequences examined by one read on disk: some milliseconds of a reader's time."""

_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)


class Journal:
    """Durable events numbered from 1 without a hole, over all machines and restarts; on the event loop only.

    Attributes:
        stream: 16 hexadecimal digits, made once with the file.
        last_sequence: newest number given; committed_sequence: newest number on disk; first_sequence: oldest kept.
        on_commit: called on the loop with the events of each append, in order, once they are on disk.
    """

    def __init__(
        self, database: Database, clock: Clock, stream: str, first: int, last: int, kinds: dict[Kind, int]
    ) -> None:
        self._database = database
        self._clock = clock
        self.stream = stream
        self.first_sequence = first
        self.last_sequence = last
        self.committed_sequence = last
        self.on_commit: list[Callable[[Sequence[StoredEvent]], object]] = []
        self._kinds = kinds
        self._tail = Tail()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @classmethod
    async def open(cls, database: Database, clock: Clock | None = None) -> Journal:
        """Go on where the file ends; `clock` stamps checkpoints, real time if None."""
        return cls(database, clock or Clock(), *await database.write(_stand))

    def append(
        self, events: Sequence[Event], checkpoint: tuple[str, bytes] | None = None, clock: str = "trusted"
    ) -> int:
        """Number events and hand them, with their board records, traces and a checkpoint, to the writer as one.

        Args:
            checkpoint: machine and body, kept exactly when the events are.
            clock: "trusted" or "untrusted", what is told of the events' times.

        Returns:
            The last number given so far; await `settled` with it to know that it is on disk.

        Raises:
            TypeError, ValueError: an event cannot be written as JSON, or a trace is malformed; nothing is numbered.
            StoreError: the database is closed.
        """
        stored = [
            StoredEvent(sequence, event.topic, event.machine, _body(event, clock))
            for sequence, event in enumerate(events, self.last_sequence + 1)
        ]
        records = [
            boards.prepare(event.record, event.trace, event.topic == "Board.Lost") for event in events if event.record
        ]
        saved = checkpoints.take(*checkpoint, self._clock) if checkpoint else None
        if not stored and saved is None:
            return self.last_sequence

        def work(connection: sqlite3.Connection) -> None:
            if stored:
                table.insert(connection, stored)
                meta.put(connection, _LAST, str(stored[-1].sequence))
            for record in records:
                record.insert(connection)
            if saved:
                checkpoints.put(connection, saved)

        self._database.submit(work, lambda _, error: self._settle(stored, error))
        self.last_sequence += len(stored)
        return self.last_sequence

    async def settled(self, sequence: int) -> None:
        """Wait until everything up to `sequence` is on disk.

        Raises:
            ValueError: the number is not given yet.
            StoreError: it could not be written and will be told as a gap.
        """
        if sequence > self.last_sequence:
            raise ValueError(f"sequence {sequence} is not given yet, the last one is {self.last_sequence}")
        if sequence > self.committed_sequence:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((sequence, future))
            await future

    async def read(
        self, first: int, topics: tuple[str, ...], machines: tuple[str, ...] | None, limit: int
    ) -> tuple[list[StoredEvent], int, list[GapRange]]:
        """Read events on disk from a number on, from memory while they are young.

        Args:
            topics: patterns as `model.events.matches` takes them. machines: ids, all if None.

        Returns:
            At most `limit` events in order; the number to go on from, which moves also when nothing matched, and is
            beyond `committed_sequence` at the end; the ranges that are gone or damaged and may have been wanted.
        """
        gaps = [(first, self.first_sequence - 1)] if first < self.first_sequence else []
        first = max(first, self.first_sequence)
        last = min(self.committed_sequence, first + _SPAN - 1)
        if first > last:
            return [], first, _told(gaps)
        wanted = self._wanted(topics, machines)
        if first >= self._tail.first_sequence:
            found, following = self._tail.read(first, wanted, limit)
            return found, following, _told(gaps)
        known = tuple(self._kinds)
        found, last, lost = await self._database.read(lambda c: table.examine(c, first, last, known, wanted, limit))
        return found, last + 1, _told(gaps + lost)

    async def previous(self, sequence: int, topics: tuple[str, ...], machines: tuple[str, ...] | None) -> int:
        """Find the last matching event on disk before `sequence`; 0 if there is none."""
        wanted = self._wanted(topics, machines)
        newest = max((self._kinds[kind] for kind in wanted if self._kinds[kind] < sequence), default=0)
        older = [kind for kind in wanted if self._kinds[kind] >= sequence]
        if not older:
            return newest
        return max(newest, await self._database.read(lambda c: max(table.before(c, kind, sequence) for kind in older)))

    def _wanted(self, topics: tuple[str, ...], machines: tuple[str, ...] | None) -> set[Kind]:
        return {
            (machine, topic)
            for machine, topic in self._kinds
            if (machines is None or machine in machines) and any(matches(pattern, topic) for pattern in topics)
        }

    def _settle(self, stored: list[StoredEvent], error: BaseException | None) -> None:
        if error is not None:
            _log.error("the journal could not take %d events and the records with them: %r", len(stored), error)
        if not stored:
            return
        self.committed_sequence = stored[-1].sequence
        if error is None:
            for event in stored:
                self._kinds[event.machine, event.topic] = event.sequence
            loop = asyncio.get_running_loop()
            for callback in self.on_commit:
                loop.call_soon(callback, stored)
        self._tail.extend(stored if error is None else [], self.committed_sequence + 1)
        self._wake(None if error is None else StoreError(f"an event could not be written: {error}"))

    def _wake(self, error: StoreError | None) -> None:
        ready = [future for sequence, future in self._waiting if sequence <= self.committed_sequence]
        self._waiting = [waiter for waiter in self._waiting if waiter[0] > self.committed_sequence]
        for future in ready:
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


def _body(event: Event, clock: str) -> bytes:
    return b'"time":"%b","clock":"%b","machine":%b,"data":%b' % (
        iso(event.time_ns).encode(), clock.encode(), _encode(event.machine), _encode(event.data),
    )  # fmt: skip


def _stand(connection: sqlite3.Connection) -> tuple[str, int, int, dict[Kind, int]]:
    stream = meta.get(connection, _STREAM) or secrets.token_hex(8)
    meta.put(connection, _STREAM, stream)
    first = connection.execute("SELECT min(sequence) FROM events").fetchone()[0]
    newest = connection.execute("SELECT max(sequence) FROM events").fetchone()[0]
    last = max(newest or 0, int(meta.get(connection, _LAST) or 0))
    kinds = {kind: table.before(connection, kind, last + 1) for kind in table.kinds(connection)}
    return stream, first or last + 1, last, kinds


def _told(ranges: list[tuple[int, int]]) -> list[GapRange]:
    return [GapRange(first, last, last - first + 1) for first, last in ranges]
