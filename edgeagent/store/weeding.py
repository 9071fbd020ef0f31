"""Takes damaged rows out of tables that are counted without a look at each row, and counts anew what can be."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Collection

from edgeagent.store import salvaged
from edgeagent.store.checksums import fits
from edgeagent.store.filling import count_again

TABLES = ("endings", "states", "meta")
"""Tables whose damaged rows are of no use to anybody; those of other tables stay and are left out."""

_log = logging.getLogger(__name__)


def weed(table: str, checksums: Collection[int | None], connection: sqlite3.Connection) -> int:
    """Take out the damaged rows with some checksums, inside somebody's transaction; returns how many there were.

    Their content is in the log. A board that left is counted anew by its record.
    """
    came_from = salvaged.find(connection)
    if came_from and not came_from.is_done:  # boards are still to come
        return 0
    # By their checksums, which are numbers: a text may be none that can be asked for.
    where = "WHERE crc IS NULL OR crc IN (SELECT value FROM json_each(?))"
    values = (json.dumps([each for each in checksums if each is not None]),)
    cursor = connection.execute(f"SELECT * FROM {table} {where}", values)  # noqa: S608  names of ours
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    whole = [row for row in rows if fits(table, row)]
    if len(whole) == len(rows):
        return 0
    connection.execute(f"DELETE FROM {table} {where}", values)  # noqa: S608
    connection.executemany(
        f"INSERT INTO {table} VALUES({', '.join('?' * len(names))})", [tuple(row.values()) for row in whole]
    )
    for row in rows:
        if row not in whole:
            _log.error("a row of %s is damaged on disk and is taken out: %s", table, row)
    if table == "endings":
        count_again(connection)
    return len(rows) - len(whole)
