"""What is found by and not served: columns of rows and barcodes of boards, held against bodies that have a checksum."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
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


class _Raised(msgspec.Struct, rename="camel"):
    raised_at: str


class _Alarm(msgspec.Struct):
    machine: str
    alarm: _Raised


class _Job(msgspec.Struct, rename="camel"):
    machine: str
    state: str
    accepted_at: str


class _Recipe(msgspec.Struct, rename="camel"):
    machine: str
    name: str
    version: int
    made_at: str


class _SetAside(msgspec.Struct):
    target: str
    sequence: int


class _Aside(msgspec.Struct):
    event: _SetAside


Columns = dict[str, str | int | None]

_decode = msgspec.json.Decoder(_Record).decode
_decode_alarm = msgspec.json.Decoder(_Alarm).decode
_decode_job = msgspec.json.Decoder(_Job).decode
_decode_recipe = msgspec.json.Decoder(_Recipe).decode
_decode_aside = msgspec.json.Decoder(_Aside).decode


def columns(body: bytes) -> Columns:
    """The columns of `boards` that are made of a record. Raises msgspec.MsgspecError, ValueError where it is none."""
    it = _decode(body)
    return {
        "machine": it.machine.id, "lane": it.lane, "recipe": it.recipe.name, "entered_ns": instant_ns(it.entered_at),
        "exited_ns": instant_ns(it.exited_at) if it.exited_at else None, "process": it.verdict.process,
        "profile": it.verdict.profile, "identity": it.identity, "lost": int(it.exited_at is None),
    }  # fmt: skip


def _of_alarm(body: bytes) -> Columns:
    it = _decode_alarm(body)
    return {"machine": it.machine, "raised_ns": instant_ns(it.alarm.raised_at)}


def _of_job(body: bytes) -> Columns:
    it = _decode_job(body)
    return {"machine": it.machine, "state": it.state, "accepted_ns": instant_ns(it.accepted_at)}


def _of_recipe(body: bytes) -> Columns:
    it = _decode_recipe(body)
    return {"machine": it.machine, "name": it.name, "version": it.version, "made_ns": instant_ns(it.made_at)}


def _of_aside(body: bytes) -> Columns:
    it = _decode_aside(body).event
    return {"target": it.target, "sequence": it.sequence}


COLUMNS: Mapping[str, Callable[[bytes], Columns]] = {
    "boards": columns, "alarms": _of_alarm, "jobs": _of_job, "recipes": _of_recipe, "aside": _of_aside,
}  # fmt: skip
"""Table → what makes columns of a row from its body."""


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
    """Say whether a row is found by what its body tells; one of `board_barcodes`, whether it names a board.

    Of a body that is damaged itself nobody can tell.
    """
    if table == "board_barcodes":
        return connection.execute("SELECT 1 FROM boards WHERE id = ?", (row["board"],)).fetchone() is not None
    if table not in COLUMNS or not fits(table, row):
        return True
    try:
        told = COLUMNS[table](row["body"])
        codes = _codes(row["body"], told) if table == "boards" else None
    except (msgspec.MsgspecError, ValueError):
        return True
    if any(row[name] != value for name, value in told.items()):
        return False
    query = "SELECT code, entered_ns FROM board_barcodes WHERE board = ?"
    return codes is None or set(connection.execute(query, (row["id"],)).fetchall()) == codes


def mend(table: str, row: Mapping[str, Any]) -> Work[bool]:
    """The work that makes anew, from its body, what a row is found by; True where it was wrong still."""
    return partial(_mend, "boards", row["board"]) if table == "board_barcodes" else partial(_mend, table, row["id"])


def _mend(table: str, id: str, connection: sqlite3.Connection) -> bool:  # noqa: A002
    came_from = salvaged.find(connection)
    if came_from and not came_from.is_done:  # boards are still to come
        return False
    cursor = connection.execute(f"SELECT * FROM {table} WHERE id = ?", (id,))  # noqa: S608  names of ours
    row = cursor.fetchone()
    if row is None:
        query = "DELETE FROM board_barcodes WHERE board = ?"
        return table == "boards" and connection.execute(query, (id,)).rowcount > 0
    named = dict(zip((column[0] for column in cursor.description), row, strict=True))
    if is_true(connection, table, named):
        return False
    told = COLUMNS[table](named["body"])
    names = ", ".join(f"{name} = ?" for name in told)
    # What does not find its place, for a row that was written since has it, stays as it is.
    connection.execute(f"UPDATE OR IGNORE {table} SET {names} WHERE id = ?", (*told.values(), id))  # noqa: S608
    if table == "boards":
        connection.execute("DELETE FROM board_barcodes WHERE board = ?", (id,))
        connection.executemany("INSERT OR IGNORE INTO board_barcodes(code, entered_ns, board) VALUES(?, ?, ?)",
                               [(*code, id) for code in _codes(named["body"], told)])  # fmt: skip
    return True


def _codes(body: bytes, told: Columns) -> set[tuple[str, str | int | None]]:
    """Code and time of a board's rows of `board_barcodes`."""
    return {(each.code, told["entered_ns"]) for each in _decode(body).barcodes}
