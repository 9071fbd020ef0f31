"""Logs on stderr: readable on a terminal, with systemd's priorities under systemd, each repeated failure once."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator

_PRIORITY = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


class _SystemdFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"<{_PRIORITY.get(record.levelno, 6)}>{super().format(record)}"


class OncePerMinute(logging.Filter):
    """Lets one message of a logger about one thing through per minute and tells how often it came meanwhile.

    One thing: the same names in it, and the same kind of error; numbers may be others. Holds at most 256 of them; the
    oldest goes first.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is written now."""
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, str(record.msg), *_names(record))
        now = time.monotonic()
        first, count = self._seen.get(key, (now, -1))
        if count >= 0 and now - first < 60:
            self._seen[key] = (first, count + 1)
            return False
        if count > 0:
            record.msg = f"{record.msg} (and {count} times in the last {now - first:.0f} s)"
        self._seen.pop(key, None)
        self._seen[key] = (now, 0)
        if len(self._seen) > 256:
            self._seen.pop(next(iter(self._seen)))
        return True


def _names(record: logging.LogRecord) -> Iterator[str]:
    """What a message is about: its arguments but numbers, of errors the kind."""
    for each in record.args if isinstance(record.args, tuple) else ():
        if isinstance(each, BaseException):
            yield type(each).__name__
        elif not isinstance(each, int | float):
            yield str(each)


def set_up(level: int = logging.INFO) -> None:
    """Send all logs to stderr, once for the process."""
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM"):
        handler.setFormatter(_SystemdFormatter("%(name)s: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handler.addFilter(OncePerMinute())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
