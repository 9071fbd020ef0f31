"""The audit record as the agent writes it: told on the event loop, written by a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from edgeagent import __version__
from edgeagent.clock import Clock, iso
from edgeagent.errors import StoreError
from edgeagent.model.audit import AuditEntry, bounded
from edgeagent.store.audit import accepting, anchor
from edgeagent.store.audit.accepting import Accepted
from edgeagent.store.audit.chain import Head
from edgeagent.store.audit.folding import Folding
from edgeagent.store.audit.ledger import SEGMENT_BYTES, Ledger
from edgeagent.store.audit.tail import Tail

if TYPE_CHECKING:
    from edgeagent.store.database import Database

MOST_WAITING = 1024
"""Entries that wait for the disk at the same time, of up to 16 KiB each."""
_MOST_BROKEN = 1000
"""Characters of what is told as broken."""

_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)


class _Waiting(msgspec.Struct):
    lines: list[bytes]
    future: asyncio.Future[None] | None
    since_s: float


class Audit:
    """The audit record; `write` and `note` belong to the event loop. A command that cannot be written is not run.

    Attributes:
        entries: written since it was opened. failures: writes that the disk refused, and probes of it.
        broken: what was found to be wrong with the record and nobody has accepted yet; None where nothing was.
    """

    def __init__(self, database: Database, anchors: anchor.Anchors, clock: Clock, patience_s: float, retry_s: float,
                 segment_bytes: int) -> None:  # fmt: skip
        self._database = database
        self._clock = clock
        self._patience_s = patience_s
        self._retry_s = retry_s
        self._loop = asyncio.get_running_loop()
        self._ledger = Ledger(database.path, anchors, self._taken_up, segment_bytes)
        self._change = threading.Condition()
        self._folding = Folding()
        self._waiting: list[_Waiting] = []
        self._under_way: list[_Waiting] = []
        self._closing = False
        self._is_open = False
        self._failed: str | None = None
        self._failed_at = ""
        self._lost = 0
        self.entries = 0
        self.failures = 0
        self.broken = anchors.broken
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    @classmethod
    async def open(
        cls, database: Database, clock: Clock | None = None, *, patience_s: float = 10.0, retry_s: float = 1.0,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> Audit:  # fmt: skip
        """Take up the record beside an open database; where the disk refuses, `failing` says so and it is tried again.

        Args:
            patience_s: longest wait of `write`. retry_s: between two tries while the disk refuses. Both real seconds.
            segment_bytes: size at which a new file begins.

        Raises:
            StoreError: the database cannot be read.
        """
        audit = cls(database, await database.read(anchor.find), clock or Clock(), patience_s, retry_s, segment_bytes)
        audit._thread.start()
        await audit._opened
        return audit

    @property
    def failing(self) -> str | None:
        """Why commands must be refused, because they cannot be recorded or not to their end; None while they can.

        On a full disk what is kept for it is for the ends of what runs. From any thread.
        """
        with self._change:
            return self._hindrance() or self._database.room.spent

    def _hindrance(self) -> str | None:
        if self._closing or not self._thread.is_alive():
            return "the record is closed"
        if self._failed:
            return self._failed
        waits_s = monotonic() - self._under_way[0].since_s if self._under_way else 0.0
        return f"the disk has not answered for {waits_s:.0f} s" if waits_s > self._patience_s else None

    @property
    def head(self) -> Head:
        """Sequence and hash of the newest entry on disk."""
        return self._ledger.head

    def fault(self) -> str | None:
        """What is wrong with the record now, in words for people; None where nothing is."""
        failing = self.failing
        if failing:
            return f"commands are refused, the record cannot be written: {failing}"
        return f"{self.broken} (edgeagent audit verify tells more)" if self.broken else None

    async def write(self, *entries: AuditEntry) -> None:
        """Write entries one after the other and return when all are on disk.

        Raises:
            StoreError: they cannot be written, too many wait, or the disk does not take them in time; whatever they
                announce must not be done.
            TypeError, ValueError: values that JSON does not hold.
        """
        lines = [_encode(bounded(entry)) for entry in entries]
        if not lines:
            return
        future: asyncio.Future[None] = self._loop.create_future()
        with self._change:
            begins = any(entry.kind == "command" for entry in entries)
            fault = self._hindrance() or (self._database.room.spent if begins else None)
            if fault is None and sum(len(each.lines) for each in self._waiting) + len(lines) > MOST_WAITING:
                fault = f"{MOST_WAITING} entries wait for the disk already"
            if fault:
                self._lost += len(lines)
                raise StoreError(f"the audit record cannot be written: {fault}")
            self._waiting.append(_Waiting(lines, future, monotonic()))
            self._change.notify()
        try:
            async with asyncio.timeout(self._patience_s):
                await future
        except TimeoutError as error:
            raise StoreError(
                f"the audit record cannot be written: not on disk after {self._patience_s:g} s"
            ) from error

    def report(self, *entries: AuditEntry) -> None:
        """Write entries of what has happened already, without waiting; while the disk refuses they are kept.

        For an outcome that `write` did not take: what there is no room for is counted and told as missing.

        Raises:
            TypeError, ValueError: values that JSON does not hold.
        """
        with self._change:
            for entry in entries:
                self._put([_encode(bounded(entry))])
            self._change.notify()

    def note(self, entry: AuditEntry) -> None:
        """Write an entry of which a peer can make thousands, without waiting: of repetitions within a minute a sum.

        What is the same in kind, who, host, function and machine repeats itself. For logins, and for refusals of
        callers who are not known; the command of a known caller that is refused goes to `write`.

        Raises:
            TypeError, ValueError: values that JSON does not hold.
        """
        with self._change:
            first = self._folding.take(bounded(entry), monotonic())
            if first is not None:
                self._put([_encode(first)])
            self._change.notify()

    async def close(self) -> None:
        """Write what waits and the sums of what repeats itself, and close the file."""
        with self._change:
            self._closing = True
            self._change.notify()
        await asyncio.to_thread(self._thread.join)

    def _put(self, lines: list[bytes]) -> None:
        """Let lines wait that nobody waits for."""
        if self._closing or sum(len(each.lines) for each in self._waiting) >= MOST_WAITING:
            self._lost += len(lines)
        else:
            self._waiting.append(_Waiting(lines, None, monotonic()))

    def _run(self) -> None:
        self._write([])
        self._tell(self._opened, None)
        while True:
            with self._change:
                while not self._is_due():
                    self._change.wait(self._rest_s())
                is_last, batch = self._closing, self._gather()
            self._write(batch)
            if is_last:
                return self._ledger.close()
            if self._failed:
                with self._change:
                    self._change.wait_for(lambda: self._closing, self._retry_s)

    def _is_due(self) -> bool:
        due_s = self._folding.due_s()
        return self._closing or bool(self._waiting or self._failed) or (due_s is not None and due_s <= monotonic())

    def _rest_s(self) -> float | None:
        due_s = self._folding.due_s()
        return None if due_s is None else max(0.0, due_s - monotonic())

    def _gather(self) -> list[_Waiting]:
        """Everything that is to be written now; what begins with it counts as under way."""
        sums = self._folding.sums(inf if self._closing else monotonic())
        last = [self._own("the agent ends, the record is closed")] if self._closing else []
        self._under_way = [*self._waiting, *(_Waiting([_encode(entry)], None, monotonic()) for entry in sums),
                           _Waiting([_encode(entry) for entry in last], None, monotonic())]  # fmt: skip
        self._waiting = []
        return self._under_way

    def _write(self, batch: list[_Waiting]) -> None:
        lost = self._lost
        gap = [_encode(self._gap(lost))] if self._failed or lost else []
        lines = [*gap, *(line for each in batch for line in each.lines)]
        if not lines and self._is_open:
            return
        before = self._ledger.head.sequence
        try:
            self._append(lines)
        except OSError as error:
            self._refused(batch, f"{error.strerror or error} ({error.filename or self._database.path})")
        except Exception as error:  # noqa: BLE001  told as a disk that refuses, and tried again
            _log.exception("%s: the audit record failed unexpectedly", self._database.path)
            self._refused(batch, repr(error))
        else:
            self._took(batch, before, lost)

    def _append(self, lines: list[bytes]) -> None:
        """Put lines into the files, with the room of the reserve where the disk is full."""
        try:
            self._ledger.append(lines)
        except OSError as error:
            if not self._database.room.eases(error):
                raise
            self._ledger.append(lines)

    def _took(self, batch: list[_Waiting], before: int, told_lost: int) -> None:
        if not self._is_open:
            self._accept()
        with self._change:
            if self._failed:
                _log.warning("%s: the audit record can be written again", self._database.path)
            self._lost -= told_lost
            self._is_open, self._failed, self._under_way = True, None, []
            self.entries += self._ledger.head.sequence - before
        self._anchor(self._ledger.head)
        for each in batch:
            self._tell(each.future, None)

    def _accepted(self) -> Accepted | None:
        """What somebody accepts at this start, where it is just what is told as broken."""
        accepted = None if self._is_open else accepting.laid(self._database.path)
        return accepted if accepted and accepted.broken == self.broken else None

    def _accept(self) -> None:
        """What was accepted is an entry now, and no longer told."""
        path = self._database.path
        if self._accepted():
            self.broken = None
        try:
            accepting.take_away(path)
        except OSError as error:
            _log.error("%s: cannot be taken away: %s", accepting.accepted_file(path), error)

    def _refused(self, batch: list[_Waiting], reason: str) -> None:
        with self._change:
            if self._failed is None:
                self._failed_at = self._now()
                _log.error("%s: the audit record cannot be written, commands are refused: %s",
                           self._database.path, reason)
            self._failed, self._under_way = reason, []
            self.failures += 1
            self._lost += sum(len(each.lines) for each in batch if each.future)
            kept = [each for each in batch if not each.future] + self._waiting
            self._waiting = kept[:MOST_WAITING]
            self._lost += sum(len(each.lines) for each in kept[MOST_WAITING:])
        for each in batch:
            self._tell(each.future, StoreError(f"the audit record cannot be written: {reason}"))

    def _anchor(self, head: Head) -> None:
        broken = self.broken
        with suppress(StoreError):  # closed: the record is ahead of the store then, as after a crash
            self._database.submit(lambda connection: anchor.put(connection, head, broken), replaces="audit head")

    def _tell(self, future: asyncio.Future[None] | None, error: StoreError | None) -> None:
        def tell(future: asyncio.Future[None]) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        if future is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._loop.call_soon_threadsafe(tell, future)

    def _taken_up(self, tail: Tail) -> list[bytes]:
        """What the record tells of itself when it is taken up."""
        entries = [self._own(note) for note in tail.notes]
        if tail.torn:
            entries.append(self._own(f"a crash left {tail.torn} bytes that nobody relied on: they are put aside"))
        if tail.faults:
            broken = "; ".join(tail.faults)
            _log.error("%s: the audit record is broken: %s; it goes on after that", self._database.path, broken)
            entries.append(self._own(f"the record is broken: {broken}", "failed"))
            self.broken = "; ".join(dict.fromkeys(filter(None, (self.broken, broken))))[:_MOST_BROKEN]
        if accepted := self._accepted():
            reason = f"accepted that the record is broken: {accepted.reason}"
            entries.append(msgspec.structs.replace(self._own(reason, "done"), who=accepted.who, before=accepted.broken))
        if not self._is_open:
            entries.append(self._own(f"edgeagent {__version__} begins, the record is open"))
        return [_encode(bounded(entry)) for entry in entries]

    def _gap(self, lost: int) -> AuditEntry:
        since = f"from {self._failed_at} on the record could not be written: {self._failed}"
        why = since if self._failed else "more entries came than the disk took"
        return self._own(f"{why}; {lost} entries that were to be written are missing", "failed")

    def _own(self, reason: str, outcome: str | None = None) -> AuditEntry:
        clock = "trusted" if self._clock.trusted else "untrusted"
        return AuditEntry(time=self._now(), clock=clock, kind="record", who="agent", reason=reason, outcome=outcome)

    def _now(self) -> str:
        return iso(self._clock.wall_ns())
