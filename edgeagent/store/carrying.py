"""What a restore takes over from the present store: where the machines stand, and the boards that the backup lacks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from edgeagent.store import standing, states, steady
from edgeagent.store.audit import anchor
from edgeagent.store.checksums import checksum, is_whole
from edgeagent.store.connection import connect_reader
from edgeagent.store.filling import ENDINGS

_ROWS = 50
"""Records read at once, so that a damaged page costs no more than these."""
_KEPT_TABLES = ("alarms", "consumers", "endings", "jobs", "recipes", "requests")
"""Tables whose whole rows take the place of those of the backup."""
_BOARD = "id, machine, lane, recipe, entered_ns, exited_ns, process, profile, identity, lost, crc, body"

Row = tuple[Any, ...]


class Carried(msgspec.Struct):
    """What was taken over: board records, machines whose state was, the last number given, and what was unreadable."""

    boards: int = 0
    machines: list[str] = []
    last: int = 0
    unread: list[str] = []


def carry(present: Path, into: sqlite3.Connection) -> Carried:
    """Take over from a store that may be damaged, inside somebody's transaction.

    Args:
        into: of the newest layout.

    Raises:
        sqlite3.Error: `into` cannot be written; what cannot be read of the present store is told in the result.
    """
    carried = Carried()
    try:
        source = connect_reader(present)
    except (sqlite3.Error, OSError) as error:
        carried.unread.append(f"the present store ({error})")
        return carried
    with closing(source):
        try:
            carried.last = standing.last_number(source)
        except (sqlite3.Error, ValueError):
            carried.unread.append("its last number")
        try:
            steady.carry(source, into)
        except (sqlite3.Error, ValueError):
            carried.unread.append("how old its requests are")
        try:
            anchor.carry(source, into)
        except (sqlite3.Error, ValueError):
            carried.unread.append("the head of its audit record")
        _machines(source, into, carried)
        _boards(source, into, carried)
        for table in _KEPT_TABLES:
            _table(source, into, table, carried)
        _states(source, into, carried)
    return carried


def _read(source: sqlite3.Connection, query: str, *values: object) -> list[Row] | None:
    """Read rows; None where the file is damaged there."""
    try:
        return source.execute(query, values).fetchall()
    except (sqlite3.Error, ValueError):
        return None


def _write(into: sqlite3.Connection, query: str, rows: Sequence[Row]) -> bool:
    """Write rows as they were read; says whether the table takes them: those of a damaged place it may refuse."""
    try:
        into.executemany(query, rows)
    except sqlite3.IntegrityError:
        return False
    return True


def _machines(source: sqlite3.Connection, into: sqlite3.Connection, carried: Carried) -> None:
    query = "SELECT machine, saved_wall_ns, saved_monotonic_ns, boot, crc, body FROM checkpoints"
    saved = _read(source, query)
    if saved is None:
        carried.unread.append("where the machines stand")
    for row in saved or ():
        machine, wall_ns, monotonic_ns, boot, crc, body = row
        if checksum(machine, f"{wall_ns} {monotonic_ns} {boot}", body) != crc:
            carried.unread.append(f"where {machine} stands")
            continue
        history = _read(source, "SELECT machine, t_ns, crc, body FROM history WHERE machine = ?", machine) or ()
        into.execute("INSERT OR REPLACE INTO checkpoints(machine, saved_wall_ns, saved_monotonic_ns, boot, crc, body) "
                     "VALUES(?, ?, ?, ?, ?, ?)", row)  # fmt: skip
        into.execute("DELETE FROM history WHERE machine = ?", (machine,))
        _write(into, "INSERT OR REPLACE INTO history(machine, t_ns, crc, body) VALUES(?, ?, ?, ?)", history)
        carried.machines.append(machine)


def _boards(source: sqlite3.Connection, into: sqlite3.Connection, carried: Carried) -> None:
    damaged, counts = 0, _columns(source, "endings") != []
    for rows in _spans(source):
        damaged += rows is None
        for row in rows or ():
            if not into.execute("SELECT 1 FROM boards WHERE id = ?", row[:1]).fetchone():
                _board(source, into, row, carried)
                if not counts:  # of a layout that did not count
                    into.execute(f"{ENDINGS} AND id = ?", row[:1])
    if damaged:
        carried.unread.append(f"{damaged} places in the table of boards, up to {_ROWS} records each")


def _board(source: sqlite3.Connection, into: sqlite3.Connection, row: Row, carried: Carried) -> None:
    id, *_, crc, body = row  # noqa: A001
    insert = f"INSERT INTO boards({_BOARD}) VALUES({', '.join('?' * len(row))})"
    if not is_whole((crc, id, body)) or not _write(into, insert, [row]):
        carried.unread.append(f"board {id}")
        return
    codes = _read(source, "SELECT code, entered_ns, board FROM board_barcodes WHERE board = ?", id)
    traces = _read(source, "SELECT id, crc, body FROM traces WHERE id = ?", id)
    if codes is None or traces is None:
        carried.unread.append(f"barcodes or trace of board {id}")
    _write(into, "INSERT OR IGNORE INTO board_barcodes(code, entered_ns, board) VALUES(?, ?, ?)", codes or ())
    _write(into, "INSERT OR REPLACE INTO traces(id, crc, body) VALUES(?, ?, ?)", traces or ())
    carried.boards += 1


def _spans(source: sqlite3.Connection) -> Iterator[list[Row] | None]:
    """The records of boards in the order of their making, some at a time; None for those in a damaged place."""
    ends = _read(source, "SELECT min(rowid), max(rowid) FROM boards")
    if ends is None:
        yield None
        return
    first, last = ends[0]
    for low in range(first or 1, (last or 0) + 1, _ROWS):
        yield _read(source, f"SELECT {_BOARD} FROM boards WHERE rowid BETWEEN ? AND ?", low, low + _ROWS - 1)  # noqa: S608


def _table(source: sqlite3.Connection, into: sqlite3.Connection, table: str, carried: Carried) -> None:
    present, known = _columns(source, table), _columns(into, table) or ()
    columns = [column for column in present or () if column in known]
    names, values = ", ".join(columns), ", ".join("?" * len(columns))
    are_read = present is not None
    for rows in _some(source, f"SELECT {names} FROM {table}") if columns else ():  # noqa: S608  names of ours
        whole = [row for row in rows or () if _is_whole(dict(zip(columns, row, strict=True)))]
        is_written = _write(into, f"INSERT OR REPLACE INTO {table}({names}) VALUES({values})", whole)
        are_read &= is_written and rows is not None and len(whole) == len(rows)
    if not are_read:
        carried.unread.append(f"some rows of {table}")


def _states(source: sqlite3.Connection, into: sqlite3.Connection, carried: Carried) -> None:
    """Take over the states of the machines; what the backup tells of the same time gives way to them."""
    columns = _columns(source, "states")
    query = "SELECT machine, from_ns, to_ns, state FROM states ORDER BY machine, from_ns"
    for rows in _some(source, query) if columns else (columns,):
        for row in rows or ():
            states.put(into, *row)
        if rows is None:
            carried.unread.append("some rows of states")


def _columns(connection: sqlite3.Connection, table: str) -> list[str] | None:
    """The columns of a table, none where there is no such table; None where the file is damaged there."""
    found = _read(connection, "SELECT name FROM pragma_table_info(?)", table)
    return None if found is None else [name for (name,) in found]


def _some(source: sqlite3.Connection, query: str) -> Iterator[list[Row] | None]:
    """Read rows, some at a time; None in the end where the file is damaged from there on."""
    try:
        cursor = source.execute(query)
        while rows := cursor.fetchmany(_ROWS):
            yield rows
    except (sqlite3.Error, ValueError):
        yield None


def _is_whole(row: dict[str, Any]) -> bool:
    return "crc" not in row or is_whole((row["crc"], row["id"], row["body"]))
