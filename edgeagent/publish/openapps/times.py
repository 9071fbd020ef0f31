"""Times as callers write them."""

from __future__ import annotations

from datetime import datetime

from edgeagent.clock import instant_ns
from edgeagent.errors import CommandRefused


def asked_ns(name: str, stamp: str | None) -> int | None:
    """Nanoseconds since 1970 of a caller's RFC 3339 time; None where it gave none.

    Raises:
        CommandRefused: invalidParameters when it is no time, outOfRange when it is not between 1970 and 2262.
    """
    if stamp is None:
        return None
    try:
        has_offset = datetime.fromisoformat(stamp).tzinfo is not None
    except ValueError:
        has_offset = False
    if not has_offset:
        raise CommandRefused("invalidParameters", f"{name}: write a time like 2026-11-21T21:53:00Z, not {stamp!r}.")
    try:
        return instant_ns(stamp)
    except ValueError as error:
        raise CommandRefused("outOfRange", f"{name}: {error}.") from error
