"""One database file in the place of another, which is put aside: a crash at any moment is gone on from."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from edgeagent.store.copying import sync_folder

_SUFFIXES = ("", "-wal", "-shm")
_STAMP = "%Y%m%dT%H%M%SZ"


def aside(store: Path, why: str, now: datetime) -> str:
    """A free name beside a store for the file that is put aside: `<store>.<why>-<time>`."""
    name = f"{store}.{why}-{now:{_STAMP}}"
    numbers = (f"{name}-{number}" for number in range(2, 1000))
    return next(free for free in (name, *numbers) if not Path(free).exists())


def newest_aside(store: Path, why: str) -> tuple[str, datetime] | None:
    """The file beside a store that was put aside last, and when; None where none lies there."""
    named = re.compile(re.escape(f"{store.name}.{why}-") + r"(\d{8}T\d{6}Z)(?:-(\d+))?")
    found = [(match[1], int(match[2] or 1), str(file)) for file in store.parent.iterdir()
             if (match := named.fullmatch(file.name))]  # fmt: skip
    if not found:
        return None
    stamp, _, newest = max(found)
    return newest, datetime.strptime(f"{stamp}+0000", f"{_STAMP}%z")


def swap(laid: Path, store: Path, to: str | None, *, with_mark: bool) -> None:
    """Put what is at the store's place aside, and what was laid there; may be done again after a crash.

    Args:
        to: name of the file that is put aside; None where there is none.
        with_mark: whether the mark goes with it, because the stream does not go on.

    Raises:
        OSError: a file cannot be moved.
    """
    if to:
        for suffix in (*_SUFFIXES, *((".mark",) if with_mark else ())):
            file = Path(f"{store}{suffix}")
            if file.exists():
                file.rename(f"{to}{suffix}")
        sync_folder(store.parent)
    laid.rename(store)
    sync_folder(store.parent)
