"""In which state each machine was from when to when, as long as the agent looked at it; other times are unknown."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import msgspec

from edgeagent.clock import STEP_NS
from edgeagent.store import salvaged

if TYPE_CHECKING:
    from edgeagent.store.database import Database

_EVERY_NS = 10_000_000_000
"""What a killed agent may forget of the state that stands."""

_BLIND_NS = 120_000_000_000
"""After a longer time without a look nobody knows what was."""


class _Stay(msgspec.Struct):
    """A machine in one state, from a wall time on until it was last looked at."""

    state: str
    from_ns: int
    to_ns: int
    seen_ns: int
    """Monotonic."""
    kept_ns: int
    """Monotonic."""


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
        query = "SELECT min(from_ns) FROM states WHERE machine = ?"
        stay = self._stays.get(machine)
        first: int | None = (await self._read(query, machine))[0][0]
        known = [at for at in (first, stay.from_ns if stay else None) if at is not None]
        return min(known, default=None)

    async def durations(self, machine: str, since_ns: int, until_ns: int) -> dict[str, int]:
        """Sum the ns of each known state of a machine from `since_ns` to `until_ns`; together never more than those."""
        stay = self._stays.get(machine)
        standing = msgspec.structs.replace(stay) if stay else None
        end = max(since_ns, min(until_ns, standing.from_ns)) if standing else until_ns
        query = (
            "SELECT state, sum(min(to_ns, ?3) - max(from_ns, ?2)) FROM states "
            "WHERE machine = ?1 AND from_ns < ?3 AND to_ns > ?2 AND from_ns >= "
            "coalesce((SELECT max(from_ns) FROM states WHERE machine = ?1 AND from_ns <= ?2), 0) GROUP BY state"
        )
        known: dict[str, int] = dict(await self._read(query, machine, since_ns, end))
        if standing:
            now = min(until_ns, standing.to_ns) - max(since_ns, standing.from_ns)
            known[standing.state] = known.get(standing.state, 0) + max(0, now)
        return {state: ns for state, ns in known.items() if ns}

    async def _read(self, query: str, *values: str | int) -> list[Any]:
        def work(connection: sqlite3.Connection) -> list[Any]:
            salvaged.require(connection, "states")
            return connection.execute(query, values).fetchall()

        return await self._database.read(work)

    def _is_broken(self, stay: _Stay, now_ns: int, wall_ns: int) -> bool:
        passed_ns = now_ns - stay.seen_ns
        return passed_ns > _BLIND_NS or abs(wall_ns - stay.to_ns - passed_ns) > STEP_NS

    def _submit(self, machine: str, stay: _Stay, replaces: str | None) -> None:
        row = machine, stay.from_ns, stay.to_ns, stay.state
        self._database.submit(lambda c: put(c, *row), replaces=replaces, size=0 if replaces else 100)


def put(connection: sqlite3.Connection, machine: str, from_ns: int, to_ns: int, state: str) -> None:
    """Write one stay inside somebody's transaction; what the same wall time was told before gives way to it."""
    connection.execute(
        "UPDATE states SET to_ns = ?2 WHERE machine = ?1 AND to_ns > ?2 "
        "AND from_ns = (SELECT max(from_ns) FROM states WHERE machine = ?1 AND from_ns < ?2)", (machine, from_ns),
    )  # fmt: skip
    span = machine, from_ns, to_ns
    connection.execute("DELETE FROM states WHERE machine = ? AND from_ns >= ? AND from_ns < ?", span)
    connection.execute(
        "INSERT INTO states(machine, from_ns, to_ns, state) VALUES(?, ?, ?, ?)", (*span, state)
    )
