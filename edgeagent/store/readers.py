"""The threads that read beside the writer, each on a connection of its own to the file that is there now."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from edgeagent.errors import StoreDamaged
from edgeagent.store import healing
from edgeagent.store.backlog import T, Work
from edgeagent.store.connection import connect_reader

_READERS = 2
_PATIENCE_S = 10.0
"""Real seconds in which they come to stand still."""


class Readers:
    """Runs queries; from the loop, but for what says otherwise.

    Args:
        suspect: takes the words of damage that a query found; called on a reader's thread.

    Attributes:
        connect: connects to what is read from.
        is_settling: whether what is in memory is still to be put into a new file: until then nothing is read.
    """

    def __init__(self, path: Path, suspect: Callable[[str], None]) -> None:
        self._path = path
        self._suspect = suspect
        self._pool = ThreadPoolExecutor(_READERS, "store-reader")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._file = 0
        self.connect: Callable[[], sqlite3.Connection] = partial(connect_reader, path)
        self.is_settling = False

    async def run(self, loop: asyncio.AbstractEventLoop, work: Work[T]) -> T:
        """Run a query beside the loop; raises StoreDamaged while the file is being healed, and what the query does."""
        return await loop.run_in_executor(self._pool, self._query, work)

    def renew(self) -> None:
        """Another file is there: the next query of each connects to it; from any thread."""
        self.connect = partial(connect_reader, self._path)
        self._file += 1

    def stand_still(self, do: Callable[[], object]) -> None:
        """Do something while nobody has a connection, or not at all where they do not rest; on the writer's thread."""
        everybody, done = threading.Barrier(_READERS + 1), threading.Event()

        def rest() -> None:
            with suppress(threading.BrokenBarrierError):
                self._disconnect()
                everybody.wait(_PATIENCE_S)
                done.wait(_PATIENCE_S)

        for _ in range(_READERS):
            self._pool.submit(rest)
        try:
            everybody.wait(_PATIENCE_S)
        except threading.BrokenBarrierError:
            return
        do()
        done.set()

    def close(self) -> None:
        """Wait for the queries that run, and close all connections; from any thread."""
        self._pool.shutdown()
        for connection in self._connections:
            with suppress(sqlite3.Error):
                connection.close()
        self._connections.clear()

    def _query(self, work: Work[T]) -> T:
        try:
            found = work(self._connection())
        except sqlite3.Error as error:
            if not healing.is_damage(error):
                raise
            self._own.file = -1
            found = self._query_anew(work)
        if self.is_settling:
            raise StoreDamaged(f"{self._path}: is being healed: ask again later")
        return found

    def _query_anew(self, work: Work[T]) -> T:
        """Do it on a new connection; damage that is found so is one of the file."""
        try:
            return work(self._connection())
        except sqlite3.Error as error:
            if healing.is_damage(error):
                self._suspect(str(error))
            raise

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection, to the file that is there now."""
        if getattr(self._own, "file", -1) != self._file:
            file = self._file
            self._disconnect()
            self._own.connection = self.connect()
            self._own.file = file
            self._connections.append(self._own.connection)
        connection: sqlite3.Connection = self._own.connection
        return connection

    def _disconnect(self) -> None:
        """Close this thread's connection."""
        earlier = getattr(self._own, "connection", None)
        if earlier is not None:
            self._connections.remove(earlier)
            earlier.close()
        self._own.connection, self._own.file = None, -1
