"""Reads a recording; what a kill or a full disk cut off at its end is told, not fatal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]
import msgspec

from edgeagent.errors import RecordingError
from edgeagent.recording.entries import MOST_BYTES, VERSION, End, Entry, Header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DAMAGED = (msgspec.ValidationError, ValueError, TypeError, msgpack.UnpackException)


def _cut_off(size: int) -> str:
    torn = f", {size} bytes at its end are no whole entry" if size else ""
    return f"cut off{torn}; the agent was killed, or still records"


class Recording:
    """A recording on disk.

    Attributes:
        header: its first entry.
        ended: how it ended, known once all entries were read.

    Raises:
        RecordingError: the file cannot be read, or is no recording that this version understands.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ended = ""
        try:
            self._size = path.stat().st_size
            self._file = path.open("rb")
        except OSError as error:
            raise RecordingError(f"{path} cannot be read: {error.strerror}") from error
        self._unpacker: Any = msgpack.Unpacker(self._file, raw=False, max_buffer_size=MOST_BYTES)
        try:
            header = self._next()
        except _DAMAGED:
            header = None
        if not isinstance(header, Header):
            self._file.close()
            raise RecordingError(f"{path} is no recording of edgeagent")
        if not 1 <= header.version <= VERSION:
            self._file.close()
            raise RecordingError(f"{path} is a recording of version {header.version} (edgeagent {header.agent}); "
                                 f"this edgeagent plays versions up to {VERSION}")
        self.header = header

    def entries(self) -> Iterator[Entry]:
        """The entries behind the header, once.

        Raises:
            RecordingError: it is damaged, after everything before the damage was given.
        """
        with self._file:
            while True:
                at = self._unpacker.tell()
                try:
                    entry = self._next()
                except _DAMAGED as error:
                    raise RecordingError(f"{self.path}: damaged from byte {at} on; what came before it was played") \
                        from error
                if entry is None:
                    self.ended = self.ended or _cut_off(self._size - at)
                    return
                if isinstance(entry, End):
                    self.ended = entry.reason
                yield entry

    def _next(self) -> Entry | None:
        """The next entry; None where the file holds no whole one any more."""
        try:
            raw = self._unpacker.unpack()
        except msgpack.OutOfData:
            return None
        return msgspec.convert(raw, Entry, builtin_types=(bytes,))  # type: ignore[no-any-return]
