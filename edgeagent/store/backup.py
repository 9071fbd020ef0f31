"""Backups: a file of its own that holds the whole store as of one moment, and what is in one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from edgeagent.errors import StoreError
from edgeagent.store import meta, standing
from edgeagent.store.audit import anchor
from edgeagent.store.checksums import damaged
from edgeagent.store.connection import connect_reader, require_own_log
from edgeagent.store.copying import Progress, copy
from edgeagent.store.schema import MIGRATIONS

_OURS = {"meta", "events", "boards", "board_barcodes", "traces", "checkpoints", "history"}


class Contents(msgspec.Struct, frozen=True):
    """What a store or a backup holds.

    Attributes:
        made: when the backup was made (RFC 3339), None where the file is no backup.
        stream: the last stream of its events; first, last: their numbers, 0 where there are none.
        size: bytes of the database. damaged: table → rows whose checksum does not fit; None where nobody looked.
    """

    layout: int
    made: str | None
    stream: str | None
    first: int
    last: int
    events: int
    boards: int
    size: int
    damaged: dict[str, int] | None


def back_up(store: Path, output: Path, *, replace: bool = False, progress: Progress | None = None) -> Contents:
    """Back up a store, whether an agent writes to it or not, and read the backup once from end to end.

    A backup never goes on with its stream: wherever it is put, the next start begins a new one.

    Raises:
        StoreError: there is no store of ours, it is damaged, no room, or the output is there and not to be replaced.
    """
    if output.exists() and (not replace or output.samefile(store)):
        raise StoreError(f"{output}: is there already: name another file" + ("" if replace else ", or give --force"))
    examine(store, is_thorough=False)
    try:
        with closing(connect_reader(store)) as connection:
            copy(connection, output, finish=_stamp, progress=progress, replace=replace)
    except (StoreError, sqlite3.Error, OSError) as error:
        raise StoreError(f"{output}: the backup of {store} cannot be made: {error}") from error
    return examine(output, is_thorough=True)


def examine(path: Path, *, is_thorough: bool) -> Contents:
    """Find what a store or a backup holds.

    Args:
        is_thorough: whether every row is held against its checksum.

    Raises:
        StoreError: it cannot be read, is none of ours, beside another one's log, or of a newer layout than this
            version knows.
    """
    try:
        path.stat()
        require_own_log(path)
        with closing(connect_reader(path)) as connection:
            return contents(connection, path, is_thorough)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: cannot be read as a store: {error}") from error


def contents(connection: sqlite3.Connection, path: Path, is_thorough: bool) -> Contents:
    """Find what an open database holds; raises StoreError, sqlite3.Error."""
    layout: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if _OURS - {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}:
        raise StoreError(f"{path}: is no store or backup of edgeagent: name another file")
    if not 0 < layout <= len(MIGRATIONS):
        raise StoreError(
            f"{path}: is of layout {layout}, this version of edgeagent knows up to {len(MIGRATIONS)}: "
            "use the version that wrote it, or a newer one"
        )
    connection.execute("BEGIN")
    try:
        events, first, last = connection.execute("SELECT count(*), min(sequence), max(sequence) FROM events").fetchone()
        boards = connection.execute("SELECT count(*) FROM boards").fetchone()[0]
        pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        stream = standing.last_stream(connection)
        found = damaged(connection) if is_thorough else None
        return Contents(layout, meta.get(connection, standing.MADE), stream, first or 0, last or 0, events, boards,
                        pages * size, found)
    finally:
        connection.execute("ROLLBACK")


def _stamp(copied: sqlite3.Connection) -> None:
    standing.leave(copied, 0)
    anchor.leave(copied)
    meta.put(copied, standing.MADE, datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"))
