"""The records of boards that left: found by barcode, recipe, verdict, machine and time of entry, newest first."""

from __future__ import annotations

import logging
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from edgeagent.clock import instant_ns
from edgeagent.model.boards import BoardRecord, BoardTrace
from edgeagent.store import derived, pages, salvaged, traces
from edgeagent.store.checksums import checksum
from edgeagent.store.pages import Place
from edgeagent.store.transaction import at_one_moment

if TYPE_CHECKING:
    from edgeagent.store.database import Database

_BYTES_OF_A_VALUE = 32
"""A float in a list, in memory."""

_log = logging.getLogger(__name__)


class Boards:
    """Reads board records; they are written by the journal, in the transaction of the event that ends the board."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, id: str) -> bytes | None:  # noqa: A002
        """Read one record as JSON; None where there is none or it is damaged.

        Raises:
            StoreError: the file cannot be read, or it may still be taken over from a damaged one.
        """
        query = "SELECT id, entered_ns, body, crc FROM boards WHERE id = ?"

        def work(connection: sqlite3.Connection) -> list[Any]:
            rows = connection.execute(query, (id,)).fetchall()
            if not rows:
                salvaged.require(connection, "boards")
            return rows

        return next(pages.whole(await self._database.read(partial(at_one_moment, work)), "the record of board"), None)

    async def find(
        self, *, barcode: str | None = None, recipe: str | None = None, verdict: str | None = None,
        since_ns: int | None = None, until_ns: int | None = None, machine: str | None = None,
        limit: int = 50, cursor: str | None = None,
    ) -> tuple[list[bytes], str | None]:  # fmt: skip
        """Read a page of records as JSON, newest entry first, and the cursor of the next page (None on the last).

        Args:
            verdict: of the process. since_ns, until_ns: wall ns of the entry, from `since_ns` to before `until_ns`.

        Raises:
            CommandRefused: "invalidParameters", the cursor is none of ours.
            StoreError: the file cannot be read, or some of them are still being taken over from a damaged one.
        """
        query, values = search(barcode, recipe, verdict, since_ns, until_ns, machine, pages.place(cursor))

        def work(connection: sqlite3.Connection) -> list[Any]:
            salvaged.require(connection, "boards", *(("board_barcodes",) if barcode is not None else ()))
            return connection.execute(query, (*values, limit + 1)).fetchall()

        rows = await self._database.read(work)
        following = pages.cursor((rows[limit - 1][1], rows[limit - 1][0])) if len(rows) > limit else None
        wanted, found = {"recipe": recipe, "process": verdict, "machine": machine}, []
        for body in pages.whole(rows[:limit], "the record of board"):
            if derived.has(body, wanted, barcode):
                found.append(body)
            else:
                _log.error("a board is not what it is found by on disk, and is left out: %s", body[:80])
        return found, following

    async def trace(self, id: str, max_points: int) -> BoardTrace | None:  # noqa: A002
        """Read a trace, thinned evenly to `max_points` (2 or more); None where there is none or it is damaged.

        Raises:
            StoreError: the file cannot be read, or it may still be taken over from a damaged one.
        """

        def work(connection: sqlite3.Connection) -> BoardTrace | None:
            row = connection.execute("SELECT body, crc FROM traces WHERE id = ?", (id,)).fetchone()
            if row is None:
                salvaged.require(connection, "traces")
                return None
            if checksum(id, row[0]) != row[1]:
                _log.error("the trace of board %s is damaged on disk and is left out", id)
                return None
            return traces.thinned(traces.unpack(id, row[0]), max_points)

        return await self._database.read(partial(at_one_moment, work))


class PreparedBoard(msgspec.Struct, frozen=True):
    """A board ready to be written: nothing of it can fail any more but the disk."""

    row: tuple[str | int | bytes | None, ...]
    place: Place
    is_lost: bool
    codes: frozenset[str]
    trace: BoardTrace | None
    size: int
    """Bytes of the record, and about those of the trace."""

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write record, barcodes and trace inside somebody's transaction.

        An older record of the id is replaced, but never that of a board that left by its loss: the agent can take a
        board for lost whose exit it has forgotten.
        """
        id = self.place[1]  # noqa: A001
        if self.is_lost and has_left(connection, id):
            return
        connection.execute("DELETE FROM board_barcodes WHERE board = ?", (id,))
        connection.execute(
            "INSERT OR REPLACE INTO boards(id, machine, lane, recipe, entered_ns, exited_ns, process, profile, "
            "identity, lost, crc, body) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self.row,
        )  # fmt: skip
        connection.executemany(
            "INSERT INTO board_barcodes(code, entered_ns, board) VALUES(?, ?, ?)",
            [(code, *self.place) for code in self.codes],
        )
        if self.trace is not None:
            body = traces.pack(self.trace)
            row = (id, checksum(id, body), body)
            connection.execute("INSERT OR REPLACE INTO traces(id, crc, body) VALUES(?, ?, ?)", row)


def prepare(record: BoardRecord, trace: BoardTrace | None, lost: bool) -> PreparedBoard:
    """Encode a record, and check its trace, before anything is written.

    Raises:
        ValueError: a time is not RFC 3339, or the trace's lists differ in length.
    """
    if trace is not None:
        traces.check(trace)
        trace = msgspec.structs.replace(trace, id=record.id)
    body = msgspec.json.encode(record)
    entered_ns = instant_ns(record.entered_at)
    row = (
        record.id, record.machine.id, record.lane, record.recipe.name, entered_ns,
        instant_ns(record.exited_at) if record.exited_at else None, record.verdict.process, record.verdict.profile,
        record.identity, int(lost), checksum(record.id, body), body,
    )  # fmt: skip
    size = len(body) + (len(trace.seconds) * (len(trace.zones) + 2) * _BYTES_OF_A_VALUE if trace else 0)
    return PreparedBoard(row, (entered_ns, record.id), lost, frozenset(b.code for b in record.barcodes), trace, size)


def has_left(connection: sqlite3.Connection, id: str) -> bool:  # noqa: A002
    """Say whether there is a record of a board that left."""
    return connection.execute("SELECT 1 FROM boards WHERE id = ? AND NOT lost", (id,)).fetchone() is not None


def search(
    barcode: str | None, recipe: str | None, verdict: str | None, since_ns: int | None, until_ns: int | None,
    machine: str | None, before: Place | None,
) -> tuple[str, list[str | int]]:  # fmt: skip
    """Build the query of `Boards.find` (the limit is its last, open parameter) and its values."""
    since, end = pages.span(since_ns, until_ns, before)
    table, entered, id = "boards", "boards.entered_ns", "boards.id"  # noqa: A001
    conditions: list[tuple[str, tuple[str | int, ...]]] = []
    if barcode is not None:
        table = "board_barcodes AS codes CROSS JOIN boards ON boards.id = codes.board"
        entered, id = "codes.entered_ns", "codes.board"  # noqa: A001
        conditions.append(("codes.code = ?", (barcode,)))
    conditions += [
        (f"boards.{column} = ?", (value,))
        for column, value in (("recipe", recipe), ("process", verdict), ("machine", machine))
        if value is not None
    ]
    conditions.append((f"{entered} >= ? AND ({entered}, {id}) < (?, ?)", (since, *end)))
    where = " AND ".join(condition for condition, _ in conditions)
    query = (
        f"SELECT boards.id, boards.entered_ns, boards.body, boards.crc FROM {table} WHERE {where} "  # noqa: S608  only names of ours
        f"ORDER BY {entered} DESC, {id} DESC LIMIT ?"
    )
    return query, [value for _, values in conditions for value in values]
