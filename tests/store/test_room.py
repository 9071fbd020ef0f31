"""A full disk: the reserve makes room for what must be told, commands are refused, and all is well again by itself."""

from __future__ import annotations

import asyncio
import errno
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edgeagent.clock import Clock
from edgeagent.errors import StoreError
from edgeagent.model.audit import AuditEntry
from edgeagent.store import Archive, Audit, Checkpoints, Database, Journal
from edgeagent.store.audit.segments import raw_lines, segment_files
from edgeagent.store.audit.verification import verify
from edgeagent.store.backup import back_up
from edgeagent.store.room import Room
from tests.store.samples import scanned, with_store
from tests.store.small_disk import KINDS, SmallDisk, small_disk
from tests.surroundings import beside_the_tests

RESERVE = 1 << 20


def entry(kind: str, reason: str) -> AuditEntry:
    return AuditEntry(time="2026-11-21T21:53:00.123Z", kind=kind, who="mes", reason=reason)  # type: ignore[arg-type]


async def until(holds) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  the writer's thread has no event to wait for
            await asyncio.sleep(0.005)


def reasons(store: Path) -> list[str]:
    return [line.decode().partition('"reason":"')[2].partition('"')[0]
            for file in segment_files(store) for line in raw_lines(file)]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_full_disk_the_newest_events_and_ends_of_commands_are_kept_and_no_command_begins(tmp_path, kind, caplog):
    async def go(disk) -> None:
        path = disk.folder / "s.db"
        database = Database(path, 0.02, Room(path, RESERVE, free_bytes=2 << 20))
        database.open()
        try:
            journal, audit = await Journal.open(database, Clock()), await Audit.open(database, retry_s=0.02)
            assert database.room.path.stat().st_blocks * 512 >= RESERVE
            assert (database.room.spent, database.room.low()) == (None, None)
            disk.fill(1 << 20)
            assert "there should be 2 MB" in database.room.low()
            disk.fill()
            while database.room.spent is None:
                await journal.settled(journal.append([scanned("x" * 20_000)]))
            assert not database.room.path.exists()
            await journal.settled(journal.append([scanned("the alarm")]))
            assert "disk is full" in audit.failing
            with pytest.raises(StoreError, match="disk is full"):
                await audit.write(entry("command", "must not begin"))
            await audit.write(entry("outcome", "how it ended"))
            while database.health().failing is None:
                journal.append([scanned("y" * 50_000)])
                await asyncio.sleep(0.002)
            told = journal.append([scanned("in memory")])
            assert (journal.committed_sequence < told, "full" in database.health().failing) == (True, True)
            disk.empty()
            database.room._looked_s = -10
            await journal.settled(told)
            await until(lambda: database.room.spent is None or journal.append([scanned("z")]) == 0)
            assert database.room.path.exists()
            await audit.write(entry("command", "may begin"))
            events, _, gaps = await journal.read(1, ("*",), None, 10_000)
            assert [event.sequence for event in events] == list(range(1, journal.committed_sequence + 1))
            assert gaps == []
            await audit.close()
        finally:
            await asyncio.to_thread(database.close)
        assert [r for r in reasons(path) if r in ("must not begin", "how it ended", "may begin")] == [
            "how it ended", "may begin"]  # fmt: skip
        assert verify(path).is_whole

    with small_disk(tmp_path, kind) as disk:
        asyncio.run(go(disk))
    assert "there is room on the disk again" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_is_opened_on_a_full_disk_by_the_room_of_its_reserve(tmp_path, kind):
    async def live(path: Path) -> int:
        database = Database(path, 0.02, Room(path, RESERVE))
        database.open()
        try:
            journal = await Journal.open(database, Clock())
            spent = database.room.spent
            await journal.settled(journal.append([scanned("x")]))
            return journal.committed_sequence if spent is None else -journal.committed_sequence
        finally:
            await asyncio.to_thread(database.close)

    with small_disk(tmp_path, kind) as disk:
        assert asyncio.run(live(disk.folder / "s.db")) == 1
        disk.fill()
        assert asyncio.run(live(disk.folder / "s.db")) == -2
        assert asyncio.run(live(disk.folder / "s.db")) == -3, "without room for a reserve it is known to be spent"
        disk.empty()
        assert asyncio.run(live(disk.folder / "s.db")) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_is_opened_on_a_full_disk_without_a_reserve_and_goes_on_once_there_is_room(tmp_path, kind):
    async def live(path: Path, disk: SmallDisk) -> None:
        database, audit = Database(path, 0.02, Room(path, RESERVE)), None
        database.open()
        try:
            audit = await Audit.open(database, Clock(), retry_s=0.02)
            archive = await Archive.open(database, Clock())
            journal = archive.journal
            assert [e.sequence for e in (await journal.read(1, ("*",), None, 10))[0]] == [1]
            assert "the disk is full" in (database.room.spent or "")
            assert audit.failing
            last = journal.append([scanned("x" * 5000) for _ in range(20)])
            await until(lambda: database.health().failing)
            assert journal.committed_sequence == 1
            disk.empty()
            await journal.settled(last)
            assert (await journal.read(1, ("*",), None, 50))[1:] == (last + 1, [])
            async with asyncio.timeout(30):
                while database.health().failing or audit.failing:  # as an agent writes while it lives
                    await database.write(lambda _: None)
                    await asyncio.sleep(0.05)
            count = ("import sqlite3, sys; "
                     "print(*sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM events'))")  # fmt: skip
            told = await asyncio.to_thread(subprocess.check_output, (sys.executable, "-c", count, path), text=True)
            assert told == f"({last},)\n", "another process reads as ever"
        finally:
            if audit:
                await audit.close()
            await asyncio.to_thread(database.close)

    async def once(path: Path) -> None:
        database = Database(path, 0.02)
        database.open()
        journal = await Journal.open(database, Clock())
        await journal.settled(journal.append([scanned("x")]))
        await asyncio.to_thread(database.close)

    with small_disk(tmp_path, kind) as disk:
        asyncio.run(once(disk.folder / "s.db"))
        disk.fill()
        asyncio.run(live(disk.folder / "s.db", disk))


def test_a_disk_that_gets_full_under_a_backup_is_told_and_nothing_of_it_is_left(tmp_path):
    async def write(database):
        journal = await Journal.open(database, Clock())
        await journal.settled(journal.append([scanned("x" * 100_000) for _ in range(60)]))

    with_store(tmp_path / "s.db", write)
    with small_disk(tmp_path) as disk:
        with pytest.raises(StoreError, match=r"cannot be made: .*full"):
            back_up(tmp_path / "s.db", disk.folder / "b.db", progress=lambda *_: disk.fill())
        assert [file.name for file in disk.folder.iterdir() if file.name.startswith("b.db")] == []


def test_only_a_full_disk_gives_the_reserve_back(tmp_path):
    room = Room(tmp_path / "s.db", 4096)
    room.fill()
    assert room.path.stat().st_size == 4096
    other = sqlite3.OperationalError("disk I/O error")
    other.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    for fault in (None, OSError(errno.EIO, "bad"), other, StoreError("x")):
        assert not room.eases(fault)
    assert (room.spent, room.path.exists()) == (None, True)
    assert room.eases(OSError(errno.ENOSPC, "full"))
    assert "disk is full" in room.spent
    assert not room.eases(OSError(errno.ENOSPC, "full")), "there is nothing more to give"


def test_a_file_that_may_not_grow_refuses_store_mark_and_audit_and_all_go_on_when_it_may(tmp_path):
    """The same for everybody: a limit on the size of files instead of a full disk, in a process of its own."""
    command = [sys.executable, "-P", "-m", "tests.store.test_room", str(tmp_path / "s.db")]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60,
                           env=beside_the_tests())
    assert ended.returncode == 0, ended.stderr
    assert "cannot be written" in ended.stderr


async def live_with_a_limit(path: Path) -> None:
    database = Database(path, 0.02)
    database.open()
    journal, audit = await Journal.open(database, Clock()), await Audit.open(database, retry_s=0.02)
    checkpoints = Checkpoints(database, Clock())
    await journal.settled(journal.append([scanned("x")]))
    await audit.write(entry("command", "before"))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    with pytest.raises(StoreError, match="cannot be written"):
        await audit.write(entry("command", "refused"))
    assert audit.failing
    last = 0
    for number in range(200):
        last = journal.append([scanned("y" * 10_000)], ("RO0001", b"state %d" % number))
    await until(lambda: database.health().failing)
    assert journal.committed_sequence < last
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await journal.settled(last)
    await until(lambda: audit.failing is None)
    await audit.write(entry("command", "after"))
    saved = await checkpoints.load("RO0001")
    assert saved is not None
    assert saved.body == b"state 199"
    events, _, gaps = await journal.read(1, ("*",), None, 1000)
    assert ([event.sequence for event in events], gaps) == (list(range(1, 202)), [])
    await audit.close()
    await asyncio.to_thread(database.close)
    assert "refused" not in reasons(path)
    assert verify(path).is_whole


if __name__ == "__main__":
    asyncio.run(live_with_a_limit(Path(sys.argv[1])))
