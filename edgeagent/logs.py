"""Logs on stderr: JSON under systemd, readable on a terminal, each repeated failure once a minute with its count."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Literal

Form = Literal["json", "text"]

_PRIORITY = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
_MOST_TEXT = 2000
"""Characters of one message."""
_MOST_TRACE = 16_000
"""Characters of one exception with its stack."""
_MOST_ARGUMENT = 200
_MOST_THINGS = 256
_MINUTE_S = 60.0
_RECENT, _RECENT_BYTES = 2000, 512 << 10


class Detail(str):
    """A text that is told with a message but is not what the message is about: what a peer said, or who it was."""

    __slots__ = ()


class _Repeated:
    """A message that came again: when it was written, how often it came since, and how it came last."""

    __slots__ = ("count", "first", "last")

    def __init__(self, record: logging.LogRecord, first: float) -> None:
        self.last = record
        self.first = first
        self.count = 0

    def told(self, now: float) -> logging.LogRecord:
        """The last record, with how many were kept back before it was its turn."""
        again = logging.makeLogRecord(self.last.__dict__)
        again.msg = f"{again.msg} (told once; came {self.count} times more in {now - self.first:.0f} s)"
        return again


class OncePerMinute:
    """Lets one message of a logger about one thing through per minute, and tells its count when the minute is over.

    One thing: the same names in it, and the same kind of error; numbers and `Detail` may be others. Of more than 256
    things in a minute the further ones are held together by their message alone, of more than 512 by their logger.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, ...], _Repeated] = {}

    def due(self, record: logging.LogRecord) -> list[logging.LogRecord]:
        """What is to be written now: the counts of minutes that are over, and the record if it is the first."""
        now = self._clock()
        written = self._over(now, _MINUTE_S)
        if record.levelno < logging.WARNING:
            return [*written, record]
        key = (record.name, str(record.msg), *_names(record))
        for most, parts in ((_MOST_THINGS, 2), (2 * _MOST_THINGS, 1)):
            if key not in self._seen and len(self._seen) >= most:
                key = key[:parts]
        repeated = self._seen.get(key)
        if repeated is None:
            self._seen[key] = _Repeated(record, now)
            return [*written, record]
        repeated.count += 1
        repeated.last = record
        return written

    def rest(self) -> list[logging.LogRecord]:
        """All counts that are not told yet; begins anew."""
        return self._over(self._clock(), 0.0)

    def _over(self, now: float, after_s: float) -> list[logging.LogRecord]:
        over = []
        while self._seen:
            key, repeated = next(iter(self._seen.items()))  # the oldest is first: none is ever moved
            if now - repeated.first < after_s:
                break
            del self._seen[key]
            if repeated.count:
                over.append(repeated.told(now))
        return over


def _names(record: logging.LogRecord) -> Iterator[str]:
    """What a message is about: its arguments but numbers and details, of errors the kind."""
    for each in record.args if isinstance(record.args, tuple) else ():
        if isinstance(each, BaseException):
            yield type(each).__name__
        elif not isinstance(each, int | float | Detail):
            yield str(each)[:_MOST_ARGUMENT]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message; its template and arguments where it has some; exception.

    Args:
        has_priority: "<4>" stands before the object, which journald takes as the record's priority.
    """

    def __init__(self, has_priority: bool = False) -> None:
        super().__init__()
        self._has_priority = has_priority

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        told: dict[str, object] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z", "level": record.levelname.lower(), "logger": record.name,
            "message": _cut(record.getMessage(), _MOST_TEXT),
        }  # fmt: skip
        if record.args and isinstance(record.args, tuple):
            told["template"] = str(record.msg)
            told["arguments"] = [_plain(each) for each in record.args]
        if trace := _trace(self, record):
            told["exception"] = trace
        line = _visible(json.dumps(told, ensure_ascii=False, separators=(",", ":")), lambda c: json.dumps(c)[1:-1])
        return f"<{_PRIORITY.get(record.levelno, 6)}>{line}" if self._has_priority else line


class TextFormatter(logging.Formatter):
    """A line for people; what a message holds of control characters is shown and not sent, further lines are indented.

    Source: CWE-117, neutralisation of output for logs.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as a line, or as one with indented ones below it."""
        parts = [_cut(record.getMessage(), _MOST_TEXT), _trace(self, record)]
        lines = "\n".join(part for part in parts if part).split("\n")
        text = "\n    ".join(_visible(line, lambda c: ascii(c)[1:-1]) for line in lines)
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        return f"{when},{record.msecs:03.0f} {record.levelname:<7} {record.name}: {text}"


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    return formatter.formatException(record.exc_info)[-_MOST_TRACE:]


def _plain(argument: object) -> object:
    if argument is None or isinstance(argument, bool | int) or (isinstance(argument, float) and isfinite(argument)):
        return argument
    return _cut(str(argument), _MOST_ARGUMENT)


def _cut(text: str, most: int) -> str:
    text = text.encode(errors="backslashreplace").decode()  # a lone surrogate is no text that can be written
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most} characters more)"


def _visible(text: str, escape: Callable[[str], str]) -> str:
    """The text with all that moves a terminal's cursor or hides in it escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else escape(c) for c in text)


class Output(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to stderr what is due, and keeps the newest lines in memory as JSON: 2000 of them, 512 KiB."""

    def __init__(self, form: Form, has_priority: bool) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(JsonFormatter(has_priority) if form == "json" else TextFormatter())
        self._once = OncePerMinute()
        self._json = JsonFormatter()
        self._kept = deque[str]()
        self._held = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write and keep a record, if it is due, and what became due before it."""
        for each in self._once.due(record):
            self._write(each)

    def close(self) -> None:
        """Tell the counts that are not told yet."""
        self.acquire()
        try:
            for each in self._once.rest():
                self._write(each)
        finally:
            self.release()
        super().close()

    def recent(self) -> list[str]:
        """The newest lines, oldest first."""
        return list(self._kept)

    def _write(self, record: logging.LogRecord) -> None:
        try:
            line = self._json.format(record)
        except Exception:  # noqa: BLE001  a message that cannot be written must not end what wrote it
            self.handleError(record)
            return
        super().emit(record)
        self._kept.append(line)
        self._held += len(line)
        while len(self._kept) > _RECENT or self._held > _RECENT_BYTES:
            self._held -= len(self._kept.popleft())


def set_up(level: int = logging.INFO, form: Form | None = None) -> None:
    """Send all logs to stderr, once for the process.

    Args:
        form: how they look; None for JSON under systemd and text elsewhere.
    """
    is_journal = _is_journal()
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, Output):
            handler.close()
    root.handlers[:] = [Output(form or ("json" if is_journal else "text"), is_journal)]
    root.setLevel(level)
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def _is_journal() -> bool:
    """Whether stderr is what systemd says that its journal reads; a terminal may have inherited the variable alone.

    Source: systemd.exec(5), JOURNAL_STREAM is device and inode.
    """
    try:
        stderr = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"


def recent() -> list[str]:
    """The newest lines of the process's log as JSON, oldest first; none before `set_up`."""
    return [line for handler in logging.getLogger().handlers if isinstance(handler, Output)
            for line in handler.recent()]
