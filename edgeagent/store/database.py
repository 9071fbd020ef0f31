"""The file itself: opened by one process, written by one thread that groups commits, read beside it."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from edgeagent.errors import StoreDamaged, StoreError
from edgeagent.pulse import Pulse
from edgeagent.store import healing, opening, restoring
from edgeagent.store.backlog import Backlog, Done, T, Work, Write
from edgeagent.store.bell import Bell
from edgeagent.store.connection import connect_writer, lock
from edgeagent.store.healing_pace import HealingPace
from edgeagent.store.health import StoreHealth
from edgeagent.store.readers import Readers
from edgeagent.store.room import Room
from edgeagent.store.stand_in import StandIn
from edgeagent.store.transaction import Outcome, commit

_MOST_READS = 64
_PATIENCE_S = 10.0
"""The longest that a read waits for a healing, in real seconds."""

_log = logging.getLogger(__name__)


class Database:
    """One SQLite file; `write` and `read` belong to the event loop, `submit`, `health` and `close` to any thread.

    Args:
        path: the file; it and its folder are made when missing.
        retry_s: how long to wait before a failed commit is tried again, in seconds.
        room: what is kept for a full disk; nothing if None.

    Attributes:
        pulse: turns with each commit, and rests while nothing is to be written or the disk refuses.
        after_commit: called on the writer's thread after each commit, before anybody is told of it; must not raise.
        on_healed: called on the loop after the file was found damaged under way and another one took its place.
    """

    def __init__(self, path: Path | str, retry_s: float = 1.0, room: Room | None = None) -> None:
        self.path = Path(path)
        self.room = room or Room(self.path)
        self._retry_s = retry_s
        self._guard = threading.Lock()
        self._bell = Bell()
        self.pulse = Pulse()
        self.after_commit: list[Callable[[], object]] = []
        self.on_healed: list[Callable[[], object]] = []
        self._backlog = Backlog()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._failing: str | None = None
        self._writes = 0
        self._commits = 0
        self._reading = 0
        self._suspicion: str | None = None
        self._pace = HealingPace()
        self._is_alone = False
        self._stand_in: StandIn | None = None
        self._lock = -1

    def open(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Take up a restore, heal and migrate the file, start the writer; callbacks come on `loop`, or the running one.

        Raises:
            StoreError: another process has the file open, it is newer, none of ours, or cannot be reached.
        """
        self._loop = loop or asyncio.get_running_loop()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.path)
            restoring.take_up(self.path)
            self._connect()
        except (OSError, sqlite3.Error) as error:
            self._unlock()
            raise StoreError(
                f"{self.path}: the database cannot be opened: {error} "
                "(check the disk and the rights; move a damaged file aside to begin anew)"
            ) from error
        except StoreError:
            self._unlock()
            raise
        self.room.fill()
        self._closing = False
        self._readers = Readers(self.path, self.suspect)
        if self._stand_in:
            self._readers.connect = self._stand_in.connect
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def _connect(self) -> None:
        """Connect the writer, or let something stand in for the file."""
        try:
            self._writer = opening.connect(self.path, self.room)
            return
        except (OSError, sqlite3.Error, StoreError) as error:
            if not self.room.is_full(error):
                raise
        found = opening.connect_without_room(self.path, self.room)
        if isinstance(found, StandIn):
            self._stand_in = found
            self._failing = self.room.lacks = found.reason
        else:
            self._writer, self._is_alone = found, True

    def close(self) -> None:
        """Write everything that waits, then close the file; nothing to do when it is not open.

        Raises:
            StoreError: the disk still refuses; what could not be written is lost, and its callbacks are told so.
        """
        with self._guard:
            thread, self._thread = self._thread, None
            self._closing = True
        self._bell.ring()
        if thread is None:
            return
        thread.join()
        self._readers.close()
        with suppress(sqlite3.Error):
            (self._stand_in or self._writer).close()
        self._unlock()
        lost = self._backlog.batch()
        if lost:
            error = StoreError(f"{self.path}: {len(lost)} writes could not be saved: {self._failing}")
            self._tell([(write.done, None, error) for write in lost])
            self._backlog.took(lost)
            raise error

    def submit(
        self, work: Work[T], done: Done[T] | None = None, replaces: str | None = None, most: int = 1, size: int = 0,
        refused: Work[T] | None = None,
    ) -> None:  # fmt: skip
        """Queue one write, in order; it is kept however long the disk refuses, while there is room in memory.

        Args:
            work: runs on the writer's thread inside a transaction, again after a failed commit, and must not commit.
            done: called on the loop after the commit, with the result or with what the work raised.
            replaces: a name; of one name at most `most` writes wait, the oldest is left out, its `done` is not called.
            refused: runs in place of a work that raised, in the same transaction; its result goes to `done` as well.
            size: bytes held by a write that no newer one replaces; beyond 64 MiB they are left out, `refused` is
                written instead, and `health` tells.

        Raises:
            StoreError: the database is closed.
        """
        write = Write(work, done, size, refused)
        with self._guard:
            if self._thread is None:
                raise StoreError(f"{self.path}: is closed, nothing more can be written")
            self._backlog.add(write, replaces, most)
        self._bell.ring()

    async def write(self, work: Work[T]) -> T:
        """Queue one write and wait until it is on disk; raises what the work raised."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(value: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)

        self.submit(work, done)
        result: T = await future
        return result

    async def read(self, work: Work[T]) -> T:
        """Run a query on a read-only connection beside the loop; again, once healed, where it finds the file damaged.

        Raises:
            StoreError: 64 reads are waiting already, or the file cannot be read.
        """
        if self._reading >= _MOST_READS:
            raise StoreError(f"too many reads of the database are waiting ({_MOST_READS}): ask again later")
        self._reading += 1
        try:
            return await self._run_query(work)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be read: {error}") from error
        finally:
            self._reading -= 1

    async def _run_query(self, work: Work[T]) -> T:
        try:
            return await self._readers.run(self._loop, work)
        except (sqlite3.Error, StoreDamaged) as error:
            if not healing.is_damage(error):
                raise
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                # The writer heals before it writes; what is put into the new file from memory is there after the next.
                for _ in range(2):
                    await self.write(lambda _: None)
        return await self._readers.run(self._loop, work)

    async def begin(self, work: Work[T]) -> T:
        """As `write`, for what a start cannot go on without: also while the file waits for room."""
        if self._stand_in:
            return await self._loop.run_in_executor(None, self._stand_in.write, work)
        return await self.write(work)

    @property
    def waits(self) -> str | None:
        """What the file waits for, in words, while something in memory stands in for it; None where nothing does."""
        return self._stand_in.reason if self._stand_in else None

    def suspect(self, reason: str) -> None:
        """Say that something of the file cannot be read: it is healed; from any thread."""
        self._suspicion = reason
        self._bell.ring()

    def health(self) -> StoreHealth:
        """How the file is doing now; from any thread."""
        with self._guard:
            faults = (self._failing, self._backlog.overflow)
            failing = "; ".join(fault for fault in faults if fault) or None
            return StoreHealth(len(self._backlog), failing, self._writes, self._commits, self._backlog.age_s,
                               self._backlog.left_out)

    def _run(self) -> None:
        while True:
            with self._guard:
                batch = self._backlog.batch()
                last_try = self._closing
            if self._stand_in and not self._settle_in(self._stand_in):
                if last_try:
                    return
                self._pause()
                continue
            suspicion = self._suspicion
            if not batch and not suspicion:
                if last_try:
                    return
                self.pulse.rest()
                self._bell.wait()
                continue
            self.pulse.turn()
            if suspicion and not last_try:
                self._heal(suspicion)
            if not batch:
                if last_try:
                    return
                continue
            try:
                outcomes = commit(self._writer, batch)
            except sqlite3.Error as error:
                if self.room.eases(error) or (healing.is_damage(error) and not last_try and self._heal(str(error))):
                    continue
                self._failing = str(error)
                _log.error("%s: cannot be written, %d writes wait: %s", self.path, len(batch), error)
                if last_try:
                    return
                self._pause()
                continue
            self._took(batch, outcomes)

    def _took(self, batch: tuple[Write, ...], outcomes: list[Outcome]) -> None:
        with self._guard:
            self._backlog.took(batch)
        if self._failing:
            _log.warning("%s: can be written again", self.path)
        self._failing = None
        if self._is_alone and not self.room.has_nothing():
            self._open_to_others()
        self._writes += len(outcomes)
        self._commits += 1
        for callback in self.after_commit:
            callback()
        self._tell(outcomes)
        self.room.fill()

    def _tell(self, outcomes: list[Outcome]) -> None:
        told = [(done, value, error) for done, value, error in outcomes if done is not None]
        if told:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._loop.call_soon_threadsafe(self._hand_out, told)
        for done, _, error in outcomes:
            if done is None and error is not None:
                _log.error("%s: a write failed: %r", self.path, error)

    def _hand_out(self, outcomes: list[tuple[Done[Any], Any, BaseException | None]]) -> None:
        """Call everybody's `done` on the loop, in order; one of them that raises keeps nothing from the others."""
        for done, value, error in outcomes:
            try:
                done(value, error)
            except Exception as raised:  # noqa: BLE001  as the loop does with each callback
                told = {"message": f"{self.path}: a write's end could not be taken", "exception": raised}
                self._loop.call_exception_handler(told)

    def _pause(self) -> None:
        self.pulse.rest()
        until = monotonic() + self._retry_s
        while not self._closing and (left := until - monotonic()) > 0:
            self._bell.wait(left)

    def _settle_in(self, stand_in: StandIn) -> bool:
        """Heal the file or bring it to today's layout, once there is room; False where it still waits for that."""
        self._suspicion = None
        try:
            if not stand_in.is_worth_a_try():
                return False
            self._writer = stand_in.hand_over(self.path)
        except (StoreError, OSError, sqlite3.Error) as error:
            _log.warning("%s: %s; not yet: %s", self.path, stand_in.reason, error)
            return False
        _log.warning("%s: there is room for it again: it is whole", self.path)
        stand_in.close()
        self._failing = self.room.lacks = self._stand_in = None
        self._renew()
        return True

    def _renew(self) -> None:
        """Let all go on in the file that is there now."""
        self._readers.is_settling = True
        self._readers.renew()
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            for callback in (*self.on_healed, self._settle):
                self._loop.call_soon_threadsafe(callback)

    def _open_to_others(self) -> None:
        """Connect anew as ever once there is room, so that other processes can read; tried again after each commit."""

        def connect() -> None:
            self._writer.close()
            try:
                self._writer = connect_writer(self.path)
                self._is_alone = False
            except (StoreError, OSError, sqlite3.Error):
                self._connect_again()

        self._readers.stand_still(connect)

    def _heal(self, reason: str) -> bool:
        """Put another file in the place of the damaged one; on the writer's thread, False where it is not done."""
        self._suspicion = None
        if not self._pace.may_begin():
            return False
        self._readers.is_settling = True
        self._writer.close()
        try:
            healing.heal(self.path, reason, is_open=True)
        except (StoreError, OSError, sqlite3.Error) as error:
            self._readers.is_settling = False
            if self.room.eases(error) or self.room.is_full(error):
                self._pace.lacked_room()
            _log.error("%s: cannot be healed, it is tried again later: %s", self.path, error)
        else:
            self._renew()
        return self._connect_again()

    def _settle(self) -> None:
        """Let read from a new file once what was put into it from memory is there."""

        def done(_: object, __: BaseException | None) -> None:
            self._readers.is_settling = False

        with suppress(StoreError):  # it is closed
            self.submit(lambda _: None, done)

    def _connect_again(self) -> bool:
        """Connect the writer as soon as that can be done; False where the database is closed before."""
        while not self._closing:
            try:
                healing.take_up(self.path)
                self._writer = connect_writer(self.path, is_alone=self._is_alone)
            except (StoreError, OSError, sqlite3.Error) as error:
                self._failing = str(error)
                self._pause()
            else:
                return True
        return False

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
