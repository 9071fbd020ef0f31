"""One transaction of several works: as one, or, where one of them is refused, each by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from edgeagent.store.backlog import Done, T, Work, Write

Outcome = tuple[Done[Any] | None, Any, BaseException | None]
_Doing = Callable[[sqlite3.Connection, Work[Any], Work[Any] | None], tuple[Any, BaseException | None]]

_PASSING = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}  # fmt: skip
"""Faults of the disk and not of the work: what was to be written is kept and tried again."""


def commit(connection: sqlite3.Connection, batch: tuple[Write, ...]) -> list[Outcome]:
    """Write all of a batch as one; where one of it is refused, begin again and let each fail by itself.

    Raises:
        sqlite3.Error: a fault of the disk and not of the work: nothing is written, and all is to be tried again.
    """
    try:
        return _transact(connection, batch, _trust)
    except Exception as error:
        if _is_passing(error):
            raise
        return _transact(connection, batch, _attempt)


def at_one_moment(work: Work[T], connection: sqlite3.Connection) -> T:
    """Run the queries of some work on a connection that reads, all of them on the file as of one moment."""
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.execute("ROLLBACK")


def _transact(connection: sqlite3.Connection, batch: tuple[Write, ...], do: _Doing) -> list[Outcome]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [(w.done, *do(connection, work, w.refused)) for w in batch if (work := w.work)]
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.rollback()
    return outcomes


def _trust(connection: sqlite3.Connection, work: Work[Any], _: Work[Any] | None) -> tuple[Any, None]:
    return work(connection), None


def _attempt(
    connection: sqlite3.Connection, work: Work[Any], refused: Work[Any] | None
) -> tuple[Any, BaseException | None]:
    """Do work inside somebody's transaction: its result; or that of `refused` and what it raised, all of it undone.

    Raises:
        sqlite3.Error: a fault of the disk and not of the work: the whole transaction is to be tried again.
    """
    connection.execute("SAVEPOINT work")
    try:
        value = work(connection)
    except Exception as error:
        if _is_passing(error):
            raise
        connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")
        return _attempt(connection, refused, None)[0] if refused else None, error
    connection.execute("RELEASE work")
    return value, None


def _is_passing(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING
