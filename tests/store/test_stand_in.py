"""A store that must be healed or brought to today's layout on a disk without room: something in memory stands in."""

from __future__ import annotations

import asyncio
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from edgeagent.clock import Clock
from edgeagent.errors import StoreError
from edgeagent.store import Archive, Audit, Database
from edgeagent.store.consumers import Consumer
from edgeagent.store.room import Room
from edgeagent.store.schema import MIGRATIONS
from tests.store import damage
from tests.store.descriptors import open_below
from tests.store.samples import NOON, scanned
from tests.store.small_disk import KINDS, SmallDisk, small_disk
from tests.surroundings import beside_the_tests

FIXTURES = Path(__file__).parent / "fixtures"
LAYOUT_5 = [2, 4, 5, 6, 7, 8]
"""The events of the fixture."""


async def begun(path: Path) -> tuple[Database, Archive, Audit]:
    database = Database(path, 0.02, Room(path, 1 << 20))
    database.open()
    return database, await Archive.open(database, Clock()), await Audit.open(database, Clock(), retry_s=0.02)


async def all_events(archive: Archive) -> list[int]:
    async with asyncio.timeout(60):
        while True:
            try:
                found, _, _ = await archive.journal.read(1, ("*",), None, 10_000)
                return [event.sequence for event in found]
            except StoreError:
                await asyncio.sleep(0.02)


async def has_boards(archive: Archive) -> bool:
    try:
        return bool((await archive.boards.find())[0])
    except StoreError:
        return False


async def until_well(database: Database, audit: Audit) -> None:
    async with asyncio.timeout(60):
        while database.waits or database.health().failing or audit.failing:
            database.submit(lambda _: None)  # as an agent writes while it lives
            database.room._looked_s = -10
            await asyncio.sleep(0.02)


async def waits_and_goes_on(path: Path, make_room: Callable[[], object], before: list[int]) -> str:
    """Begin without room: what is served is true, and once there is room all is there; tells what it waited for."""
    database, archive, audit = await begun(path)
    try:
        waits, journal = database.waits or "", archive.journal
        assert waits in (database.health().failing or "")
        assert "make room" in (database.room.spent or "")
        assert audit.failing, "commands are refused"
        assert journal.committed_sequence == max(before)
        with pytest.raises(StoreError, match="disk is full"):
            await archive.boards.find()
        with pytest.raises(StoreError, match="disk is full"):
            await archive.counters.count("RO0001", 0, 2 * NOON)
        told = journal.append([scanned("while there is no room")])
        assert told == max(before) + 1
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert journal.committed_sequence == max(before), "nothing is written"
        care = asyncio.create_task(archive.care.run())
        make_room()
        await journal.settled(told)
        await until_well(database, audit)
        assert await all_events(archive) == [*before, told]
        async with asyncio.timeout(60):
            while not await has_boards(archive):  # noqa: ASYNC110  salvage tells nobody
                await asyncio.sleep(0.02)
        place = Consumer("new", "mes", ("*",), None, journal.stream, told, NOON, NOON)
        await archive.consumers.put(place)
        care.cancel()
        await asyncio.wait((care,))
        return waits
    finally:
        await audit.close()
        await asyncio.to_thread(database.close)


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_of_an_earlier_layout_is_served_on_a_full_disk_and_brought_to_todays_once_there_is_room(
    tmp_path: Path, kind: str
) -> None:
    with small_disk(tmp_path, kind) as disk:
        path = of_layout_5(disk.folder)
        disk.fill()
        waits = asyncio.run(waits_and_goes_on(path, disk.empty, LAYOUT_5))
        assert "the store is of an earlier layout (5)" in waits
        assert layout(path) == len(MIGRATIONS)
        assert Path(f"{path}.before-layout-6").exists(), "with its backup, as ever"


def test_an_earlier_layout_without_its_mark_gives_no_number_anew_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path) as disk:
        path = of_layout_5(disk.folder)
        Path(f"{path}.mark").unlink()
        disk.fill()
        assert "of an earlier layout (5)" in asyncio.run(waits_and_goes_on(path, disk.empty, LAYOUT_5))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_store_is_served_on_a_full_disk_as_far_as_it_can_be_read_and_healed_once_there_is_room(
    tmp_path: Path, kind: str
) -> None:
    with small_disk(tmp_path, kind) as disk:
        path = disk.folder / "s.db"
        damage.make(path, 30)
        events = sorted(key[0] for key in damage.rows_of(path)["events"])
        zero_root(path, "alarms")
        disk.fill()
        assert "the store is damaged" in asyncio.run(waits_and_goes_on(path, disk.empty, events))
        assert list(disk.folder.glob("s.db.corrupt-*")), "what was damaged is put aside"


def test_a_damaged_end_begins_a_new_stream_on_a_full_disk_that_goes_on_once_there_is_room(tmp_path: Path) -> None:
    async def go(path: Path, disk: SmallDisk, before: str) -> None:
        database, archive, audit = await begun(path)
        stream, told = archive.journal.stream, archive.journal.append([scanned("of the new stream")])
        assert stream != before
        disk.empty()
        await archive.journal.settled(told)
        await until_well(database, audit)
        assert archive.journal.stream == stream
        await audit.close()
        await asyncio.to_thread(database.close)
        database, archive, audit = await begun(path)
        assert (archive.journal.stream, archive.journal.last_sequence) == (stream, told)
        await audit.close()
        await asyncio.to_thread(database.close)

    with small_disk(tmp_path) as disk:
        path = disk.folder / "s.db"
        damage.make(path, 30)
        before = Path(f"{path}.mark").read_text().split()[0]
        zero_root(path, "meta")
        disk.fill()
        asyncio.run(go(path, disk, before))


def test_a_stream_that_began_without_room_and_was_lost_gives_no_number_anew(tmp_path: Path) -> None:
    async def begin(path: Path) -> tuple[str, int]:
        database, archive, audit = await begun(path)
        waits = database.waits
        await audit.close()
        if waits:
            with suppress(StoreError):
                archive.journal.append([scanned("it is never written")])
                await asyncio.to_thread(database.close)
        else:
            await asyncio.to_thread(database.close)
        return archive.journal.stream, archive.journal.last_sequence - bool(waits)

    with small_disk(tmp_path) as disk:
        path = disk.folder / "s.db"
        damage.make(path, 30)
        before, reached = Path(f"{path}.mark").read_text().split()[:2]
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM events WHERE sequence > 50")
            connection.execute("UPDATE meta SET value = '50' WHERE key = 'journal.last'")
        zero_root(path, "alarms")
        disk.fill()
        lost = asyncio.run(begin(path))
        disk.empty()
        found = asyncio.run(begin(path))
        assert len({before, lost[0], found[0]}) == 3
        assert lost[1] == found[1] == int(reached)


def test_a_new_store_begins_on_a_full_disk_and_is_made_once_there_is_room(tmp_path: Path) -> None:
    async def go(path: Path, disk: SmallDisk) -> None:
        database, archive, audit = await begun(path)
        assert database.waits
        stream, told = archive.journal.stream, archive.journal.append([scanned("the first")])
        disk.empty()
        await archive.journal.settled(told)
        await until_well(database, audit)
        assert (archive.journal.stream, await all_events(archive)) == (stream, [1])
        await audit.close()
        await asyncio.to_thread(database.close)

    with small_disk(tmp_path) as disk:
        Path(f"{disk.folder / 's.db'}.lock").touch()
        disk.fill()
        asyncio.run(go(disk.folder / "s.db", disk))


def test_a_file_that_the_stream_cannot_go_on_in_is_not_left_open(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def go(path: Path, disk: SmallDisk) -> None:
        database = Database(path, 0.02, Room(path, 1 << 20))
        database.open()
        assert database._stand_in
        database._stand_in.close()  # the memory that the stream is in cannot be read any more
        disk.empty()
        async with asyncio.timeout(60):
            while "not yet: Cannot operate on a closed database" not in caplog.text:  # noqa: ASYNC110  a thread's log
                await asyncio.sleep(0.02)
        assert open_below(disk.folder) == ["s.db.lock"]
        assert database.waits
        await asyncio.to_thread(database.close)

    with small_disk(tmp_path) as disk:
        Path(f"{disk.folder / 's.db'}.lock").touch()
        disk.fill()
        asyncio.run(go(disk.folder / "s.db", disk))


@pytest.mark.parametrize("what", ["sound", "layout-5", "damaged"])
def test_a_store_is_opened_where_no_file_may_be_written(tmp_path: Path, what: str) -> None:
    """The same for everybody: a limit on the size of files instead of a full disk, in a process of its own."""
    command = [sys.executable, "-P", "-m", "tests.store.test_stand_in", str(tmp_path), what]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=beside_the_tests())
    assert ended.returncode == 0, ended.stderr


def of_layout_5(folder: Path) -> Path:
    for suffix in ("", ".mark"):
        shutil.copy(FIXTURES / f"layout-5.db{suffix}", folder / f"s.db{suffix}")
    return folder / "s.db"


def layout(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return found


def zero_root(path: Path, table: str) -> None:
    """Zero the first page of a table."""
    with closing(sqlite3.connect(path)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * damage.PAGE)
        file.write(b"\xff" * damage.PAGE)


async def sound(path: Path, make_room: Callable[[], object], before: list[int]) -> None:
    """As `waits_and_goes_on`, of a store that needs nothing first."""
    database, archive, audit = await begun(path)
    assert database.waits is None
    assert await all_events(archive) == before
    assert "the disk is full" in (database.room.spent or ""), "commands are refused"
    told = archive.journal.append([scanned("x")])
    make_room()
    await archive.journal.settled(told)
    await until_well(database, audit)
    await audit.close()
    await asyncio.to_thread(database.close)


def live_with_a_limit(folder: Path, what: str) -> None:
    path = folder / "s.db"
    if what == "layout-5":
        of_layout_5(folder)
        events = LAYOUT_5
    else:
        damage.make(path, 30)
        events = sorted(key[0] for key in damage.rows_of(path)["events"])
    if what == "damaged":
        zero_root(path, "alarms")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def make_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    asyncio.run((sound if what == "sound" else waits_and_goes_on)(path, make_room, events))


if __name__ == "__main__":
    live_with_a_limit(Path(sys.argv[1]), sys.argv[2])
