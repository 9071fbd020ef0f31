"""The table of events: what is written, and what can still be read and what is lost."""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache

from edgeagent.model.events import GapRange, Kind, StoredEvent
from edgeagent.store import gone, holes

_SPAN_OF_KIND = "FROM events WHERE machine = ? AND topic = ? AND sequence BETWEEN ? AND ?"

BEYOND = (1 << 63) - 1
"""A sequence that no event has."""

_SPAN = 50_000
"""Numbers that are looked at in one go."""

_AT_ONCE = 25
"""The most events that one statement writes: it costs a third less than one for each."""

_COLUMNS = "events(sequence, topic, machine, crc, body)"
_PLACES = "(?, ?, ?, ?, ?)"

_log = logging.getLogger(__name__)


def insert(connection: sqlite3.Connection, stored: list[StoredEvent], conflict: str = "") -> None:
    """Write events inside somebody's transaction; `conflict` may be OR IGNORE, where some are there already."""
    for place in range(0, len(stored), _AT_ONCE):
        group = stored[place : place + _AT_ONCE]
        values = [value for it in group for value in (it.sequence, it.topic, it.machine, _crc(it), it.body)]
        connection.execute(_inserting(len(group), conflict), values)


@cache
def _inserting(rows: int, conflict: str) -> str:
    return f"INSERT {conflict} INTO {_COLUMNS} VALUES {', '.join([_PLACES] * rows)}"  # noqa: S608  only names of ours


def before(connection: sqlite3.Connection, kind: Kind, sequence: int) -> int:
    """Find the last event of one machine and topic before a number, also where it is gone; 0 if there was none."""
    row = connection.execute(
        "SELECT max(sequence) FROM events WHERE machine = ? AND topic = ? AND sequence < ?", (*kind, sequence)
    ).fetchone()
    return max(row[0] or 0, gone.before(connection, kind, sequence))


def count(connection: sqlite3.Connection, wanted: Collection[Kind], after: int, most: int) -> int:
    """Count the events of some machines and topics after a number, up to `most`."""
    query = "SELECT count(*) FROM (SELECT 1 FROM events WHERE machine = ? AND topic = ? AND sequence > ? LIMIT ?)"
    found = 0
    for kind in wanted:
        found += connection.execute(query, (*kind, after, most - found)).fetchone()[0]
    return found


def kinds(connection: sqlite3.Connection) -> Iterator[Kind]:
    """Find every machine and topic of which there are events, one step in the index for each."""
    # For (machine, topic) > (?, ?) SQLite steps through all rows of a kind to find the next one.
    next_machine = "SELECT machine FROM events WHERE machine > ? ORDER BY machine LIMIT 1"
    next_topic = "SELECT topic FROM events WHERE machine = ? AND topic > ? ORDER BY topic LIMIT 1"
    machine = ""
    while row := connection.execute(next_machine, (machine,)).fetchone():
        machine, topic = row[0], ""
        while row := connection.execute(next_topic, (machine, topic)).fetchone():
            topic = row[0]
            yield machine, topic


def extent(connection: sqlite3.Connection) -> tuple[int | None, dict[Kind, int]]:
    """The oldest number there is, None without events, and the newest of each machine and topic."""
    first: int | None = connection.execute("SELECT min(sequence) FROM events").fetchone()[0]
    every = {*kinds(connection), *gone.kinds(connection)}
    return first, {kind: before(connection, kind, BEYOND) for kind in every}


def of_topic(connection: sqlite3.Connection, topic: str) -> Iterator[StoredEvent]:
    """Read every event of a topic, machine by machine, in order; damaged ones are left out."""
    query = "SELECT sequence FROM events WHERE machine = ? AND topic = ? ORDER BY sequence"
    for kind in kinds(connection):
        if kind[1] == topic:
            yield from _rows(connection, (row[0] for row in connection.execute(query, kind)))


def examine(
    connection: sqlite3.Connection, first: int, last: int, known: Collection[Kind], wanted: Collection[Kind], limit: int
) -> tuple[list[StoredEvent], int, list[GapRange]]:
    """Read wanted events from `first` to `last`: the events, the last number examined, what is gone of them."""
    query = f"SELECT sequence {_SPAN_OF_KIND} ORDER BY sequence LIMIT ?"
    rows = ((row[0], kind) for kind in wanted for row in connection.execute(query, (*kind, first, last, limit)))
    matching = dict(sorted(rows)[:limit])
    if len(matching) >= limit:
        last = max(matching)
    found = {event.sequence: event for event in _rows(connection, matching)}
    went = gone.between(connection, first, last)
    missing = _missing(connection, first, last, known, went)
    lost = {kind: bits for kind, bits in went.items() if kind in wanted}
    for sequence in matching.keys() - found.keys():
        lost[matching[sequence]] = lost.get(matching[sequence], 0) | 1 << sequence - first
    if missing:  # a damaged index does not name what is there all the same
        there = {event.sequence: event for event in _rows(connection, _numbers(missing, first))}
        missing &= ~sum(1 << sequence - first for sequence in there)
        found |= {event.sequence: event for event in there.values() if (event.machine, event.topic) in wanted}
    sequences = sorted(found)
    if len(sequences) > limit:
        last = sequences[limit - 1]
        missing &= (1 << last - first + 1) - 1
        lost = {kind: bits & (1 << last - first + 1) - 1 for kind, bits in lost.items()}
    kept = sequences[:limit]
    return [found[sequence] for sequence in kept], last, holes.ranges(first, last, kept, lost, missing)


def unknown(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Ranges of the numbers between events that are neither there nor known to be gone; reads the index alone."""
    ends = connection.execute("SELECT min(sequence), max(sequence) FROM events").fetchone()
    known, found = list(kinds(connection)), list[tuple[int, int]]()
    first, end = ends if ends[0] is not None else (0, -1)
    while first <= end:
        last = min(end, first + _SPAN - 1)
        for gap in holes.ranges(first, last, (), {}, _missing(connection, first, last, known,
                                                              gone.between(connection, first, last))):  # fmt: skip
            if found and found[-1][1] == gap.from_ - 1:
                found[-1] = found[-1][0], gap.to
            else:
                found.append((gap.from_, gap.to))
        first = last + 1
    return found


def _numbers(bits: int, first: int) -> Iterator[int]:
    """The numbers that a bitmap has, whose lowest bit is `first`."""
    while bits:
        place = gone.lowest(bits)
        yield first + place
        bits &= bits - 1


def _missing(
    connection: sqlite3.Connection, first: int, last: int, known: Collection[Kind], went: Mapping[Kind, int]
) -> int:
    """The numbers that are neither there nor known to be gone, as a bitmap whose lowest bit is `first`."""
    count = f"SELECT count(*) {_SPAN_OF_KIND}"
    kept = sum(connection.execute(count, (*kind, first, last)).fetchone()[0] for kind in known)
    if kept + sum(bits.bit_count() for bits in went.values()) > last - first:
        return 0
    each = f"SELECT sequence {_SPAN_OF_KIND}"
    known_bits = bytearray((last - first) // 8 + 1)
    for kind in known:
        for (sequence,) in connection.execute(each, (*kind, first, last)):
            known_bits[(sequence - first) >> 3] |= 1 << ((sequence - first) & 7)
    there = int.from_bytes(known_bits, "little")
    for bits in went.values():
        there |= bits
    return ((1 << last - first + 1) - 1) & ~there


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


def _crc(event: StoredEvent) -> int:
    """The same as `checksums.checksum` of number, topic, machine and body, in a third of its time."""
    return zlib.crc32(event.body, zlib.crc32(f"\0{event.sequence}\0{event.topic}\0{event.machine}\0".encode()))
