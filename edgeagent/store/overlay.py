"""Reads a file whose schema is lost: with a write-ahead log beside a link to it that holds the schema of a new file.

In a file with auto-vacuum the roots of tables and indexes lie at its beginning in the order of their making, so that
those of a new file of the same layout are those of the damaged one. The file itself stays as it is. What is read so is
held against checksums as ever.

Source: "Database File Format" and "WAL-mode File Format", sqlite.org.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from edgeagent.store.connection import connect_writer

_PAGE = 4096
_HEADER, _FRAME = 32, 24
_MAGIC = 0x377F0682
"""Of a log whose checksums are of little-endian words."""
_VERSION = 3_007_000
_INTERIOR = 0x05
_SUFFIXES = ("", "-wal", "-shm")

Sums = tuple[int, int]


class _Frame(NamedTuple):
    page: int
    pages: int
    """In the file after the commit that this frame ends; 0 within one."""
    data: bytes


def link_with_schema(damaged: Path, link: Path) -> None:
    """Make `link` and its log, from which the file can be read; `remove` takes both away.

    This process must not have the file open under its own name: SQLite knows files by their inodes.

    Raises:
        OSError: there is no room, or this disk has no hard links. StoreError, sqlite3.Error: no new file can be made.
    """
    remove(link)
    frames = list(_frames(Path(f"{damaged}-wal")))
    pages = max(-(-damaged.stat().st_size // _PAGE), frames[-1].pages if frames else 1)
    frames += _schema(pages)
    Path(f"{link}-wal").write_bytes(_log(frames))
    os.link(damaged, link)


def remove(link: Path) -> None:
    """Take the link and its log away; a connection that reads from them goes on."""
    for suffix in _SUFFIXES:
        with suppress(OSError):
            Path(f"{link}{suffix}").unlink(missing_ok=True)


def _schema(pages: int) -> list[_Frame]:
    """The pages of a new file's schema: the first one, and those below it behind the end of a file of so many."""
    with tempfile.TemporaryDirectory(prefix="edgeagent-schema-") as folder:
        new = Path(folder) / "new"
        connect_writer(new).close()
        data = new.read_bytes()
    first = bytearray(data[:_PAGE])
    places = _children(first)
    numbers = [struct.unpack_from(">I", first, at)[0] for at in places]
    below = [data[(number - 1) * _PAGE : number * _PAGE] for number in numbers]
    for number, at in enumerate(places, pages + 1):
        struct.pack_into(">I", first, at, number)
    last = pages + len(below)
    struct.pack_into(">III", first, 28, last, 0, 0)
    return [*(_Frame(number, 0, page) for number, page in enumerate(below, pages + 1)), _Frame(1, last, bytes(first))]


def _children(first: bytearray) -> list[int]:
    """Where the first page names those below it; nowhere where it holds the whole schema."""
    if first[100] != _INTERIOR:
        return []
    cells = struct.unpack_from(">H", first, 103)[0]
    return [*struct.unpack_from(f">{cells}H", first, 112), 108]


def _frames(log: Path) -> Iterator[_Frame]:
    """The frames of a log up to its last whole commit."""
    try:
        data = log.read_bytes()
    except OSError:
        return
    if len(data) < _HEADER or struct.unpack_from(">3I", data) != (_MAGIC, _VERSION, _PAGE):
        return
    salts, sums = data[16:24], _summed(data[:24], (0, 0))
    if sums != struct.unpack_from(">2I", data, 24):
        return
    waiting: list[_Frame] = []
    for at in range(_HEADER, len(data) - _FRAME - _PAGE + 1, _FRAME + _PAGE):
        page = data[at + _FRAME : at + _FRAME + _PAGE]
        sums = _summed(page, _summed(data[at : at + 8], sums))
        if data[at + 8 : at + 16] != salts or sums != struct.unpack_from(">2I", data, at + 16):
            return
        number, pages = struct.unpack_from(">2I", data, at)
        waiting.append(_Frame(number, pages, page))
        if waiting[-1].pages:
            yield from waiting
            waiting = []


def _log(frames: list[_Frame]) -> bytes:
    header = struct.pack(">4I8x", _MAGIC, _VERSION, _PAGE, 0)
    sums = _summed(header, (0, 0))
    parts = [header, struct.pack(">2I", *sums)]
    for frame in frames:
        begins = struct.pack(">2I", frame.page, frame.pages)
        sums = _summed(frame.data, _summed(begins, sums))
        parts += [begins, bytes(8), struct.pack(">2I", *sums), frame.data]
    return b"".join(parts)


def _summed(data: bytes, sums: Sums) -> Sums:
    first, second = sums
    words = struct.unpack(f"<{len(data) // 4}I", data)
    for low, high in zip(words[::2], words[1::2], strict=True):
        first = (first + low + second) & 0xFFFFFFFF
        second = (second + high + first) & 0xFFFFFFFF
    return first, second
