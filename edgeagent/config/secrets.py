"""Secrets have no place in the configuration file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from firmware_iface.toml_lines import KeyPath

_SECRET = re.compile(
    r"(password|passwd|passphrase|secret|token|apikey)$|(^|[_-])(pass|pwd|key)$", re.IGNORECASE)  # fmt: skip
_ELSEWHERE = ("file:", "credential:")
"""How a key tells where its secret is."""


def take_out(document: dict[str, Any]) -> list[KeyPath]:
    """Take texts that look like secrets out of a document, so that nothing tells of them; where they were."""
    found = list(_secrets(document, ()))
    for *tables, key in found:
        table: Any = document
        for part in tables:
            table = table[part]
        del table[key]
    return found


def _secrets(value: Any, where: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str) and _SECRET.search(name) and not each.startswith(_ELSEWHERE):
                yield (*where, name)
            else:
                yield from _secrets(each, (*where, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _secrets(each, (*where, index))
