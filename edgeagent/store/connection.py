"""How the file is locked and connected to: one process, one writing connection, reading ones beside it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from pathlib import Path

from edgeagent.errors import StoreError
from edgeagent.store.migration import migrate

_CACHE = "PRAGMA cache_size = -512"
"""Pages in memory, in KiB, of each connection: the system keeps the file's pages anyway, once for all of them."""

_INSTANT_S = 0.2


def lock(path: Path) -> int:
    """Take `<path>.lock` for this process and return its descriptor; closing it lets go.

    Raises:
        StoreError: another process holds it. OSError: the file cannot be made.
    """
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 20, 0).decode(errors="replace")
        os.close(descriptor)
        raise StoreError(
            f"{path}: already open in another edgeagent (process {owner or 'unknown'}): "
            "stop that one, or give this one a file of its own"
        ) from error
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _take(descriptor: int) -> None:
    """Take a lock; raises BlockingIOError when another keeps it longer than `holder`, which only asks."""
    end = time.monotonic() + _INSTANT_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
        time.sleep(_INSTANT_S / 10)


def holder(path: Path) -> str:
    """Number of the process that has the database open; empty where none has, "unknown" where it does not say."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 20, 0).decode(errors="replace") or "unknown"
    else:
        return ""
    finally:
        os.close(descriptor)


def connect_writer(path: Path) -> sqlite3.Connection:
    """Make the file when missing (0600), open it for writing and bring it to the newest version.

    Raises:
        StoreError: it is newer, another program's, or on a disk that cannot hold it. sqlite3.Error, OSError.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StoreError(f"{path}: this disk cannot hold a write-ahead log: use a local disk")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_CACHE)
        connection.execute("PRAGMA journal_size_limit = 16777216")
        migrate(connection, path)
    except (sqlite3.Error, StoreError):
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the file for reading only; the connection may be closed from another thread."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, timeout=5, isolation_level=None, check_same_thread=False, uri=True)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(_CACHE)
    return connection
