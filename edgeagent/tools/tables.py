"""Tables for people: aligned, no wider than the terminal, times in local time."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime

_GAP = "  "
_NARROWEST = 8
"""Columns of a terminal that a cell keeps at least."""


def width() -> int | None:
    """Columns of the terminal; None where the output is a file or a pipe, which take lines of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else None


def table(rows: Sequence[Sequence[str]], most: int | None, whole: int = 0) -> Iterator[str]:
    """Align cells in lines, numbers to the right.

    Args:
        rows: the headline and what is below it; equally many cells in each.
        most: columns of the terminal; the widest cells are cut until a line fits. None cuts nothing.
        whole: so many cells of a row are never cut, the first ones.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(_columns, column)) for column in zip(*cells, strict=True)]
    while most is not None and sum(widths) + len(_GAP) * (len(widths) - 1) > most:
        widest = max(range(whole, len(widths)), key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    is_number = [all(_is_number(cell) for cell in column[1:]) for column in zip(*cells, strict=True)]
    for row in cells:
        yield _GAP.join(map(_cell, row, widths, is_number)).rstrip()


def side_by_side(columns: Sequence[Sequence[str]], most: int | None) -> Iterator[str]:
    """Lines of a table that is broken into several below one another where it is too wide; each has the first column.

    Args:
        columns: each with its headline first.
    """
    first, *others = columns
    while others:
        count = len(others)
        while count > 1 and most is not None and _needed([first, *others[:count]]) > most:
            count -= 1
        yield from table(list(zip(first, *others[:count], strict=True)), most)
        others = others[count:]
        if others:
            yield ""


def cut(text: str, most: int | None) -> str:
    """Cut a line to so many columns, and say with dots that it was."""
    if most is None or _columns(text) <= most:
        return text
    while _columns(text) > most - 3:
        text = text[:-1]
    return f"{text}..."


def printable(text: str) -> str:
    """A text of somebody else's as it can do no harm to a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def number(value: float | None, unit: str = "") -> str:
    """A number for people, `-` where there is none."""
    return "-" if value is None else f"{value:g}{unit}"


def local(stamp: str | None) -> str:
    """An RFC 3339 time as local time with its offset from UTC, in seconds: `2026-11-21 22:53:00+01:00`."""
    return "-" if stamp is None else moment(stamp).isoformat(" ", "seconds")


def moment(stamp: str) -> datetime:
    """An RFC 3339 time in this computer's time zone."""
    return datetime.fromisoformat(stamp).astimezone()


def _needed(columns: Sequence[Sequence[str]]) -> int:
    return sum(max(map(_columns, column)) for column in columns) + len(_GAP) * (len(columns) - 1)


def _columns(text: str) -> int:
    """Columns of a terminal that a text takes: two for each wide character."""
    return len(text) if text.isascii() else sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _cell(text: str, columns: int, is_number: bool) -> str:
    text = cut(text, columns)
    space = " " * (columns - _columns(text))
    return space + text if is_number else text + space


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(".", "", 1).lstrip("-").isdecimal()
