"""Where the journal stands at its start, and whether its end is still there."""

from __future__ import annotations

import logging
import secrets
import sqlite3

import msgspec

from edgeagent.model.events import Kind
from edgeagent.store import events as table
from edgeagent.store import gone, meta
from edgeagent.store.mark import Reached

_STREAM, _WRITTEN, _REFUSED = "journal.stream", "journal.last", "journal.refused"
_LEFT = "journal.left"
_DIGITS = 19
"""As many as no number of an event has."""
MADE = "backup.made"
"""Name of the time at which a backup was made; a store that goes on from one is none any more."""

_log = logging.getLogger(__name__)


class Standing(msgspec.Struct, frozen=True):
    """The stream, the oldest number kept, the last one given, and the newest of each machine and topic."""

    stream: str
    first: int
    last: int
    kinds: dict[Kind, int]
    missing: str | None = None
    """Why a new stream begins, in words, where the end of the one before is missing."""


def find(connection: sqlite3.Connection, reached: Reached | None) -> Standing:
    """Find where to go on inside somebody's transaction; begin a new stream when the file's end is missing.

    Args:
        reached: what the mark beside the file tells; None where there is none.
    """
    stream, missing = meta.get(connection, _STREAM), None
    first = connection.execute("SELECT min(sequence) FROM events").fetchone()[0]
    newest, last = _newest(connection), last_number(connection)
    if stream is None:
        is_left = meta.is_kept(connection, _LEFT)
        stream = _begin(connection)
        if last and not is_left:
            _log.error("the name of the journal's stream is missing: stream %s begins after %d", stream, last)
    elif not goes_on(connection, reached):
        last = max(last, reached.last if reached else 0)  # also of a stream that began in memory alone
        before, stream = stream, _begin(connection)
        meta.put(connection, _WRITTEN, str(newest))
        meta.put(connection, _REFUSED, str(last))
        missing = (f"the end of the journal is missing: its newest event is {newest}, but there was more of stream "
                   f"{before} or after it; stream {stream} begins after {last}")  # fmt: skip
        _log.error("%s", missing)
    elif reached is None and newest:
        _log.warning("there is no mark beside the store that can be read: whether the end of its journal is missing, "
                     "nobody knows")  # fmt: skip
    kinds = {
        kind: table.before(connection, kind, last + 1) for kind in {*table.kinds(connection), *gone.kinds(connection)}
    }
    return Standing(stream, first or last + 1, last, kinds, missing)


def goes_on(connection: sqlite3.Connection, reached: Reached | None) -> bool:
    """Say whether the stream goes on: `find` writes nothing then."""
    stream = meta.get(connection, _STREAM)
    if stream is None or _newest(connection) < _number(connection, _WRITTEN):
        return False
    return reached is None or (reached.stream == stream and reached.last <= last_number(connection))


def go_on(connection: sqlite3.Connection, stream: str) -> None:
    """Remember a stream that goes on in another file, inside somebody's transaction."""
    meta.put(connection, _STREAM, stream)


def follow(source: sqlite3.Connection, into: sqlite3.Connection) -> None:
    """Go on in a file with the stream that began in another one, and its numbers, inside somebody's transaction."""
    stream = meta.get(source, _STREAM)
    if stream is None or stream == meta.get(into, _STREAM):
        return
    last = max(last_number(source), last_number(into))
    meta.put(into, _WRITTEN, str(_newest(into)))
    meta.put(into, _REFUSED, str(last))
    go_on(into, stream)


def first_number(connection: sqlite3.Connection) -> int:
    """The oldest number kept; that of the next event where none is."""
    first: int | None = connection.execute("SELECT min(sequence) FROM events").fetchone()[0]
    return last_number(connection) + 1 if first is None else first


def _newest(connection: sqlite3.Connection) -> int:
    """The newest number that was written, whether or not it is gone since."""
    return max(connection.execute("SELECT max(sequence) FROM events").fetchone()[0] or 0, gone.newest(connection))


def keep(connection: sqlite3.Connection, last: int, is_refused: bool) -> None:
    """Remember the last number given, whether its event was written or refused."""
    meta.put(connection, _REFUSED if is_refused else _WRITTEN, str(last))


def last_number(connection: sqlite3.Connection) -> int:
    """The last number given, as far as the file knows."""
    newest = _newest(connection)
    return max(newest, *(_number(connection, name) for name in (_WRITTEN, _REFUSED)))


def has_stream(connection: sqlite3.Connection) -> bool:
    """Say whether a journal goes on here: a restored file has none until an agent stands on it."""
    return meta.get(connection, _STREAM) is not None


def last_stream(connection: sqlite3.Connection) -> str | None:
    """The stream that the file goes on with, or the one that it has left."""
    return meta.get(connection, _STREAM) or meta.get(connection, _LEFT)


def leave(connection: sqlite3.Connection, beyond: int) -> None:
    """Leave the stream inside somebody's transaction: the next start begins a new one, with numbers after `beyond`."""
    newest = _newest(connection)
    last = max(beyond, last_number(connection))
    meta.put(connection, _LEFT, last_stream(connection) or "")
    meta.put(connection, _WRITTEN, str(newest))
    meta.put(connection, _REFUSED, str(last))
    connection.execute("DELETE FROM meta WHERE key = ?", (_STREAM,))


def _number(connection: sqlite3.Connection, name: str) -> int:
    """A number that was kept; 0 where none is, and one beyond all that there are where it is none."""
    text = meta.get(connection, name) or "0"
    newest: int = connection.execute("SELECT max(sequence) FROM events").fetchone()[0] or 0
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else newest + 1


def _begin(connection: sqlite3.Connection) -> str:
    stream = secrets.token_hex(8)
    connection.execute("DELETE FROM meta WHERE key IN (?, ?)", (MADE, _LEFT))
    meta.put(connection, _STREAM, stream)
    return stream
