"""The head of the chain as the store remembers it: a record that ends before it was cut."""

from __future__ import annotations

import sqlite3

import msgspec

from edgeagent.store import meta
from edgeagent.store.audit.chain import Head

_HEAD, _LEFT, _BROKEN = "audit.head", "audit.left", "audit.broken"
"""Head of the record beside this store; head of the one beside the store that a backup was made of; what is wrong."""

_UNREADABLE = "whether it was broken before cannot be told: what the store remembers of that is damaged on disk"


class Anchors(msgspec.Struct, frozen=True):
    """What a store remembers of its record; each None where there is nothing.

    Attributes:
        head: of the record beside it. left: of the record that a backup left behind.
        broken: what was found to be wrong, and nobody has accepted yet.
    """

    head: Head | None = None
    left: Head | None = None
    broken: str | None = None


def find(connection: sqlite3.Connection) -> Anchors:
    """Read what the store remembers, inside somebody's query; what is no head is none.

    Where the disk changed what was wrong, or that nothing was, something is.
    """
    broken = meta.get(connection, _BROKEN)
    if broken is None and meta.is_kept(connection, _BROKEN):
        broken = _UNREADABLE
    return Anchors(_read(connection, _HEAD), _read(connection, _LEFT), broken or None)


def put(connection: sqlite3.Connection, head: Head, broken: str | None) -> None:
    """Remember the head and what is wrong with the record, inside somebody's transaction."""
    meta.put(connection, _HEAD, str(head))
    meta.put(connection, _BROKEN, broken or "")


def leave(connection: sqlite3.Connection) -> None:
    """Make it the head of a record that is somewhere else: a backup may be put beside another one."""
    head = _read(connection, _HEAD)
    if head is not None:
        meta.put(connection, _LEFT, str(head))
        connection.execute("DELETE FROM meta WHERE key IN (?, ?)", (_HEAD, _BROKEN))


def carry(source: sqlite3.Connection, into: sqlite3.Connection) -> None:
    """Take over what the store of before remembers of the record that stays where it is."""
    anchors = find(source)
    if anchors.head is not None:
        put(into, anchors.head, anchors.broken)


def _read(connection: sqlite3.Connection, name: str) -> Head | None:
    text = meta.get(connection, name)
    try:
        return Head.of(text) if text else None
    except ValueError:
        return None
