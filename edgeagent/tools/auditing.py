"""`edgeagent audit`: whether the audit record is whole, what is in it, and that somebody accepts what is broken."""

from __future__ import annotations

import asyncio
import csv
import os
import pwd
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import msgspec

from edgeagent.clock import instant_ns
from edgeagent.errors import StoreError
from edgeagent.store.audit import accepting
from edgeagent.store.audit.chain import Line, unseal
from edgeagent.store.audit.segments import raw_lines, segment_files
from edgeagent.store.audit.verification import Verdict, remembered, verify
from edgeagent.tools import stores

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = ("sequence", "time", "clock", "kind", "who", "role", "transport", "peer", "function", "machine", "requestId",
           "job", "values", "before", "after", "outcome", "reason", "count", "until", "hash")  # fmt: skip

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes a cell for a formula by (OWASP, CSV injection)."""


async def run(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    """Verify, export or accept; false where the record is not whole.

    Raises:
        ConfigError, StoreError, OSError: it cannot be read.
    """
    store = stores.named(options)
    if not store.exists() and not (store.parent.is_dir() and segment_files(store)):
        raise StoreError(
            f"{store}: neither a store nor an audit record is there: name the store with --config FILE or --store FILE")
    if options.what == "verify":
        return await asyncio.to_thread(_verify, store, options)
    if options.what == "export":
        return await asyncio.to_thread(_export, store, options, stop)
    return _accept(store, options)


def _verify(store: Path, options: argparse.Namespace) -> bool:
    verdict = verify(store, tuple(options.head), options.first)
    if options.json:
        told = {"store": str(store), "whole": verdict.is_whole} | msgspec.to_builtins(verdict)
        print(msgspec.json.encode(told).decode())
    else:
        for line in in_words(store, verdict):
            print(line)
    return verdict.is_whole


def in_words(store: Path, verdict: Verdict) -> list[str]:
    """What came out, for people."""
    lines = [f"{store}: {verdict.lines} entries in {verdict.segments} files"]
    if verdict.is_whole:
        lines.append(f"whole, up to {verdict.head}" if verdict.head else "there is no record yet")
    else:
        lines.append(f"NOT WHOLE; nothing is wrong up to {verdict.whole_to or 'the first entry'}")
        lines += [f"  {fault}" for fault in verdict.faults]
        lines += [f"  and {verdict.more} more"] * bool(verdict.more)
    return lines + [f"note: {note}" for note in verdict.notes]


def _export(store: Path, options: argparse.Namespace, stop: asyncio.Event) -> bool:
    """Write what is asked for, as whole lines or as a table; false where some lines are not as they were written."""
    changed = 0
    with _output(options.output) as output:
        table = csv.writer(output)
        if options.format == "csv":
            table.writerow(COLUMNS)
        for raw in (raw for file in segment_files(store) for raw in raw_lines(file)):
            if stop.is_set():
                raise StoreError("stopped: what was written is not everything")
            line = unseal(raw)
            if line is None:
                changed += 1
                continue
            entry = msgspec.json.decode(line.entry)
            if not _is_wanted(entry, options):
                continue
            if options.format == "csv":
                table.writerow(_row(line, entry))
            else:
                output.write(raw.decode())
    if changed:
        print(f"{store}: {changed} lines are not as they were written and are left out: see edgeagent audit verify",
              file=sys.stderr)  # fmt: skip
    return not changed


@contextmanager
def _output(path: Path | None) -> Iterator[IO[str]]:
    if path is None:
        yield sys.stdout
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise StoreError(f"{path}: is there already: name another file") from None
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        yield file


def _is_wanted(entry: dict[str, Any], options: argparse.Namespace) -> bool:
    if options.user is not None and entry.get("who") != options.user:
        return False
    if options.since is None and options.until is None:
        return True
    try:
        first, last = instant_ns(entry["time"]), instant_ns(entry.get("until") or entry["time"])
    except (KeyError, TypeError, ValueError):
        return True  # rather one too many than one that nobody sees
    since, until = options.since, options.until
    return (since is None or last >= since) and (until is None or first < until)


def _row(line: Line, entry: dict[str, Any]) -> list[str]:
    cells = {"sequence": line.head.sequence, "hash": line.head.hash} | entry
    return [_cell(cells.get(column)) for column in COLUMNS]


def _cell(value: Any) -> str:
    """A text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if text.startswith(_FORMULA) else text


def _accept(store: Path, options: argparse.Namespace) -> bool:
    broken = remembered(store).broken
    if broken is None:
        print(f"{store}: nothing is told as broken, there is nothing to accept")
        return True
    accepting.lay(store, accepting.Accepted(_user(), broken, options.reason))
    with stores.Owner(store) as owner:
        if owner.is_alive():
            try:
                owner.begin_anew()
            except StoreError:
                accepting.take_away(store)
                raise
            print(f"{store}: the agent begins anew and takes it up")
        else:
            print(f"{store}: taken up at the agent's next start")
    print(f"accepted: {broken}")
    return True


def _user() -> str:
    name = pwd.getpwuid(os.getuid()).pw_name
    by = os.environ.get("SUDO_USER")
    return f"{by} as {name}" if by else name
