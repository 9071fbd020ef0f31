"""What a restore takes over from the present store: where the machines stand, and the boards that the backup lacks."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from edgeagent.store import rescue, standing, states, steady
from edgeagent.store.audit import anchor
from edgeagent.store.checksums import fits, with_checksum
from edgeagent.store.filling import ENDINGS, add_checksums
from edgeagent.store.rescue import Layout, Row

_KEPT_TABLES = ("alarms", "aside", "consumers", "endings", "jobs", "recipes", "requests")
"""Tables whose whole rows take the place of those of the backup."""


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
        source = rescue.connect_damaged(present)
    except (sqlite3.Error, OSError) as error:
        carried.unread.append(f"the present store ({error})")
        return carried
    with closing(source):
        try:
            layouts = rescue.layouts(source)
        except sqlite3.Error as error:
            carried.unread.append(f"the present store ({error})")
            return carried
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
        if "boards" in layouts:
            _boards(source, into, layouts, carried)
        for table in _KEPT_TABLES:
            if table in layouts:
                _table(source, into, layouts[table], carried)
        if "states" in layouts:
            _states(source, into, layouts["states"], carried)
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
    columns = ("machine", "saved_wall_ns", "saved_monotonic_ns", "boot", "crc", "body")
    saved = _read(source, f"SELECT {', '.join(columns)} FROM checkpoints")  # noqa: S608  names of ours
    if saved is None:
        carried.unread.append("where the machines stand")
    for row in saved or ():
        machine = row[0]
        if not fits("checkpoints", dict(zip(columns, row, strict=True))):
            carried.unread.append(f"where {machine} stands")
            continue
        history = _read(source, "SELECT machine, t_ns, crc, body FROM history WHERE machine = ?", machine) or ()
        into.execute("INSERT OR REPLACE INTO checkpoints(machine, saved_wall_ns, saved_monotonic_ns, boot, crc, body) "
                     "VALUES(?, ?, ?, ?, ?, ?)", row)  # fmt: skip
        into.execute("DELETE FROM history WHERE machine = ?", (machine,))
        _write(into, "INSERT OR REPLACE INTO history(machine, t_ns, crc, body) VALUES(?, ?, ?, ?)", history)
        carried.machines.append(machine)


def _boards(
    source: sqlite3.Connection, into: sqlite3.Connection, layouts: dict[str, Layout], carried: Carried
) -> None:
    damaged, it = 0, _known(layouts["boards"], into)
    for found in rescue.read(source, it):
        damaged += found.is_damaged
        for row in found.rows:
            id = row[it.columns.index("id")]  # noqa: A001
            if not into.execute("SELECT 1 FROM boards WHERE id = ?", (id,)).fetchone():
                _board(source, into, it, row, carried)
                if "endings" not in layouts:  # of a layout that did not count
                    into.execute(f"{ENDINGS} AND id = ?", (id,))
    add_checksums(("endings",), into)
    if damaged:
        carried.unread.append(f"{damaged} places in the table of boards")


def _board(source: sqlite3.Connection, into: sqlite3.Connection, it: Layout, row: Row, carried: Carried) -> None:
    named = dict(zip(it.columns, row, strict=True))
    id = named["id"]  # noqa: A001
    if not fits("boards", named) or not _write(into, _insertion("INSERT", it), [row]):
        carried.unread.append(f"board {id}")
        return
    codes = _read(source, "SELECT code, entered_ns, board FROM board_barcodes WHERE board = ?", id)
    traces = _read(source, "SELECT id, crc, body FROM traces WHERE id = ?", id)
    if codes is None or traces is None:
        carried.unread.append(f"barcodes or trace of board {id}")
    _write(into, "INSERT OR IGNORE INTO board_barcodes(code, entered_ns, board) VALUES(?, ?, ?)", codes or ())
    _write(into, "INSERT OR REPLACE INTO traces(id, crc, body) VALUES(?, ?, ?)", traces or ())
    carried.boards += 1


def _table(source: sqlite3.Connection, into: sqlite3.Connection, layout: Layout, carried: Carried) -> None:
    it, are_read = _known(layout, into), True
    for found in rescue.read(source, it):
        whole = [row for row in _named(it, found.rows) if fits(it.table, row)]
        for row in whole:
            query = _insertion("INSERT OR REPLACE", it._replace(columns=tuple(row)))
            are_read &= _write(into, query, [tuple(row.values())])
        are_read &= not found.is_damaged and len(whole) == len(found.rows)
    if not are_read:
        carried.unread.append(f"some rows of {it.table}")


def _states(source: sqlite3.Connection, into: sqlite3.Connection, it: Layout, carried: Carried) -> None:
    """Take over the states of the machines; what the backup tells of the same time gives way to them."""
    are_read = True
    for found in rescue.read(source, it):
        whole = [row for row in _named(it, found.rows) if fits(it.table, row)]
        for row in whole:
            states.put(into, row["machine"], row["from_ns"], row["to_ns"], row["state"])
        are_read &= not found.is_damaged and len(whole) == len(found.rows)
    if not are_read:
        carried.unread.append("some rows of states")


def _named(it: Layout, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows by their columns, each with a checksum where its table has them."""
    return [with_checksum(it.table, dict(zip(it.columns, row, strict=True))) for row in rows]


def _known(it: Layout, into: sqlite3.Connection) -> Layout:
    """A table with those columns that the file to write has."""
    known = {name for (name,) in into.execute("SELECT name FROM pragma_table_info(?)", (it.table,))}
    return it._replace(columns=tuple(column for column in it.columns if column in known))


def _insertion(insert: str, it: Layout) -> str:
    return f"{insert} INTO {it.table}({', '.join(it.columns)}) VALUES({', '.join('?' * len(it.columns))})"
