"""Which store a command is about, what is in it in words, and the process that writes to it."""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgeagent import config
from edgeagent.errors import ConfigError, StoreError
from edgeagent.store.connection import holder
from edgeagent.tools.asking import INSTALLED, configuration_of
from firmware_iface.map_reader import FileFault

if TYPE_CHECKING:
    import argparse
    import asyncio

    from edgeagent.store.backup import Contents
    from edgeagent.store.copying import Progress


def named(chosen: argparse.Namespace) -> Path:
    """The store that the options name, or that of the installed service; raises ConfigError."""
    if chosen.store is not None:
        return Path(chosen.store)
    file = configuration_of(chosen)
    if file is None:
        mend = "name the store with --config FILE or --store FILE"
        raise ConfigError([FileFault(str(INSTALLED), None, "", "cannot be read", mend)])
    configuration, _ = config.load(file)
    return file.parent / configuration.agent.store


def in_words(contents: Contents) -> list[str]:
    """What a store or a backup holds, for people."""
    numbers = f"{contents.first} to {contents.last}" if contents.events else "none"
    lines = [
        f"layout {contents.layout}, {contents.size / 1e6:.1f} MB",
        f"events  {numbers} ({contents.events}) of stream {contents.stream or 'unknown'}",
        f"boards  {contents.boards}",
    ]
    if contents.made:
        lines.insert(0, f"made    {contents.made}")
    damage = ", ".join(f"{count} rows of {table}" for table, count in (contents.damaged or {}).items())
    if damage:
        lines.append(f"damaged {damage}: these are left out whenever they are read")
    return lines


def progress(text: str, stop: asyncio.Event) -> Progress:
    """Show on a terminal how far a copy is, and end it with a StoreError when `stop` is set."""
    shown = -1

    def step(done: int, total: int) -> None:
        nonlocal shown
        if stop.is_set():
            raise StoreError("stopped: nothing was changed")
        percent = 100 * done // max(1, total)
        if sys.stderr.isatty() and percent != shown:
            shown = percent
            print(f"\r{text} {percent} %", end="\n" if percent == 100 else "", file=sys.stderr, flush=True)

    return step


class Owner:
    """The process that has a store open, if there is one; held, so that its number cannot come to mean another.

    Raises:
        StoreError: one has it open, and it cannot be found out which.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._number = holder(store)
        try:
            self._descriptor = os.pidfd_open(int(self._number)) if self._number else -1
        except (ValueError, OSError) as error:
            raise StoreError(f"{store}: process {self._number} has it open and cannot be found: {error}") from error

    def __enter__(self) -> Owner:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def is_alive(self) -> bool:
        """Whether there is such a process still; asked without touching the lock, which an agent may want just now."""
        return self._descriptor >= 0 and not select.select([self._descriptor], [], [], 0)[0]

    def begin_anew(self) -> None:
        """Tell the agent to end cleanly and begin anew.

        Raises:
            StoreError: it is not the process that has the store open, not one that begins anew, or not ours to tell.
        """
        try:
            if not self._has_open() or not self._heeds():
                raise StoreError(f"{self._store}: process {self._number} has it open and does not begin anew when "
                                 "told: stop it, then restore")  # fmt: skip
            signal.pidfd_send_signal(self._descriptor, signal.SIGHUP)
        except OSError as error:
            raise StoreError(
                f"{self._store}: process {self._number} has it open and cannot be told to begin anew: {error} "
                "(do it as its user or as root, or stop it first)"
            ) from error

    def _has_open(self) -> bool:
        lock = Path(f"{self._store}.lock")
        for file in Path(f"/proc/{self._number}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                if file.samefile(lock):
                    return True
        return False

    def _heeds(self) -> bool:
        """Whether it handles SIGHUP: others would just end."""
        status = Path(f"/proc/{self._number}/status").read_text(encoding="ascii")
        caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught, 16) >> (signal.SIGHUP - 1) & 1)
