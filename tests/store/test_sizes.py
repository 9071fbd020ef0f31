"""What the store says that it takes is what it takes."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

import msgspec
import pytest

from edgeagent.model.boards import BoardTrace
from edgeagent.store import Archive, sizes
from edgeagent.store.transaction import at_one_moment
from tests.store.samples import NOON, board, left, with_store
from tests.store.test_retention import StandingClock, state


def pages(path) -> dict[str, int]:
    """Bytes of each table with its indexes, page by page."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT m.tbl_name, sum(pgsize) FROM dbstat s JOIN sqlite_master m USING(name) GROUP BY 1"
        try:
            return dict(connection.execute(query).fetchall())
        except sqlite3.OperationalError:
            pytest.skip("this SQLite cannot tell its pages")


def filled(path, reason: int, points: int) -> sizes.Sizes:
    dice = random.Random(5)

    async def use(database):
        archive = await Archive.open(database, StandingClock())
        for number in range(300):
            record = msgspec.structs.replace(board(f"{number:026d}", NOON + number, (f"C{number}",)),
                                             operator="x" * dice.randrange(reason))  # fmt: skip
            values = [dice.uniform(0, 300) for _ in range(points)]
            trace = BoardTrace(record.id, [n / 2 for n in range(points)], values, {"zone/1/top": values})
            archive.journal.append([left(record, trace), *(state("y" * dice.randrange(reason)) for _ in range(3))])
        await archive.journal.settled(archive.journal.last_sequence)
        return await database.read(lambda c: at_one_moment(sizes.measure, c))

    return with_store(path, use)


@pytest.mark.parametrize(("reason", "points"), [(10, 10), (3000, 200), (9000, 1500)])
def test_bytes_of_a_class_are_those_of_its_pages_within_a_fifth(tmp_path, reason, points):
    found, real = filled(tmp_path / "s.db", reason, points), pages(tmp_path / "s.db")
    events = real["events"] + real["boards"] + real["board_barcodes"]
    assert found.classes["events"].bytes + found.classes["boards"].bytes == pytest.approx(events, rel=0.2)
    assert found.classes["traces"].bytes == pytest.approx(real["traces"], rel=0.2)
    assert (found.classes["events"].rows, found.classes["boards"].rows) == (900, 300)
    assert found.classes["boards"].oldest_ns == found.classes["traces"].oldest_ns == NOON
    assert found.bytes_per_board == pytest.approx(
        (found.classes["boards"].bytes + found.classes["traces"].bytes) / 300, rel=0.01)


def test_of_an_empty_store_nothing_is_told(tmp_path):
    async def use(database):
        await Archive.open(database, StandingClock())
        return await database.read(lambda c: at_one_moment(sizes.measure, c))

    found = with_store(tmp_path / "s.db", use)
    assert found.bytes_per_board is None
    assert {(usage.rows, usage.bytes, usage.oldest_ns) for usage in found.classes.values()} == {(0, 0, None)}
