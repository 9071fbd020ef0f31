"""A configuration without its secrets: comments and everything else stay as they were written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

LEFT_OUT = "(left out)"

_NAMES = r"pass(?:word|wd|phrase)?|pwd|secret|token|credential|private|apikey|(?:^|[._-])key|(?:^|[._-])pin|auth"
_SECRET = re.compile(_NAMES, re.I)
_KEY = re.compile(r"""(?P<key>"[^"\n]*"|'[^'\n]*'|[A-Za-z0-9_.-]+)(?P<equals>\s*=\s*)""")
_VALUE = re.compile(
    r"""\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'"""  # texts
    r"""|\[[^\]]*\]|\{[^}]*\}|[^\s,#}\]"'\[{][^\s,#}\]]*""", re.S)  # lists, tables, numbers
_TOLD = re.compile(rf"(#[^\n]*?(?:{_NAMES})[^\n:=]*:[ \t]*)\S[^\n]*", re.I)
"""A comment that tells a secret as people do: `# password: hunter2`."""
_USER_IN_URL = re.compile(r"(://)[^/\s@\"']+@")


def without_secrets(text: str) -> str:
    """Replace every value of a key that names a secret, in comments too, and whoever stands in an address.

    Returns:
        The text, or one line that says why it is left out, where not every secret is found for certain.
    """
    shown = _USER_IN_URL.sub(rf"\g<1>{LEFT_OUT}@", _TOLD.sub(rf"\g<1>{LEFT_OUT}", _replaced(text)))
    try:
        left = [name for name, value in _secrets(tomllib.loads(shown)) if value != LEFT_OUT]
    except tomllib.TOMLDecodeError:
        # What cannot be read may be wrong in the very place where a secret begins.
        left = sorted({name for line in shown.splitlines() for name in _unsure(line)})
    if left:
        return f"# left out: it is not certain where {', '.join(left)} ends\n"
    return shown


def _replaced(text: str) -> str:
    parts, at = [], 0
    for found in _KEY.finditer(text):
        if found.start() < at or not _SECRET.search(found["key"].strip("\"'")):
            continue
        value = _VALUE.match(text, found.end())
        if value:
            parts += [text[at:found.end()], f'"{LEFT_OUT}"']
            at = value.end()
    return "".join(parts) + text[at:]


def _secrets(table: Any, name: str = "", is_secret: bool = False) -> Iterator[tuple[str, Any]]:
    """Every value below a key that names a secret."""
    if isinstance(table, dict):
        for key, value in table.items():
            yield from _secrets(value, key, is_secret or bool(_SECRET.search(key)))
    elif isinstance(table, list):
        for value in table:
            yield from _secrets(value, name, is_secret)
    elif is_secret:
        yield name, table


def _unsure(line: str) -> Iterator[str]:
    """Keys of secrets on a line whose value is not, as a whole, what it was replaced by."""
    for found in _KEY.finditer(line):
        rest = line[found.end():].strip()
        if _SECRET.search(found["key"]) and not re.match(rf'"{re.escape(LEFT_OUT)}"\s*([,#}}\]]|$)', rest):
            yield found["key"]
