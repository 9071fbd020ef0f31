"""Commands as they were asked for: what the disk changed is never taken for what was not asked for."""

from __future__ import annotations

import msgspec
import pytest

from edgeagent.errors import StoreError
from edgeagent.store import Database
from edgeagent.store.requests import Asked, AskedNote, Requests
from tests.store.samples import NOON, with_store


async def kept(database: Database, *keys: str) -> Requests:
    for number, key in enumerate(keys):
        asked = Asked("mes", "engineer", None, key, "Recipe.Start", "RO0001", msgspec.Raw(b"{}"), f"j{number}")
        await database.write(AskedNote(asked, NOON + number).insert)
    return Requests(database)


def test_one_that_is_older_than_asked_is_not_known_and_forgotten(tmp_path):
    async def use(database):
        requests = await kept(database, "r0", "r1")
        assert await requests.known("mes\nr0", NOON + 1) is None
        assert (await requests.known("mes\nr1", NOON + 1)).job == "j1"
        requests.forget(NOON + 1)
        await database.write(lambda _: None)
        assert await requests.get("mes\nr0") is None
        assert (await requests.get("mes\nr1")).job == "j1"

    with_store(tmp_path / "s.db", use)


@pytest.mark.parametrize("change", ["at_ns = 1", "at_ns = at_ns + 1", "crc = crc + 1", "body = X'7B7D'"])
def test_of_a_damaged_one_nobody_says_that_it_was_not_asked_for(tmp_path, change):
    async def use(database):
        requests = await kept(database, "r0", "r1")
        await database.write(lambda c: c.execute(f"UPDATE requests SET {change} WHERE id = 'mes\nr0'") and None)
        for _ in range(2):
            with pytest.raises(StoreError, match="is damaged on disk"):
                await requests.known("mes\nr0", NOON)
            assert await requests.get("mes\nr0") is None
            requests.forget(NOON)
            await database.write(lambda _: None)
        assert (await requests.known("mes\nr1", NOON)).job == "j1"

    with_store(tmp_path / "s.db", use)
