"""In which state each machine was from when to when, as long as the agent looked at it; other times are unknown."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from edgeagent.clock import STEP_NS
from edgeagent.store import salvaged
from edgeagent.store.checksums import checksum_of, fits

if TYPE_CHECKING:
    from edgeagent.store.database import Database

_EVERY_NS = 10_000_000_000
"""What a killed agent may forget of the state that stands."""

_BLIND_NS = 120_000_000_000
"""After a longer time without a look nobody knows what was."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Stay(msgspec.Struct):
    """A machine in one state, from a wall time on until it was last looked at."""

    state: str
    from_ns: int
    to_ns: int
    seen_ns: int
    """Monotonic."""
    kept_ns: int
    """Monotonic."""


class _Row(NamedTuple):
    machine: str
    from_ns: int
    to_ns: int
    state: str


class States:
    """The seconds of each state: `see` and `keep` belong to the event loop and never wait."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stays: dict[str, _Stay] = {}

    def see(self, machine: str, state: str, now_ns: int, wall_ns: int) -> None:
        """Take the state of a machine at one moment (monotonic and wall ns).

        Where the wall clock was set, or nobody looked for long, the time between counts for no state.
        """
        stay = self._stays.get(machine)
        if stay is not None and self._is_broken(stay, now_ns, wall_ns):
            self.keep(machine)
            stay = None
        if stay is None:
            self._stays[machine] = _Stay(state, wall_ns, wall_ns, now_ns, now_ns)
            return
        stay.to_ns, stay.seen_ns = max(stay.to_ns, wall_ns), now_ns
        if state != stay.state:
            self.keep(machine)
            self._stays[machine] = _Stay(state, stay.to_ns, stay.to_ns, now_ns, now_ns)
        elif now_ns - stay.kept_ns >= _EVERY_NS:
            stay.kept_ns = now_ns
            self._submit(machine, stay, replaces=f"state {machine}")

    def keep(self, machine: str) -> None:
        """Write the state that stands, at a change and at a clean end."""
        stay = self._stays.get(machine)
        if stay is not None and stay.to_ns > stay.from_ns:
            self._submit(machine, stay, replaces=None)

    async def first_ns(self, machine: str) -> int | None:
        """Since when the states of a machine are known (wall ns); None where they never were."""
        stay = self._stays.get(machine)
        first = await self._read(lambda c: next(_whole(c, "machine = ? ORDER BY from_ns", machine), None))
        known = [it.from_ns for it in (first, stay) if it is not None]
        return min(known, default=None)

    async def durations(self, machine: str, since_ns: int, until_ns: int) -> dict[str, int]:
        """Sum the ns of each known state of a machine from `since_ns` to `until_ns`; together never more than those."""
        stay = self._stays.get(machine)
        standing = msgspec.structs.replace(stay) if stay else None
        end = max(since_ns, min(until_ns, standing.from_ns)) if standing else until_ns

        def work(connection: sqlite3.Connection) -> dict[str, int]:
            found: dict[str, int] = {}
            first = _last(connection, machine, since_ns + 1)
            later = _whole(connection, "machine = ? AND from_ns > ? AND from_ns < ?", machine, since_ns, end)
            for it in (*([first] if first else ()), *later):
                ns = min(it.to_ns, end) - max(it.from_ns, since_ns)
                found[it.state] = found.get(it.state, 0) + max(0, ns)
            return found

        known = await self._read(work)
        if standing:
            now = min(until_ns, standing.to_ns) - max(since_ns, standing.from_ns)
            known[standing.state] = known.get(standing.state, 0) + max(0, now)
        return {state: ns for state, ns in known.items() if ns}

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        def work(connection: sqlite3.Connection) -> T:
            salvaged.require(connection, "states")
            return query(connection)

        return await self._database.read(work)

    def _is_broken(self, stay: _Stay, now_ns: int, wall_ns: int) -> bool:
        passed_ns = now_ns - stay.seen_ns
        return passed_ns > _BLIND_NS or abs(wall_ns - stay.to_ns - passed_ns) > STEP_NS

    def _submit(self, machine: str, stay: _Stay, replaces: str | None) -> None:
        row = machine, stay.from_ns, stay.to_ns, stay.state
        self._database.submit(lambda c: put(c, *row), replaces=replaces, size=0 if replaces else 100)


def put(connection: sqlite3.Connection, machine: str, from_ns: int, to_ns: int, state: str) -> None:
    """Write one stay inside somebody's transaction; what the same wall time was told before gives way to it."""
    before = _last(connection, machine, from_ns)
    if before and before.to_ns > from_ns:
        _write(connection, before._replace(to_ns=from_ns))
    span = machine, from_ns, to_ns
    connection.execute("DELETE FROM states WHERE machine = ? AND from_ns >= ? AND from_ns < ?", span)
    _write(connection, _Row(*span, state))


def _write(connection: sqlite3.Connection, row: _Row) -> None:
    connection.execute("INSERT OR REPLACE INTO states(machine, from_ns, to_ns, state, crc) VALUES(?, ?, ?, ?, ?)",
                       (*row, checksum_of("states", row._asdict())))  # fmt: skip


def _last(connection: sqlite3.Connection, machine: str, before_ns: int) -> _Row | None:
    """The last stay that began before a time."""
    return next(_whole(connection, "machine = ? AND from_ns < ? ORDER BY from_ns DESC", machine, before_ns), None)


def _whole(connection: sqlite3.Connection, condition: str, *values: str | int) -> Iterator[_Row]:
    """Read rows that are as they were written: of the time that a damaged one tells of nothing is known."""
    query = f"SELECT machine, from_ns, to_ns, state, crc FROM states WHERE {condition}"  # noqa: S608
    for *found, crc in connection.execute(query, values):
        row = _Row(*found)
        if fits("states", {**row._asdict(), "crc": crc}):
            yield row
        else:
            _log.error("a state of %s from %s on is damaged on disk and is left out", row.machine, row.from_ns)
