"""That somebody looked into a broken record and accepts it: laid beside the store, taken up at the next start."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from edgeagent.store.copying import sync_folder

_MOST = 16 << 10


class Accepted(msgspec.Struct, frozen=True):
    """Who accepts what was told as broken, and why it is."""

    who: str
    broken: str
    reason: str


def accepted_file(store: Path) -> Path:
    """Where it waits."""
    return Path(f"{store}.audit.accept")


def lay(store: Path, accepted: Accepted) -> None:
    """Lay it beside a store, for the owner of the store to take away; raises OSError."""
    file = accepted_file(store)
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        if os.geteuid() == 0:
            owner = store.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        opened.write(msgspec.json.encode(accepted))
        opened.flush()
        os.fsync(descriptor)
    sync_folder(store.parent)


def laid(store: Path) -> Accepted | None:
    """What lies there; None where nothing does, or nothing that can be read."""
    try:
        with accepted_file(store).open("rb") as file:
            return msgspec.json.decode(file.read(_MOST), type=Accepted)
    except (OSError, ValueError):
        return None


def take_away(store: Path) -> None:
    """Take it away once it is an entry; raises OSError."""
    accepted_file(store).unlink(missing_ok=True)
