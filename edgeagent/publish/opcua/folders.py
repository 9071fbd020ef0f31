"""The folders of certificates, as files alone: who is trusted, and who changed that; for those that compute nothing."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

MOST_BYTES = 8192
"""Of one certificate; those in use have 1 to 2 KB."""

MOST_TRUSTED = 1000

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
