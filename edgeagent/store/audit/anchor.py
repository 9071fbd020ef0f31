"""The head of the chain as the store remembers it: a record that ends before it was cut."""

from __future__ import annotations

import sqlite3

import msgspec

from edgeagent.store import meta
from edgeagent.store.audit.chain import Head

_HEAD, _LEFT = "audit.head", "audit.left"
"""The head of the record beside this store; that of the record beside the store that a backup was made of."""


class Anchors(msgspec.Struct, frozen=True):
    """What a store remembers: the head of its record, or of the one that it left behind as a backup; None where none.
    """

    head: Head | None = None
    left: Head | None = None


def find(connection: sqlite3.Connection) -> Anchors:
    """Read what the store remembers, inside somebody's query; what is no head is none."""
    return Anchors(_read(connection, _HEAD), _read(connection, _LEFT))


def put(connection: sqlite3.Connection, head: Head) -> None:
    """Remember the head, inside somebody's transaction."""
    meta.put(connection, _HEAD, str(head))


def leave(connection: sqlite3.Connection) -> None:
    """Make it the head of a record that is somewhere else: a backup may be put beside another one."""
    head = _read(connection, _HEAD)
    if head is not None:
        meta.put(connection, _LEFT, str(head))
        connection.execute("DELETE FROM meta WHERE key = ?", (_HEAD,))


def carry(source: sqlite3.Connection, into: sqlite3.Connection) -> None:
    """Take over what the store of before remembers of the record that stays where it is."""
    head = _read(source, _HEAD)
    if head is not None:
        put(into, head)


def _read(connection: sqlite3.Connection, name: str) -> Head | None:
    text = meta.get(connection, name)
    try:
        return Head.of(text) if text else None
    except ValueError:
        return None
