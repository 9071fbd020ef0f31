"""How many boards ended, and how: one short row for each, written with the event that tells it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import msgspec

from edgeagent.model.events import BoardLost, BoardUnexpected, Event, ProcessCompleted

if TYPE_CHECKING:
    from edgeagent.store.database import Database


class Counted(msgspec.Struct, frozen=True):
    """So many boards of a recipe ended so: pass, fail or unknown where they left, else lost or unexpected."""

    recipe: str | None
    result: str
    boards: int


class Counters:
    """Counts boards; they are written by the journal, in the transaction of the event."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def first_ns(self, machine: str) -> int | None:
        """When the first board of a machine ended (wall ns); None where none did."""
        query = "SELECT min(at_ns) FROM endings WHERE machine = ?"
        first: int | None = (await self._database.read(lambda c: c.execute(query, (machine,)).fetchone()))[0]
        return first

    async def count(self, machine: str, since_ns: int, until_ns: int) -> list[Counted]:
        """Count the boards of a machine that ended from `since_ns` to before `until_ns` (wall ns), by recipe."""
        query = (
            "SELECT recipe, result, count(*) FROM endings WHERE machine = ? AND at_ns >= ? AND at_ns < ? "
            "GROUP BY recipe, result ORDER BY recipe, result"
        )
        rows = await self._database.read(lambda c: c.execute(query, (machine, since_ns, until_ns)).fetchall())
        return [Counted(*row) for row in rows]


class Ending(msgspec.Struct, frozen=True):
    """How one board ended; `id` is the lane where nobody saw it enter."""

    machine: str
    at_ns: int
    id: str
    recipe: str | None
    result: str
    size: int = 0

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write it inside somebody's transaction; a second one of the same board and time takes its place."""
        connection.execute(
            "INSERT OR REPLACE INTO endings(machine, at_ns, id, recipe, result) VALUES(?, ?, ?, ?, ?)",
            (self.machine, self.at_ns, self.id, self.recipe, self.result),
        )


def ending(event: Event) -> Ending | None:
    """Make what an event counts; None where it ends no board."""
    data = event.data
    if isinstance(data, ProcessCompleted | BoardLost):
        result = "lost" if isinstance(data, BoardLost) else data.board.verdict.process
        return Ending(event.machine, event.time_ns, data.board.id, data.board.recipe.name, result)
    if isinstance(data, BoardUnexpected):
        return Ending(event.machine, event.time_ns, f"lane {data.lane}", None, "unexpected")
    return None
