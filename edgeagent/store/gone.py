"""Events that retention deleted: which numbers they had, exactly, in about a byte for each."""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping

from edgeagent.model.events import GapRange, Kind

_BLOCK = 4096
"""Numbers that one row tells of, as a compressed bitmap."""

_BYTES = _BLOCK // 8
_BEYOND = (1 << 63) - 1

_log = logging.getLogger(__name__)


def note(connection: sqlite3.Connection, sequences: Mapping[Kind, Iterable[int]]) -> None:
    """Remember what is deleted inside somebody's transaction."""
    for kind, numbers in sequences.items():
        blocks: dict[int, int] = {}
        for number in numbers:
            block, bit = divmod(number, _BLOCK)
            blocks[block] = blocks.get(block, 0) | 1 << bit
        for block, bits in blocks.items():
            _put(connection, block, kind, bits)


def between(connection: sqlite3.Connection, first: int, last: int) -> dict[Kind, int]:
    """Find what is gone of some numbers: each machine and topic with a bitmap, whose lowest bit is `first`."""
    query = "SELECT machine, topic, block, sequences FROM gone WHERE block BETWEEN ? AND ?"
    found: dict[Kind, int] = {}
    for machine, topic, block, packed in connection.execute(query, (first // _BLOCK, last // _BLOCK)):
        if bits := _within(block, packed, first, last):
            found[machine, topic] = found.get((machine, topic), 0) | bits
    return found


def told(connection: sqlite3.Connection, first: int, last: int, wanted: Iterable[Kind]) -> tuple[GapRange | None, int]:
    """Sum up what is gone of very many numbers.

    Returns:
        The wanted events among them, None where there are none; how many there are of all kinds.
    """
    chosen = set(wanted)
    query = "SELECT machine, topic, block, count, sequences FROM gone WHERE block BETWEEN ? AND ? ORDER BY block"
    count, everything = 0, 0
    topics: set[str] = set()
    lowermost: list[tuple[int, bytes]] = []
    uppermost: list[tuple[int, bytes]] = []
    for machine, topic, block, whole, packed in connection.execute(query, (first // _BLOCK, last // _BLOCK)):
        begin = block * _BLOCK
        is_inside = first <= begin and begin + _BLOCK - 1 <= last
        number = whole if is_inside else _within(block, packed, first, last).bit_count()
        everything += number
        if not number or (machine, topic) not in chosen:
            continue
        count += number
        topics.add(topic)
        if not lowermost or block == lowermost[0][0]:
            lowermost.append((block, packed))
        if uppermost and block != uppermost[0][0]:
            uppermost.clear()
        uppermost.append((block, packed))
    if not count:
        return None, everything
    low = min(lowest(_within(*row, first, last)) for row in lowermost)
    high = max(_within(*row, first, last).bit_length() - 1 for row in uppermost)
    return GapRange(first + low, first + high, count, tuple(sorted(topics))), everything


def before(connection: sqlite3.Connection, kind: Kind, sequence: int) -> int:
    """Find the last number before another one that is gone of a machine and topic; 0 if there is none."""
    query = (
        "SELECT block, sequences FROM gone WHERE machine = ? AND topic = ? AND block <= ? ORDER BY block DESC LIMIT 2"
    )
    for block, packed in connection.execute(query, (*kind, min(sequence, _BEYOND) // _BLOCK)).fetchall():
        begin: int = block * _BLOCK
        if bits := _within(block, packed, begin, min(sequence, begin + _BLOCK) - 1):
            return begin + bits.bit_length() - 1
    return 0


def kinds(connection: sqlite3.Connection) -> Iterator[Kind]:
    """Find every machine and topic of which something is gone, one step in the index for each."""
    query = (
        "SELECT machine, topic FROM gone WHERE (machine, topic, block) > (?, ?, ?) "
        "ORDER BY machine, topic, block LIMIT 1"
    )
    kind = ("", "")
    while row := connection.execute(query, (*kind, _BEYOND)).fetchone():
        kind = row
        yield kind


def newest(connection: sqlite3.Connection) -> int:
    """The highest number that is gone; 0 if there is none, also in a layout that deleted nothing."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'gone'").fetchone():
        return 0
    return max((before(connection, kind, _BEYOND) for kind in kinds(connection)), default=0)


def lowest(bits: int) -> int:
    """The place of the lowest bit; -1 where there is none."""
    return (bits & -bits).bit_length() - 1


def _put(connection: sqlite3.Connection, block: int, kind: Kind, bits: int) -> None:
    query = "SELECT sequences FROM gone WHERE block = ? AND machine = ? AND topic = ?"
    row = connection.execute(query, (block, *kind)).fetchone()
    bits |= _unpacked(block, row[0]) if row else 0
    packed = zlib.compress(bits.to_bytes(_BYTES, "little"))
    connection.execute(
        "INSERT OR REPLACE INTO gone(block, machine, topic, count, sequences) VALUES(?, ?, ?, ?, ?)",
        (block, *kind, bits.bit_count(), packed),
    )


def _within(block: int, packed: bytes, first: int, last: int) -> int:
    """What a row tells of some numbers; the lowest bit is `first`."""
    if last < first:
        return 0
    bits, shift = _unpacked(block, packed), block * _BLOCK - first
    return (bits << shift if shift >= 0 else bits >> -shift) & ((1 << last - first + 1) - 1)


def _unpacked(block: int, packed: bytes) -> int:
    try:
        return int.from_bytes(zlib.decompress(packed), "little")
    except zlib.error:
        _log.error("what is gone of events %d and later is damaged on disk and is left out", block * _BLOCK)
        return 0
