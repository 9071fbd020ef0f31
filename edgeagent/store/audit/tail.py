"""How the record ends when it is taken up, and what is wrong with that; nothing is changed here."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgeagent.store.audit.anchor import Anchors
from edgeagent.store.audit.chain import BEGINNING, Head, Line, unseal
from edgeagent.store.audit.segments import first_of, segment_files

LOOKED_AT = 1 << 20
"""Bytes of the newest segment; the rest is for `edgeagent audit verify`."""

_UNKNOWN = "the store remembers no head of the record: whether its end was cut before, nobody knows"


class Tail(msgspec.Struct, frozen=True):
    """The end of the record.

    Attributes:
        head: what the next line follows.
        segment: the file to go on in, None where a new one begins. torn: bytes at its end of a line that a crash cut
            off, which nobody was told of.
        faults: what is wrong, in words. notes: what an auditor should know, and is no fault.
    """

    head: Head
    segment: Path | None = None
    torn: int = 0
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def look(store: Path, anchors: Anchors) -> Tail:
    """Look at the end of a store's record and hold it against what the store remembers.

    Raises:
        OSError: it cannot be read.
    """
    files = segment_files(store)
    if not files:
        return _without_files(anchors)
    newest = files[-1]
    raw, remainder = _last_lines(newest)
    if not raw and len(files) > 1:  # begun, and nothing written yet
        raw, _ = _last_lines(files[-2])
    lines, torn, faults = _walk(raw)
    torn += remainder
    head = lines[-1].head if lines else BEGINNING
    known = anchors.head or anchors.left
    faults += _anchored(files, lines, head, known)
    if not lines and (len(files) > 1 or raw):
        faults.append(f"{newest.name}: no line at its end is as it was written")
    notes = [] if known or not lines else [_UNKNOWN]
    if not faults:
        return Tail(head, newest, torn, (), tuple(notes))
    last = max(head.sequence, known.sequence if known else 0, first_of(newest) - (not newest.stat().st_size))
    digest = known.hash if known and known.sequence > head.sequence else head.hash
    return Tail(Head(last, digest), None, 0, tuple(faults), tuple(notes))


def find(files: list[Path], sequence: int) -> Line | None:
    """Find the line of a sequence; None where there is none, or it is not as it was written.

    Raises:
        OSError: a file cannot be read.
    """
    begin = b'{"sequence":%d,' % sequence
    for file in reversed(files):
        if first_of(file) <= sequence:
            with file.open("rb") as opened:
                return next((unseal(line) for line in opened if line.startswith(begin)), None)
    return None


def _without_files(anchors: Anchors) -> Tail:
    if anchors.head:
        lost = f"the whole record is missing: entries 1 to {anchors.head.sequence}"
        return Tail(anchors.head, faults=(lost,))
    if anchors.left:
        note = f"the store is a backup; the record beside the store that it was made of stood at {anchors.left}"
        return Tail(BEGINNING, notes=(note,))
    return Tail(BEGINNING)


def _last_lines(file: Path) -> tuple[list[bytes], int]:
    """The whole lines at the end of a file, and how many bytes follow them."""
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
        opened.seek(max(0, size - LOOKED_AT))
        data = opened.read()
    *lines, remainder = data.split(b"\n")
    if size > LOOKED_AT and lines:
        del lines[0]
    return [line + b"\n" for line in lines], len(remainder)


def _walk(raw: list[bytes]) -> tuple[list[Line], int, list[str]]:
    """The lines that are whole, bytes at the end that a crash left, and what is wrong with the others."""
    lines: list[Line] = []
    faults: list[str] = []
    torn = 0
    for line in map(_Raw, raw):
        torn += line.size if torn or line.is_hole else 0
        if line.read is None:
            if not torn:
                after = f"the line after {lines[-1].head.sequence}" if lines else "a line"
                faults.append(f"{after} is not as it was written")
            continue
        if torn:
            faults.append(f"before line {line.read.head.sequence} is a hole")
            torn = 0
        elif lines and not faults and not _follows(lines[-1].head, line.read):
            faults.append(f"line {line.read.head.sequence} does not follow {lines[-1].head.sequence}")
        lines.append(line.read)
    return lines, torn, faults


class _Raw:
    def __init__(self, text: bytes) -> None:
        self.size = len(text)
        self.is_hole = b"\0" in text  # a file system that grew the file and lost its bytes in a power cut
        self.read = unseal(text)


def _follows(head: Head, line: Line) -> bool:
    return line.head.sequence == head.sequence + 1 and line.previous == head.hash


def _anchored(files: list[Path], lines: list[Line], head: Head, known: Head | None) -> list[str]:
    """Whether the line that the store remembers is there."""
    if known is None or known == BEGINNING:
        return []
    if known.sequence > head.sequence:
        return [f"entries {head.sequence + 1} to {known.sequence} are missing: the store remembers {known}"]
    there = next((line for line in lines if line.head.sequence == known.sequence), None) or find(files, known.sequence)
    if there is None or there.head != known:
        return [f"line {known.sequence} is not the one that the store remembers, {known}"]
    return []
