"""Room on the store's disk: told before it is used up, and a reserve that is given back when it is."""

from __future__ import annotations

import errno
import logging
import os
import resource
import sqlite3
import sys
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

    from edgeagent.config import StoreTable

from edgeagent.errors import StoreError, StoreFull

MIB = 1 << 20

_NOTHING = 1 << 20
"""Bytes; where less is free, a disk that refuses does so because it is full."""
_LOOK_S = 5.0
"""Real seconds between two tries to make the reserve again."""
_STEADY = 1.05
"""So many times what is to be free is free again before it is told no more."""

_log = logging.getLogger(__name__)


class Room:
    """The reserve is the file `<store>.reserve`: once the disk is full it is deleted, so that the alarm, the newest
    events and the ends of commands find room. It is made again when there is twice its room; from any thread.

    Args:
        reserve_bytes: its size; 0 for none.
        free_bytes: where less is free, `low` tells; 0 for never.

    Attributes:
        lacks: what there is no room for at all, in words; None where there is.
    """

    def __init__(self, store: Path, reserve_bytes: int = 0, free_bytes: int = 0) -> None:
        self.path = Path(f"{store}.reserve")
        self._reserve_bytes = reserve_bytes
        self._free_bytes = free_bytes
        self._lock = threading.Lock()
        self.lacks: str | None = None
        self._is_spent = False
        self._is_low = False
        self._looked_s = -_LOOK_S

    @classmethod
    def of(cls, store: Path, table: StoreTable) -> Self:
        """As the configuration says."""
        return cls(store, table.reserve_megabytes << 20, table.free_megabytes * 1_000_000)

    @property
    def spent(self) -> str | None:
        """Say that the disk is full and the reserve given back, or not to be made; None while it is there."""
        if not self._is_spent:
            return self.lacks and f"{self.lacks}: make room in {self.path.parent}"
        reserve = f"the reserve of {self._reserve_bytes / MIB:g} MiB"
        return f"the disk is full, and {reserve} in use: make room in {self.path.parent}"

    def low(self) -> str | None:
        """Say how little is free where it is less than there should be; None where it is not, or cannot be known."""
        try:
            free = self.free()
        except OSError:
            return None
        self._is_low = free < self._free_bytes * (_STEADY if self._is_low else 1)
        if not self._is_low:
            return None
        return (f"{free / 1e6:.1f} MB are free where the store is and there should be {self._free_bytes / 1e6:.0f} MB: "
                f"make room in {self.path.parent}")  # fmt: skip

    def eases(self, error: BaseException | None) -> bool:
        """Give the reserve back where a fault is that the disk is full; says whether a new try may do better."""
        with self._lock:
            if not self.is_full(error) or not self.path.exists():
                return False
            try:
                self.path.unlink()
            except OSError as refused:
                _log.error("%s: cannot be given back: %s", self.path, refused)
                return False
            self._is_spent = True
        _log.error("%s", self.spent)
        return True

    def fill(self) -> None:
        """Make the reserve where there is none and room for it, looked at every 5 s; without room it stays as it is."""
        with self._lock:
            if not self._reserve_bytes or monotonic() - self._looked_s < _LOOK_S:
                return
            self._looked_s = monotonic()
            try:
                if not self._is_there():
                    self._make()
            except OSError as error:
                _log.warning("%s: nothing can be kept for a full disk: %s", self.path, error)

    def _make(self) -> None:
        if self.free() < 2 * self._reserve_bytes:
            self._is_spent = True
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._reserve_bytes)
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                self.path.unlink()
            raise
        finally:
            os.close(descriptor)
        if self._is_spent:
            _log.warning("%s: there is room on the disk again", self.path)
        self._is_spent = False

    def _is_there(self) -> bool:
        return self.path.exists() and self.path.stat().st_size == self._reserve_bytes

    def is_full(self, error: BaseException | None) -> bool:
        """Say whether a fault is that the disk is full."""
        if isinstance(error, sqlite3.Error):
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            return code == sqlite3.SQLITE_FULL or (code in _UNTOLD and self.has_nothing())
        if isinstance(error, StoreError):
            return isinstance(error, StoreFull) or self.is_full(error.__cause__)
        return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

    def has_nothing(self) -> bool:
        """Say whether as good as nothing is free; False where that cannot be known."""
        try:
            return self.free() < _NOTHING
        except OSError:
            return False

    def free(self) -> int:
        """How much can still be written: what is free on the disk, or less where the size of files is limited.

        Raises:
            OSError: that cannot be known.
        """
        disk = os.statvfs(self.path.parent)
        return min(disk.f_bavail * disk.f_frsize, self._may_grow())

    def _may_grow(self) -> int:
        most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if most == resource.RLIM_INFINITY:
            return sys.maxsize
        store = self.path.with_suffix("")
        files = [file for file in (store, Path(f"{store}-wal")) if file.exists()]
        return max(0, most - max((file.stat().st_size for file in files), default=0))


_UNTOLD = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""What SQLite says of a full disk where it is not the file itself that must grow."""
