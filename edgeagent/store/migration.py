"""Brings a file of an earlier version to the layout of today: after a backup, and step by step."""

from __future__ import annotations

import logging
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from edgeagent.errors import StoreError
from edgeagent.store.copying import copy
from edgeagent.store.schema import MIGRATIONS, Step

_KEPT = 2
"""Backups of earlier layouts that stay beside the file."""

_log = logging.getLogger(__name__)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to the newest layout, each step in a transaction of its own, after a backup beside it.

    Raises:
        StoreError: the file is from a newer version, some other program's, or cannot be brought to the newest layout;
            it is then as it was after the last whole step. sqlite3.Error: a new file cannot be made.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path}: written by a newer edgeagent (layout {version}, this one knows up to {len(MIGRATIONS)}): "
            "install the newer version again, or name another file"
        )
    if version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise StoreError(f"{path}: this database belongs to another program: name another file")
    backup = _back_up(connection, path, version + 1) if 0 < version < len(MIGRATIONS) else None
    for number, step in enumerate(MIGRATIONS[version:], version + 1):
        try:
            take(connection, step, number)
        except Exception as error:
            if connection.in_transaction:
                connection.rollback()
            if backup is None:
                raise
            raise StoreError(
                f"{path}: could not be brought to layout {number}: {error}; nothing of that step is in the file, and "
                f"{backup} holds it as it was at layout {version}: install the version of before again, or bring back "
                "an earlier backup with edgeagent restore"
            ) from error
    if backup:
        _log.info("%s: brought from layout %d to %d; before it is %s", path, version, len(MIGRATIONS), backup)


def take(connection: sqlite3.Connection, step: Step, number: int) -> None:
    """Take one step to a layout; it is whole when this returns, and a transaction is left open when it raises."""
    connection.executescript(f"BEGIN IMMEDIATE; {step.script};")
    if step.fill:
        step.fill(connection)
    connection.execute(f"PRAGMA user_version = {number}")
    connection.execute("COMMIT")


def _back_up(connection: sqlite3.Connection, path: Path, layout: int) -> Path:
    """Make `<path>.before-layout-<n>`, unless an earlier attempt at the same state of the file made it."""
    backup = Path(f"{path}.before-layout-{layout}")
    try:
        if not _is_same(connection, backup):
            copy(connection, backup, replace=True, owner=path.stat())
    except (StoreError, sqlite3.Error, OSError) as error:
        raise StoreError(
            f"{path}: cannot be brought to layout {layout}, because its backup cannot be made: {error}; the file is "
            "as it was: mend this, install the version of before again, or bring back an earlier backup with "
            "edgeagent restore"
        ) from error
    earlier = {
        int(found[1]): file for file in path.parent.iterdir()
        if (found := re.fullmatch(re.escape(f"{path.name}.before-layout-") + r"(\d+)", file.name))
    }  # fmt: skip
    for number in sorted(earlier)[:-_KEPT]:
        try:
            earlier[number].unlink()
        except OSError as error:
            _log.warning("%s: is an old backup that cannot be deleted: %s; delete it by hand", earlier[number], error)
    return backup


def _is_same(connection: sqlite3.Connection, backup: Path) -> bool:
    """Say whether a backup holds the file as it is now: no agent runs without writing checkpoints."""
    if not backup.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as earlier:
            return _state(earlier) == _state(connection)
    except sqlite3.Error:
        return False


def _state(connection: sqlite3.Connection) -> list[object]:
    queries = ("PRAGMA user_version", "PRAGMA page_count", "SELECT key, value FROM meta ORDER BY key",
               "SELECT machine, saved_wall_ns, crc FROM checkpoints ORDER BY machine", "SELECT max(id) FROM boards")
    return [connection.execute(query).fetchall() for query in queries]
