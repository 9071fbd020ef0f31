"""Numbers on the command line, each with its range."""

from __future__ import annotations

import argparse


def number(text: str, kind: type[int] | type[float], low: float, high: float) -> float:
    """Read a number from `low` to `high`; raises ArgumentTypeError."""
    try:
        value: float = kind(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
    return value


def port(text: str) -> int:
    """Read a port; raises ArgumentTypeError."""
    return round(number(text, int, 0, 65535))


def count(text: str) -> int:
    """Read how many; raises ArgumentTypeError."""
    return round(number(text, int, 1, 1_000_000))
