"""What a store remembers of the damaged file that it comes from: what is taken over, what is lost, what still comes."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgeagent.errors import StoreError
from edgeagent.store import meta, standing
from edgeagent.store.swapping import newest_aside

_SALVAGED = "salvage"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
_RFC_3339 = "%Y-%m-%dT%H:%M:%SZ"

_log = logging.getLogger(__name__)


class Table(msgspec.Struct):
    """How far one table is taken over.

    Attributes:
        rows: taken over. damaged: rows that were read, and were not as they were written. places: damaged places in
            which nobody knows what was. after: where to go on. until: last row number that is left.
    """

    rows: int = 0
    damaged: int = 0
    places: int = 0
    after: list[int | str] = []
    until: int = (1 << 63) - 1
    is_done: bool = False

    @property
    def is_damaged(self) -> bool:
        """Whether something of it could not be taken over."""
        return bool(self.damaged or self.places)


class Salvaged(msgspec.Struct):
    """What was found and done, as the new file remembers it.

    Attributes:
        at: RFC 3339. aside: the damaged file, which nobody deletes. reason: what was wrong with it.
        is_counted: whether it is of a layout that counted how boards ended; what one before did not is made at the end.
        waits: what it waits for before anything more is taken over, in words; None where it goes on by itself.
        lost: ranges of events that are gone, known once all is done; lost_events: how many in all.
        earlier: the damage before this one, where not all of that file was taken over when this one was damaged.
    """

    at: str
    aside: str
    reason: str
    tables: dict[str, Table] = {}
    is_counted: bool = True
    lost: list[tuple[int, int]] = []
    lost_events: int = 0
    is_done: bool = False
    waits: str | None = None
    earlier: Salvaged | None = None

    def each(self) -> Iterator[Salvaged]:
        """This one, and those before it, the latest first."""
        it: Salvaged | None = self
        while it:
            yield it
            it = it.earlier

    @property
    def pending_events(self) -> int:
        """The last number of those that are still to be taken over; 0 where none are."""
        pending = (it.tables["events"] for it in self.each() if "events" in it.tables)
        return max((0 if events.is_done else events.until for events in pending), default=0)

    def lacks(self, name: str) -> bool:
        """Whether rows of a table are still to be taken over, or made from others at the end."""
        return any(it._lacks(name) for it in self.each())

    def _lacks(self, name: str) -> bool:
        table = self.tables.get(name)
        if table is None:
            return bool(self.waits) or (not self.is_counted and name in ("alarms", "endings"))
        return not table.is_done

    def may_bring(self, sequence: int) -> bool:
        """Whether it may still be found out what an event was that is not there."""
        is_gone_known = all(it.tables["gone"].is_done for it in self.each() if "gone" in it.tables)
        return not self.is_done and (sequence <= self.pending_events or not is_gone_known)

    def has_lost(self, name: str) -> bool:
        """Whether rows of a table may be gone without a trace; nobody asks any more once the damaged file is away."""
        tables = ((it.aside, it.tables.get(name)) for it in self.each())
        return any((table is None or table.is_damaged or not table.is_done) and Path(aside).exists()
                   for aside, table in tables)  # fmt: skip

    @property
    def is_beside(self) -> bool:
        """Whether a damaged file lies where it was put."""
        return any(Path(it.aside).exists() for it in self.each())

    def words(self) -> str:
        """What was wrong and what is lost, for people."""
        damaged = [f"{name} ({each.damaged} rows damaged, {each.places} places unreadable)"
                   for name, each in self.tables.items() if each.is_damaged]  # fmt: skip
        what = f"lost of {', '.join(damaged)}" if damaged else "nothing of what could be read was damaged"
        ranges = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in self.lost)
        events = f"; {self.lost_events} events are lost: {ranges}" if self.lost_events else ""
        places = self.tables.get("consumers")
        if places and places.is_damaged:
            what += " (consumers that are missing begin anew at the oldest event)"
        more = "" if self.is_done else "; older boards and events are still being taken over"
        before = f"; before that {self.earlier.words()}" if self.earlier else ""
        return f"the store was damaged ({self.reason}); {what}{events}{more}; it was put aside as {self.aside}{before}"


def find(connection: sqlite3.Connection, store: Path | None = None) -> Salvaged | None:
    """What a store remembers of the damage that it comes from; None where there was none, or it is over.

    Where that cannot be read and a damaged file lies beside the store, all of that is to be taken over once more.

    Args:
        store: beside which damaged files are put; the connection's own file if None.
    """
    kept = meta.get(connection, _SALVAGED)
    if kept is None and not meta.is_kept(connection, _SALVAGED):
        return None
    try:
        if kept is not None and (text := meta.unseal(kept)) is not None:
            return msgspec.json.decode(text, type=Salvaged)
    except (msgspec.DecodeError, ValueError, TypeError, AttributeError):  # what is no text any more neither
        pass
    return anew(connection, store or Path(connection.execute("PRAGMA database_list").fetchone()[2]))


def anew(connection: sqlite3.Connection, store: Path) -> Salvaged | None:
    """What would be remembered if nothing of the newest damaged file were taken over; None where none lies there."""
    if (found := newest_aside(store, "corrupt")) is None:
        return None
    aside, put = found
    reason = "how far it is taken over cannot be read any more: all of it is once more"
    _log.error("%s: %s: %s", store, aside, reason)
    tables = {name: Table() for (name,) in connection.execute(_TABLES)}
    if last := standing.last_number(connection):
        tables["events"].until = last
    return Salvaged(f"{put:{_RFC_3339}}", aside, reason, tables)


def keep(connection: sqlite3.Connection, salvaged: Salvaged) -> None:
    """Remember it inside somebody's transaction."""
    meta.put(connection, _SALVAGED, msgspec.json.encode(salvaged).decode())


def pending_events(connection: sqlite3.Connection) -> int:
    """The last number of the events that are still to be taken over; 0 where none are. Inside somebody's query."""
    salvaged = find(connection)
    return salvaged.pending_events if salvaged and not salvaged.is_done else 0


def require(connection: sqlite3.Connection, *tables: str) -> None:
    """Refuse to answer from tables that are not taken over to their end; inside somebody's query.

    Raises:
        StoreError: some of their rows may still come.
    """
    salvaged = find(connection)
    if salvaged and not salvaged.is_done and (coming := [name for name in tables if salvaged.lacks(name)]):
        why = salvaged.waits or "being taken over from a damaged file"
        raise StoreError(f"{', '.join(coming)}: {why}: ask again later")
