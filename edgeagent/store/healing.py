"""A damaged store is put aside, and a new one takes its place with all of it that can be read.

`<store>.healed` is the new one while it is made; once it is whole the damaged files are moved to
`<store>.corrupt-<time>`, which nothing ever deletes, and it is moved into their place. A crash at any moment leaves one
or the other.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from edgeagent.errors import StoreDamaged, StoreError
from edgeagent.store import rescue, salvage
from edgeagent.store.connection import connect_reader, connect_reader_to, connect_writer, reading
from edgeagent.store.salvaged import Salvaged, find
from edgeagent.store.schema import MIGRATIONS
from edgeagent.store.swapping import aside, swap

_LOOK_S = 0.5
"""Real seconds for a look at a file before it is opened."""
_STEPS = 10_000
"""Instructions of SQLite between two looks at the clock."""
_ROWS = 200
_MAGIC = b"SQLite format 3\0"
_OBJECTS = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~'"
_MOST_NEWER = 100
"""Layouts beyond this version's that a newer one may have made: its store is refused and not healed."""
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_log = logging.getLogger(__name__)


def was_ours(store: Path) -> bool:
    """Say whether an agent ever kept its store there: a file of somebody else is never put aside."""
    return Path(f"{store}.mark").exists()


def is_damage(error: BaseException | None) -> bool:
    """Say whether a fault is that a file is not as it was written."""
    if isinstance(error, StoreError):
        return isinstance(error, StoreDamaged) or is_damage(error.__cause__)
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def healed_file(store: Path) -> Path:
    """Where the new store is made."""
    return Path(f"{store}.healed")


def look(store: Path) -> str | None:
    """Say what is wrong with a store that nobody has opened: its header, its schema, both ends of each tree.

    It takes half a second at most, whatever the size. None for a file that is well, as far as that tells, is not there,
    or was never a store.
    """
    try:
        size = store.stat().st_size
        with store.open("rb") as file:
            begins = file.read(len(_MAGIC))
    except OSError:
        return None
    if not was_ours(store):
        return None
    if not size:
        return "the file is empty"
    if begins != _MAGIC:
        return "the file does not begin as a database does"
    try:
        with closing(connect_reader_to(reading(store))) as connection:
            return _structure(connection) or _ends(connection)
    except sqlite3.Error as error:
        return str(error) if is_damage(error) else None


def heal(store: Path, reason: str, *, is_open: bool = False) -> None:
    """Put a damaged store aside and a new one in its place; whoever calls holds its lock.

    Args:
        is_open: whether this process may still read from the file; it is not given up for an empty one then.

    Raises:
        StoreError, sqlite3.Error, OSError: there is no room, or a file cannot be moved; the store is as it was.
    """
    laid = healed_file(store)
    _discard(laid)
    now = datetime.now(UTC)
    salvaged = Salvaged(now.isoformat(timespec="seconds").replace("+00:00", "Z"), aside(store, "corrupt", now), reason)
    _log.error("%s: is damaged (%s): it is put aside, and what of it can be read is taken over", store, reason)
    with closing(connect_writer(laid)) as into:
        into.execute("BEGIN IMMEDIATE")
        salvage.begin(store, into, salvaged)
        if is_open and not salvaged.tables:
            raise StoreDamaged(f"{store}: {salvaged.reason}: it is healed at the next start")
        salvage.leave_unread(store, into)
        into.execute("COMMIT")
        into.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    swap(laid, store, salvaged.aside, with_mark=False)
    _log.warning("%s: %s", store, salvaged.words())


def connect(store: Path, *, is_alone: bool = False) -> sqlite3.Connection:
    """Connect the writer to a store, which is healed first where it is damaged; whoever calls holds its lock.

    Args:
        is_alone: as of `connect_writer`.

    Raises:
        StoreError, sqlite3.Error, OSError: it cannot be opened, or there is no room to heal it.
    """
    take_up(store)
    if damage := look(store):
        heal(store, damage)
    try:
        return connect_writer(store, is_alone=is_alone)
    except (sqlite3.Error, StoreError) as error:
        if not (was_ours(store) and is_damage(error)):
            raise
        heal(store, str(error))
    return connect_writer(store, is_alone=is_alone)


def take_up(store: Path) -> None:
    """Go on where a crash stopped healing; whoever calls holds the lock of the store.

    Raises:
        OSError: a file cannot be moved.
    """
    laid = healed_file(store)
    if not laid.exists():
        return
    log = Path(f"{laid}-wal")
    salvaged = None
    if not log.exists() or not log.stat().st_size:
        with suppress(sqlite3.Error), closing(connect_reader(laid)) as connection:
            # Once the damaged store is aside its name is known, also where it cannot be read here any more.
            salvaged = find(connection, None if store.exists() else store)
    if salvaged is None:  # the damaged store is still there, and is looked at again
        _discard(laid)
        return
    for suffix in ("-wal", "-shm"):
        Path(f"{laid}{suffix}").unlink(missing_ok=True)
    swap(laid, store, salvaged.aside, with_mark=False)


def _discard(laid: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{laid}{suffix}").unlink(missing_ok=True)


def _structure(connection: sqlite3.Connection) -> str | None:
    """Hold the tables against the layout that the header tells."""
    layout: int = connection.execute("PRAGMA user_version").fetchone()[0]
    found = dict(connection.execute(_OBJECTS).fetchall())
    holds = [_schema(number).items() <= found.items() for number in range(1, len(MIGRATIONS) + 1)]
    if 0 < layout <= len(MIGRATIONS):
        is_later = any(is_held and _schema(number) != _schema(layout)
                       for number, is_held in enumerate(holds[layout:], layout + 1))  # fmt: skip
        return None if holds[layout - 1] and not is_later else f"its tables are not those of layout {layout}"
    if len(MIGRATIONS) < layout < len(MIGRATIONS) + _MOST_NEWER or not any(holds):
        return None
    return f"its header tells of a layout {layout} that there is not"


def _ends(connection: sqlite3.Connection) -> str | None:
    """Read both ends of each table and index; None also where there was no time for it."""
    end = time.monotonic() + _LOOK_S
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        for name, it in rescue.layouts(connection).items():
            for order in ("ASC", "DESC"):
                sorting = ", ".join(f"{column} {order}" for column in it.key or ("rowid",))
                connection.execute(f"SELECT * FROM {name} ORDER BY {sorting} LIMIT {_ROWS}").fetchall()  # noqa: S608
        query = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'"
        for name, table in connection.execute(query).fetchall():
            columns = [row[2] for row in connection.execute(f"PRAGMA index_info({name})")]
            for order in ("ASC", "DESC"):
                sorting = ", ".join(f"{column} {order}" for column in columns)
                query = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {sorting} LIMIT {_ROWS}"  # noqa: S608
                connection.execute(query).fetchall()
    except sqlite3.Error as error:
        if is_damage(error):
            return str(error)
        if "interrupted" not in str(error):
            raise
    return None


@cache
def _schema(layout: int) -> dict[str, str | None]:
    """Name and text of each table and index of a layout."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for step in MIGRATIONS[:layout]:
            connection.executescript(step.script)
        return dict(connection.execute(_OBJECTS))
