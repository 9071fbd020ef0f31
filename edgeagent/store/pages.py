"""Rows by time, newest first, page by page: the cursor that goes on, and the query of what has no other order."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Iterable, Iterator, Mapping

from edgeagent.errors import CommandRefused
from edgeagent.store.checksums import checksum

END_OF_TIME = (1 << 63) - 1
"""The latest time (ns) that a file can hold."""

Place = tuple[int, str]
"""Time (ns) and id of a row: an order without equals."""

_log = logging.getLogger(__name__)


def span(since_ns: int | None, until_ns: int | None, before: Place | None) -> tuple[int, Place]:
    """The first time wanted, and the place before which rows are wanted; no time is beyond what a file can hold."""
    since = max(0, min(since_ns or 0, END_OF_TIME))
    until = (max(0, min(END_OF_TIME if until_ns is None else until_ns, END_OF_TIME)), "")
    return since, until if before is None else min(until, before)


def newest(
    table: str, time: str, equal: Mapping[str, str | None], since_ns: int | None, until_ns: int | None,
    before: Place | None,
) -> tuple[str, list[str | int]]:  # fmt: skip
    """Build the query for id, time, body and checksum (the limit is its last, open parameter) and its values.

    Args:
        time: name of the column with the time in ns. equal: columns that must have a value, any where it is None.
    """
    since, end = span(since_ns, until_ns, before)
    wanted = {column: value for column, value in equal.items() if value is not None}
    where = " AND ".join([f"{column} = ?" for column in wanted] + [f"{time} >= ? AND ({time}, id) < (?, ?)"])
    query = f"SELECT id, {time}, body, crc FROM {table} WHERE {where} ORDER BY {time} DESC, id DESC LIMIT ?"  # noqa: S608  only names of ours
    return query, [*wanted.values(), since, *end]


def whole(rows: Iterable[tuple[str, int, bytes, int]], what: str) -> Iterator[bytes]:
    """Pass on the bodies of rows (id, time, body, checksum); the damaged ones are left out, and logged as `what`."""
    for id, _, body, crc in rows:  # noqa: A001
        if checksum(id, body) == crc:
            yield body
        else:
            _log.error("%s %s is damaged on disk and is left out", what, id)


def cursor(place: Place) -> str:
    """Write a place as an opaque text."""
    return base64.urlsafe_b64encode(f"{place[0]} {place[1]}".encode()).decode().rstrip("=")


def place(text: str | None) -> Place | None:
    """Read back what `cursor` wrote; None for None.

    Raises:
        CommandRefused: "invalidParameters", it is none of ours.
    """
    if text is None:
        return None
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode()
        time, _, id = decoded.partition(" ")  # noqa: A001
        time_ns = int(time)
        if not id or not 0 <= time_ns <= END_OF_TIME:
            raise ValueError(text)
    except (ValueError, binascii.Error) as error:
        raise CommandRefused(
            "invalidParameters", "the cursor is none that a page gave: leave it out to begin with the newest"
        ) from error
    return time_ns, id
