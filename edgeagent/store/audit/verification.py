"""Reads a whole record and holds each line against the one before it and what the store remembers; changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from edgeagent.store.audit import anchor
from edgeagent.store.audit.anchor import Anchors
from edgeagent.store.audit.chain import BEGINNING, MOST_LINE, Head, Line, unseal
from edgeagent.store.audit.segments import first_of, raw_lines, segment_files
from edgeagent.store.connection import connect_reader

MOST_FAULTS = 100


class Fault(msgspec.Struct, frozen=True):
    """What is wrong at one place; `line` counts from 1 in its file, 0 where the file as a whole is meant."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


class Verdict(msgspec.Struct, kw_only=True, rename="camel"):
    """What came out.

    Attributes:
        segments, lines: files and whole lines that were read.
        whole_to: the head up to which nothing is wrong; head: the last line's, None where there is none.
        faults: at most 100; more: how many were not noted. notes: no faults, and worth to know.
    """

    segments: int = 0
    lines: int = 0
    whole_to: Head | None = None
    head: Head | None = None
    faults: list[Fault] = []
    more: int = 0
    notes: list[str] = []

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def wrong(self, file: Path, line: int, text: str) -> None:
        """Note a fault."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(str(file), line, text))
        else:
            self.more += 1


def remembered(store: Path) -> Anchors:
    """What a store remembers of its record; nothing where there is no store.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    if not store.exists():
        return Anchors()
    with closing(connect_reader(store)) as connection:
        return anchor.find(connection)


def verify(store: Path, heads: tuple[Head, ...] = (), first: int = 1) -> Verdict:
    """Verify the record beside a store, while an agent writes to it or none does.

    Args:
        heads: as they were written down earlier: the record must hold these lines.
        first: sequence to begin at; what is before it is not looked at.

    Raises:
        OSError: a file cannot be read.
    """
    verdict = Verdict()
    try:
        anchors = remembered(store)  # before the files: the record may be ahead of the store, never behind
    except sqlite3.Error as error:
        anchors = Anchors()
        verdict.wrong(store, 0, f"cannot be read ({error}): whether the record's end was cut, nobody knows")
    known = [head for head in (anchors.head, anchors.left if anchors.head is None else None) if head]
    wanted = {head.sequence: head for head in (*known, *heads) if head.sequence >= first}
    files = segment_files(store)
    while len(files) > 1 and first_of(files[1]) <= first:
        del files[0]
    _Walk(verdict, wanted, first).over(files)
    _missing(verdict, store, anchors, wanted, heads)
    return verdict


class _Walk:
    """One way through the lines, each held against the one before it."""

    def __init__(self, verdict: Verdict, wanted: dict[int, Head], first: int) -> None:
        self._verdict = verdict
        self._wanted = wanted
        self._first = first
        self._before: Head | None = BEGINNING if first == 1 else None
        self._place = 0
        self._is_loose = False

    def over(self, files: list[Path]) -> None:
        self._place = first_of(files[0]) - 1 if files else 0
        for file in files:
            self._verdict.segments += 1
            is_last = file == files[-1]
            for number, raw in enumerate(raw_lines(file), 1):
                line = unseal(raw)
                if line is not None:
                    self._whole(file, number, line)
                elif is_last and not raw.endswith(b"\n") and len(raw) <= MOST_LINE:
                    self._verdict.notes.append(f"{file}: a line at the end is being written, or a crash cut it off")
                else:
                    self._changed(file, number)

    def _whole(self, file: Path, number: int, line: Line) -> None:
        head = line.head
        self._place = head.sequence
        if head.sequence < self._first:
            return
        verdict, before = self._verdict, self._before
        if before is not None:
            if head.sequence != before.sequence + 1:
                verdict.wrong(file, number, _jump(before.sequence, head.sequence))
            elif not self._is_loose and line.previous != before.hash:
                verdict.wrong(file, number, f"entry {head.sequence} does not follow the entry {before} before it")
        wanted = self._wanted.pop(head.sequence, None)
        if wanted is not None and wanted != head:
            verdict.wrong(file, number, f"entry {head.sequence} is not the one that was there: its hash was "
                          f"{wanted.hash}")  # fmt: skip
        verdict.lines += 1
        verdict.head = self._before = head
        self._is_loose = False
        if not verdict.faults:
            verdict.whole_to = head

    def _changed(self, file: Path, number: int) -> None:
        self._place += 1
        if self._place < self._first:
            return
        before = self._before
        after = f"the line after entry {before.sequence}" if before and before.sequence else "this line"
        self._verdict.wrong(file, number, f"{after} is not as it was written")
        if before is not None:
            self._before = Head(before.sequence + 1, "")
        self._is_loose = True


def _jump(before: int, here: int) -> str:
    if here <= before:
        return f"entry {here} stands after entry {before}: moved, or written twice"
    if here == before + 2:
        return f"entry {before + 1} is missing"
    return f"entries {before + 1} to {here - 1} are missing"


def _missing(
    verdict: Verdict, store: Path, anchors: Anchors, wanted: dict[int, Head], heads: tuple[Head, ...]
) -> None:
    """What was to be there and was not met."""
    last = verdict.head.sequence if verdict.head else 0
    for head in wanted.values():
        if head == anchors.left and not verdict.segments:
            verdict.notes.append(f"the store is a backup; the record where it was made stood at {head}")
        else:
            who = "it was written down" if head in heads else "the store remembers it"
            end = f"the record ends at entry {last}" if last else "there is no record"
            verdict.wrong(store, 0, f"entry {head} is missing: {who}, and {end}")
    if anchors.head is None and verdict.head is not None and not heads:
        verdict.notes.append("the store remembers no head of the record: whether its end was cut, nobody knows")
