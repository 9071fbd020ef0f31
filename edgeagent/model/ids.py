"""Names that are unique over time and sort by it."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(wall_ns: int) -> str:
    """Make an identifier of 26 characters: 48 bits of milliseconds, 80 random bits, in Crockford's base 32 (a ULID)."""
    number = (wall_ns // 1_000_000 & (1 << 48) - 1) << 80 | secrets.randbits(80)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
