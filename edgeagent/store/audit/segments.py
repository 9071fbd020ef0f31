"""The files of the record, `<store>.audit.<first sequence>`: found in order, and the newest appended to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from edgeagent.store.audit.chain import MOST_LINE
from edgeagent.store.copying import sync_folder


def segment_files(store: Path) -> list[Path]:
    """All segments of a store's record, the oldest first.

    Raises:
        OSError: the folder cannot be read.
    """
    ours = re.compile(re.escape(store.name) + r"\.audit\.[0-9]{12,18}")
    return sorted((file for file in store.parent.iterdir() if ours.fullmatch(file.name)), key=first_of)


def first_of(segment: Path) -> int:
    """The sequence of its first line, as its name says."""
    return int(segment.suffix[1:])


def segment_file(store: Path, first: int) -> Path:
    """The segment whose first line has this sequence."""
    return Path(f"{store}.audit.{first:012d}")


def raw_lines(file: Path) -> Iterator[bytes]:
    """Lines with their ends; one that is longer than any of ours in pieces, none of which is whole."""
    with file.open("rb") as opened:
        while line := opened.readline(MOST_LINE + 1):
            yield line


def size(store: Path) -> int:
    """Bytes of a store's whole record.

    Raises:
        OSError: the folder cannot be read.
    """
    return sum(file.stat().st_size for file in segment_files(store))


class Segment:
    """One file that is only ever appended to.

    Attributes:
        size: bytes that are known to be on disk.

    Raises:
        OSError: it cannot be opened; FileExistsError when a new one is there already.
    """

    def __init__(self, path: Path, *, is_new: bool) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if is_new else 0)
        self._descriptor = os.open(path, flags, 0o600)
        try:
            self.size = os.fstat(self._descriptor).st_size
            if is_new:
                sync_folder(path.parent)
        except OSError:
            self.close()
            raise

    def append(self, data: bytes) -> None:
        """Write at the end and return when it is on disk.

        Raises:
            OSError: the disk refuses. After a failed fsync nobody knows what is on disk: the file is put back to what
                it was; where even that fails, its end is a torn line, as after a crash.
        """
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            os.fsync(self._descriptor)
            raise
        self.size += len(data)

    def is_ours(self) -> bool:
        """Whether the file is still in its place, and as long as this process made it."""
        try:
            there, ours = self.path.stat(), os.fstat(self._descriptor)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, ours) and there.st_size == self.size

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
