"""How many boards ended, and how: one short row for each, written with the event that tells it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

import msgspec

from edgeagent.model.events import BoardLost, BoardUnexpected, Event, ProcessCompleted
from edgeagent.store import salvaged
from edgeagent.store.boards import has_left
from edgeagent.store.checksums import checksum_of
from edgeagent.store.pages import END_OF_TIME

if TYPE_CHECKING:
    from edgeagent.store.database import Database


EndingKind = tuple[str, str, str]
"""Machine, recipe and result."""


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
        """When the first board of a machine ended that is counted (wall ns); None where none is.

        Raises:
            StoreError: some of them are still to be taken over from a damaged file.
        """

        def work(connection: sqlite3.Connection) -> int | None:
            salvaged.require(connection, "endings")
            return min((oldest_ns(connection, kind) for kind in _of_machine(connection, machine)), default=None)

        return await self._database.read(work)

    async def count(self, machine: str, since_ns: int, until_ns: int) -> list[Counted]:
        """Count the boards of a machine that ended from `since_ns` to before `until_ns` (wall ns), by recipe.

        Raises like `first_ns`.
        """

        def work(connection: sqlite3.Connection) -> list[Counted]:
            salvaged.require(connection, "endings")
            query = (
                "SELECT count(*) FROM endings "
                "WHERE machine = ? AND recipe = ? AND result = ? AND at_ns >= ? AND at_ns < ?"
            )
            counted = (
                Counted(kind[1] or None, kind[2], connection.execute(query, (*kind, since_ns, until_ns)).fetchone()[0])
                for kind in _of_machine(connection, machine)
            )  # fmt: skip
            return [it for it in counted if it.boards]

        return await self._database.read(work)


class Ending(msgspec.Struct, frozen=True):
    """How one board ended; `id` is the lane where nobody saw it enter, `recipe` is empty where unknown."""

    machine: str
    recipe: str
    result: str
    at_ns: int
    id: str
    size: int = 0

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write it inside somebody's transaction; a second one of the same board and time takes its place.

        A board of which there is a record that it left is not counted as lost.
        """
        if self.result == "lost" and has_left(connection, self.id):
            return
        connection.execute(
            "INSERT OR REPLACE INTO endings(machine, recipe, result, at_ns, id, crc) VALUES(?, ?, ?, ?, ?, ?)",
            (self.machine, self.recipe, self.result, self.at_ns, self.id,
             checksum_of("endings", msgspec.structs.asdict(self))),
        )  # fmt: skip


ENDINGS = frozenset({ProcessCompleted, BoardLost, BoardUnexpected})
"""The data of events that end a board."""


def ending(event: Event) -> Ending | None:
    """Make what an event counts; None where its data is none of `ENDINGS`."""
    data = event.data
    if isinstance(data, ProcessCompleted | BoardLost):
        result = "lost" if isinstance(data, BoardLost) else data.board.verdict.process
        return Ending(event.machine, data.board.recipe.name or "", result, event.time_ns, data.board.id)
    if isinstance(data, BoardUnexpected):
        return Ending(event.machine, "", "unexpected", event.time_ns, f"lane {data.lane}")
    return None


def kinds(connection: sqlite3.Connection, after: EndingKind = ("", "", "")) -> Iterator[EndingKind]:
    """Find every machine, recipe and result, one step in the table for each."""
    query = (
        "SELECT machine, recipe, result FROM endings WHERE (machine, recipe, result, at_ns) > (?, ?, ?, ?) "
        "ORDER BY machine, recipe, result, at_ns LIMIT 1"
    )
    while row := connection.execute(query, (*after, END_OF_TIME)).fetchone():
        after = row
        yield after


def oldest_ns(connection: sqlite3.Connection, kind: EndingKind) -> int:
    """When the first board ended so that is still counted (wall ns)."""
    query = "SELECT min(at_ns) FROM endings WHERE machine = ? AND recipe = ? AND result = ?"
    oldest: int = connection.execute(query, kind).fetchone()[0]
    return oldest


def _of_machine(connection: sqlite3.Connection, machine: str) -> Iterator[EndingKind]:
    return takewhile(lambda kind: kind[0] == machine, kinds(connection, (machine, "", "")))
