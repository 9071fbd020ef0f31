"""A step costs what it deletes, however much is kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from edgeagent.clock import iso
from edgeagent.model.alarms import Alarm
from edgeagent.model.events import AlarmTold, Event
from edgeagent.store import Archive, trimming
from edgeagent.store.connection import connect_writer
from edgeagent.store.sizes import CLASSES, Class
from edgeagent.store.states import put
from tests.store.samples import NOON, board, left, with_store
from tests.store.test_retention import MACHINES, StandingClock, state

_SOME = 10
"""Instructions of SQLite between two counts."""


def alarm(topic: str, number: int, machine: str) -> Event:
    told = Alarm(f"a{number}", "E100", "too hot", "fault", "zone/1/top", iso(NOON + number * 10**9), False)
    return Event(topic, NOON + number * 10**9, machine, AlarmTold(told))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("trimming") / "s.db"

    async def use(database) -> None:
        archive = await Archive.open(database, StandingClock())
        for number in range(1000):
            machine = MACHINES[number % 2]
            archive.journal.append([state("", NOON, machine), left(board(f"b{number}", NOON + number, machine=machine)),
                                    alarm("Alarm.Raised", number, machine), alarm("Alarm.Cleared", number, machine)])
            archive.states._database.submit(lambda c, number=number, machine=machine: put(
                c, machine, number, number + 1, "running"))
        await archive.journal.settled(archive.journal.last_sequence)

    with_store(path, use)
    return path


@pytest.mark.parametrize("name", CLASSES)
def test_a_step_that_deletes_nothing_looks_at_almost_nothing(path, name: Class):
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += _SOME
        return 0

    with closing(connect_writer(path)) as connection:
        connection.execute("BEGIN")
        connection.set_progress_handler(count, _SOME)
        cut = trimming.trim(connection, name, trimming.Wanted(0, {}, 200))
        connection.set_progress_handler(None, 0)
        connection.execute("ROLLBACK")
    assert cut.rows == 0
    assert counted < 2000


def test_the_kinds_are_those_that_there_are(path):
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT DISTINCT machine, topic FROM events ORDER BY 1, 2").fetchall()
        assert list(trimming.table.kinds(connection)) == found
