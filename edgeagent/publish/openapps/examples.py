"""One example of each function and event: what an agent said at a simulated oven, lists shortened."""

from __future__ import annotations

from importlib import resources
from typing import Any

import msgspec

FILE = "examples.json"
"""Written and compared by the tests, which live a whole day at the oven for it."""

LONGEST = 2
"""Entries that remain of a list, and of a map of lists."""


class Asked(msgspec.Struct, frozen=True):
    """What was asked and what was answered."""

    params: dict[str, Any]
    result: Any


class Examples(msgspec.Struct, frozen=True):
    """By name of the function, and the parameters of the notification by name of the event."""

    functions: dict[str, Asked]
    events: dict[str, dict[str, Any]]


def examples() -> Examples:
    """Read the examples that come with the agent."""
    return msgspec.json.decode(resources.files(__package__).joinpath(FILE).read_bytes(), type=Examples)


def shortened(value: Any) -> Any:
    """Cut lists, and maps of lists, to their first entries; what it is made of stays as it was said."""
    if isinstance(value, list):
        return [shortened(entry) for entry in value[:LONGEST]]
    if isinstance(value, dict):
        entries = list(value.items())
        if entries and all(isinstance(entry, list) for entry in value.values()):
            entries = entries[:LONGEST]
        return {key: shortened(entry) for key, entry in entries}
    return value
