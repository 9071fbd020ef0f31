"""The audit record as the agent writes it: told on the event loop, written by a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from math import inf
from time import monotonic

import msgspec

from edgeagent import __version__
from edgeagent.clock import Clock, iso
from edgeagent.errors import StoreError
from edgeagent.model.audit import AuditEntry, bounded
from edgeagent.store.audit import anchor
from edgeagent.store.audit.chain import Head
from edgeagent.store.audit.folding import Folding
from edgeagent.store.audit.ledger import SEGMENT_BYTES, Ledger
from edgeagent.store.audit.tail import Tail
from edgeagent.store.database import Database

MOST_WAITING = 1024
"""Entries that wait for the disk at the same time, of up to 16 KiB each."""

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
        broken: what was wrong with the record when it was taken up; None where nothing was.
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
        self.broken: str | None = None
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
        """Why nothing can be written now, so that commands must be refused; None while it can. From any thread."""
        with self._change:
            return self._fault()

    def _fault(self) -> str | None:
        if self._closing or not self._thread.is_alive():
            return "the record is closed"
        if self._failed:
            return self._failed
        waits_s = monotonic() - self._under_way[0].since_s if self._under_way else 0.0
        return f"the disk has not answered for {waits_s:.0f} s" if waits_s > self._patience_s else None

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
            fault = self._fault()
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

    def note(self, entry: AuditEntry) -> None:
        """Write an entry of which a peer can make thousands, without waiting: of repetitions within a minute a sum.

        What is the same in kind, who, host, function and machine repeats itself. While the disk refuses, what there
        is no room for is counted, and told as soon as it can be written again.

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
        gap = [] if self._failed is None or not self._is_open else [_encode(self._gap())]
        lines = [*gap, *(line for each in batch for line in each.lines)]
        if not lines and self._is_open:
            return
        before = self._ledger.head.sequence
        try:
            self._ledger.append(lines)
        except OSError as error:
            self._refused(batch, error)
        else:
            self._took(batch, before)

    def _took(self, batch: list[_Waiting], before: int) -> None:
        with self._change:
            if self._failed:
                _log.warning("%s: the audit record can be written again", self._database.path)
                self._lost = 0
            self._is_open, self._failed, self._under_way = True, None, []
            self.entries += self._ledger.head.sequence - before
        self._anchor(self._ledger.head)
        for each in batch:
            self._tell(each.future, None)

    def _refused(self, batch: list[_Waiting], error: OSError) -> None:
        reason = f"{error.strerror or error} ({error.filename or self._database.path})"
        with self._change:
            if self._failed is None:
                self._failed_at = self._now()
                _log.error("%s: the audit record cannot be written, commands are refused: %s",
                           self._database.path, reason)
            self._failed, self._under_way = reason, []
            self.failures += 1
            self._lost += sum(len(each.lines) for each in batch if each.future)
            self._waiting = [each for each in batch if not each.future] + self._waiting
        for each in batch:
            self._tell(each.future, StoreError(f"the audit record cannot be written: {reason}"))

    def _anchor(self, head: Head) -> None:
        with suppress(StoreError):  # closed: the record is ahead of the store then, as after a crash
            self._database.submit(lambda connection: anchor.put(connection, head), replaces="audit head")

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
            self.broken = "; ".join(tail.faults)
            _log.error("%s: the audit record is broken: %s; it goes on after that", self._database.path, self.broken)
            entries.append(self._own(f"the record is broken: {self.broken}", "failed"))
        if not self._is_open:
            entries.append(self._own(f"edgeagent {__version__} begins, the record is open"))
        return [_encode(bounded(entry)) for entry in entries]

    def _gap(self) -> AuditEntry:
        lost = f"{self._lost} entries that were to be written are missing"
        return self._own(f"from {self._failed_at} on the record could not be written: {self._failed}; {lost}", "failed")

    def _own(self, reason: str, outcome: str | None = None) -> AuditEntry:
        clock = "trusted" if self._clock.trusted else "untrusted"
        return AuditEntry(time=self._now(), clock=clock, kind="record", who="agent", reason=reason, outcome=outcome)

    def _now(self) -> str:
        return iso(self._clock.wall_ns())
