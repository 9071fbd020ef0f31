from __future__ import annotations

import asyncio

import pytest

from edgeagent.clock import Clock
from edgeagent.errors import StoreError
from edgeagent.store import Archive, Consumer, Consumers
from edgeagent.store import consumers as module
from tests.store.samples import NOON, with_store
from tests.store.test_database import held


def consumer(name="mes", acknowledged=7, machines=None):
    return Consumer(name, "loopback", ("Board.*", "Alarm.Raised"), machines, "5f0c", acknowledged, NOON, NOON)


def test_a_consumer_is_kept_over_a_restart_and_can_be_forgotten(tmp_path):
    async def first(database):
        consumers = await Consumers.open(database)
        await consumers.put(consumer("a", machines=("RO0001",)))
        await consumers.put(consumer("b"))
        await consumers.put(consumer("b", acknowledged=9))
        await consumers.put(consumer("c"))
        await consumers.delete("c")
        consumers.saw("b", NOON + 5)
        consumers.saw("nobody", NOON)

    async def then(database):
        consumers = await Consumers.open(database)
        assert [it.name for it in consumers.all()] == ["a", "b"]
        assert consumers.get("a") == consumer("a", machines=("RO0001",))
        assert (consumers.get("b").acknowledged, consumers.get("b").seen_ns) == (9, NOON + 5)
        assert consumers.get("c") is None

    with_store(tmp_path / "s.db", first)
    with_store(tmp_path / "s.db", then)


@pytest.mark.parametrize("column", ["name", "owner", "topics", "machines", "stream", "acknowledged", "seen_ns", "crc"])
def test_a_consumer_whose_row_is_damaged_is_left_out_and_told_until_it_begins_anew(tmp_path, caplog, column):
    async def damage(database):
        await (await Consumers.open(database)).put(consumer())
        changed = f"{column} || ' '" if column in ("name", "owner", "topics", "machines", "stream") else f"{column} + 1"
        await database.write(lambda c: c.execute(f"UPDATE consumers SET {column} = {changed}") and None)

    async def then(database):
        archive = await Archive.open(database, Clock())
        assert archive.consumers.all() == ()
        assert "is damaged on disk and is left out" in caplog.text
        assert "the consumer mes" in archive.care.rows()
        assert "begins anew at the oldest event" in archive.care.rows()
        await archive.consumers.put(consumer(acknowledged=0))
        assert (await Consumers.open(database)).get("mes").acknowledged == 0

    with_store(tmp_path / "s.db", damage)
    with_store(tmp_path / "s.db", then)


def test_while_the_disk_is_slow_changes_are_bounded_refused_in_time_and_kept_once_it_takes_them(tmp_path):
    async def use(database):
        consumers = await Consumers.open(database, patience_s=0.05)
        await consumers.put(consumer(acknowledged=0))
        go = held(database)
        changes = [consumers.put(consumer(acknowledged=n)) for n in range(1, module.MOST_PENDING + 10)]
        refused = await asyncio.gather(*changes, return_exceptions=True)
        assert {type(it) for it in refused} == {StoreError}
        assert sum("wait for the disk already" in str(it) for it in refused) == 9
        assert consumers.get("mes").acknowledged == module.MOST_PENDING
        with pytest.raises(StoreError):
            await consumers.delete("mes")
        go.set()
        await database.write(lambda _: None)
        assert (await Consumers.open(database)).get("mes").acknowledged == module.MOST_PENDING
        await consumers.put(consumer(acknowledged=999))

    with_store(tmp_path / "s.db", use)
