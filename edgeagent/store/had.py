"""Which events that end a board some consumer has acknowledged: what nobody had is never deleted by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from edgeagent.model.events import Kind, matches

RECORDED = ("Board.ProcessCompleted", "Board.Lost")
"""Topics of the events that come with a board's record."""

_ALL = ""
"""In place of a machine: whoever had these wanted all machines."""


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
    """The numbers of a machine and topic that somebody had, as ranges in order that do not overlap."""
    query = "SELECT first, last FROM had WHERE machine IN (?, ?) AND topic = ? ORDER BY first"
    return _joined(connection.execute(query, (_ALL, *kind)).fetchall())


def _extend(connection: sqlite3.Connection, kind: Kind, first: int, last: int) -> None:
    where = "WHERE machine = ? AND topic = ? AND first <= ? AND last >= ?"
    touching = (*kind, last + 1, first - 1)
    low, high = connection.execute(f"SELECT min(first), max(last) FROM had {where}", touching).fetchone()  # noqa: S608
    connection.execute(f"DELETE FROM had {where}", touching)  # noqa: S608
    row = (*kind, first if low is None else min(first, low), last if high is None else max(last, high))
    connection.execute("INSERT INTO had(machine, topic, first, last) VALUES(?, ?, ?, ?)", row)


def _joined(found: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in found:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return joined
