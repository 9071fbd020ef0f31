"""Restores a store from a backup, under a running agent or without one."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from edgeagent.errors import StoreError
from edgeagent.store import restoring, standing
from edgeagent.store.backup import Contents, examine
from edgeagent.store.connection import connect_reader, lock
from edgeagent.store.restored import Restored, find, laid_file
from edgeagent.tools import stores
from edgeagent.tools.consent import agreed

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

_PATIENCE_S = 60.0
_LOOK_S = 0.1


async def restore(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    """Restore, and say what came of it; false where it was not wanted or is still to come.

    Raises:
        ConfigError, StoreError: the backup cannot be used, or the agent not be told; the store is as it was.
    """
    store = stores.named(options)
    backup = await asyncio.to_thread(examine, options.backup, is_thorough=True)
    print(f"{options.backup}:")
    for line in stores.in_words(backup):
        print(f"  {line}")
    for line in await asyncio.to_thread(_losses, store, options.backup, backup):
        print(line)
    if not options.yes and not await agreed("restore it?", stop):
        print("nothing was changed", file=sys.stderr)
        return False
    name = await asyncio.to_thread(restoring.lay, options.backup, store, stores.progress("copy", stop))
    restored = await _taken_up(store, name, stop)
    if restored is None:
        print(f"not restored yet: {laid_file(store)} is taken up at the agent's next start; delete it to leave the "
              "store as it is", file=sys.stderr)  # fmt: skip
        return False
    _tell(store, restored)
    return True


def _losses(store: Path, file: Path, backup: Contents) -> list[str]:
    """What of the present store the backup lacks, in words."""
    if not store.exists():
        return [f"{store}: there is no store yet"]
    try:
        present = examine(store, is_thorough=False)
        with closing(connect_reader(file)) as connection:
            ids = {id for (id,) in connection.execute("SELECT id FROM boards")}  # noqa: A001
        with closing(connect_reader(store)) as connection:
            boards = sum(id not in ids for (id,) in connection.execute("SELECT id FROM boards"))  # noqa: A001
    except (StoreError, OSError, sqlite3.Error) as error:
        return [f"{store}: cannot be read well ({error}); what can be read of boards is taken over"]
    is_same = present.stream == backup.stream
    events = max(0, present.last - backup.last) if is_same else present.events
    of = "newer than the backup" if is_same else f"of stream {present.stream}"
    return [
        f"{store}: {events} events {of} are no longer told; a new stream begins",
        f"  {boards} board records that the backup lacks, and the boards inside now, are taken over",
        "  the store of now is put aside and not deleted",
    ]


async def _taken_up(store: Path, name: str, stop: asyncio.Event) -> Restored | None:
    """Have it taken up by the agent, or here when none runs; None where that did not come about in time.

    Raises:
        StoreError: the agent cannot be told, or what was laid cannot be taken up.
    """
    with stores.Owner(store) as owner:
        _tell_owner(store, owner)
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end and not stop.is_set():
            is_alive = owner.is_alive()
            if laid_file(store).exists():
                if not is_alive:
                    await asyncio.to_thread(_take_up, store)
            elif restoring.refused_file(store).exists():
                raise StoreError(f"{store}: the restore was refused and the store is as it was: see the agent's log")
            elif restored := await asyncio.to_thread(_found, store, name, is_alive):
                return restored
            await asyncio.sleep(_LOOK_S)
    return None


def _tell_owner(store: Path, owner: stores.Owner) -> None:
    """Have an agent begin anew; what was laid is taken back when it cannot be told."""
    if not owner.is_alive():
        return
    try:
        owner.begin_anew()
    except StoreError:
        restoring.discard(store)
        raise


def _take_up(store: Path) -> None:
    """Take it up here, unless an agent begins just now and does it."""
    try:
        descriptor = lock(store)
    except StoreError:
        return
    try:
        if os.geteuid() == 0:
            laid = laid_file(store).stat()
            os.fchown(descriptor, laid.st_uid, laid.st_gid)
        restoring.take_up(store)
    finally:
        os.close(descriptor)


def _found(store: Path, name: str, is_alive: bool) -> Restored | None:
    """The restore of this name when the store comes from it, and the agent, where it lives, stands on it."""
    try:
        with closing(connect_reader(store)) as connection:
            restored = find(connection)
            stands = standing.has_stream(connection)
    except sqlite3.Error:
        return None
    is_it = restored is not None and restored.laid == name
    return restored if is_it and (stands or not is_alive) else None


def _tell(store: Path, restored: Restored) -> None:
    print(f"{store}: restored")
    if restored.aside:
        machines = ", ".join(restored.machines) or "no machine"
        print(f"  taken over: {restored.boards} board records, the state of {machines}")
        print(f"  the store of before: {restored.aside}")
    if restored.unread:
        print(f"  not readable in the store of before: {', '.join(restored.unread)}")
    print("  a new stream begins: whoever reads events begins anew")
