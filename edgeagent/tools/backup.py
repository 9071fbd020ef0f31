"""Backs a store up while the agent writes to it, or while none does."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from edgeagent.store.backup import back_up
from edgeagent.tools import stores

if TYPE_CHECKING:
    import argparse


async def backup(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    """Make a backup and say what is in it; false where rows of the store are damaged.

    Raises:
        ConfigError, StoreError: there is no backup, and no file where it would be.
    """
    store, begun = stores.named(options), time.monotonic()
    contents = await asyncio.to_thread(
        back_up, store, options.output, replace=options.force, progress=stores.progress("backup", stop))
    took_s = time.monotonic() - begun
    if options.json:
        print(msgspec.json.encode({"backup": str(options.output), "seconds": round(took_s, 3)}
                                  | msgspec.to_builtins(contents)).decode())  # fmt: skip
    else:
        print(f"{options.output}: backup of {store}, {took_s:.1f} s")
        for line in stores.in_words(contents):
            print(f"  {line}")
    if contents.damaged:
        print(f"{store} holds damaged rows, and so does the backup: look after the disk", file=sys.stderr)
    return not contents.damaged
