"""How the file is locked and connected to: one process, one writing connection, reading ones beside it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from edgeagent.errors import StoreError
from edgeagent.store.migration import migrate

_CACHE = "PRAGMA cache_size = -512"
"""Pages in memory, in KiB, of each connection: the system keeps the file's pages anyway, once for all of them."""


def _text(found: bytes) -> str:
    """Text as it is on disk; bytes that the disk changed into none are told by the row's checksum, or seen."""
    return found.decode(errors="replace")


_NO_ROOM_TO_READ = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_WRITE,
}  # fmt: skip
_TRIES, _MOMENT_S = 10, 0.02
_INCREMENTAL = 2
"""As `PRAGMA auto_vacuum` tells it."""

_READ_VERSION, _HEADER = 19, 20
"""Place in the file's header of the byte that is 2 where there is a write-ahead log, else 1; bytes up to it."""


def lock(path: Path) -> int:
    """Take `<path>.lock` for this process and return its descriptor; closing it lets go.

    Raises:
        StoreError: another process holds it. OSError: the file cannot be made.
    """
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _seize(descriptor)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 20, 0).decode(errors="replace")
        os.close(descriptor)
        raise StoreError(
            f"{path}: already open in another edgeagent (process {owner or 'unknown'}): "
            "stop that one, or give this one a file of its own"
        ) from error
    except OSError:
        os.close(descriptor)
        raise
    with suppress(OSError):  # on a full disk: who holds it is told as unknown
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _seize(descriptor: int) -> None:
    """Take the lock, also from `holder`, which has it for a moment; raises BlockingIOError where another keeps it."""
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_MOMENT_S)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


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


def require_own_log(path: Path) -> None:
    """Refuse a file that was put beside another one's write-ahead log: SQLite would read that log into it.

    Raises:
        StoreError: the log is not the file's. OSError: the file cannot be read.
    """
    log = Path(f"{path}-wal")
    if not log.exists() or not log.stat().st_size or not path.exists():
        return
    with path.open("rb") as file:
        is_without_log = file.read(_HEADER)[_READ_VERSION:] == b"\x01"
    if is_without_log:
        raise StoreError(
            f"{log}: belongs to the file that was here before {path}: move it and {path}-shm away, then try again"
        )


def connect_writer(path: Path, *, is_alone: bool = False) -> sqlite3.Connection:
    """Make the file when missing (0600), open it for writing and bring it to the newest version.

    Args:
        is_alone: what connections share is in memory and not in `-shm`, for which a full disk has no room; no other
            process can read meanwhile.

    Raises:
        StoreError: it is newer, another program's, beside another one's log, or on a disk that cannot hold it.
            sqlite3.Error, OSError.
    """
    require_own_log(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    address = f"{path.absolute().as_uri()}?vfs={'unix-excl' if is_alone else 'unix'}"
    connection = sqlite3.connect(address, timeout=5, isolation_level=None, check_same_thread=False, uri=True)
    connection.text_factory = _text
    try:
        if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != _INCREMENTAL:  # to set it is to write
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StoreError(f"{path}: this disk cannot hold a write-ahead log: use a local disk")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_CACHE)
        connection.execute("PRAGMA journal_size_limit = 16777216")
        migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def decoded(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A connection that tells text as it is on disk, whatever the disk made of it."""
    connection.text_factory = _text
    return connection


def reading(path: Path) -> str:
    """The address to read from a file that no other connection of this process has open.

    What connections share of one with a write-ahead log is in memory where a full disk has no room for its `-shm`.
    """
    address = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, timeout=5, uri=True)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) in _NO_ROOM_TO_READ:
            return f"{path.absolute().as_uri()}?mode=rw&vfs=unix-excl"
    finally:
        connection.close()
    return address


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the file for reading only; the connection may be closed from another thread."""
    return connect_reader_to(f"{path.absolute().as_uri()}?mode=ro")


def connect_reader_to(address: str) -> sqlite3.Connection:
    """Open a file by SQLite's own address of it, else as `connect_reader` does."""
    connection = decoded(sqlite3.connect(address, timeout=5, isolation_level=None, check_same_thread=False, uri=True))
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute(_CACHE)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
