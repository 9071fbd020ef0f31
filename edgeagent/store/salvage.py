"""Takes over from a damaged file what of it can be read: what is needed at once, then the rest beside the agent."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from edgeagent.errors import StoreError
from edgeagent.store import events, overlay, rescue
from edgeagent.store.backlog import Work
from edgeagent.store.checksums import fits, with_checksum
from edgeagent.store.filling import add_checksums, count_again, fill
from edgeagent.store.rescue import Layout, Read, Row
from edgeagent.store.salvaged import Salvaged, Table, anew, find, keep
from edgeagent.store.transaction import at_one_moment

if TYPE_CHECKING:
    from edgeagent.store.database import Database

_AT_ONCE = ("meta", "checkpoints", "consumers", "recipes", "requests", "history", "jobs", "alarms", "states",
            "gone")
"""Tables that an agent needs to begin, the most needed first; then the newest events."""
_AT_ONCE_S = 1.0
"""Real seconds for all of them, and again for the newest events."""
_NEWEST = 20_000
"""Events that are taken over before the agent begins."""
_LATER = 200
"""Rows that are written in one transaction beside the agent."""
_MOST_FILES = 8
"""Damaged files that are remembered at a time."""
_MOST_RANGES = 20
"""Ranges of lost events that are remembered by their numbers."""

_BARCODES = (
    "INSERT OR IGNORE INTO board_barcodes(code, entered_ns, board) "
    "SELECT json_extract(value, '$.code'), entered_ns, boards.id "
    "FROM boards, json_each(CAST(boards.body AS TEXT), '$.barcodes')"
)

_log = logging.getLogger(__name__)


def begin(source: Path, into: sqlite3.Connection, salvaged: Salvaged, most_events: int = _NEWEST) -> None:
    """Take over what is needed at once, inside somebody's transaction and within seconds.

    Args:
        most_events: how many of the newest, about.

    Raises:
        sqlite3.Error: `into` cannot be written; what cannot be read is noted in `salvaged`.
    """
    try:
        connection, layouts = _open(source, into)
    except sqlite3.Error as error:
        salvaged.reason = f"{salvaged.reason}; nothing of it can be read: {error}"
        salvaged.is_done = salvaged.waits is None
        keep(into, salvaged)
        return
    with closing(connection):
        salvaged.tables = {name: Table() for name in layouts}
        salvaged.is_counted = "endings" in layouts
        end = monotonic() + _AT_ONCE_S
        for name in filter(layouts.__contains__, _AT_ONCE):
            for _ in _copied(connection, into, layouts[name], salvaged.tables[name]):
                if monotonic() > end:
                    break
        if "events" in layouts:
            _newest(connection, into, layouts["events"], salvaged.tables["events"], most_events)
    earlier = find(into, source)  # it came with the table, if it was whole
    if earlier is None and "meta" in layouts and salvaged.tables["meta"].damaged:
        earlier = anew(into, source)
    if earlier and not earlier.is_done:
        salvaged.earlier, salvaged.is_counted = earlier, salvaged.is_counted and earlier.is_counted
        _give_up(salvaged, _MOST_FILES)
    keep(into, salvaged)


def _give_up(salvaged: Salvaged, most: int) -> None:
    """Remember no more than so many files: a disk that damages everything has no end of them."""
    *_, last = islice(salvaged.each(), most)
    for it in last.earlier.each() if last.earlier else ():
        _log.error("%s: is not taken over to its end: too much was damaged since", it.aside)
    last.earlier = None


class Salvage:
    """Takes over the rest beside the agent, a part at a time, and goes on where it was after a restart."""

    def __init__(self, database: Database, salvaged: Salvaged) -> None:
        self._database = database
        self.salvaged = salvaged

    async def run(self) -> None:
        """Take over all that is left; returns at once where nothing is, or where the store was damaged once more.

        Raises:
            StoreError: the database is closed.
        """
        if self.salvaged.is_done:
            return
        try:
            await self._take_over_all()
        except _DamagedOnceMore:
            _log.error("%s: the store was damaged once more before all of it was taken over", self.salvaged.aside)

    async def _take_over_all(self) -> None:
        for it in self.salvaged.each():
            await self._take_over_file(Path(it.aside), it.tables)
        await self._make_again()
        lost = await self._database.read(partial(at_one_moment, events.unknown))
        await self._database.write(partial(self._finish, lost))
        _log.warning("%s: %s", self._database.path, self.salvaged.words())

    async def _take_over_file(self, source: Path, tables: dict[str, Table]) -> None:
        try:
            connection, layouts = await self._database.read(lambda into: _open(source, into))
        except StoreError as error:
            _log.error("%s: nothing more of it can be taken over: %s", source, error)
            return
        with closing(connection):
            for name, it in layouts.items():
                await self._take_over(connection, it, tables.setdefault(name, Table()))

    async def _make_again(self) -> None:
        """Make from the boards what of their barcodes and of how they ended could not be read."""
        for name, make in _FROM_BOARDS.items():
            if any(name in it.tables and it.tables[name].is_damaged for it in self.salvaged.each()):
                await self._database.write(make)

    async def _take_over(self, source: sqlite3.Connection, it: Layout, table: Table) -> None:
        reading = rescue.read(source, it, tuple(table.after), table.until)
        while not table.is_done:
            began = monotonic()
            rows = await asyncio.to_thread(_read_some, reading, table)
            await self._database.write(partial(self._write, it, rows, table))
            await asyncio.sleep(min(1.0, monotonic() - began))

    def _write(self, it: Layout, rows: list[Row], table: Table, connection: sqlite3.Connection) -> None:
        self._require_current(connection)
        before = table.rows, table.damaged
        try:
            _insert(connection, it, rows, table)
            keep(connection, self.salvaged)
        except sqlite3.Error:  # it is tried again
            table.rows, table.damaged = before
            raise

    def _finish(self, lost: list[tuple[int, int]], connection: sqlite3.Connection) -> None:
        self._require_current(connection)
        if not self.salvaged.is_counted:
            connection.execute("DELETE FROM endings")
            fill(connection)
            add_checksums(("endings",), connection)
        for it in self.salvaged.each():
            it.is_done = True
        self.salvaged.lost = lost[-_MOST_RANGES:]
        self.salvaged.lost_events = sum(last - first + 1 for first, last in lost)
        keep(connection, self.salvaged)

    def _require_current(self, connection: sqlite3.Connection) -> None:
        current = find(connection)
        if current is not None and current.aside != self.salvaged.aside:
            raise _DamagedOnceMore


class _DamagedOnceMore(Exception):
    """The store comes from another damaged file by now, of which it remembers how far that is taken over."""


def _find_again(connection: sqlite3.Connection) -> None:
    connection.execute(_BARCODES)


_FROM_BOARDS: dict[str, Work[None]] = {"board_barcodes": _find_again, "endings": count_again}
"""Table → what makes those of its rows again that are not there, from the records of boards."""


def _open(source: Path, into: sqlite3.Connection) -> tuple[sqlite3.Connection, dict[str, Layout]]:
    """The damaged file, and the tables that both have with the columns that both have.

    Raises:
        sqlite3.Error: nothing of it can be read.
    """
    wanted = rescue.layouts(into)
    connection = rescue.connect_damaged(source)
    try:
        found = rescue.layouts(connection)
        is_known = not wanted.keys() - found.keys() or _layout(connection) < _layout(into)
    except sqlite3.Error:
        is_known = False
    if not is_known:
        connection.close()
        connection, found = _open_without_schema(source)
    return connection, {
        name: it._replace(columns=tuple(column for column in it.columns if column in wanted[name].columns))
        for name, it in found.items() if name in wanted
    }  # fmt: skip


def _open_without_schema(source: Path) -> tuple[sqlite3.Connection, dict[str, Layout]]:
    """The damaged file with the schema of a new one; raises sqlite3.Error where it cannot be read so either."""
    link = Path(f"{source}.reading")
    try:
        overlay.link_with_schema(source, link)
        connection = rescue.connect_damaged(link)
        try:
            return connection, rescue.layouts(connection)
        except sqlite3.Error:
            connection.close()
            raise
    except (OSError, StoreError) as error:
        raise sqlite3.DatabaseError(f"without its schema nothing can be read: {error}") from error
    finally:
        overlay.remove(link)


def _layout(connection: sqlite3.Connection) -> int:
    layout: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return layout if layout > 0 else 1 << 31


def _read_some(reading: Iterator[Read], table: Table) -> list[Row]:
    """Read on, and note how far it is then."""
    rows: list[Row] = []
    for found in reading:
        rows += found.rows
        table.places += found.is_damaged
        table.after = list(found.after)
        if len(rows) >= _LATER:
            return rows
    table.is_done = True
    return rows


def _newest(source: sqlite3.Connection, into: sqlite3.Connection, it: Layout, table: Table, most: int) -> None:
    """Take over the newest events, as many as there is time for."""
    end, count = monotonic() + _AT_ONCE_S, 0
    for found in rescue.newest(source, it):
        if found.is_damaged:
            return
        _insert(into, it, found.rows, table)
        if not found.is_in_order:  # the last of these numbers may be the one that is wrong
            return
        table.until, count = int(found.after[0]) - 1, count + len(found.rows)
        if monotonic() > end or table.rows >= most:
            return
    table.is_done = count == rescue.count(source, it)
    if not table.is_done:
        table.until = rescue.LAST


def _copied(source: sqlite3.Connection, into: sqlite3.Connection, it: Layout, table: Table) -> Iterator[None]:
    for found in rescue.read(source, it):
        _insert(into, it, found.rows, table)
        table.places += found.is_damaged
        table.after = list(found.after)
        yield
    table.is_done = True


def _insert(into: sqlite3.Connection, it: Layout, rows: Sequence[Row], table: Table) -> None:
    """Write the rows that are whole and not there yet; what the table does not take is damaged as well."""
    named = [with_checksum(it.table, dict(zip(it.columns, row, strict=True))) for row in rows]
    whole = [row for row in named if fits(it.table, row)]
    table.damaged += len(rows) - len(whole)
    for row in whole:
        query = f"INSERT OR IGNORE INTO {it.table}({', '.join(row)}) VALUES({', '.join('?' * len(row))})"
        try:
            table.rows += into.execute(query, tuple(row.values())).rowcount
        except (sqlite3.IntegrityError, OverflowError):
            table.damaged += 1
