"""Which events happened before a wall time; where the clock of then was not set, those that came after them tell."""

from __future__ import annotations

import sqlite3

_SET = b"trusted"
_MOST = 256
"""Events that one look for one with a clock that was set passes over."""


class Age:
    """Within one transaction: told by each event's time, or, where its clock was not known to be set, by its place.

    Args:
        before: RFC 3339 as an event has it.
    """

    def __init__(self, connection: sqlite3.Connection, before: str) -> None:
        self._connection = connection
        self._before = before.encode()
        self._witness: int | None = None

    def is_beyond(self, sequence: int, stamp: bytes) -> bool:
        """Say whether an event is older; `stamp` is its body from the 9th byte on, 42 bytes of it."""
        if stamp[35:] == _SET:
            return stamp[:24] < self._before
        if self._witness is None:
            self._witness = self._found()
        return sequence < self._witness

    def _found(self) -> int:
        """The highest number that is found of an event that is older by a clock that was set; 0 where none is."""
        low, high = 0, self._connection.execute("SELECT max(sequence) + 1 FROM events").fetchone()[0] or 0
        query = (
            "SELECT sequence, substr(body, 9, 24) FROM "
            "(SELECT sequence, body FROM events WHERE sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?) "
            "WHERE substr(body, 44, 7) = ? ORDER BY sequence LIMIT 1"
        )
        while low + 1 < high:
            middle = (low + high) // 2
            row = self._connection.execute(query, (middle, high - 1, _MOST, _SET)).fetchone()
            if row is not None and row[1] < self._before:
                low = row[0]
            else:
                high = middle
        return low
