"""Jobs, as far as each has got: found by id, or by state and time, newest first."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from edgeagent.clock import instant_ns
from edgeagent.model.commands import Job
from edgeagent.store import pages, salvaged
from edgeagent.store.checksums import checksum
from edgeagent.store.transaction import at_one_moment

if TYPE_CHECKING:
    from edgeagent.store.database import Database


class Jobs:
    """Reads jobs as the bytes that are sent; `put` writes one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, id: str) -> bytes | None:  # noqa: A002
        """Read one job as JSON; None where there is none or it is damaged. Raises StoreError as `find`."""
        query = "SELECT id, accepted_ns, body, crc FROM jobs WHERE id = ?"

        def work(connection: sqlite3.Connection) -> list[Any]:
            rows = connection.execute(query, (id,)).fetchall()
            if not rows:
                salvaged.require(connection, "jobs")
            return rows

        rows = await self._database.read(partial(at_one_moment, work))
        return next(pages.whole(rows, "job"), None)

    async def find(
        self, *, since_ns: int | None = None, state: str | None = None, machine: str | None = None,
        limit: int = 50, cursor: str | None = None,
    ) -> tuple[list[bytes], str | None]:  # fmt: skip
        """Read a page of jobs as JSON, the last accepted first, and the cursor of the next page (None on the last).

        Args:
            since_ns: wall ns of the acceptance.

        Raises:
            CommandRefused: "invalidParameters", the cursor is none of ours.
            StoreError: some of them are still to be taken over from a damaged file.
        """
        equal = {"state": state, "machine": machine}
        query, values = pages.newest("jobs", "accepted_ns", equal, since_ns, None, pages.place(cursor))

        def work(connection: sqlite3.Connection) -> list[Any]:
            salvaged.require(connection, "jobs")
            return connection.execute(query, (*values, limit + 1)).fetchall()

        rows = await self._database.read(work)
        following = pages.cursor((rows[limit - 1][1], rows[limit - 1][0])) if len(rows) > limit else None
        return list(pages.whole(rows[:limit], "job")), following

    async def since(self, since_ns: int, functions: Collection[str]) -> list[Job]:
        """Read the jobs of these functions that were accepted from a time (wall ns) on, the first accepted first."""
        query = "SELECT id, accepted_ns, body, crc FROM jobs WHERE accepted_ns >= ? ORDER BY accepted_ns, id"
        rows = await self._database.read(lambda c: c.execute(query, (since_ns,)).fetchall())
        jobs = [msgspec.json.decode(body, type=Job) for body in pages.whole(rows, "job")]
        return [job for job in jobs if job.function in functions and job.state != "refused"]

    async def open(self) -> list[Job]:
        """Read the jobs that have not ended, the first accepted first; damaged ones are left out."""
        query = "SELECT id, accepted_ns, body, crc FROM jobs WHERE state IN ('accepted', 'running') ORDER BY 2, 1"
        rows = await self._database.read(lambda c: c.execute(query).fetchall())
        return [msgspec.json.decode(body, type=Job) for body in pages.whole(rows, "job")]


class JobNote:
    """Writes a job as far as it has got in somebody's transaction."""

    size = 0

    def __init__(self, job: Job) -> None:
        self._job = job

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write it; must not commit."""
        put(connection, self._job)


def put(connection: sqlite3.Connection, job: Job) -> None:
    """Keep a job as far as it has got, inside somebody's transaction."""
    body = msgspec.json.encode(job)
    connection.execute(
        "INSERT OR REPLACE INTO jobs(id, machine, state, accepted_ns, crc, body) VALUES(?, ?, ?, ?, ?, ?)",
        (job.id, job.machine, job.state, instant_ns(job.accepted_at), checksum(job.id, body), body),
    )
