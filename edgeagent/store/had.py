"""Which events that end a board some consumer has acknowledged: what nobody had is never deleted by itself."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from edgeagent.model.events import Kind, matches
from edgeagent.store.checksums import checksum_of, fits

RECORDED = ("Board.ProcessCompleted", "Board.Lost")
"""Topics of the events that come with a board's record."""

_ALL = ""
"""In place of a machine: whoever had these wanted all machines."""

_COLUMNS = "machine, topic, first, last, crc"

_log = logging.getLogger(__name__)


class Had(msgspec.Struct, frozen=True):
    """A consumer acknowledged all that it wanted after one number, up to another; written as the cursor moves.

    Attributes:
        topics, machines: what it was told by; all machines if None.
    """

    topics: tuple[str, ...]
    machines: tuple[str, ...] | None
    after: int
    up_to: int
    size: int = 0

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write it inside somebody's transaction, as one range with what was had just before."""
        if self.up_to <= self.after:
            return
        for topic in RECORDED:
            if any(matches(pattern, topic) for pattern in self.topics):
                for machine in (_ALL,) if self.machines is None else self.machines:
                    _extend(connection, (machine, topic), self.after + 1, self.up_to)


def ranges(connection: sqlite3.Connection, kind: Kind) -> list[tuple[int, int]]:
    """The numbers of a machine and topic that somebody had, as ranges in order that do not overlap.

    A damaged row tells of nothing: what may not have been had stays.
    """
    query = f"SELECT {_COLUMNS} FROM had WHERE machine IN (?, ?) AND topic = ? ORDER BY first"  # noqa: S608
    return _joined(_whole(connection.execute(query, (_ALL, *kind))))


def _extend(connection: sqlite3.Connection, kind: Kind, first: int, last: int) -> None:
    where = "WHERE machine = ? AND topic = ? AND first <= ? AND last >= ?"
    touching = (*kind, last + 1, first - 1)
    query = f"SELECT {_COLUMNS} FROM had {where}"  # noqa: S608
    spans = [(first, last), *_whole(connection.execute(query, touching))]
    connection.execute(f"DELETE FROM had {where}", touching)  # noqa: S608
    row = {"machine": kind[0], "topic": kind[1], "first": min(low for low, _ in spans),
           "last": max(high for _, high in spans)}  # fmt: skip
    connection.execute(
        f"INSERT OR REPLACE INTO had({_COLUMNS}) VALUES(?, ?, ?, ?, ?)", (*row.values(), checksum_of("had", row))
    )


def _whole(rows: Iterable[tuple[str, str, int, int, int]]) -> list[tuple[int, int]]:
    """First and last number of the rows that are as they were written."""
    found = []
    for machine, topic, first, last, crc in rows:
        if fits("had", {"machine": machine, "topic": topic, "first": first, "last": last, "crc": crc}):
            found.append((first, last))
        else:
            _log.error("what was had of %s from event %d on is damaged on disk and is left out", topic, first)
    return found


def _joined(found: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in found:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return joined
