"""How far the journal ever came, in a file beside the database: so a database that went back is found."""

from __future__ import annotations

import logging
import os
import time
import zlib
from pathlib import Path

import msgspec

from edgeagent.errors import StoreError

_SYNC_EVERY, _SYNC_S = 100, 1.0
"""Events, and real seconds: the mark is synced after both, so that it costs a burst of events no second sync for each
group. After a power cut it may be as much behind; it is never ahead of the file."""

_log = logging.getLogger(__name__)


class Reached(msgspec.Struct, frozen=True):
    """A stream, and the last number of it that was ever given and committed."""

    stream: str
    last: int


class Mark:
    """The file `<database>.mark`, written after each commit of events; on the writer's thread once begun."""

    def __init__(self, database: Path) -> None:
        self._path = Path(f"{database}.mark")
        self._stream = ""
        self._last = self._written = self._synced = 0
        self._synced_at = 0.0

    def read(self) -> Reached | None:
        """Read what was reached; None where there is no file or it is damaged."""
        try:
            stream, last, crc = self._path.read_text(encoding="ascii").split()
            return Reached(stream, int(last)) if int(crc) == _crc(stream, int(last)) else None
        except (OSError, ValueError):
            return None

    def begin(self, stream: str, last: int) -> None:
        """Write anew where the journal stands at its start.

        Raises:
            StoreError: the file cannot be written.
        """
        self._stream, self._last = stream, last
        try:
            self._write(sync=True)
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be written: {error} (check the disk and the rights)") from error

    def reach(self, last: int) -> None:
        """Note a number that is written but not committed yet."""
        self._last = last

    def keep(self) -> None:
        """Write what was reached, after the commit."""
        if self._last <= self._written:
            return
        try:
            is_due = self._last - self._synced >= _SYNC_EVERY and time.monotonic() - self._synced_at >= _SYNC_S
            self._write(sync=is_due)
        except OSError as error:
            _log.warning("%s: cannot be written, a lost end of the journal may not be found: %s", self._path, error)

    def _write(self, sync: bool) -> None:
        line = f"{self._stream} {self._last:020d} {_crc(self._stream, self._last):010d}\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, line.encode(), 0)
            if sync:
                os.ftruncate(descriptor, len(line))
                os.fsync(descriptor)
                self._synced, self._synced_at = self._last, time.monotonic()
        finally:
            os.close(descriptor)
        self._written = self._last


def _crc(stream: str, last: int) -> int:
    return zlib.crc32(f"{stream} {last}".encode())
