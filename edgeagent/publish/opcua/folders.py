"""The folders of certificates, as files alone: who is trusted, and who changed that; for those that compute nothing."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

MOST_BYTES = 8192
"""Of one certificate; those in use have 1 to 2 KB."""

MOST_TRUSTED = 1000

_SETTLES_S = 1.0
"""After a change a folder is read once more: a file may not have been whole, and two changes may bear one time."""

State = Literal["trusted", "rejected"]
TRUSTED: Final = "trusted"
REJECTED: Final = "rejected"

_CHANGES = "changes.json"
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


class Change(msgspec.Struct, frozen=True):
    """Who trusted or rejected a certificate last.

    Attributes:
        by: the account of this computer. subject: of the certificate.
    """

    by: str
    subject: str


_decoder = msgspec.json.Decoder(dict[str, Change])


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate's DER, hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def der_of(content: bytes) -> bytes:
    """A file's certificate as DER; raises ValueError where it is PEM, and none."""
    if not content.startswith(b"-----BEGIN"):
        return content
    begin = content.index(_BEGIN) + len(_BEGIN)
    return base64.b64decode(b"".join(content[begin : content.index(_END, begin)].split()), validate=True)


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Fingerprint and file of all that can be read, up to `MOST_TRUSTED`; what is none is left out."""
    for file in sorted(folder.iterdir())[:MOST_TRUSTED]:
        with suppress(OSError, ValueError):
            if file.stat().st_size <= 2 * MOST_BYTES:
                yield fingerprint(der_of(file.read_bytes())), file


class Fingerprints:
    """Those of a folder's certificates, read anew where it has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: frozenset[str] = frozenset()
        self._changed_at = -1
        self._settles_at: float | None = None

    def now(self) -> frozenset[str]:
        """All that there are; raises OSError while the folder cannot be read, and then reads all of it anew."""
        known_at, self._changed_at = self._changed_at, -1
        changed_at, now = self._folder.stat().st_mtime_ns, time.monotonic()
        has_settled = self._settles_at is not None and now >= self._settles_at
        if changed_at != known_at or has_settled:
            self._settles_at = None if changed_at == known_at else now + _SETTLES_S
            self._found = frozenset(known for known, _ in files(self._folder))
        self._changed_at = changed_at
        return self._found


def changes(folder: Path) -> dict[str, Change]:
    """Fingerprint → who changed it last, as far as it was noted; nothing where that cannot be read."""
    try:
        return _decoder.decode((folder / _CHANGES).read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}


def note(folder: Path, digest: str, change: Change) -> None:
    """Remember who changed a certificate; raises OSError."""
    known = changes(folder)
    known.pop(digest, None)
    known[digest] = change
    newest = dict(list(known.items())[-MOST_TRUSTED:])
    beside = folder / f".{_CHANGES}.{os.getpid()}"
    beside.write_bytes(msgspec.json.encode(newest))
    beside.replace(folder / _CHANGES)
