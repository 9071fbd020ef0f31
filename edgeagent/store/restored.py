"""Whether a restore waits beside a store, and what a store tells of the restore that it comes from."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from edgeagent.store import meta

_RESTORED = "restore.taken"


class Restored(msgspec.Struct, frozen=True):
    """A restore that was taken up.

    Attributes:
        laid: what `lay` returned. at: when it was taken up; made: when the backup was made, None where unknown.
        aside: the store of before, None where there was none.
        boards: records taken over from it; machines: those whose state was; unread: what of it could not be read.
    """

    laid: str
    at: str
    made: str | None
    aside: str | None
    boards: int
    machines: list[str]
    unread: list[str]


def laid_file(store: Path) -> Path:
    """Where a restore waits to be taken up."""
    return Path(f"{store}.restore")


def find(connection: sqlite3.Connection) -> Restored | None:
    """The last restore that this store comes from; None where it grew by itself."""
    text = meta.get(connection, _RESTORED)
    try:
        return msgspec.json.decode(text, type=Restored) if text else None
    except msgspec.DecodeError:  # damaged on disk: it is only told where it comes from
        return None


def keep(connection: sqlite3.Connection, restored: Restored) -> None:
    """Remember a restore inside somebody's transaction."""
    meta.put(connection, _RESTORED, msgspec.json.encode(restored).decode())


def restored_from(connection: sqlite3.Connection) -> str:
    """What the store was restored from, in words for an event; empty where it grew by itself."""
    restored = find(connection)
    if restored is None:
        return ""
    return f"backup of {restored.made or 'unknown time'}, restored {restored.at}"
