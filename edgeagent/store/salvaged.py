"""What a store remembers of the damaged file that it comes from: what is taken over, what is lost, what still comes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from edgeagent.errors import StoreError
from edgeagent.store import meta

_SALVAGED = "salvage"


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

    @property
    def pending_events(self) -> int:
        """The last number of those that are still to be taken over; 0 where none are."""
        events = self.tables.get("events")
        return 0 if events is None or events.is_done else events.until

    def lacks(self, name: str) -> bool:
        """Whether rows of a table are still to be taken over, or made from others at the end."""
        table = self.tables.get(name)
        if table is None:
            return bool(self.waits) or (not self.is_counted and name in ("alarms", "endings"))
        return not table.is_done

    def may_bring(self, sequence: int) -> bool:
        """Whether it may still be found out what an event was that is not there."""
        gone = self.tables.get("gone")
        return not self.is_done and (sequence <= self.pending_events or (gone is not None and not gone.is_done))

    def has_lost(self, name: str) -> bool:
        """Whether rows of a table may be gone without a trace; nobody asks any more once the damaged file is away."""
        table = self.tables.get(name)
        return (table is None or table.is_damaged or not table.is_done) and Path(self.aside).exists()

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
        return f"the store was damaged ({self.reason}); {what}{events}{more}; it was put aside as {self.aside}"


def find(connection: sqlite3.Connection) -> Salvaged | None:
    """What a store remembers of the damage that it comes from; None where there was none, or it is over."""
    kept = meta.get(connection, _SALVAGED)
    text = meta.unseal(kept) if kept else None
    try:
        return msgspec.json.decode(text, type=Salvaged) if text else None
    except msgspec.DecodeError:
        return None


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
