"""What can be read of a table in a file that may be damaged: row by row around each damaged place."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from edgeagent.store.connection import reading

ROWS = 50
"""Rows read at once where nothing is damaged."""

_STEPS = 10_000
"""Row numbers that are tried one by one in a damaged place."""
_POWER = 50
"""No number of an event has more binary digits."""
LAST = (1 << 63) - 1
"""The greatest row number there can be."""
_LONGEST = 64 << 20
"""Bytes of a value: a damaged length must not cost more memory."""

Row = tuple[Any, ...]


class Layout(NamedTuple):
    """A table: its columns, and those of its key; no key where rows have numbers."""

    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


class Read(NamedTuple):
    """Rows that follow one another, as SQLite tells them; none for a damaged place, whose extent nobody knows.

    Attributes:
        after: where the next begins: the last row number or key, or the last number that was tried.
        is_in_order: whether the row behind them is as well; where it is not, SQLite does not find each by its key.
    """

    rows: list[Row]
    after: Row
    is_in_order: bool = True

    @property
    def is_damaged(self) -> bool:
        """Whether something that was there cannot be read."""
        return not self.rows


def connect_damaged(path: Path) -> sqlite3.Connection:
    """Open a file for reading as far as it can be read, also one that was cut, and leave it as it is.

    Raises:
        sqlite3.Error: nothing of it can be read.
    """
    connection = sqlite3.connect(reading(path), timeout=5, isolation_level=None, check_same_thread=False, uri=True)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    # With this SQLite reads a file that is shorter than its header says; the connection is for reading all the same.
    connection.execute("PRAGMA writable_schema = ON")
    return connection


def layouts(connection: sqlite3.Connection) -> dict[str, Layout]:
    """The tables of a file.

    Raises:
        sqlite3.Error: that cannot be read.
    """
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    found = {}
    for name, sql in connection.execute(query).fetchall():
        rows = connection.execute("SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (name,)).fetchall()
        key = [column for _, column in sorted((pk, column) for column, pk in rows if pk)]
        has_numbers = "WITHOUT ROWID" not in sql.upper()
        found[name] = Layout(name, tuple(column for column, _ in rows), () if has_numbers else tuple(key))
    return found


def read(connection: sqlite3.Connection, it: Layout, after: Row = (), until: int = LAST) -> Iterator[Read]:
    """Read a table in the order of its key, as far as it can be read; some rows may come twice.

    Args:
        after: of an earlier `Read`, to go on there. until: the last row number wanted, where rows have numbers.
    """
    number, is_damaged, last = 0, False, after
    for found in _onwards(connection, it, after, until) if it.key else _numbered(connection, it, after, until):
        number, is_damaged, last = number + len(found.rows), is_damaged or found.is_damaged, found.after
        yield found
    # What is behind a damaged place in a tree of keys, or behind a key that was changed into a greater one, is found
    # from the end on.
    if (is_damaged and it.key) or (not after and number != count(connection, it, until)):
        yield from (found._replace(after=last) for found in newest(connection, it, until))


def newest(connection: sqlite3.Connection, it: Layout, until: int = LAST) -> Iterator[Read]:
    """Read a table from its end on, the last row first, until its beginning or a damaged place."""
    return _onwards(connection, it, (), until, is_falling=True)


def _numbered(connection: sqlite3.Connection, it: Layout, after: Row, until: int) -> Iterator[Read]:
    """From the beginning on, and on behind each damaged place."""
    while True:
        for found in _onwards(connection, it, after, until):
            after = found.after
            yield found
            if found.is_damaged:
                break
        else:
            return
        behind = _behind(connection, it, after[0] if after else -1, until)
        if behind is None:
            return
        after = (behind,)


def _behind(connection: sqlite3.Connection, it: Layout, place: int, until: int) -> int | None:
    """Find a row number behind which can be read again; None where there is none up to the end.

    A damaged place is small as a rule: its numbers are tried one by one, but no more than so many.
    """
    query = f"SELECT rowid FROM {it.table} WHERE rowid > ? AND rowid <= {until} ORDER BY rowid LIMIT 1"  # noqa: S608

    def is_readable(number: int) -> bool:
        rows = _rows(connection, query, (number,))
        return rows is not None and (not rows or rows[0][0] > number)

    powers = (place + (1 << power) for power in range(63) if place + (1 << power) < until)
    far = next((number for number in powers if is_readable(number)), None)
    if far is None:
        return None
    return next((number for number in range(place + 1, min(far, place + _STEPS)) if is_readable(number)), far)


def _onwards(
    connection: sqlite3.Connection, it: Layout, place: Row, until: int = LAST, *, is_falling: bool = False
) -> Iterator[Read]:
    """Read on in one direction until the end, or to the first damaged place, which is told last."""
    key = it.key or ("rowid",)
    names, beyond, order = ", ".join(key), *(("<", "DESC") if is_falling else (">", "ASC"))
    sorting = ", ".join(f"{column} {order}" for column in key)
    conditions = "" if it.key else f"AND rowid <= {until}"
    select = f"SELECT {names}, {', '.join(it.columns)} FROM {it.table}"  # noqa: S608  names of the file's own
    limit = ROWS
    while True:
        where = f"({names}) {beyond} ({', '.join('?' * len(key))})" if place else "TRUE"
        query = f"{select} WHERE {where} {conditions} ORDER BY {sorting} LIMIT ?"
        rows = _rows(connection, query, (*place, limit))
        kept = None if rows is None else _ordered(rows, len(key), place, is_falling)
        if kept == []:
            return
        if (rows is None or kept is None) and limit == 1:
            yield Read([], place)
            return
        if rows is None or kept is None:
            limit = 1
            continue
        place = kept[-1][:len(key)]
        yield Read([row[len(key):] for row in kept], place, is_in_order=len(kept) == len(rows))
        limit = min(ROWS, 2 * limit)


def _rows(connection: sqlite3.Connection, query: str, values: Row) -> list[Row] | None:
    """Read rows; None where the file is damaged there."""
    try:
        return connection.execute(query, values).fetchall()
    except (sqlite3.Error, ValueError, OverflowError, MemoryError):
        return None


def _ordered(rows: list[Row], width: int, place: Row, is_falling: bool) -> list[Row] | None:
    """The first rows as far as their keys are in order, as those of a whole tree are; None where the first is not."""
    kept: list[Row] = []
    for row in rows:
        key = row[:width]
        try:
            is_next = _is_key(key) and (not place or (key < place if is_falling else key > place))
        except TypeError:
            is_next = False
        if not is_next:
            return kept or None
        kept.append(row)
        place = key
    return kept


def _is_key(key: Row) -> bool:
    """Whether a key is one that was ever written: behind a NULL, a fraction or bytes nobody can go on reading."""
    return all(isinstance(part, int | str) for part in key)


def beyond(connection: sqlite3.Connection, it: Layout) -> int:
    """A number that is not below any that a row has, rather too great where the end cannot be read; 0 for no rows."""
    query = f"SELECT rowid FROM {it.table} WHERE rowid <= ? ORDER BY rowid DESC LIMIT 1"  # noqa: S608  as above
    for power in range(_POWER, -1, -1):
        rows = _rows(connection, query, (1 << power,))
        if rows is not None and power == _POWER:
            return rows[0][0] if rows else 0
        if rows is not None:  # twice as far is a damaged place, as the end is
            return 1 << power + 2
    return 0


def count(connection: sqlite3.Connection, it: Layout, until: int = LAST) -> int | None:
    """How many rows a table has, also those that are not found by their keys; None where that cannot be read."""
    condition = "" if it.key else f"WHERE rowid <= {until}"
    query = f"SELECT count(*) FROM {it.table} NOT INDEXED {condition}"  # noqa: S608  names of the file's own
    try:
        found: int = connection.execute(query).fetchone()[0]
    except sqlite3.Error:
        return None
    return found
