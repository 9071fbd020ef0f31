"""Reads the whole file beside the agent, gently, and finds what the disk changed before anybody asks for it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from edgeagent.store import derived, healing, rescue, weeding
from edgeagent.store.backlog import Work
from edgeagent.store.checksums import fits
from edgeagent.store.connection import connect_reader
from edgeagent.store.rescue import Layout, Read

if TYPE_CHECKING:
    from edgeagent.store.database import Database

_BYTES_A_SECOND = 4 << 20
_PART = 1 << 15
"""Bytes that are read before it rests."""
_SHARE = 4.0
"""So many times what a part took it rests at least."""
_ROW = 40
"""Bytes of a row beside its texts and blobs, about."""
_MOST_NAMED = 20
_MOST_UNTRUE = 10_000
"""Rows of which one reading makes anew by what they are found."""

_log = logging.getLogger(__name__)


class Found(msgspec.Struct):
    """What was found: table → names of damaged rows, at most 20 each; how many in all; and places with no structure."""

    rows: dict[str, list[str]] = {}
    damaged: int = 0
    places: list[str] = []
    reindexed: list[str] = []
    untrue: list[Work[bool]] = []
    """What makes anew by what a row is found, where its body tells otherwise."""
    weeds: dict[str, set[int | None]] = {}
    """Table → the checksums of its damaged rows that are to be taken out."""

    def words(self) -> str | None:
        """For people; None where nothing is damaged."""
        named = [f"{', '.join(names)} of {table}" for table, names in self.rows.items()]
        return f"{self.damaged} rows are damaged on disk and are left out: {'; '.join(named)}" if named else None


async def scrub(database: Database, is_over: Callable[[], bool] = lambda: False) -> Found:
    """Read every row and look for it in every index, some MiB a second.

    A damaged index is made anew, a damaged row that is only counted is taken out. A table that cannot be read is told
    to the database, which heals it. Once `is_over` says so the file is another one: what was found of the one of
    before tells nothing of it.

    Raises:
        StoreError: the database is closed.
    """
    found = Found()
    with closing(await asyncio.to_thread(connect_reader, database.path)) as connection:
        parts = _parts(connection, found)
        while True:
            began = monotonic()
            size = await asyncio.to_thread(next, parts, None)
            if is_over():
                return Found()
            if size is None:
                break
            took = monotonic() - began
            await asyncio.sleep(max(_SHARE * took, size / _BYTES_A_SECOND - took))
    for index in found.reindexed:
        _log.error("%s: the index %s is damaged on disk and is made anew", database.path, index)
        await database.write(lambda c, index=index: c.execute(f"REINDEX {index}") and None)  # type: ignore[misc]
    mended = [mend for mend in found.untrue if await database.write(mend)]
    if mended:
        _log.error("%s: %d rows were not found by what they tell: that is made anew of them", database.path,
                   len(mended))  # fmt: skip
    for table in found.weeds.keys() - set(found.places):
        await database.write(partial(weeding.weed, table, found.weeds[table]))
    if found.places:
        database.suspect(f"{', '.join(found.places)} cannot be read")
    if words := found.words():
        _log.error("%s: %s", database.path, words)
    return found


def _parts(connection: sqlite3.Connection, found: Found) -> Iterator[int]:
    """Read on by a part; yields how many bytes it had."""
    size = 0
    try:
        layouts = rescue.layouts(connection)
        for it in layouts.values():
            indexes = _indexes(connection, it)
            for read in rescue.read(connection, it):
                size += _look(connection, it, indexes, read, found)
                if size >= _PART:
                    yield size
                    size = 0
    except sqlite3.Error as error:
        if healing.is_damage(error):
            found.places.append(f"the file ({error})")


def _look(connection: sqlite3.Connection, it: Layout, indexes: dict[str, list[str]], read: Read, found: Found) -> int:
    if (read.is_damaged or not read.is_in_order) and it.table not in found.places:
        found.places.append(it.table)
    size = 0
    for row in read.rows:
        named = dict(zip(it.columns, row, strict=True))
        size += _ROW + sum(len(value) for value in row if isinstance(value, bytes | str))
        if not fits(it.table, named):
            found.damaged += 1
            names = found.rows.setdefault(it.table, [])
            if len(names) < _MOST_NAMED:
                names.append(" ".join(str(named[column]) for column in it.key) or str(row[0]))
            if it.table in weeding.TABLES:
                found.weeds.setdefault(it.table, set()).add(named["crc"])
        elif len(found.untrue) < _MOST_UNTRUE and not _is_true(connection, it, named):
            found.untrue.append(derived.mend(it.table, named))
        for index, columns in indexes.items():
            if index not in found.reindexed and not _is_in(connection, it, index, columns, named):
                found.reindexed.append(index)
    return size


def _is_true(connection: sqlite3.Connection, it: Layout, row: dict[str, Any]) -> bool:
    """Whether a row is found by what it tells; what cannot be read is told otherwise."""
    try:
        return derived.is_true(connection, it.table, row)
    except sqlite3.Error as error:
        if healing.is_damage(error):
            return True
        raise


def _indexes(connection: sqlite3.Connection, it: Layout) -> dict[str, list[str]]:
    """The table's indexes with their columns; but for that of the key of a table whose rows have no numbers."""
    names = [row[1] for row in connection.execute(f"PRAGMA index_list({it.table})") if not it.key or row[3] != "pk"]
    return {name: [row[2] for row in connection.execute(f"PRAGMA index_info({name})")] for name in names}


def _is_in(connection: sqlite3.Connection, it: Layout, index: str, columns: list[str], row: dict[str, Any]) -> bool:
    """Whether an index finds a row by its columns."""
    condition = " AND ".join(f"{column} IS ?" for column in columns)
    query = f"SELECT 1 FROM {it.table} INDEXED BY {index} WHERE {condition} LIMIT 1"  # noqa: S608  names of the file's
    try:
        return connection.execute(query, [row[column] for column in columns]).fetchone() is not None
    except sqlite3.Error as error:
        return not healing.is_damage(error)
