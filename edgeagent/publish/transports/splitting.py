"""Bytes into lines, bounded."""

from __future__ import annotations

_SPACE = b" \t\r\n"

_START = 16
"""Bytes that are kept of a line that is too long."""


class LineTooLong(Exception):
    """A line went over the limit; it is gone but for its start, the next one is not."""

    def __init__(self, start: bytes) -> None:
        super().__init__("line too long")
        self.start = start


class LineSplitter:
    """Cuts bytes into lines; holds no more than the limit and one piece, whatever is fed.

    Attributes:
        limit: bytes of the longest line; may be changed between two lines.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._dropping = False

    @property
    def full(self) -> bool:
        """Whether no more should be fed before lines were taken."""
        return len(self._buffer) > self.limit

    def feed(self, piece: bytes) -> None:
        """Add bytes as they came."""
        if self._dropping:
            end = piece.find(b"\n")
            if end < 0:
                return
            piece = piece[end:]
            self._dropping = False
        self._buffer += piece

    def take(self) -> bytes | None:
        """Take the next line that is not empty, without its end; None where there is no whole one.

        Raises:
            LineTooLong: once for each line over the limit, as soon as that is certain.
        """
        if self._buffer[:1] in _SPACE and self._buffer:
            self._buffer = self._buffer.lstrip(_SPACE)
            self._searched = 0
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            if self.full:
                start = bytes(self._buffer[:_START])
                self._buffer.clear()
                self._searched = 0
                self._dropping = True
                raise LineTooLong(start)
            return None
        line = bytes(memoryview(self._buffer)[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        if len(line) > self.limit:
            raise LineTooLong(line[:_START])
        return line
