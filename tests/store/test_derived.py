"""What a board is found by has no checksum: it is held against the record, which has one, and made anew of it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgeagent.clock import Clock
from edgeagent.store import Archive, Database
from tests.store.samples import NOON, board, left, with_store

CHANGES = {
    "code": "UPDATE board_barcodes SET code = 'PCB-0009' WHERE board = 'b1'",
    "board of a code": "UPDATE board_barcodes SET board = 'b7' WHERE board = 'b1'",
    "code is gone": "DELETE FROM board_barcodes WHERE board = 'b1'",
    "recipe": "UPDATE boards SET recipe = 'SAC305-B' WHERE id = 'b1'",
    "machine": "UPDATE boards SET machine = 'RO0009' WHERE id = 'b1'",
    "verdict": "UPDATE boards SET process = 'fail' WHERE id = 'b1'",
    "whether it was lost": "UPDATE boards SET lost = 1 WHERE id = 'b1'",
    "time": "UPDATE boards SET entered_ns = entered_ns + 256 WHERE id = 'b1'",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_board_is_never_found_by_what_it_is_not_and_again_by_what_it_is_after_the_file_was_read(
    tmp_path: Path, change: str
) -> None:
    path = tmp_path / "s.db"

    async def fill(database: Database) -> None:
        archive = await Archive.open(database, Clock())
        told = archive.journal.append([left(board("b0", NOON, ("PCB-0000",))), left(board("b1", NOON, ("PCB-0001",)))])
        await archive.journal.settled(told)

    async def use(database: Database) -> None:
        archive = await Archive.open(database, Clock())
        wrong: dict[str, Any]
        for wrong in ({"barcode": "PCB-0009"}, {"recipe": "SAC305-B"}, {"machine": "RO0009"}, {"verdict": "fail"}):
            assert (await archive.boards.find(**wrong))[0] == []
        await archive.care.scrub()
        true: dict[str, Any]
        for true in ({"barcode": "PCB-0001"}, {"recipe": "SAC305-A"}, {"machine": "RO0001"}, {"verdict": "pass"},
                     {"since_ns": NOON, "until_ns": NOON + 1}):  # fmt: skip
            found = [json.loads(each)["id"] for each in (await archive.boards.find(**true))[0]]
            assert "b1" in found, true
            assert "b7" not in found
        await asyncio.to_thread(sound, path)

    with_store(path, fill)
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(change).rowcount == 1
    with_store(path, use)


def sound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT id FROM boards WHERE lost").fetchall() == []
        codes = connection.execute("SELECT code, board FROM board_barcodes ORDER BY board").fetchall()
        assert codes == [("PCB-0000", "b0"), ("PCB-0001", "b1")]
