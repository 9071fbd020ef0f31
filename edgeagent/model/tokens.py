"""Tokens: 256 random bits, a prefix that scanners for secrets find, a checksum that no typing error passes."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

PREFIX = "edgeagent_"

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM, _CHECK = 43, 6
"""Digits to the base of 62 that hold 256 and 32 bits."""

_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECK}}}")


def new_token() -> str:
    """Make a token: `edgeagent_`, 43 random digits and letters, 6 that check them."""
    random = _based(secrets.randbits(256), _RANDOM)
    return f"{PREFIX}{random}{_check(random)}"


def mistake(text: str) -> str | None:
    """Say why a text cannot be a token, in a clause; None where it can be one."""
    if not _FORM.fullmatch(text):
        return f"a token is {PREFIX} and {_RANDOM + _CHECK} digits and letters"
    random = text[len(PREFIX) : -_CHECK]
    return None if text.endswith(_check(random)) else "its checksum does not fit, so it was mistyped or cut"


def digest(token: str) -> str:
    """What is kept of a token: its SHA-256 in hex. So many random bits need no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def _check(random: str) -> str:
    return _based(zlib.crc32(f"{PREFIX}{random}".encode()), _CHECK)


def _based(number: int, count: int) -> str:
    digits = []
    for _ in range(count):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
