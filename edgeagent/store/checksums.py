"""The checksum of a row, kept beside it and compared whenever it is read."""

from __future__ import annotations

import zlib


def checksum(*parts: bytes | str) -> int:
    """CRC-32 of a row's parts."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part.encode() if isinstance(part, str) else part, zlib.crc32(b"\0", crc))
    return crc
