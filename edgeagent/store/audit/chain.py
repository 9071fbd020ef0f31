"""How an entry becomes a line that cannot be changed, left out or moved without being found.

A line is `{"sequence":N,"previous":"…","entry":{…},"hash":"…"}`. `hash` is the SHA-256 of the line's bytes before
`,"hash"`, in lower-case hexadecimal; `previous` is the hash of the line before it, 64 zeros in the first.
"""

from __future__ import annotations

import re
from hashlib import sha256

import msgspec

MOST_LINE = 64 << 10
"""Bytes; no line of ours is longer."""

_TEXT = re.compile(
    rb'\{"sequence":([1-9][0-9]{0,18}),"previous":"([0-9a-f]{64})","entry":(\{.*\}),"hash":"([0-9a-f]{64})"\}\n'
)
_SEALED = len(',"hash":""}\n') + 64


class Head(msgspec.Struct, frozen=True):
    """How far a chain goes: the sequence of its last line, and that line's hash."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def of(cls, text: str) -> Head:
        """Read `sequence:hash`; raises ValueError when it is none."""
        sequence, _, digest = text.strip().partition(":")
        if not re.fullmatch("[0-9]{1,19}", sequence) or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"{text!r} is no head: it is a sequence, a colon and 64 hexadecimal digits")
        return cls(int(sequence), digest)


BEGINNING = Head(0, "0" * 64)
"""Before the first line."""


class Line(msgspec.Struct, frozen=True):
    """A line that is whole by itself; whether it belongs here, its place and `previous` tell. `entry` is JSON."""

    head: Head
    previous: str
    entry: bytes


def seal(head: Head, entry: bytes) -> tuple[bytes, Head]:
    """Make the line that follows a head, and the new head."""
    sequence = head.sequence + 1
    text = b'{"sequence":%d,"previous":"%b","entry":%b' % (sequence, head.hash.encode(), entry)
    digest = sha256(text).hexdigest()
    return b'%b,"hash":"%b"}\n' % (text, digest.encode()), Head(sequence, digest)


def unseal(line: bytes) -> Line | None:
    """Read a line with its end; None when it is not as it was sealed."""
    found = _TEXT.fullmatch(line)
    if found is None or len(line) > MOST_LINE:
        return None
    sequence, previous, entry, digest = found.groups()
    if sha256(line[:-_SEALED]).hexdigest().encode() != digest:
        return None
    return Line(Head(int(sequence), digest.decode()), previous.decode(), entry)
