"""How much of what a store keeps, how old it is, and who holds it back; read beside a running agent."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from edgeagent.clock import iso
from edgeagent.errors import StoreError
from edgeagent.store import consumers, had, sizes, standing
from edgeagent.store import events as table
from edgeagent.store.audit import segments
from edgeagent.store.backup import examine
from edgeagent.store.connection import connect_reader
from edgeagent.store.schema import MIGRATIONS
from edgeagent.store.transaction import at_one_moment
from edgeagent.tools import stores, tables

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

_MB = 1e6


class Holding(msgspec.Struct, frozen=True, rename="camel"):
    """A consumer that has not acknowledged everything that is kept of what it wants."""

    consumer: str
    owner: str
    acknowledged: int
    waiting: int
    seen_at: str


class StoreStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What `edgeagent store status` tells; sizes in bytes.

    Attributes:
        never_had: records of boards that no consumer has acknowledged; they are not deleted.
    """

    store: str
    used: int
    free: int
    audit: int
    first_sequence: int
    last_sequence: int
    classes: dict[sizes.Class, sizes.Usage]
    bytes_per_board: int | None
    never_had: int
    holding: tuple[Holding, ...]


def status(options: argparse.Namespace) -> bool:
    """Print it.

    Raises:
        ConfigError, StoreError: there is no store, or it cannot be read.
    """
    found = look(stores.named(options))
    if options.json:
        print(msgspec.json.encode(found).decode())
    else:
        print(*_in_words(found), sep="\n")
    return True


def look(store: Path) -> StoreStatus:
    """Read how a store stands; raises StoreError."""
    if (layout := examine(store, is_thorough=False).layout) < len(MIGRATIONS):
        raise StoreError(f"{store}: has layout {layout}: the agent of this version brings it to its own when it starts")
    try:
        with closing(connect_reader(store)) as connection:
            return at_one_moment(lambda c: _look(store, c), connection)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{store}: cannot be read as a store: {error}") from error


def _look(store: Path, connection: sqlite3.Connection) -> StoreStatus:
    measured = sizes.measure(connection)
    kinds = list(table.kinds(connection))
    holding = []
    for it in consumers.load(connection).consumers.values():
        wanted = [kind for kind in kinds if it.wants(kind)]
        if waiting := table.count(connection, wanted, it.acknowledged, 1 << 62):
            holding.append(Holding(it.name, it.owner, it.acknowledged, waiting, iso(it.seen_ns)))
    never = sum(_never_had(connection, kind) for kind in kinds if kind[1] in had.RECORDED)
    return StoreStatus(
        str(store), measured.used, measured.free, segments.size(store), standing.first_number(connection),
        standing.last_number(connection), measured.classes,
        measured.bytes_per_board, never, tuple(sorted(holding, key=lambda each: each.acknowledged)),
    )  # fmt: skip


def _never_had(connection: sqlite3.Connection, kind: tuple[str, str]) -> int:
    query = "SELECT count(*) FROM events WHERE machine = ? AND topic = ? AND sequence BETWEEN ? AND ?"
    spans = [(0, table.BEYOND), *had.ranges(connection, kind)]
    everything, *had_of_it = (int(connection.execute(query, (*kind, *span)).fetchone()[0]) for span in spans)
    return everything - sum(had_of_it)


def _in_words(found: StoreStatus) -> list[str]:
    classes = [("class", "MB", "rows", "oldest")]
    for name, usage in found.classes.items():
        oldest = tables.local(None if usage.oldest_ns is None else iso(usage.oldest_ns))
        classes.append((name, f"{usage.bytes / _MB:.1f}", str(usage.rows), oldest))
    lines = [
        f"{found.store}: {found.used / _MB:.1f} MB, {found.free / _MB:.1f} MB free in the file, "
        f"audit record {found.audit / _MB:.1f} MB",
        f"events {found.first_sequence} to {found.last_sequence}",
        *tables.table(classes, tables.width()),
    ]
    if found.bytes_per_board is not None:
        lines.append(f"a board takes about {found.bytes_per_board / 1000:.1f} kB: its record, its events and its trace")
    lines.append(f"records of boards that no consumer has acknowledged: {found.never_had}")
    lines += [
        f"{each.consumer} of {each.owner} waits for {each.waiting} events after {each.acknowledged}, last seen "
        f"{tables.local(each.seen_at)}" for each in found.holding
    ]  # fmt: skip
    return lines
