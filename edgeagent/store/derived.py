"""What is found by and not served: columns and barcodes of a board, held against its record, which has a checksum."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from edgeagent.clock import instant_ns
from edgeagent.store import salvaged
from edgeagent.store.backlog import Work
from edgeagent.store.checksums import fits


class _Named(msgspec.Struct):
    id: str | None = None
    name: str | None = None


class _Code(msgspec.Struct):
    code: str


class _Judged(msgspec.Struct):
    process: str
    profile: str


class _Record(msgspec.Struct, rename="camel"):
    """What of a record has a column."""

    machine: _Named
    lane: int
    recipe: _Named
    entered_at: str
    exited_at: str | None
    verdict: _Judged
    identity: str
    barcodes: tuple[_Code, ...]


_decode = msgspec.json.Decoder(_Record).decode


def columns(body: bytes) -> dict[str, str | int | None]:
    """The columns of `boards` that are made of a record. Raises msgspec.MsgspecError, ValueError where it is none."""
    it = _decode(body)
    return {
        "machine": it.machine.id, "lane": it.lane, "recipe": it.recipe.name, "entered_ns": instant_ns(it.entered_at),
        "exited_ns": instant_ns(it.exited_at) if it.exited_at else None, "process": it.verdict.process,
        "profile": it.verdict.profile, "identity": it.identity, "lost": int(it.exited_at is None),
    }  # fmt: skip


def has(body: bytes, wanted: Mapping[str, str | None], barcode: str | None) -> bool:
    """Say whether a record is one that was asked for.

    Args:
        wanted: columns that must have a value, any where it is None. barcode: one that it must have, any if None.
    """
    try:
        told, codes = columns(body), {each.code for each in _decode(body).barcodes}
    except (msgspec.MsgspecError, ValueError):
        return False
    is_wanted = all(told[name] == value for name, value in wanted.items() if value is not None)
    return is_wanted and (barcode is None or barcode in codes)


def is_true(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> bool:
    """Say whether a row of `boards` is found by what its record tells, and one of `board_barcodes` names its board.

    Of a record that is damaged itself nobody can tell.
    """
    if table == "board_barcodes":
        return connection.execute("SELECT 1 FROM boards WHERE id = ?", (row["board"],)).fetchone() is not None
    if table != "boards" or not fits(table, row):
        return True
    try:
        told, codes = columns(row["body"]), {each.code for each in _decode(row["body"]).barcodes}
    except (msgspec.MsgspecError, ValueError):
        return True
    query = "SELECT code, entered_ns FROM board_barcodes WHERE board = ?"
    found = set(connection.execute(query, (row["id"],)).fetchall())
    return all(row[name] == value for name, value in told.items()) and found == {
        (code, told["entered_ns"]) for code in codes}


def mend(table: str, row: Mapping[str, Any]) -> Work[bool]:
    """The work that makes anew, from the record, what a row is found by; True where it was wrong still."""
    return partial(_mend, row["board" if table == "board_barcodes" else "id"])


def _mend(board: str, connection: sqlite3.Connection) -> bool:
    came_from = salvaged.find(connection)
    if came_from and not came_from.is_done:  # boards are still to come
        return False
    cursor = connection.execute("SELECT * FROM boards WHERE id = ?", (board,))
    row = cursor.fetchone()
    if row is None:
        return connection.execute("DELETE FROM board_barcodes WHERE board = ?", (board,)).rowcount > 0
    named = dict(zip((column[0] for column in cursor.description), row, strict=True))
    if is_true(connection, "boards", named):
        return False
    told = columns(named["body"])
    connection.execute(f"UPDATE boards SET {', '.join(f'{name} = ?' for name in told)} WHERE id = ?",  # noqa: S608
                       (*told.values(), board))  # fmt: skip
    connection.execute("DELETE FROM board_barcodes WHERE board = ?", (board,))
    connection.executemany(
        "INSERT OR IGNORE INTO board_barcodes(code, entered_ns, board) VALUES(?, ?, ?)",
        [(each.code, told["entered_ns"], board) for each in _decode(named["body"]).barcodes],
    )
    return True
