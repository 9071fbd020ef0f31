"""One database file in the place of another, which is put aside: a crash at any moment is gone on from."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from edgeagent.store.copying import sync_folder

_SUFFIXES = ("", "-wal", "-shm")


def aside(store: Path, why: str, now: datetime) -> str:
    """A free name beside a store for the file that is put aside: `<store>.<why>-<time>`."""
    name = f"{store}.{why}-{now:%Y%m%dT%H%M%SZ}"
    numbers = (f"{name}-{number}" for number in range(2, 1000))
    return next(free for free in (name, *numbers) if not Path(free).exists())


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
