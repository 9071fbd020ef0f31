"""Commands as they were asked for: a repeated one is known by its caller's key, and one that goes on over a restart."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from edgeagent.errors import StoreError
from edgeagent.model.users import Certificate
from edgeagent.store import salvaged
from edgeagent.store.checksums import checksum_of, fits
from edgeagent.store.transaction import at_one_moment

if TYPE_CHECKING:
    from edgeagent.store.database import Database

_COLUMNS = ("id", "at_ns", "crc", "body")
_decode = msgspec.json.decode


class Asked(msgspec.Struct, frozen=True):
    """What was asked for, and what was answered.

    Attributes:
        caller, role, functions: who asked, with which rights.
        key: its request id; None where it gave none.
        parameters: JSON, with the machine's id and without key and time.
        answer: JSON of what was answered, unset until then. refused: kind and reason of a refusal, None for none.
        token: id of the token that showed who it is; empty where something else did. certificate: what else did.
    """

    caller: str
    role: str
    functions: frozenset[str] | None
    key: str | None
    function: str
    machine: str
    parameters: Raw
    job: str
    answer: Raw | UnsetType = UNSET
    refused: tuple[str, str] | None = None
    token: str = ""
    certificate: Certificate | None = None

    @property
    def id(self) -> str:
        """Name of its row: of the caller's key, or of the job where there is none."""
        return row_id(self.caller, self.key or f"\n{self.job}")

    def is_as(self, other: Asked) -> bool:
        """Whether both ask for the same."""
        mine, its = (_decode(asked.parameters) for asked in (self, other))
        return (self.function, self.machine, mine) == (other.function, other.machine, its)


def row_id(caller: str, key: str) -> str:
    """Name of the row of a caller's key."""
    return f"{caller}\n{key}"


class Requests:
    """Reads what was asked for; `AskedNote` writes it, `forget` deletes what is too old; times are of `Steady`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, id: str) -> Asked | None:  # noqa: A002
        """Read one; None where there is none, or it is damaged.

        Raises:
            StoreError: the file cannot be read.
        """
        row = await self._database.read(lambda connection: _row(connection, id))
        return None if row is None or not fits("requests", row) else _decode(row["body"], type=Asked)

    async def known(self, id: str, since_ns: int) -> Asked | None:  # noqa: A002
        """Read one that may come once more; None where it was not asked for from a time on.

        Raises:
            StoreError: the file cannot be read, or nobody knows: it is damaged, or may still be taken over.
        """
        def work(connection: sqlite3.Connection) -> dict[str, Any] | None:
            row = _row(connection, id)
            if row is None:
                salvaged.require(connection, "requests")
            return row

        row = await self._database.read(partial(at_one_moment, work))
        if row is not None and not fits("requests", row):
            raise StoreError("what was asked for under this requestId is damaged on disk: see what became of it, then "
                             "ask under another one")  # fmt: skip
        return None if row is None or row["at_ns"] < since_ns else _decode(row["body"], type=Asked)

    def forget(self, before_ns: int) -> None:
        """Delete those from before a time, but for damaged ones: how old they are nobody knows; nobody waits for it."""
        self._database.submit(lambda connection: _forget(connection, before_ns), replaces="forget requests")


class AskedNote:
    """Writes one in somebody's transaction, or deletes it where nobody can ask for it again."""

    size = 0

    def __init__(self, asked: Asked, at_ns: int, is_over: bool = False) -> None:
        self._id, self._at_ns, self._body = asked.id, at_ns, msgspec.json.encode(asked)
        self._is_deleted = is_over and asked.key is None
        self.size = len(self._body)

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write it; must not commit."""
        if self._is_deleted:
            connection.execute("DELETE FROM requests WHERE id = ?", (self._id,))
            return
        row = {"id": self._id, "at_ns": self._at_ns, "body": self._body}
        connection.execute("INSERT OR REPLACE INTO requests(id, at_ns, body, crc) VALUES(?, ?, ?, ?)",
                           (*row.values(), checksum_of("requests", row)))  # fmt: skip


def _row(connection: sqlite3.Connection, id: str) -> dict[str, Any] | None:  # noqa: A002
    """One by its columns, whole or not."""
    found = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM requests WHERE id = ?", (id,)).fetchone()  # noqa: S608
    return None if found is None else dict(zip(_COLUMNS, found, strict=True))


def _forget(connection: sqlite3.Connection, before_ns: int) -> None:
    query = f"SELECT {', '.join(_COLUMNS)} FROM requests WHERE at_ns < ?"  # noqa: S608  names of ours
    rows = (dict(zip(_COLUMNS, row, strict=True)) for row in connection.execute(query, (before_ns,)))
    known = [(row["id"],) for row in rows if fits("requests", row)]
    connection.executemany("DELETE FROM requests WHERE id = ?", known)
