"""Damages a store as a disk does: a part of a row, or a whole page of a table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

_INTERIOR = (0x02, 0x05)
"""First byte of a page of an index or a table that points to others; SQLite's file format, section 1.6."""

_WORST = {"consumers": "acknowledged", "meta": "value", "endings": "at_ns", "states": "state", "had": "last",
          "board_barcodes": "entered_ns", "gone": "sequences"}  # fmt: skip
"""Column of a table without a body whose damage would do most harm."""


def tables(store: Path) -> tuple[str, ...]:
    """Every table of a store."""
    with closing(sqlite3.connect(store)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        return tuple(name for (name,) in connection.execute(query))


def row(store: Path, table: str, chance: Random) -> bool:
    """Change one row of a table behind the back of whoever wrote it; False where it has none."""
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        column = "body" if "body" in columns else _WORST.get(table, columns[-1])
        rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  names of the file's own
        if not rows:
            return False
        found = rows[chance.randrange(len(rows))]
        value = found[columns.index(column)]
        keys = " AND ".join(f"{name} IS ?" for name in columns)
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {keys}", (_changed(value, chance), *found))  # noqa: S608
        return True


def page(store: Path, table: str, chance: Random) -> None:
    """Write noise over one page that holds rows of a table, or would."""
    with closing(sqlite3.connect(store)) as connection:
        root: int = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        size: int = connection.execute("PRAGMA page_size").fetchone()[0]
    content, number = store.read_bytes(), root
    while pointers := list(_below(content[(number - 1) * size : number * size])):
        number = pointers[chance.randrange(len(pointers))]
    with store.open("r+b") as file:
        file.seek((number - 1) * size)
        file.write(chance.randbytes(size))


def _below(content: bytes) -> Iterator[int]:
    """The pages that an interior page points to."""
    if content[0] not in _INTERIOR:
        return
    yield int.from_bytes(content[8:12])
    for place in range(int.from_bytes(content[3:5])):
        cell = int.from_bytes(content[12 + 2 * place : 14 + 2 * place])
        yield int.from_bytes(content[cell : cell + 4])


def _changed(value: object, chance: Random) -> object:
    """A value with something wrong in it."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, bytes) and value:
        place = chance.randrange(len(value))
        return value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
    text = str(value or "?")
    place = chance.randrange(len(text))
    return text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
