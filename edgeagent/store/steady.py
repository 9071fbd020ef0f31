"""A time that nobody can set: by it is known how old a request is, and how often something was done lately."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

import msgspec

from edgeagent.clock import boot_id
from edgeagent.store import meta

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping

    from edgeagent.clock import Clock
    from edgeagent.store.database import Database

PREFIX = "steady."
_TIME = f"{PREFIX}time"

T = TypeVar("T")
Times = dict[str, list[int]]


_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True):
    """One moment by all clocks, in ns; monotonic times compare within one boot at one speed."""

    steady_ns: int
    monotonic_ns: int
    wall_ns: int
    is_trusted: bool
    boot: str


class Steady:
    """Goes on from the wall time of its beginning, whatever the clock is set to later.

    While the computer runs, monotonic time counts, also while the agent does not. Over a start of the computer counts
    what went by on the clock, where that was known to be set before and, at once or in a while, after; else nothing, so
    that what is kept by this time is rather kept for longer.

    Attributes:
        ended_ns: this time when it was last kept before the agent's start; None where it never was.
    """

    def __init__(self, database: Database, clock: Clock, kept: _Kept | None) -> None:
        self._database = database
        self._clock = clock
        self._boot = f"{boot_id()} {clock.speed}" if boot_id() else ""
        self.ended_ns = kept.steady_ns if kept else None
        self._begun_ns = clock.monotonic_ns()
        self._owed = None if kept is None or (kept.boot and kept.boot == self._boot) else kept
        since_ns = 0 if kept is None or self._owed else self._begun_ns - kept.monotonic_ns
        self._ahead_ns = (clock.wall_ns() if kept is None else kept.steady_ns + max(0, since_ns)) - self._begun_ns
        self.keep()

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> Steady:
        """Take up the time where it was kept last."""
        return cls(database, clock, _read(await database.read(lambda connection: meta.get(connection, _TIME)), _Kept))

    def now_ns(self) -> int:
        """Nanoseconds that only ever grow, like wall time while nobody sets the clock."""
        return self._ahead_ns + self._clock.monotonic_ns()

    def keep(self) -> None:
        """Put down where it is, for the next start; nobody waits for it."""
        self._catch_up()
        self._put(_TIME, _Kept(self.now_ns(), self._clock.monotonic_ns(), self._clock.wall_ns(), self._clock.trusted,
                               self._boot))

    def note(self, name: str, times: Mapping[str, Collection[int]]) -> None:
        """Keep times of what was done, by whom or what; it is on disk before whatever is written later."""
        self._put(PREFIX + name, {key: list(each) for key, each in times.items()})

    async def noted(self, name: str) -> Times:
        """Read what `note` kept."""
        text = await self._database.read(lambda connection: meta.get(connection, PREFIX + name))
        return _read(text, Times) or {}

    def _catch_up(self) -> None:
        """Count what went by until the computer's start, once the clock tells it."""
        if (owed := self._owed) is None or (owed.is_trusted and not self._clock.trusted):
            return
        self._owed = None
        if owed.is_trusted:
            since_begun_ns = self._clock.monotonic_ns() - self._begun_ns
            self._ahead_ns += max(0, self._clock.wall_ns() - owed.wall_ns - since_begun_ns)

    def _put(self, key: str, value: object) -> None:
        text = msgspec.json.encode(value).decode()
        self._database.submit(lambda connection: meta.put(connection, key, text), replaces=key)


def _read(text: str | None, kind: type[T]) -> T | None:
    """What was kept; None where nothing was, or the disk damaged it."""
    try:
        return None if text is None else msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        _log.error("the store's steady time begins anew, for what is kept of it is damaged: %s", error)
        return None


def carry(source: sqlite3.Connection, into: sqlite3.Connection) -> None:
    """Take the time and what is kept by it over from another store, inside somebody's transaction."""
    query = "SELECT key FROM meta WHERE substr(key, 1, ?) = ?"
    for (key,) in source.execute(query, (len(PREFIX), PREFIX)).fetchall():
        if (value := meta.get(source, key)) is not None:
            meta.put(into, key, value)
