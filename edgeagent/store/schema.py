"""The layout of the file: each script takes it from one version to the next, and none is ever changed again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from edgeagent.errors import StoreError

MIGRATIONS: tuple[str, ...] = (
    """
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
    """,
    """
    CREATE TABLE consumers(name TEXT PRIMARY KEY, owner TEXT NOT NULL, topics TEXT NOT NULL, machines TEXT NOT NULL,
        stream TEXT NOT NULL, acknowledged INTEGER NOT NULL, made_ns INTEGER NOT NULL, seen_ns INTEGER NOT NULL)
        STRICT, WITHOUT ROWID;

    CREATE TABLE alarms(id TEXT PRIMARY KEY, machine TEXT NOT NULL, raised_ns INTEGER NOT NULL, cleared_ns INTEGER,
        crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE INDEX alarms_by_time ON alarms(raised_ns, id);
    CREATE INDEX alarms_by_machine ON alarms(machine, raised_ns, id);

    CREATE TABLE jobs(id TEXT PRIMARY KEY, machine TEXT NOT NULL, state TEXT NOT NULL, accepted_ns INTEGER NOT NULL,
        crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE INDEX jobs_by_time ON jobs(accepted_ns, id);

    CREATE TABLE runs(from_ns INTEGER PRIMARY KEY, to_ns INTEGER NOT NULL) STRICT;
    """,
)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to the newest version, each step in a transaction of its own.

    Raises:
        StoreError: the file is from a newer version, or is some other program's database.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path}: written by a newer edgeagent (layout {version}, this one knows up to {len(MIGRATIONS)}): "
            "install the newer version again, or name another file"
        )
    if version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise StoreError(f"{path}: this database belongs to another program: name another file")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
