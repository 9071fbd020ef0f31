"""Where each machine's pipeline stood: one newest checkpoint, and a history of rows to fill the rings again."""

from __future__ import annotations

import logging
import sqlite3

import msgspec

from edgeagent.clock import Clock, boot_id
from edgeagent.store.checksums import checksum
from edgeagent.store.database import Database

_MOST_ROWS = 7200
"""Rows of history of one machine that wait while the disk refuses: two hours, as much as is ever read back."""

_log = logging.getLogger(__name__)


class Checkpoint(msgspec.Struct, frozen=True):
    """A pipeline's state: opaque bytes, and when it was taken (ns); monotonic times compare only within one `boot`."""

    body: bytes
    saved_wall_ns: int
    saved_monotonic_ns: int
    boot: str


class Checkpoints:
    """Checkpoints and history of every machine; saving never waits, a newer checkpoint replaces one not yet written."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def save(self, machine: str, body: bytes) -> None:
        """Keep the newest state of a machine."""
        saved = take(machine, body, self._clock)
        self._database.submit(lambda c: put(c, saved), replaces=f"checkpoint {machine}")

    async def load(self, machine: str) -> Checkpoint | None:
        """Read the newest checkpoint; None where there is none or it is damaged."""
        query = "SELECT body, saved_wall_ns, saved_monotonic_ns, boot, crc FROM checkpoints WHERE machine = ?"
        row = await self._database.read(lambda c: c.execute(query, (machine,)).fetchone())
        if row is None:
            return None
        checkpoint = Checkpoint(*row[:4])
        if row[4] != _crc(machine, checkpoint):
            _log.error("the checkpoint of %s is damaged on disk and is not used", machine)
            return None
        return checkpoint

    def record(self, machine: str, t_ns: int, body: bytes) -> None:
        """Add one row of history at `t_ns`; a second one of the same time takes its place."""
        row = (machine, t_ns, checksum(machine, str(t_ns), body), body)
        query = "INSERT OR REPLACE INTO history(machine, t_ns, crc, body) VALUES(?, ?, ?, ?)"
        self._database.submit(
            lambda c: c.execute(query, row) and None, replaces=f"history {machine}", most=_MOST_ROWS
        )

    async def history(self, machine: str, since_ns: int) -> list[tuple[int, bytes]]:
        """Read the rows at or after `since_ns`, oldest first; damaged ones are left out."""
        query = "SELECT t_ns, body, crc FROM history WHERE machine = ? AND t_ns >= ? ORDER BY t_ns"
        rows = await self._database.read(lambda c: c.execute(query, (machine, since_ns)).fetchall())
        return [(t_ns, body) for t_ns, body, crc in rows if crc == checksum(machine, str(t_ns), body)]

    def forget(self, machine: str, before_ns: int) -> None:
        """Delete the rows of history before a time, all for one in the future; a newer call replaces one that waits."""
        query = "DELETE FROM history WHERE machine = ? AND t_ns < ?"
        # Rows are recorded anew after all were deleted, so this deletion must keep its place before them.
        replaces = None if before_ns > self._clock.monotonic_ns() else f"forget {machine}"
        self._database.submit(lambda c: c.execute(query, (machine, before_ns)) and None, replaces=replaces)


def take(machine: str, body: bytes, clock: Clock) -> tuple[str, Checkpoint]:
    """Stamp a machine's state with the time of now."""
    return machine, Checkpoint(body, clock.wall_ns(), clock.monotonic_ns(), boot_id())


def put(connection: sqlite3.Connection, saved: tuple[str, Checkpoint]) -> None:
    """Keep a checkpoint inside somebody's transaction."""
    machine, checkpoint = saved
    body, wall_ns, monotonic_ns, boot = msgspec.structs.astuple(checkpoint)
    connection.execute(
        "INSERT OR REPLACE INTO checkpoints(machine, saved_wall_ns, saved_monotonic_ns, boot, crc, body) "
        "VALUES(?, ?, ?, ?, ?, ?)", (machine, wall_ns, monotonic_ns, boot, _crc(machine, checkpoint), body),
    )  # fmt: skip


def _crc(machine: str, checkpoint: Checkpoint) -> int:
    stamps = f"{checkpoint.saved_wall_ns} {checkpoint.saved_monotonic_ns} {checkpoint.boot}"
    return checksum(machine, stamps, checkpoint.body)
