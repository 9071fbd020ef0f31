"""The layout of the file: each step takes it from one version to the next, and none is ever changed again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from edgeagent.store.filling import add_checksums, fill, renew_checksums


class Step(NamedTuple):
    """From one layout to the next: a script, and what fills the new tables from the old ones, in one transaction."""

    script: str
    fill: Callable[[sqlite3.Connection], object] | None = None


MIGRATIONS: tuple[Step, ...] = (
    Step("""
    CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

    CREATE TABLE events(sequence INTEGER PRIMARY KEY, topic TEXT NOT NULL, machine TEXT NOT NULL,
        crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE INDEX events_by_kind ON events(machine, topic, sequence);

    CREATE TABLE boards(id TEXT PRIMARY KEY, machine TEXT NOT NULL, lane INTEGER NOT NULL, recipe TEXT,
        entered_ns INTEGER NOT NULL, exited_ns INTEGER, process TEXT NOT NULL, profile TEXT NOT NULL,
        identity TEXT NOT NULL, lost INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE INDEX boards_by_entry ON boards(entered_ns, id);
    CREATE INDEX boards_by_machine ON boards(machine, entered_ns, id);
    CREATE INDEX boards_by_recipe ON boards(recipe, entered_ns, id);
    CREATE INDEX boards_by_process ON boards(process, entered_ns, id);

    CREATE TABLE board_barcodes(code TEXT NOT NULL, entered_ns INTEGER NOT NULL, board TEXT NOT NULL,
        PRIMARY KEY(code, entered_ns, board)) STRICT, WITHOUT ROWID;
    CREATE INDEX barcodes_by_board ON board_barcodes(board);

    CREATE TABLE traces(id TEXT PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT;

    CREATE TABLE checkpoints(machine TEXT PRIMARY KEY, saved_wall_ns INTEGER NOT NULL,
        saved_monotonic_ns INTEGER NOT NULL, boot TEXT NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE TABLE history(machine TEXT NOT NULL, t_ns INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY(machine, t_ns)) STRICT, WITHOUT ROWID;
    """),
    Step("""
    CREATE TABLE consumers(name TEXT PRIMARY KEY, owner TEXT NOT NULL, topics TEXT NOT NULL, machines TEXT NOT NULL,
        stream TEXT NOT NULL, acknowledged INTEGER NOT NULL, made_ns INTEGER NOT NULL, seen_ns INTEGER NOT NULL)
        STRICT, WITHOUT ROWID;

    CREATE TABLE alarms(id TEXT PRIMARY KEY, machine TEXT NOT NULL, raised_ns INTEGER NOT NULL,
        crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE INDEX alarms_by_time ON alarms(raised_ns, id);
    CREATE INDEX alarms_by_machine ON alarms(machine, raised_ns, id);

    CREATE TABLE jobs(id TEXT PRIMARY KEY, machine TEXT NOT NULL, state TEXT NOT NULL, accepted_ns INTEGER NOT NULL,
        crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE INDEX jobs_by_time ON jobs(accepted_ns, id);
    CREATE INDEX jobs_by_machine ON jobs(machine, accepted_ns, id);
    CREATE INDEX jobs_by_state ON jobs(state, accepted_ns, id);

    CREATE TABLE endings(machine TEXT NOT NULL, recipe TEXT NOT NULL, result TEXT NOT NULL, at_ns INTEGER NOT NULL,
        id TEXT NOT NULL, PRIMARY KEY(machine, recipe, result, at_ns, id)) STRICT, WITHOUT ROWID;
    CREATE TABLE states(machine TEXT NOT NULL, from_ns INTEGER NOT NULL, to_ns INTEGER NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY(machine, from_ns)) STRICT, WITHOUT ROWID;
    """, fill),
    Step("""
    CREATE TABLE requests(id TEXT PRIMARY KEY, at_ns INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE INDEX requests_by_time ON requests(at_ns);

    CREATE TABLE recipes(id TEXT PRIMARY KEY, machine TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
        made_ns INTEGER NOT NULL, deleted_ns INTEGER, crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE UNIQUE INDEX recipes_by_name ON recipes(machine, name, version);
    """),
    Step("""
    CREATE TABLE aside(id TEXT PRIMARY KEY, target TEXT NOT NULL, sequence INTEGER NOT NULL, crc INTEGER NOT NULL,
        body BLOB NOT NULL) STRICT;
    """),
    Step("""
    CREATE TABLE gone(block INTEGER NOT NULL, machine TEXT NOT NULL, topic TEXT NOT NULL, count INTEGER NOT NULL,
        sequences BLOB NOT NULL, PRIMARY KEY(block, machine, topic)) STRICT, WITHOUT ROWID;
    CREATE INDEX gone_by_kind ON gone(machine, topic, block);

    CREATE TABLE had(machine TEXT NOT NULL, topic TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        PRIMARY KEY(machine, topic, first)) STRICT, WITHOUT ROWID;
    """),
    Step("""
    ALTER TABLE consumers ADD COLUMN crc INTEGER;
    ALTER TABLE gone ADD COLUMN crc INTEGER;
    ALTER TABLE had ADD COLUMN crc INTEGER;
    """, partial(add_checksums, ("consumers", "gone", "had"))),
    Step("""
    ALTER TABLE endings ADD COLUMN crc INTEGER;
    ALTER TABLE states ADD COLUMN crc INTEGER;
    ALTER TABLE meta ADD COLUMN crc INTEGER;
    """, partial(add_checksums, ("endings", "states", "meta"))),
    Step("", partial(renew_checksums, ("requests", "recipes"))),
)
