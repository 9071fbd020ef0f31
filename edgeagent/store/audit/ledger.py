"""The record as one thread writes it: it takes up the end, appends lines, and begins new files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from edgeagent.store.audit.anchor import Anchors
from edgeagent.store.audit.chain import BEGINNING, seal
from edgeagent.store.audit.segments import Segment, segment_file
from edgeagent.store.audit.tail import Tail, look
from edgeagent.store.copying import sync_folder

SEGMENT_BYTES = 64 << 20


class Ledger:
    """The chain in its files; of one thread.

    Args:
        anchors: what the store remembers.
        found: called with each end of the record that was taken up; what it returns is written as the first entries.

    Attributes:
        head: of what is on disk.
    """

    def __init__(
        self, store: Path, anchors: Anchors, found: Callable[[Tail], Sequence[bytes]],
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:  # fmt: skip
        self._store = store
        self._anchors = anchors
        self._found = found
        self._segment_bytes = segment_bytes
        self._segment: Segment | None = None
        self.head = BEGINNING

    def append(self, entries: Sequence[bytes]) -> None:
        """Write entries as lines and return when all are on disk; or none is.

        Raises:
            OSError: the disk refuses.
        """
        try:
            if self._segment is None or not self._segment.is_ours():
                entries = [*self._take_up(), *entries]
            self._append(entries)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; the next append takes the record up again."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _append(self, entries: Sequence[bytes]) -> None:
        segment = self._segment
        if segment is None or segment.size >= self._segment_bytes:
            segment = self._begin()
        lines, head = [], self.head
        for entry in entries:
            line, head = seal(head, entry)
            lines.append(line)
        segment.append(b"".join(lines))
        self.head = head
        self._anchors = Anchors(head)

    def _take_up(self) -> Sequence[bytes]:
        self.close()
        tail = look(self._store, self._anchors)
        if tail.segment is not None:
            if tail.torn:
                self._put_aside(tail.segment, tail.torn)
            self._segment = Segment(tail.segment, is_new=False)
        self.head = tail.head
        return self._found(tail)

    def _begin(self) -> Segment:
        self.close()
        path = segment_file(self._store, self.head.sequence + 1)
        self._segment = Segment(path, is_new=not path.exists() or path.stat().st_size > 0)
        return self._segment

    def _put_aside(self, segment: Path, torn: int) -> None:
        """Cut what a crash left of a line off into a file of its own."""
        aside = Path(f"{self._store}.audit.torn-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        whole = segment.stat().st_size - torn
        with segment.open("r+b") as file:
            file.seek(whole)
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as kept:
                kept.write(file.read())
                kept.flush()
                os.fsync(descriptor)
            sync_folder(aside.parent)
            file.truncate(whole)
            os.fsync(file.fileno())


