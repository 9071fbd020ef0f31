"""How much room each class of what is kept takes: rows exactly, bytes from a sample of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Literal

import msgspec

from edgeagent.clock import instant_ns
from edgeagent.model.events import Kind
from edgeagent.store import counters
from edgeagent.store import events as table

Class = Literal["events", "alarms", "boards", "traces", "jobs", "counters"]
CLASSES: tuple[Class, ...] = ("events", "alarms", "boards", "traces", "jobs", "counters")

_PAGE = 4096
_LARGEST, _LEAST, _OVERFLOW = _PAGE - 35, (_PAGE - 12) * 32 // 255 - 23, _PAGE - 4
"""Bytes of a row that lie in a leaf at most, and at least where it has overflow pages, and what one of these takes
(SQLite's file format, section 1.6)."""

_BESIDE = {"events": (60, 100), "boards": (150, 390), "traces": (45, 55), "alarms": (60, 140), "jobs": (90, 150)}
"""Bytes of a row's other columns, and of its entries in indexes and in tables that belong to it."""
_STATE, _ENDING = 66, 76

_SAMPLE = 64


class Usage(msgspec.Struct, frozen=True):
    """What a class takes; `oldest_ns` is the wall time of the oldest of it, None where there is nothing."""

    rows: int
    bytes: int
    oldest_ns: int | None


class Sizes(msgspec.Struct, frozen=True):
    """What the store takes.

    Attributes:
        used, free: bytes of the file that hold something, and that are free in it.
        classes: what each class takes; of boards the rows are records.
        bytes_per_board: about what a board takes: its record with indexes, its events, its trace; None without boards.
    """

    used: int
    free: int
    classes: dict[Class, Usage]
    bytes_per_board: int | None


def footprint(name: str, body: int) -> int:
    """About what a row with a body of so many bytes takes in the file."""
    columns, indexes = _BESIDE[name]
    payload = columns + body
    local = payload
    if payload > _LARGEST:
        local = _LEAST + (payload - _LEAST) % _OVERFLOW
        local = local if local <= _LARGEST else _LEAST
    overflow = -(-(payload - local) // _OVERFLOW)
    return overflow * _PAGE + _PAGE // max(1, _PAGE // local) + indexes


def class_of(topic: str) -> Class:
    """The class that an event belongs to."""
    return "boards" if topic.startswith("Board.") else "alarms" if topic.startswith("Alarm.") else "events"


def measure(connection: sqlite3.Connection) -> Sizes:
    """Measure everything, in a reading transaction: counts read an index each, bytes a few rows each."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    classes: dict[Class, Usage] = {name: Usage(0, 0, None) for name in CLASSES}
    for kind in table.kinds(connection):
        name, usage = class_of(kind[1]), _events(connection, kind)
        classes[name] = _sum(classes[name], usage, are_rows_counted=name != "boards")
    boards = _bodies(connection, "boards", "entered_ns")
    classes["boards"] = _sum(classes["boards"], boards)
    traces = _bodies(connection, "traces", None)
    classes["traces"] = msgspec.structs.replace(traces, oldest_ns=_oldest_trace(connection))
    classes["alarms"] = _sum(classes["alarms"], _bodies(connection, "alarms", "raised_ns"))
    classes["jobs"] = _bodies(connection, "jobs", "accepted_ns")
    classes["counters"] = _counters(connection)
    each = None
    if boards.rows:
        each = round(classes["boards"].bytes / boards.rows) + round(classes["traces"].bytes / max(1, traces.rows))
    return Sizes((pages - free) * size, free * size, classes, each)


def _events(connection: sqlite3.Connection, kind: Kind) -> Usage:
    where = "FROM events WHERE machine = ? AND topic = ?"
    rows, first, last = connection.execute(f"SELECT count(*), min(sequence), max(sequence) {where}", kind).fetchone()
    if not rows:
        return Usage(0, 0, None)
    each = f"SELECT length(body) {where} AND sequence >= ? ORDER BY sequence LIMIT 1"
    lengths = [connection.execute(each, (*kind, place)).fetchone()[0] for place in _places(first, last, rows)]
    oldest = connection.execute(f"SELECT substr(body, 9, 24) {where} ORDER BY sequence LIMIT 1", kind).fetchone()[0]
    return Usage(rows, _total("events", rows, lengths), _instant(oldest))


def _bodies(connection: sqlite3.Connection, name: Literal["boards", "traces", "alarms", "jobs"],
            time: str | None) -> Usage:  # fmt: skip
    query = f"SELECT count(*), (SELECT min(rowid) FROM {name}), (SELECT max(rowid) FROM {name}) FROM {name}"  # noqa: S608  names of ours
    rows, first, last = connection.execute(query).fetchone()
    if not rows:
        return Usage(0, 0, None)
    each = f"SELECT length(body) FROM {name} WHERE rowid >= ? ORDER BY rowid LIMIT 1"  # noqa: S608
    lengths = [connection.execute(each, (place,)).fetchone()[0] for place in _places(first, last, rows)]
    oldest = connection.execute(f"SELECT min({time}) FROM {name}").fetchone()[0] if time else None  # noqa: S608
    return Usage(rows, _total(name, rows, lengths), oldest)


def _oldest_trace(connection: sqlite3.Connection) -> int | None:
    query = ("SELECT entered_ns FROM boards WHERE id = (SELECT id FROM traces ORDER BY rowid LIMIT 1)")
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def _counters(connection: sqlite3.Connection) -> Usage:
    states, first = connection.execute("SELECT count(*), min(from_ns) FROM states").fetchone()
    endings: int = connection.execute("SELECT count(*) FROM endings").fetchone()[0]
    firsts = [first, *(counters.oldest_ns(connection, kind) for kind in counters.kinds(connection))]
    oldest = min((each for each in firsts if each is not None), default=None)
    return Usage(states + endings, states * _STATE + endings * _ENDING, oldest)


def _places(first: int, last: int, rows: int) -> list[int]:
    count = min(_SAMPLE, rows)
    return [first + (last - first) * place // max(1, count - 1) for place in range(count)]


def _total(name: str, rows: int, lengths: Iterable[int]) -> int:
    taken = [footprint(name, length) for length in lengths]
    return round(rows * sum(taken) / len(taken))


def _sum(first: Usage, second: Usage, are_rows_counted: bool = True) -> Usage:
    oldest = min((each for each in (first.oldest_ns, second.oldest_ns) if each is not None), default=None)
    return Usage(first.rows + second.rows * are_rows_counted, first.bytes + second.bytes, oldest)


def _instant(text: bytes) -> int | None:
    try:
        return instant_ns(text.decode())
    except ValueError:
        return None
