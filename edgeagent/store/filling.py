"""What a new layout takes over from the one before."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator

import msgspec

from edgeagent.clock import instant_ns
from edgeagent.model.events import TOPICS, Event
from edgeagent.store import events
from edgeagent.store.alarms import noted
from edgeagent.store.boards import has_left
from edgeagent.store.checksums import with_checksum
from edgeagent.store.counters import Ending, ending

ENDINGS = (
    "INSERT INTO endings(machine, recipe, result, at_ns, id) "
    "SELECT machine, coalesce(recipe, ''), process, coalesce(exited_ns, entered_ns), id FROM boards WHERE NOT lost"
)
"""Counts the boards that left by their records; `add_checksums` gives these rows theirs."""

_ROWS = 1000
"""Rows that are in memory at once."""

_log = logging.getLogger(__name__)


class _Told(msgspec.Struct):
    time: str
    machine: str
    data: msgspec.Raw


def fill(connection: sqlite3.Connection) -> None:
    """Fill the tables of alarms and of endings, inside somebody's transaction.

    Boards that left are taken from their records, the others and the alarms from events; what cannot be read is left
    out and logged.
    """
    connection.execute(ENDINGS)
    for topic in ("Alarm.Raised", "Alarm.Cleared", "Board.Lost", "Board.Unexpected"):
        for event in _told(connection, topic):
            if note := noted(event):
                note.insert(connection)
            if end := ending(event):
                _count(connection, end)


def count_again(connection: sqlite3.Connection) -> None:
    """Count the boards that left, by their records, of which nothing is counted; inside somebody's transaction."""
    connection.execute(f"{ENDINGS} AND id NOT IN (SELECT id FROM endings)")  # noqa: S608  names of ours
    add_checksums(("endings",), connection)


def add_checksums(tables: Iterable[str], connection: sqlite3.Connection) -> None:
    """Give the rows of tables that have no checksums theirs, inside somebody's transaction."""
    for table in tables:
        _give_checksums(connection, table, "crc IS NULL")


def renew_checksums(tables: Iterable[str], connection: sqlite3.Connection) -> None:
    """Give rows whose checksum is one of earlier layouts that of today's, inside somebody's transaction."""
    for table in tables:
        _give_checksums(connection, table, "TRUE")


def _give_checksums(connection: sqlite3.Connection, table: str, where: str) -> None:
    cursor = connection.execute(f"SELECT * FROM {table} WHERE {where}")  # noqa: S608  names of ours
    names = [column[0] for column in cursor.description]
    key = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk", (table,))]
    query = f"UPDATE {table} SET crc = ? WHERE {' AND '.join(f'{name} = ?' for name in key)}"  # noqa: S608
    while some := cursor.fetchmany(_ROWS):
        rows = [with_checksum(table, dict(zip(names, row, strict=True))) for row in some]
        connection.executemany(query, [(row["crc"], *(row[name] for name in key)) for row in rows])


def _count(connection: sqlite3.Connection, it: Ending) -> None:
    """As `Ending.insert` does, in a layout that gave it no checksum."""
    if it.result == "lost" and has_left(connection, it.id):
        return
    connection.execute("INSERT OR REPLACE INTO endings(machine, recipe, result, at_ns, id) VALUES(?, ?, ?, ?, ?)",
                       (it.machine, it.recipe, it.result, it.at_ns, it.id))  # fmt: skip


def _told(connection: sqlite3.Connection, topic: str) -> Iterator[Event]:
    for stored in events.of_topic(connection, topic):
        try:
            told = msgspec.json.decode(b"{%b}" % stored.body, type=_Told)
            data = msgspec.json.decode(told.data, type=TOPICS[topic].data)
            event = Event(topic, instant_ns(told.time), told.machine, data)
            noted(event)
        except ValueError as error:
            _log.error("event %d cannot be read and is left out: %s", stored.sequence, error)
        else:
            yield event
