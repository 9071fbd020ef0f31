"""A copy of a database that is written to meanwhile: whole as of one moment, checked and on disk, or not there."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from edgeagent.errors import StoreDamaged, StoreError, StoreFull

Progress = Callable[[int, int], object]
"""Called after each step with pages copied and pages in all; what it raises ends the copy."""

_PAGES = 1024
_PAUSE_S = 0.002
"""Between two steps, in which the disk belongs to whoever writes."""
_MARGIN = 4 << 20
"""Bytes that are left free on the disk beside the copy."""


def copy(
    source: sqlite3.Connection, target: Path, *, finish: Callable[[sqlite3.Connection], object] | None = None,
    progress: Progress | None = None, replace: bool = False, owner: os.stat_result | None = None,
) -> None:  # fmt: skip
    """Copy a database into a file of its own (0600) that needs no other file beside it.

    Args:
        finish: changes the copy before it is checked.
        replace: whether the target may be there already.
        owner: whose user and group the copy gets, where this process may give it away.

    Raises:
        StoreFull: no room.
        StoreError: a target that is there or in use, or a copy that is not sound: the source is damaged.
        sqlite3.Error, OSError: source or disk fail. Whatever is raised, the target is as it was.
    """
    check_room(source, target.parent)
    for suffix in ("-wal", "-journal"):
        if Path(f"{target}{suffix}").exists():
            raise StoreError(f"{target}: belongs to a database that is in use: name another file")
    part = _part(target)
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _fill(source, part, progress)
        _finish(part, finish)
        check(part)
        _sync(part, owner)
        _put(part, target, replace)
    except BaseException:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{part}{suffix}").unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def check(path: Path) -> None:
    """Read the structure of a file that nobody writes; raises StoreDamaged when it is not sound."""
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise StoreDamaged(f"the database is damaged: {' '.join(found.split())}")


def check_room(source: sqlite3.Connection, folder: Path) -> None:
    """Raise StoreFull when a folder's disk cannot hold a copy."""
    pages, size = (source.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    disk = os.statvfs(folder)
    free, needed = disk.f_bavail * disk.f_frsize, pages * size + _MARGIN
    if free < needed:
        raise StoreFull(
            f"{folder}: no room for a copy of the database: it needs {needed / 1e6:.1f} MB and {free / 1e6:.1f} MB "
            "are free: make room on this disk"
        )


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _part(target: Path) -> Path:
    """Where this process makes its copy; what processes that are dead left of theirs is removed."""
    of_copy = re.compile(re.escape(target.name) + r"\.(\d+)\.part(-\w+)?")
    for file in target.parent.iterdir():
        found = of_copy.fullmatch(file.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            file.unlink(missing_ok=True)
    return Path(f"{target}.{os.getpid()}.part")


def _fill(source: sqlite3.Connection, part: Path, progress: Progress | None) -> None:
    def step(_: int, remaining: int, total: int) -> None:
        if progress:
            progress(total - remaining, total)
        if remaining:
            time.sleep(_PAUSE_S)

    # A reading transaction holds one moment of the source over all steps; a writer beside it goes on in its log.
    source.execute("BEGIN")
    try:
        source.execute("SELECT 1 FROM sqlite_master").fetchone()
        with closing(sqlite3.connect(part, isolation_level=None)) as copied:
            copied.execute("PRAGMA synchronous = OFF")
            source.backup(copied, pages=_PAGES, progress=step)
    finally:
        source.execute("ROLLBACK")


def _finish(part: Path, finish: Callable[[sqlite3.Connection], object] | None) -> None:
    with closing(sqlite3.connect(part, isolation_level=None)) as copied:
        copied.execute("PRAGMA synchronous = OFF")
        copied.execute("PRAGMA journal_mode = DELETE")
        if finish:
            copied.execute("BEGIN IMMEDIATE")
            finish(copied)
            copied.execute("COMMIT")


def _sync(part: Path, owner: os.stat_result | None) -> None:
    descriptor = os.open(part, os.O_RDWR | os.O_CLOEXEC)
    try:
        if owner and os.geteuid() == 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(part: Path, target: Path, replace: bool) -> None:
    if replace:
        part.replace(target)
        return
    try:
        os.link(part, target)
    except FileExistsError:
        raise StoreError("it is there already") from None
    except OSError:  # a disk without hard links, as on most memory sticks
        if target.exists():
            raise StoreError("it is there already") from None
        part.rename(target)
    else:
        part.unlink()
