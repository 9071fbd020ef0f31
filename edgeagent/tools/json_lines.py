"""Where each key of a JSON text stands, and which stands twice: the library tells values, not lines."""

from __future__ import annotations

import json
import re

from firmware_iface.toml_lines import KeyPath

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[\[\]{}:,]|[^\s\[\]{}:,"]+')


class DoubledKey(ValueError):
    """A key that stands twice in one table: nobody knows which value is meant."""

    def __init__(self, where: KeyPath, line: int) -> None:
        super().__init__("stands twice")
        self.where = where
        self.line = line


def key_lines(text: str) -> dict[KeyPath, int]:
    """Find the line (from 1) of every key and array element of a text that `json.loads` has accepted.

    Raises:
        DoubledKey: a table has a key twice.
    """
    lines: dict[KeyPath, int] = {}
    where: list[str | int | None] = []
    """One part for each table or array that is open: None before its first key."""
    is_key = False
    line, at = 1, 0
    for match in _TOKEN.finditer(text):
        line, at = line + text.count("\n", at, match.start()), match.start()
        word = match.group()
        if word in "]}":
            where.pop()
            is_key = False
            continue
        if word == ",":
            if isinstance(where[-1], int):
                where[-1] += 1
            is_key = not isinstance(where[-1], int)
            continue
        if word == ":":
            is_key = False
            continue
        if is_key:
            where[-1] = str(json.loads(word))
            if (place := tuple(part for part in where if part is not None)) in lines:
                raise DoubledKey(place, line)
        if where and where[-1] is not None:
            lines.setdefault(tuple(part for part in where if part is not None), line)
        if word in "[{":
            where.append(0 if word == "[" else None)
            is_key = word == "{"
    return lines
