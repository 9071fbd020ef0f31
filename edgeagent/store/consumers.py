"""Consumers: who wants which events, and up to where they have been acknowledged."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from functools import partial
from typing import Any, NamedTuple

import msgspec

from edgeagent.errors import StoreError
from edgeagent.model.events import Kind, matches
from edgeagent.store import salvaged
from edgeagent.store.backlog import Work
from edgeagent.store.checksums import checksum_of, fits
from edgeagent.store.database import Database
from edgeagent.store.journal import Kept

MOST_PENDING = 256
"""Changes that wait for the disk at the same time."""

_COLUMNS = ("name", "owner", "topics", "machines", "stream", "acknowledged", "made_ns", "seen_ns", "crc")
_encode = msgspec.json.encode
_log = logging.getLogger(__name__)


PUSHED = "agent:push"
"""Owner of the consumers of push targets; no user can be called so."""

PUSH = "push:"
"""What their names begin with, and no other's."""


class Consumer(msgspec.Struct, frozen=True):
    """A durable place in the stream.

    Attributes:
        owner: name of the caller who made it.
        topics, machines: what its last subscription wanted; all machines if None.
        stream, acknowledged: everything of the stream up to this number needs not be told again.
        made_ns, seen_ns: wall time when it was made, and when its owner was last there.
    """

    name: str
    owner: str
    topics: tuple[str, ...]
    machines: tuple[str, ...] | None
    stream: str
    acknowledged: int
    made_ns: int
    seen_ns: int

    def wants(self, kind: Kind) -> bool:
        """Say whether it is told the events of a machine and topic."""
        machine, topic = kind
        is_machine = self.machines is None or machine in self.machines
        return is_machine and any(matches(pattern, topic) for pattern in self.topics)


class Loaded(NamedTuple):
    """Consumers by name, the names of those that are damaged, as far as they can be read, and whether more went."""

    consumers: dict[str, Consumer]
    damaged: tuple[str, ...]
    has_lost: bool


class Consumers:
    """All consumers; on the event loop only. What is answered from memory may be on its way to the disk.

    One whose row is damaged is left out: its owner's next subscription makes it anew, at the oldest event.

    Attributes:
        damaged: names of those that are left out, as far as they can be read.
        has_lost: whether there may have been others, which a damaged file took with it.
        present: names of those that somebody listens for now, or that the agent itself serves.
    """

    def __init__(self, database: Database, found: Loaded, patience_s: float) -> None:
        self._database = database
        self._consumers = found.consumers
        self.damaged = found.damaged
        self.has_lost = found.has_lost or bool(found.damaged)
        self._patience_s = patience_s
        self._pending = 0
        self.present: set[str] = set()

    @classmethod
    async def open(cls, database: Database, patience_s: float = 10.0) -> Consumers:
        """Read all consumers; `patience_s` is the longest wait for the disk, in real seconds."""
        consumers = cls(database, await database.read(load), patience_s)
        database.on_healed.append(consumers._put_all)
        return consumers

    def _put_all(self) -> None:
        """Keep all of them in the file that took the place of a damaged one."""
        for consumer in self._consumers.values():
            self._database.submit(partial(_put, it=consumer), replaces=f"healed {consumer.name}")

    def all(self) -> tuple[Consumer, ...]:
        """Every consumer, by name."""
        return tuple(sorted(self._consumers.values(), key=lambda consumer: consumer.name))

    def get(self, name: str) -> Consumer | None:
        """One consumer; None where there is none of that name."""
        return self._consumers.get(name)

    async def put(self, consumer: Consumer, *also: Kept) -> None:
        """Keep a consumer in place of the one of its name, and rows that belong to that; return when it is on disk.

        Whoever moves a cursor because events were acknowledged gives a `Had` with it.

        Raises:
            StoreError: 256 changes wait already, and nothing is changed; or the disk does not take it in time, and what
                is to be written waits for it.
        """
        self.require_room()
        self._consumers[consumer.name] = consumer

        def write(connection: sqlite3.Connection) -> None:
            _put(connection, consumer)
            for row in also:
                row.insert(connection)

        await self._write(write)

    async def delete(self, name: str) -> None:
        """Forget a consumer; return when that is on disk. Raises like `put`."""
        self.require_room()
        self._consumers.pop(name, None)
        await self._write(lambda connection: connection.execute("DELETE FROM consumers WHERE name = ?", (name,)))

    def active(self, since_ns: int) -> list[Consumer]:
        """Those that are there, or were since a wall time: they hold back what retention would delete."""
        return [it for it in self._consumers.values() if it.name in self.present or it.seen_ns >= since_ns]

    def saw(self, name: str, wall_ns: int) -> None:
        """Note when a consumer's owner was last there; nobody waits for it."""
        consumer = self._consumers.get(name)
        if consumer is None:
            return
        seen = self._consumers[name] = msgspec.structs.replace(consumer, seen_ns=max(consumer.seen_ns, wall_ns))
        self._database.submit(partial(_put, it=seen), replaces=f"consumer {name}")

    def require_room(self) -> None:
        """Raise StoreError where 256 changes wait already."""
        if self._pending >= MOST_PENDING:
            raise StoreError(f"{MOST_PENDING} changes of consumers wait for the disk already")

    async def _write(self, work: Work[object]) -> None:
        on_disk: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(_: object, error: BaseException | None) -> None:
            self._pending -= 1
            if not on_disk.done():
                on_disk.set_result(None) if error is None else on_disk.set_exception(error)

        self._database.submit(work, done)
        self._pending += 1
        try:
            async with asyncio.timeout(self._patience_s):
                await on_disk
        except sqlite3.Error as error:
            raise StoreError(f"a consumer cannot be written: {error}") from error
        except TimeoutError as error:
            reason = self._database.health().failing or "the disk is slow"
            raise StoreError(f"a consumer is not on disk after {self._patience_s:g} s: {reason}") from error


def load(connection: sqlite3.Connection) -> Loaded:
    """Read all consumers; a damaged one is left out and logged."""
    found: dict[str, Consumer] = {}
    damaged: list[str] = []
    for row in connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM consumers"):  # noqa: S608  columns of ours
        try:
            if not fits("consumers", dict(zip(_COLUMNS, row, strict=True))):
                raise ValueError("its checksum does not fit")
            found[row[0]] = _consumer(*row[:-1])
        except ValueError as error:
            damaged.append(row[0])
            _log.error("the consumer %s is damaged on disk and is left out: it begins anew at the oldest event: %s",
                       row[0], error)  # fmt: skip
    healed = salvaged.find(connection)
    return Loaded(found, tuple(damaged), healed is not None and healed.has_lost("consumers"))


def _consumer(name: str, owner: str, topics: str, machines: str, *place: Any) -> Consumer:
    decode = msgspec.json.decode
    return Consumer(
        name, owner, decode(topics, type=tuple[str, ...]), decode(machines, type=tuple[str, ...] | None), *place
    )


def _put(connection: sqlite3.Connection, it: Consumer) -> None:
    values = (it.name, it.owner, _encode(it.topics).decode(), _encode(it.machines).decode(),
              it.stream, it.acknowledged, it.made_ns, it.seen_ns)  # fmt: skip
    crc = checksum_of("consumers", dict(zip(_COLUMNS, values, strict=False)))
    query = f"INSERT OR REPLACE INTO consumers({', '.join(_COLUMNS)}) VALUES({', '.join('?' * len(_COLUMNS))})"
    connection.execute(query, (*values, crc))
