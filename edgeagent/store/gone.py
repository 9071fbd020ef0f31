"""Events that retention deleted: which numbers they had, exactly, in about a byte for each."""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from edgeagent.model.events import GapRange, Kind
from edgeagent.store.checksums import checksum_of, fits

_BLOCK = 4096
"""Numbers that one row tells of, as a compressed bitmap."""

_BYTES = _BLOCK // 8
_BEYOND = (1 << 63) - 1

_log = logging.getLogger(__name__)


class _Row(NamedTuple):
    block: int
    machine: str
    topic: str
    count: int  # type: ignore[assignment]  # of a tuple it hides the method
    sequences: bytes

    @property
    def kind(self) -> Kind:
        return self.machine, self.topic


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
    found: dict[Kind, int] = {}
    for row in _rows(connection, "block BETWEEN ? AND ?", (first // _BLOCK, last // _BLOCK)):
        if bits := _within(row.block, row.sequences, first, last):
            found[row.kind] = found.get(row.kind, 0) | bits
    return found


def told(connection: sqlite3.Connection, first: int, last: int, wanted: Iterable[Kind]) -> tuple[GapRange | None, int]:
    """Sum up what is gone of very many numbers.

    Returns:
        The wanted events among them, None where there are none; how many there are of all kinds.
    """
    chosen = set(wanted)
    count, everything = 0, 0
    topics: set[str] = set()
    lowermost: list[tuple[int, bytes]] = []
    uppermost: list[tuple[int, bytes]] = []
    span = first // _BLOCK, last // _BLOCK
    for block, machine, topic, whole, packed in _rows(connection, "block BETWEEN ? AND ? ORDER BY block", span):
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
    condition = "machine = ? AND topic = ? AND block <= ? ORDER BY block DESC"
    for row in _rows(connection, condition, (*kind, min(sequence, _BEYOND) // _BLOCK)):
        begin = row.block * _BLOCK
        if bits := _within(row.block, row.sequences, begin, min(sequence, begin + _BLOCK) - 1):
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
    for row in _rows(connection, "block = ? AND machine = ? AND topic = ?", (block, *kind)):
        bits |= _unpacked(row.sequences)
    packed = zlib.compress(bits.to_bytes(_BYTES, "little"))
    new = _Row(block, *kind, bits.bit_count(), packed)
    connection.execute(
        "INSERT OR REPLACE INTO gone(block, machine, topic, count, sequences, crc) VALUES(?, ?, ?, ?, ?, ?)",
        (*new, checksum_of("gone", new._asdict())),
    )


def _rows(connection: sqlite3.Connection, condition: str, values: tuple[int | str, ...]) -> Iterator[_Row]:
    """Read rows that are as they were written: numbers that a damaged one tells of are a gap of unknown events."""
    cursor = connection.execute(f"SELECT * FROM gone WHERE {condition}", values)  # noqa: S608
    names = [column[0] for column in cursor.description]
    for found in cursor:
        row = dict(zip(names, found, strict=True))
        if fits("gone", row):
            yield _Row(*(row[name] for name in _Row._fields))
        else:
            _log.error("what is gone of events %d and later is damaged on disk and is left out", row["block"] * _BLOCK)


def _within(block: int, packed: bytes, first: int, last: int) -> int:
    """What a row tells of some numbers; the lowest bit is `first`."""
    if last < first:
        return 0
    bits, shift = _unpacked(packed), block * _BLOCK - first
    return (bits << shift if shift >= 0 else bits >> -shift) & ((1 << last - first + 1) - 1)


def _unpacked(packed: bytes) -> int:
    return int.from_bytes(zlib.decompress(packed), "little")
