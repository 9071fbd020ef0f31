"""Writes a recording beside the agent's work: entries are packed on the loop, a thread puts them on disk."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

import msgspec

from edgeagent.errors import RecordingError
from edgeagent.recording.entries import End, Entry, Header

if TYPE_CHECKING:
    from pathlib import Path

_EVERY_S = 0.5
"""Real seconds between two writes: what `kill -9` can cost."""
_MOST_WAITING = 16 << 20
"""Bytes that wait for a slow disk."""
_LAST_WORDS = 200
"""Bytes kept free below the limit for the entry that ends the recording."""

_log = logging.getLogger(__name__)


class RecordingWriter:
    """One recording; whatever goes wrong with it ends it, and never the agent.

    Args:
        limit: most bytes of the file.

    Attributes:
        ended: why nothing more is recorded; empty while it goes on. entries, size: taken so far; size in bytes.

    Raises:
        RecordingError: the file exists already, or cannot be made, or would be too small for the header.
    """

    def __init__(self, path: Path, header: Header, limit: int) -> None:
        self.path = path
        self.ended = ""
        self.entries = 0
        self.size = 0
        self._limit = limit
        self._encode = msgspec.msgpack.Encoder().encode
        self._change = threading.Condition()
        self._waiting: list[bytes] = []
        self._bytes_waiting = 0
        self._is_closing = False
        if (size := len(self._encode(header))) > limit - _LAST_WORDS:
            raise RecordingError(f"{path}: the configuration and its maps alone take {size / 1e6:.3f} MB, "
                                 f"the recording may have {limit / 1e6:g}; allow more")
        try:
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb", 0)
        except FileExistsError:
            raise RecordingError(f"{path} exists already; give another name, or move it away") from None
        except OSError as error:
            raise RecordingError(f"{path} cannot be recorded to: {error.strerror}") from error
        self.add(header)
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def add(self, entry: Entry) -> None:
        """Take an entry; never waits, and does nothing once the recording has ended."""
        if self.ended:
            return
        packed = self._encode(entry)
        if self.size + len(packed) > self._limit - _LAST_WORDS:
            self._end(f"the recording is as large as it may be ({self._limit / 1e6:g} MB)")
        elif self._bytes_waiting + len(packed) > _MOST_WAITING:
            self._end("the disk is too slow for the recording")
        else:
            self._put(packed)

    def close(self) -> None:
        """Write everything that waits and close the file."""
        if not self.ended:
            self._end("closed")
        with self._change:
            self._is_closing = True
            self._change.notify()
        self._thread.join()
        self._file.close()

    def _end(self, reason: str) -> None:
        self._put(self._encode(End(reason)))
        self.ended = reason
        if reason != "closed":
            _log.error("%s: %s; nothing more is recorded, the agent goes on", self.path, reason)

    def _put(self, packed: bytes) -> None:
        self.size += len(packed)
        self.entries += 1
        with self._change:
            self._waiting.append(packed)
            self._bytes_waiting += len(packed)

    def _run(self) -> None:
        is_closing = False
        while not is_closing:
            with self._change:
                if not self._is_closing:
                    self._change.wait(_EVERY_S)
                is_closing = self._is_closing
                waiting, self._waiting = self._waiting, []
            try:
                self._write(b"".join(waiting))
            except OSError as error:
                self._fail(error)
                return
            with self._change:
                self._bytes_waiting = sum(map(len, self._waiting))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view):]

    def _fail(self, error: OSError) -> None:
        self.ended = f"it cannot be written: {error.strerror}"
        _log.error("%s: %s; nothing more is recorded, the agent goes on", self.path, self.ended)
        with self._change:
            self._waiting, self._bytes_waiting = [], 0
