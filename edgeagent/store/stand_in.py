"""What stands in for a store that a full disk lets nobody heal or bring to today's layout: the most needed, in memory.

Readers are served from it; what is to be written waits as on any full disk. Once there is room the file itself takes
its place, as a healed one does.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from edgeagent.store import healing, rescue, salvage, standing
from edgeagent.store.backlog import T, Work
from edgeagent.store.connection import connect_reader_to, decoded
from edgeagent.store.migration import take
from edgeagent.store.room import Room
from edgeagent.store.salvaged import Salvaged, Table, keep
from edgeagent.store.schema import MIGRATIONS

_MOST_EVENTS = 2000
"""The newest, which are served meanwhile."""
_MOST_PAGES = 16_384
"""64 MiB of memory."""
_MORE = 64 << 10
"""Bytes of room that must have come free since the last try."""
_AGAIN_S = 60.0
"""Real seconds after which it is tried also where no room came free."""


class StandIn:
    """A file in memory that this process's connections share; nothing is written to it but the stream that begins.

    Attributes:
        reason: what the store waits for, in words.
    """

    def __init__(self, store: Path, room: Room, error: BaseException) -> None:
        """Take over what is needed at once and can be read; the store stays as it is.

        Raises:
            sqlite3.Error, OSError: there is no memory, or the files beside the store cannot be read.
        """
        self.reason = f"the disk is full and the store is {_needs(store)} once there is room ({error})"
        self._room = room
        self._free = -1
        self._tried_s = monotonic()
        self._address = f"file:/{secrets.token_hex(8)}?vfs=memdb"
        self._connection = decoded(sqlite3.connect(
            self._address, isolation_level=None, check_same_thread=False, uri=True))
        try:
            self._fill(store)
        except BaseException:
            self._connection.close()
            raise

    def _fill(self, store: Path) -> None:
        into = self._connection
        into.execute(f"PRAGMA max_page_count = {_MOST_PAGES}")
        for number, step in enumerate(MIGRATIONS, 1):
            take(into, step, number)
        into.execute("BEGIN IMMEDIATE")
        if _was_kept(store):
            now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            salvaged = Salvaged(now, str(store), self.reason, waits=self.reason)
            salvage.begin(store, into, salvaged, _MOST_EVENTS)
            salvaged.tables.setdefault("events", Table())
            keep(into, salvaged)
        salvage.leave_unread(store, into)
        into.execute("COMMIT")

    def connect(self) -> sqlite3.Connection:
        """Connect a reader to it."""
        return connect_reader_to(self._address)

    def write(self, work: Work[T]) -> T:
        """Do what a start cannot go on without, at once; `hand_over` takes to the file what stream that began."""
        self._connection.execute("BEGIN IMMEDIATE")
        value = work(self._connection)
        self._connection.execute("COMMIT")
        return value

    def is_worth_a_try(self) -> bool:
        """Whether room has come free since this said so last, or that was long ago."""
        free = self._room.free()
        is_worth = free > self._free + _MORE or monotonic() - self._tried_s >= _AGAIN_S
        if is_worth:
            self._free, self._tried_s = free, monotonic()
        else:
            self._free = min(free, self._free)
        return is_worth

    def close(self) -> None:
        """Forget what is in memory."""
        self._connection.close()

    def hand_over(self, store: Path) -> sqlite3.Connection:
        """Connect the writer to the file, healed and of today's layout, and let the stream go on there.

        Raises:
            StoreError, sqlite3.Error, OSError: there is still no room for it.
        """
        into = healing.connect(store)
        try:
            into.execute("BEGIN IMMEDIATE")
            standing.follow(self._connection, into)
            into.execute("COMMIT")
        except BaseException:
            into.close()
            raise
        return into


def _needs(store: Path) -> str:
    """What the store is, and what is done about it."""
    if not _was_kept(store):
        return "not there yet: it is made"
    layout = _layout(store)
    if healing.look(store) is None and 0 < layout < len(MIGRATIONS):
        return f"of an earlier layout ({layout}): it is brought to today's"
    return "damaged: it is healed"


def _was_kept(store: Path) -> bool:
    """Whether there is something to take over: also where the mark that tells so is gone, the layout may."""
    return healing.was_ours(store) or 0 < _layout(store) <= len(MIGRATIONS)


def _layout(store: Path) -> int:
    """What layout the header tells of; 0 where it cannot be read."""
    with suppress(sqlite3.Error), closing(rescue.connect_damaged(store)) as connection:
        layout: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return layout
    return 0
