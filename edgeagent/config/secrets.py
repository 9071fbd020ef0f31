"""Secrets have no place in the configuration file; it names the file that holds one, or the credential of systemd."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firmware_iface.toml_lines import KeyPath

_SECRET = re.compile(
    r"(password|passwd|passphrase|secret|token|apikey)$|(^|[_-])(pass|pwd|key)$", re.IGNORECASE)  # fmt: skip
_ELSEWHERE = ("file:", "credential:")
"""How a key tells where its secret is."""


def is_secret(name: str) -> bool:
    """Whether a name is one of a secret."""
    return bool(_SECRET.search(name))


def take_out(document: dict[str, Any]) -> list[KeyPath]:
    """Take texts that look like secrets out of a document, so that nothing tells of them; where they were."""
    found = list(_secrets(document, ()))
    for *tables, key in found:
        table: Any = document
        for part in tables:
            table = table[part]
        del table[key]
    return found


def file_of(named: str, folder: Path) -> Path:
    """The file that a key names: `credential:NAME`, `file:PATH` or a path, taken from the configuration's folder.

    Raises:
        ValueError: it is a credential, and systemd gave none to this process.
    """
    kind, _, name = named.partition(":")
    if f"{kind}:" == "credential:":
        given = os.environ.get("CREDENTIALS_DIRECTORY")
        if not given:
            raise ValueError(f"{named}: systemd gave this process no credentials")
        if "/" in name or name in ("", ".", ".."):
            raise ValueError(f"{named}: {name!r} is no name of a credential")
        return Path(given) / name
    return folder / (name if f"{kind}:" == "file:" else named)


def _secrets(value: Any, where: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str) and is_secret(name) and not each.startswith(_ELSEWHERE):
                yield (*where, name)
            else:
                yield from _secrets(each, (*where, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _secrets(each, (*where, index))
