"""Events that are set aside: with the place that goes beyond them or not at all, and as they were sent."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest
from msgspec.structs import replace

from edgeagent.errors import StoreError
from edgeagent.model.aside import SetAside
from edgeagent.store import Consumers
from edgeagent.store.aside import AsideNote, Asides
from tests.store.samples import with_store
from tests.store.test_consumers import consumer
from tests.store.test_database import held

EVENT = SetAside("mes", "5f0c", 8, "Board.Lost", "2026-11-21T21:53:00.000Z", "mes", "HTTP 422: no")
MESSAGE = '{"jsonrpc":"2.0","method":"Board.Lost","params":{"reason":"Löten"}}'.encode()


def test_an_event_is_kept_as_it_was_sent_over_a_restart_until_it_is_taken(tmp_path):
    async def first(database):
        consumers, asides = await Consumers.open(database), await Asides.open(database)
        asides.know(EVENT)
        await consumers.put(consumer(acknowledged=8), AsideNote(EVENT, MESSAGE))
        other = replace(EVENT, target="plant", sequence=3)
        asides.change(other, MESSAGE)
        asides.change(replace(EVENT, again=True), MESSAGE)

    async def then(database):
        asides = await Asides.open(database)
        assert asides.of("mes") == (replace(EVENT, again=True),)
        assert [event.sequence for event in asides.of("plant")] == [3]
        assert await asides.message(EVENT) == MESSAGE
        assert (await Consumers.open(database)).get("mes").acknowledged == 8
        asides.forget(EVENT)
        assert asides.of("mes") == ()
        assert await asides.message(replace(EVENT, sequence=9)) is None

    async def last(database):
        assert (await Asides.open(database)).of("mes") == ()

    for use in (first, then, last):
        with_store(tmp_path / "s.db", use)


def test_a_damaged_row_is_left_out(tmp_path):
    async def keep(database):
        (await Asides.open(database)).change(EVENT, MESSAGE)

    async def read(database):
        asides = await Asides.open(database)
        assert asides.of("mes") == ()
        assert await asides.message(EVENT) is None

    with_store(tmp_path / "s.db", keep)
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection, connection:
        connection.execute("UPDATE aside SET crc = crc + 1")
    with_store(tmp_path / "s.db", read)


def test_place_and_event_are_written_together_however_long_the_disk_takes(tmp_path):
    async def use(database):
        consumers, asides = await Consumers.open(database, patience_s=0.05), await Asides.open(database)
        go = held(database)
        with pytest.raises(StoreError, match="not on disk"):
            await consumers.put(consumer(acknowledged=8), AsideNote(EVENT, MESSAGE))
        assert await asides.message(EVENT) is None
        go.set()
        await database.write(lambda _: None)
        assert await asides.message(EVENT) == MESSAGE
        await asyncio.sleep(0)

    with_store(tmp_path / "s.db", use)
