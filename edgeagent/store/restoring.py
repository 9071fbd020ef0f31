"""Restores: a backup is laid beside the store, and whoever opens the store next takes it up.

`<store>.restore` is what was laid. As long as it is there, nothing else opens the store, so that a crash at any moment
leaves the old store, or the new one once it goes on; `<store>.before-restore-<time>` is the old one, never deleted.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from edgeagent.errors import StoreError
from edgeagent.store import meta, standing
from edgeagent.store.backup import contents
from edgeagent.store.carrying import Carried, carry
from edgeagent.store.connection import connect_reader
from edgeagent.store.copying import Progress, copy
from edgeagent.store.mark import Mark
from edgeagent.store.migration import take
from edgeagent.store.restored import Restored, find, keep, laid_file
from edgeagent.store.schema import MIGRATIONS
from edgeagent.store.swapping import aside, swap

_LAID = "restore.laid"

_log = logging.getLogger(__name__)


def refused_file(store: Path) -> Path:
    """Where a restore is put that cannot be taken up."""
    return Path(f"{store}.restore-refused")


def refusal(store: Path) -> str | None:
    """What is told of a restore that could not be taken up, as long as it lies there."""
    file = refused_file(store)
    return f"{file} could not be taken up, the log says why: delete it, or restore another" if file.exists() else None


def lay(backup: Path, store: Path, progress: Progress | None = None) -> str:
    """Lay a checked copy of a backup beside a store, and return the name of this restore.

    Raises:
        StoreError: the backup is damaged, there is no room, or an earlier restore stopped halfway.
    """
    laid = laid_file(store)
    if laid.exists() and (not store.exists() or backup.samefile(laid)):
        raise StoreError(f"{laid}: an earlier restore waits or stopped halfway: start the agent, it will take it up")
    discard(store)
    name = secrets.token_hex(8)
    owner = store.stat() if store.exists() else store.parent.stat()
    try:
        with closing(connect_reader(backup)) as connection:
            copy(connection, laid, finish=lambda c: meta.put(c, _LAID, name), progress=progress, owner=owner)
    except (StoreError, sqlite3.Error, OSError) as error:
        raise StoreError(f"{laid}: {backup} cannot be laid there: {error}") from error
    refused_file(store).unlink(missing_ok=True)
    return name


def discard(store: Path) -> None:
    """Take back what was laid."""
    for suffix in ("", "-journal"):
        Path(f"{laid_file(store)}{suffix}").unlink(missing_ok=True)


def take_up(store: Path) -> None:
    """Put what was laid in the store's place, and the store aside; whoever calls holds the lock of the store.

    Does nothing where nothing was laid. What cannot be taken up is put aside, and the store stays as it is.

    Raises:
        StoreError: it stopped halfway and cannot go on. OSError: a file cannot be moved.
    """
    laid = laid_file(store)
    if not laid.exists():
        return
    try:
        restored = _prepare(laid, store)
    except (sqlite3.Error, StoreError, OSError) as error:
        if not store.exists():
            raise StoreError(f"{laid}: the restore cannot go on: {error} (check the disk and the rights)") from error
        laid.replace(refused_file(store))
        _log.error("%s: not restored, the store stays as it is: %s; see %s", store, error, refused_file(store))
        return
    swap(laid, store, restored.aside, with_mark=True)
    _log.warning(
        "%s: restored from a backup of %s; the store of before is %s; taken over from it: %d boards, the state of %s; "
        "not readable there: %s", store, restored.made or "unknown time", restored.aside or "none", restored.boards,
        ", ".join(restored.machines) or "no machine", ", ".join(restored.unread) or "nothing",
    )  # fmt: skip


def _prepare(laid: Path, store: Path) -> Restored:
    """Bring what was laid to the newest layout and make it whole, in one transaction: after it only files are moved."""
    with closing(sqlite3.connect(laid, isolation_level=None)) as connection:
        found = contents(connection, laid, is_thorough=False)
        name = meta.get(connection, _LAID)
        if name is None:
            raise StoreError(f"{laid}: was not laid by edgeagent restore")
        earlier = find(connection)
        if earlier and earlier.laid == name:
            return earlier
        connection.execute("PRAGMA synchronous = FULL")
        for number, step in enumerate(MIGRATIONS[found.layout :], found.layout + 1):
            take(connection, step, number)
        connection.execute("BEGIN IMMEDIATE")
        now = datetime.now(UTC)
        carried = carry(store, connection) if store.exists() else Carried()
        reached = Mark(store).read()
        standing.leave(connection, max(carried.last, reached.last if reached else 0))
        restored = Restored(
            name, now.isoformat(timespec="seconds").replace("+00:00", "Z"), found.made,
            aside(store, "before-restore", now) if store.exists() else None, carried.boards, carried.machines,
            carried.unread,
        )  # fmt: skip
        keep(connection, restored)
        connection.execute("COMMIT")
        return restored
