"""kill -9 at every moment: a process that does one thing again and again, and dies one step later each time.

A step is a file opened, moved or deleted, or a statement of SQL.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

from edgeagent.store import healing
from edgeagent.store.connection import connect_writer
from edgeagent.store.restoring import take_up
from tests.surroundings import beside_the_tests

STEPS = {"open", "os.rename", "os.remove", "os.link", "os.truncate", "sqlite3.connect"}
ROOT = Path(__file__).resolve().parents[2]


def migrate(store: Path) -> None:
    connect_writer(store).close()


def heal(store: Path) -> None:
    healing.take_up(store)
    if damage := healing.look(store):
        healing.heal(store, damage)


def deaths(template: Path, store: str, work: str, folder: Path) -> list[Path]:
    """Do a work of `main` with copies of a folder; returns each death's store, last the one alive."""
    command = [sys.executable, "-P", "-m", "tests.store.deaths", template, store, work, folder]
    subprocess.run(command, check=True, cwd=ROOT, env=beside_the_tests(), timeout=120)
    return [place / store for place in sorted(folder.iterdir())]


def die_at(step: int, *, reads: bool = True) -> None:
    counted = itertools.count(1)

    def count(statement: object = None) -> None:
        if not reads and isinstance(statement, str) and statement.startswith("SELECT"):
            return
        if next(counted) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, _: tuple) -> None:
        if event in STEPS:
            count()

    class Traced(sqlite3.Connection):
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)
            self.set_trace_callback(count)

    sys.addaudithook(hook)
    sqlite3.connect = partial(sqlite3.connect, factory=Traced)


def main(template: str, store: str, work: str, folder: str) -> None:
    for step in itertools.count(1):
        place = Path(folder) / f"{step:04}"
        shutil.copytree(template, place)
        child = os.fork()
        if child == 0:
            die_at(step, reads=work != "heal")
            {"migrate": migrate, "take_up": take_up, "heal": heal}[work](place / store)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != -signal.SIGKILL:
            sys.exit(status)


def tables(path: Path, names: tuple[str, ...]) -> dict[str, list]:
    """All rows of some tables."""
    with closing(sqlite3.connect(path)) as connection:
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in names}


def layout(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


if __name__ == "__main__":
    main(*sys.argv[1:])
