"""While a damaged file is taken over, what is not there yet is never said not to be."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from edgeagent.clock import Clock
from edgeagent.errors import StoreError
from edgeagent.store import Archive, salvaged
from edgeagent.store.salvaged import Salvaged, Table
from tests.store.samples import NOON, with_store

ASK = {
    "boards": lambda archive: archive.boards.get("b1"),
    "traces": lambda archive: archive.boards.trace("b1", 100),
    "jobs": lambda archive: archive.jobs.get("j1"),
    "requests": lambda archive: archive.requests.known("mes\nr1", NOON),
}


@pytest.mark.parametrize("table", ASK)
def test_the_last_row_that_comes_while_somebody_looks_is_not_said_to_be_missing(tmp_path, monkeypatch, table):
    path, require = tmp_path / "s.db", salvaged.require

    def ends(connection: sqlite3.Connection, *tables: str) -> None:
        with closing(sqlite3.connect(path)) as other, other:
            salvaged.keep(other, Salvaged("", "", "a trial", {table: Table(is_done=True)}, is_done=True))
        require(connection, *tables)

    async def use(database):
        archive = await Archive.open(database, Clock())
        await database.write(lambda c: salvaged.keep(c, Salvaged("", "", "a trial", {table: Table()})))
        monkeypatch.setattr(salvaged, "require", ends)
        with pytest.raises(StoreError, match="ask again later"):
            await ASK[table](archive)
        assert await ASK[table](archive) is None

    with_store(path, use)
