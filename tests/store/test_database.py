from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time

import pytest

from edgeagent.errors import StoreError
from edgeagent.store import Database
from edgeagent.store.connection import holder, lock
from edgeagent.store.schema import MIGRATIONS
from tests.store.descriptors import FOLDER, open_below
from tests.store.samples import with_store


def put(key):
    return lambda connection: connection.execute("INSERT INTO meta(key, value) VALUES(?, '')", (key,)) and None


def keys(connection):
    return [row[0] for row in connection.execute("SELECT key FROM meta ORDER BY key")]


def held(database):
    """Holds the writer inside one commit until the event it returns is set; what is queued meanwhile is one batch."""
    holding, go = threading.Event(), threading.Event()

    def work(_):
        holding.set()
        go.wait(10)

    database.submit(work)
    assert holding.wait(10)
    return go


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  the writer's thread has no event to wait for
            await asyncio.sleep(0.005)


def test_a_new_file_is_private_safe_and_made_with_its_folder(tmp_path):
    path = tmp_path / "deep" / "er" / "store.db"

    async def use(database):
        def pragma(connection):
            return [
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "auto_vacuum", "user_version")
            ]

        assert await database.write(pragma) == ["wal", 2, 2, len(MIGRATIONS)]

    with_store(path, use)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_was_written_is_there_after_opening_again(tmp_path):
    with_store(tmp_path / "s.db", lambda database: database.write(put("a")))
    assert with_store(tmp_path / "s.db", lambda database: database.read(keys)) == ["a"]


def test_closing_writes_everything_that_waits(tmp_path):
    async def use(database):
        for number in range(500):
            database.submit(put(f"{number:03}"))

    with_store(tmp_path / "s.db", use)
    assert len(with_store(tmp_path / "s.db", lambda database: database.read(keys))) == 500


def test_many_writes_share_one_commit_and_are_told_in_order(tmp_path):
    async def use(database):
        told = []
        go = held(database)
        for number in range(1000):
            database.submit(put(f"{number:04}"), lambda _, error, number=number: told.append((number, error)))
        go.set()
        await until(lambda: len(told) == 1000)
        assert told == [(number, None) for number in range(1000)]
        return database.health()

    health = with_store(tmp_path / "s.db", use)
    assert (health.waiting, health.failing, health.writes) == (0, None, 1001)
    assert health.commits <= 3


def test_one_who_cannot_take_the_end_of_its_write_keeps_nothing_from_the_others(tmp_path):
    async def use(database):
        told, faults = [], []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(str(context["exception"])))

        def stumble(_, __):
            raise ValueError("mine")

        go = held(database)
        for key, done in (("a", stumble), ("b", lambda _, error: told.append(error))):
            database.submit(put(key), done)
        go.set()
        await until(lambda: told)
        assert (told, faults) == ([None], ["mine"])

    with_store(tmp_path / "s.db", use)


def test_a_write_that_fails_by_itself_does_not_take_the_others(tmp_path):
    async def use(database):
        go = held(database)

        def half(connection):
            put("half")(connection)
            raise KeyError("mine")

        writes = [asyncio.ensure_future(database.write(work)) for work in (put("a"), half, put("a"), put("b"))]
        await asyncio.sleep(0)
        go.set()
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), KeyError, sqlite3.IntegrityError, type(None)]
        assert await database.read(keys) == ["a", "b"]

    with_store(tmp_path / "s.db", use)


def test_what_is_to_be_written_in_place_of_a_refused_work_is_written_with_its_batch(tmp_path):
    async def use(database):
        told = []
        go = held(database)

        def twice(connection):
            put("b")(connection)
            put("a")(connection)

        def fail(_):
            raise KeyError("mine as well")

        def tell(value, error):
            told.append((value, type(error)))

        database.submit(put("a"), tell)
        database.submit(twice, tell, refused=lambda c: put("c")(c) or "noted")
        database.submit(twice, tell, refused=fail)
        database.submit(put("d"), tell)
        go.set()
        await until(lambda: len(told) == 4)
        refused = sqlite3.IntegrityError
        assert told == [(None, type(None)), ("noted", refused), (None, refused), (None, type(None))]
        assert await database.read(keys) == ["a", "c", "d"]

    with_store(tmp_path / "s.db", use)


def test_a_full_disk_keeps_every_write_in_order_until_there_is_room(tmp_path, caplog):
    async def use(database):
        room = [30]
        order = []
        go = held(database)
        database.submit(lambda c: c.execute(f"PRAGMA max_page_count = {room[0]}").fetchone() and None)
        for number in range(50):
            big = f"{number:02}" + "x" * 4000
            database.submit(put(big), lambda _, error, number=number: order.append((number, error)))
        go.set()
        await until(lambda: database.health().failing)
        assert "full" in database.health().failing
        assert database.health().waiting == 51
        database.submit(put("z"), lambda _, error: order.append((50, error)))
        assert order == []
        room[0] = 10_000
        await until(lambda: len(order) == 51)
        assert order == [(number, None) for number in range(51)]
        assert database.health().failing is None
        assert len(await database.read(keys)) == 51

    with_store(tmp_path / "s.db", use)
    assert "can be written again" in caplog.text


def test_writing_after_closing_is_an_error(tmp_path):
    async def use():
        database = Database(tmp_path / "s.db")
        database.open()
        await asyncio.to_thread(database.close)
        with pytest.raises(StoreError, match="is closed"):
            await database.write(put("late"))

    asyncio.run(use())


def test_closing_what_is_not_open_does_nothing(tmp_path):
    async def use(database):
        second = Database(database.path)
        second.close()
        with pytest.raises(StoreError, match="already open"):
            second.open()
        second.close()
        with pytest.raises(StoreError, match="is closed"):
            second.submit(put("a"))
        database.close()
        database.close()
        second.open()
        await second.write(put("a"))
        second.close()

    with_store(tmp_path / "s.db", use)


def test_closing_on_a_full_disk_says_what_is_lost(tmp_path):
    async def use():
        database = Database(tmp_path / "s.db", retry_s=0.01)
        database.open()
        told = []
        await database.write(lambda c: c.execute("PRAGMA max_page_count = 1").fetchone() and None)
        database.submit(put("x" * 100_000), lambda _, error: told.append(error))
        with pytest.raises(StoreError, match=r"1 writes could not be saved: .*full"):
            database.close()
        await asyncio.sleep(0)
        assert [type(error) for error in told] == [StoreError]

    asyncio.run(use())


def test_a_newer_write_of_the_same_name_replaces_one_that_waits(tmp_path):
    async def use(database):
        go = held(database)
        database.submit(put("old"), replaces="it")
        database.submit(put("between"))
        database.submit(put("new"), replaces="it")
        go.set()
        await database.write(put("other"))
        database.submit(put("later"), replaces="it")
        await database.write(put("last"))
        assert await database.read(keys) == ["between", "last", "later", "new", "other"]

    with_store(tmp_path / "s.db", use)


def test_reads_cannot_write(tmp_path):
    async def use(database):
        with pytest.raises(StoreError, match="cannot be read"):
            await database.read(put("a"))

    with_store(tmp_path / "s.db", use)


def test_too_many_waiting_reads_are_refused(tmp_path):
    async def use(database):
        go = threading.Event()
        reads = [asyncio.ensure_future(database.read(lambda _: go.wait(10))) for _ in range(64)]
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="too many"):
            await database.read(keys)
        go.set()
        await asyncio.gather(*reads)
        assert await database.read(keys) == []

    with_store(tmp_path / "s.db", use)


def test_a_second_process_is_refused_and_told_who_has_the_file(tmp_path):
    script = (
        "import asyncio, sys; from edgeagent.store import Database\n"
        "async def main(): Database(sys.argv[1]).open()\n"
        "asyncio.run(main())"
    )

    async def use(database):
        command = [sys.executable, "-c", script, str(database.path)]
        return subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: ASYNC221

    second = with_store(tmp_path / "s.db", use)
    assert second.returncode == 1
    assert "already open in another edgeagent (process " in second.stderr


def test_whoever_only_looks_who_has_the_store_open_does_not_keep_an_agent_from_it(tmp_path, monkeypatch):
    looking = os.open(tmp_path / "s.db.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_EX)
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", lambda _: fcntl.flock(looking, fcntl.LOCK_UN))
        descriptor = lock(tmp_path / "s.db")
    assert holder(tmp_path / "s.db") == str(os.getpid())
    os.close(descriptor)
    assert holder(tmp_path / "s.db") == ""
    os.close(looking)


@pytest.mark.skipif(not FOLDER.exists(), reason="what is open is seen through /proc")
def test_a_lock_that_the_disk_does_not_give_is_not_left_open(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="No locks"):
        lock(tmp_path / "s.db")
    assert open_below(tmp_path) == []


def test_a_second_opener_in_the_same_process_is_refused_until_the_first_closes(tmp_path):
    async def use(database):
        with pytest.raises(StoreError, match="already open"):
            Database(database.path).open()

    with_store(tmp_path / "s.db", use)
    with_store(tmp_path / "s.db", use)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda c: c.execute("PRAGMA user_version = 99"), "newer edgeagent .layout 99"),
        (lambda c: c.execute("CREATE TABLE theirs(a)"), "belongs to another program"),
    ],
)
def test_a_file_that_is_not_ours_to_use_is_refused_and_left_alone(tmp_path, make, sentence):
    path = tmp_path / "s.db"
    connection = sqlite3.connect(path, isolation_level=None)
    make(connection)
    connection.close()

    async def use(database):
        raise AssertionError("never opened")

    for _ in range(2):  # the lock is let go after a refusal
        with pytest.raises(StoreError, match=sentence):
            with_store(path, use)


def test_a_file_that_is_no_database_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "s.db").write_bytes(b"garbage " * 1000)
    with pytest.raises(StoreError, match=r"cannot be opened: .*move a damaged file aside"):
        with_store(tmp_path / "s.db", lambda database: database.read(keys))


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened"):
        with_store(tmp_path / "file" / "s.db", lambda database: database.read(keys))
