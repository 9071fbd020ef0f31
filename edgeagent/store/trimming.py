"""Deletes the oldest of one class: a little at a time, in somebody's transaction, and remembers which events went."""

from __future__ import annotations

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from heapq import merge
from itertools import islice, takewhile
from typing import Literal, TypeVar

import msgspec

from edgeagent.clock import iso
from edgeagent.model.events import Kind
from edgeagent.store import counters, gone, had, salvaged, standing
from edgeagent.store import events as table
from edgeagent.store.age import Age
from edgeagent.store.sizes import Class, class_of, footprint

T = TypeVar("T")

_MOST_LEFT = 100
"""Alarms without events that go in one step."""
_SPARE_PAGES = 1024
"""Free pages that stay in the file: the next events need them."""

_log = logging.getLogger(__name__)


class Cut(msgspec.Struct):
    """What one step deleted.

    Attributes:
        bytes: about how many they took. newest: the highest number of an event that went, 0 where none did.
        first_sequence: the oldest number that is kept after it.
    """

    rows: int = 0
    bytes: int = 0
    newest: int = 0
    first_sequence: int = 0


class Wanted(msgspec.Struct, frozen=True):
    """What may be deleted.

    Attributes:
        before_ns: only what is older than a wall time; whatever its age if None.
        up_to: kind → the last number that no consumer waits for; of kinds that are not named, all may go.
        most: rows of one step.
        bytes: no more goes than frees about so many; however many if None.
    """

    before_ns: int | None
    up_to: Mapping[Kind, int]
    most: int
    bytes: int | None = None


class _Row(msgspec.Struct, frozen=True, order=True):
    sequence: int
    kind: Kind
    size: int


class _Ended(msgspec.Struct):
    """What is looked at of the board or the alarm that an event ends."""

    id: str


def trim(connection: sqlite3.Connection, name: Class, wanted: Wanted) -> Cut:
    """Delete some of the oldest of a class; nothing of it may go any more where the result has no rows.

    Nothing goes while what is older is still being taken over from a damaged file, be it the one that was measured.
    """
    found = salvaged.find(connection)
    cut = Cut() if found and not found.is_done else _STEPS[name](connection, wanted)
    cut.first_sequence = standing.first_number(connection)
    return cut


def _events_of(name: Class) -> Callable[[sqlite3.Connection, Wanted], Cut]:
    def step(connection: sqlite3.Connection, wanted: Wanted) -> Cut:
        kinds = [kind for kind in table.kinds(connection) if class_of(kind[1]) == name]
        oldest = merge(*(_oldest(connection, kind, wanted) for kind in kinds))
        rows, freed = _enough(oldest, lambda row: footprint("events", row.size), wanted)
        cut = Cut(len(rows), freed, max((row.sequence for row in rows), default=0))
        if name == "boards":
            _records(connection, [row for row in rows if row.kind[1] in had.RECORDED], cut)
        if name == "alarms":
            _alarms(connection, [row for row in rows if row.kind[1] == "Alarm.Cleared"], cut)
        _delete(connection, rows)
        return cut

    return step


def _oldest(connection: sqlite3.Connection, kind: Kind, wanted: Wanted) -> list[_Row]:
    """The oldest events of a machine and topic that may go; none after the first one that is too young."""
    up_to = wanted.up_to.get(kind, table.BEYOND)
    spans = had.ranges(connection, kind) if kind[1] in had.RECORDED else [(0, table.BEYOND)]
    age = None if wanted.before_ns is None else Age(connection, iso(wanted.before_ns))
    query = (
        "SELECT sequence, substr(body, 9, 42), length(body) FROM events "
        "WHERE machine = ? AND topic = ? AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?"
    )
    found: list[_Row] = []
    for first, last in spans:
        for sequence, stamp, size in connection.execute(
            query, (*kind, first, min(last, up_to), wanted.most - len(found))
        ):
            if age is not None and not age.is_beyond(sequence, stamp):
                return found
            found.append(_Row(sequence, kind, size))
        if len(found) == wanted.most:
            break
    return found


def _enough(rows: Iterable[T], size: Callable[[T], int], wanted: Wanted) -> tuple[list[T], int]:
    """As many of the rows as one step may delete, and the bytes that they take."""
    taken: list[T] = []
    freed = 0
    for row in islice(rows, wanted.most):
        if wanted.bytes is not None and freed >= wanted.bytes:
            break
        taken.append(row)
        freed += size(row)
    return taken, freed


def _delete(connection: sqlite3.Connection, rows: Iterable[_Row]) -> None:
    numbers: defaultdict[Kind, list[int]] = defaultdict(list)
    for row in rows:
        numbers[row.kind].append(row.sequence)
    gone.note(connection, numbers)
    connection.executemany(
        "DELETE FROM events WHERE sequence = ?", [(sequence,) for each in numbers.values() for sequence in each]
    )


def _records(connection: sqlite3.Connection, rows: Iterable[_Row], cut: Cut) -> None:
    """Delete the records, with barcodes and traces, of boards whose last event goes."""
    for row in rows:
        id, is_lost = _id(connection, row, "board"), row.kind[1] == "Board.Lost"  # noqa: A001
        query = "SELECT length(body) FROM boards WHERE id = ? AND lost = ?"
        record = connection.execute(query, (id, int(is_lost))).fetchone()
        if record is None:
            continue  # there is a later record of this board, which has an event of its own
        trace = connection.execute("SELECT length(body) FROM traces WHERE id = ?", (id,)).fetchone()
        cut.bytes += footprint("boards", record[0]) + (footprint("traces", trace[0]) if trace else 0)
        for statement in ("DELETE FROM board_barcodes WHERE board = ?", "DELETE FROM traces WHERE id = ?",
                          "DELETE FROM boards WHERE id = ?"):  # fmt: skip
            connection.execute(statement, (id,))


def _id(connection: sqlite3.Connection, row: _Row, what: Literal["board", "alarm"]) -> str:
    """Of the board or the alarm that an event ends."""
    body = connection.execute("SELECT body FROM events WHERE sequence = ?", (row.sequence,)).fetchone()[0]
    try:
        data: msgspec.Raw = msgspec.json.decode(b"{%b}" % body, type=dict[str, msgspec.Raw])["data"]
        return msgspec.json.decode(msgspec.json.decode(data, type=dict[str, msgspec.Raw])[what], type=_Ended).id
    except (ValueError, KeyError) as error:
        _log.error("event %d is damaged on disk, the record of its %s stays: %s", row.sequence, what, error)
        return ""


def _alarms(connection: sqlite3.Connection, rows: Iterable[_Row], cut: Cut) -> None:
    """Delete the alarms whose end goes; what of them is left without any event of alarms goes as well."""
    query = "SELECT id, length(body) FROM alarms WHERE id = ? AND json_extract(CAST(body AS TEXT), '$.clearedAt') > ''"
    found = [row for event in rows for row in connection.execute(query, (_id(connection, event, "alarm"),))]
    if not cut.rows and not any(class_of(topic) == "alarms" for _, topic in table.kinds(connection)):
        query = "SELECT id, length(body) FROM alarms WHERE json_extract(CAST(body AS TEXT), '$.clearedAt') > '' LIMIT ?"
        found = connection.execute(query, (_MOST_LEFT,)).fetchall()
        cut.rows += len(found)
    connection.executemany("DELETE FROM alarms WHERE id = ?", [row[:1] for row in found])
    cut.bytes += sum(footprint("alarms", size) for _, size in found)


def _traces(connection: sqlite3.Connection, wanted: Wanted) -> Cut:
    query = (
        "SELECT traces.id, length(traces.body), coalesce(entered_ns, 0) FROM traces LEFT JOIN boards USING(id) "
        "ORDER BY traces.rowid LIMIT ?"
    )
    rows = connection.execute(query, (wanted.most,))
    old = takewhile(lambda row: wanted.before_ns is None or row[2] < wanted.before_ns, rows)
    found, freed = _enough(old, lambda row: footprint("traces", row[1]), wanted)
    connection.executemany("DELETE FROM traces WHERE id = ?", [row[:1] for row in found])
    return Cut(len(found), freed)


def _jobs(connection: sqlite3.Connection, wanted: Wanted) -> Cut:
    """By their place, as traces: one of a time when the clock was not set is as old as what was done before it."""
    query = (
        "SELECT id, length(body), accepted_ns FROM jobs WHERE state NOT IN ('accepted', 'running') "
        "ORDER BY rowid LIMIT ?"
    )
    rows = connection.execute(query, (wanted.most,))
    old = takewhile(lambda row: wanted.before_ns is None or row[2] < wanted.before_ns, rows)
    found, freed = _enough(old, lambda row: footprint("jobs", row[1]), wanted)
    connection.executemany("DELETE FROM jobs WHERE id = ?", [row[:1] for row in found])
    return Cut(len(found), freed)


def _counters(connection: sqlite3.Connection, wanted: Wanted) -> Cut:
    """Counters go by age only."""
    cut = Cut()
    for kind in list(counters.kinds(connection)):
        where = "machine = ? AND recipe = ? AND result = ?"
        cut.rows += connection.execute(
            f"DELETE FROM endings WHERE {where} AND (at_ns, id) IN "  # noqa: S608  columns of ours
            f"(SELECT at_ns, id FROM endings WHERE {where} AND at_ns < ? ORDER BY at_ns LIMIT ?)",
            (*kind, *kind, wanted.before_ns or 0, wanted.most),
        ).rowcount
    before_ns, machine = wanted.before_ns or 0, ""
    while row := connection.execute(
        "SELECT machine FROM states WHERE machine > ? ORDER BY machine LIMIT 1", (machine,)
    ).fetchone():
        machine = row[0]
        cut.rows += connection.execute(
            "DELETE FROM states WHERE machine = ? AND from_ns IN "
            "(SELECT from_ns FROM states WHERE machine = ? AND from_ns < ? AND to_ns < ? ORDER BY from_ns LIMIT ?)",
            (machine, machine, before_ns, before_ns, wanted.most),
        ).rowcount
    return cut


_STEPS: Mapping[Class, Callable[[sqlite3.Connection, Wanted], Cut]] = {
    "events": _events_of("events"), "alarms": _events_of("alarms"), "boards": _events_of("boards"),
    "traces": _traces, "jobs": _jobs, "counters": _counters,
}  # fmt: skip


def shrink(connection: sqlite3.Connection, most: int) -> int:
    """Give at most so many free pages back to the disk, but for those that are spared; returns how many it gave."""
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    # SQLite frees one page for each statement that is stepped once.
    for _ in range(min(most, free - _SPARE_PAGES)):
        connection.execute("PRAGMA incremental_vacuum(1)").fetchall()
    left: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return free - left
