"""The table of events: what is written, and what can still be read and what is lost."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterable, Iterator

from edgeagent.model.events import StoredEvent
from edgeagent.store.checksums import checksum

Kind = tuple[str, str]
"""Machine and topic: what a subscription chooses by, and what the index is sorted by."""

_SPAN_OF_KIND = "FROM events WHERE machine = ? AND topic = ? AND sequence BETWEEN ? AND ?"

_BEYOND = (1 << 63) - 1
"""A sequence that no event has."""

_log = logging.getLogger(__name__)


def insert(connection: sqlite3.Connection, stored: list[StoredEvent], conflict: str = "") -> None:
    """Write events inside somebody's transaction; `conflict` may be OR IGNORE, where some are there already."""
    connection.executemany(
        f"INSERT {conflict} INTO events(sequence, topic, machine, crc, body) VALUES(?, ?, ?, ?, ?)",
        [(e.sequence, e.topic, e.machine, _crc(e), e.body) for e in stored],
    )


def before(connection: sqlite3.Connection, kind: Kind, sequence: int) -> int:
    """Find the last event of one machine and topic before a number; 0 if there is none."""
    row = connection.execute(
        "SELECT max(sequence) FROM events WHERE machine = ? AND topic = ? AND sequence < ?", (*kind, sequence)
    ).fetchone()
    return row[0] or 0


def count(connection: sqlite3.Connection, wanted: Collection[Kind], after: int, most: int) -> int:
    """Count the events of some machines and topics after a number, up to `most`."""
    query = "SELECT count(*) FROM (SELECT 1 FROM events WHERE machine = ? AND topic = ? AND sequence > ? LIMIT ?)"
    found = 0
    for kind in wanted:
        found += connection.execute(query, (*kind, after, most - found)).fetchone()[0]
    return found


def kinds(connection: sqlite3.Connection) -> Iterator[Kind]:
    """Find every machine and topic there is, one step in the index for each."""
    query = (
        "SELECT machine, topic FROM events WHERE (machine, topic, sequence) > (?, ?, ?) "
        "ORDER BY machine, topic, sequence LIMIT 1"
    )
    kind = ("", "")
    while row := connection.execute(query, (*kind, _BEYOND)).fetchone():
        kind = row
        yield kind


def extent(connection: sqlite3.Connection) -> tuple[int | None, dict[Kind, int]]:
    """The oldest number there is, None without events, and the newest of each machine and topic."""
    first: int | None = connection.execute("SELECT min(sequence) FROM events").fetchone()[0]
    return first, {kind: before(connection, kind, _BEYOND) for kind in kinds(connection)}


def of_topic(connection: sqlite3.Connection, topic: str) -> Iterator[StoredEvent]:
    """Read every event of a topic, machine by machine, in order; damaged ones are left out."""
    query = "SELECT sequence FROM events WHERE machine = ? AND topic = ? ORDER BY sequence"
    for kind in kinds(connection):
        if kind[1] == topic:
            yield from _rows(connection, (row[0] for row in connection.execute(query, kind)))


def examine(
    connection: sqlite3.Connection, first: int, last: int, known: Collection[Kind], wanted: Collection[Kind], limit: int
) -> tuple[list[StoredEvent], int, list[tuple[int, int]]]:
    """Read wanted events from `first` to `last`: the events, the last number examined, the ranges that are lost."""
    query = f"SELECT sequence {_SPAN_OF_KIND} ORDER BY sequence LIMIT ?"
    matching = sorted(row[0] for kind in wanted for row in connection.execute(query, (*kind, first, last, limit)))
    if len(matching) >= limit:
        matching = matching[:limit]
        last = matching[-1]
    found = {event.sequence: event for event in _rows(connection, matching)}
    lost = (set(matching) - found.keys()) | _missing(connection, first, last, known)
    if lost:  # a damaged index does not name what is there all the same
        there = {event.sequence: event for event in _rows(connection, sorted(lost - set(matching)))}
        lost -= there.keys()
        found |= {event.sequence: event for event in there.values() if (event.machine, event.topic) in wanted}
    sequences = sorted(found)
    if len(sequences) > limit:
        last = sequences[limit - 1]
        lost = {sequence for sequence in lost if sequence <= last}
    return [found[sequence] for sequence in sequences[:limit]], last, list(_ranges(sorted(lost)))


def _missing(connection: sqlite3.Connection, first: int, last: int, known: Collection[Kind]) -> set[int]:
    count = f"SELECT count(*) {_SPAN_OF_KIND}"
    if sum(connection.execute(count, (*kind, first, last)).fetchone()[0] for kind in known) > last - first:
        return set()
    each = f"SELECT sequence {_SPAN_OF_KIND}"
    there = {row[0] for kind in known for row in connection.execute(each, (*kind, first, last))}
    return set(range(first, last + 1)) - there


def _rows(connection: sqlite3.Connection, sequences: Iterable[int]) -> Iterator[StoredEvent]:
    query = "SELECT sequence, topic, machine, body, crc FROM events WHERE sequence = ?"
    for sequence in sequences:
        row = connection.execute(query, (sequence,)).fetchone()
        if row is None:
            continue
        event = StoredEvent(*row[:4])
        if _crc(event) == row[4]:
            yield event
        else:
            _log.error("event %d is damaged on disk and is left out", sequence)


def _ranges(sequences: list[int]) -> Iterator[tuple[int, int]]:
    begin = 0
    for end, sequence in enumerate(sequences, 1):
        if end == len(sequences) or sequences[end] != sequence + 1:
            yield sequences[begin], sequence
            begin = end


def _crc(event: StoredEvent) -> int:
    return checksum(str(event.sequence), event.topic, event.machine, event.body)
