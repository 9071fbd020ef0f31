"""The record as the agent writes it: what is acknowledged is on disk, whatever happens to process and disk."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from edgeagent.errors import StoreError
from edgeagent.model.audit import AuditEntry
from edgeagent.store import Audit
from edgeagent.store.audit import record as record_module
from edgeagent.store.audit.accepting import Accepted, accepted_file, lay
from edgeagent.store.audit.chain import unseal
from edgeagent.store.audit.segments import Segment, raw_lines, segment_files
from edgeagent.store.audit.verification import verify
from tests.store.audit.records import command, recorded, refusal, with_audit
from tests.store.descriptors import FOLDER, open_below
from tests.store.samples import with_store
from tests.surroundings import beside_the_tests

ROOT = Path(__file__).resolve().parents[3]
WRITES = """
import asyncio, sys
from edgeagent.model.audit import AuditEntry
from edgeagent.store import Audit, Database
async def main():
    database = Database(sys.argv[1])
    database.open()
    audit = await Audit.open(database, segment_bytes=8000)
    async def write(who):
        for number in range(1_000_000):
            await audit.write(AuditEntry(time="now", kind="command", who=who, values=number))
            print(who, number, flush=True)
    await asyncio.gather(*(write(f"caller{each}") for each in range(5)))
asyncio.run(main())
"""


def entries(store):
    lines = [unseal(raw) for file in segment_files(store) for raw in raw_lines(file)]
    return [msgspec.json.decode(line.entry, type=AuditEntry) for line in lines]


def reasons(store):
    return [entry.reason for entry in entries(store) if entry.kind == "record"]


def test_entries_are_on_disk_in_order_when_write_returns(tmp_path):
    store = tmp_path / "s.db"

    async def use(audit):
        await audit.write(command(1), command(2))
        assert [entry for entry in entries(store) if entry.kind == "command"] == [command(1), command(2)]
        await asyncio.gather(*(audit.write(command(number)) for number in range(3, 50)))
        assert audit.failing is None

    with_audit(store, use)
    assert [entry.values["number"] for entry in entries(store) if entry.kind == "command"] == list(range(1, 50))
    assert reasons(store)[0].endswith("begins, the record is open")
    assert reasons(store)[-1] == "the agent ends, the record is closed"
    [file] = segment_files(store)
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_next_life_goes_on_with_the_chain(tmp_path):
    store = tmp_path / "s.db"
    recorded(store)
    files = recorded(store)
    assert len(files) == 1
    verdict = verify(store)
    assert verdict.is_whole
    assert not verdict.notes
    assert verdict.lines == 10


def test_a_chain_goes_on_over_files_and_none_is_deleted(tmp_path):
    store = tmp_path / "s.db"
    files = recorded(store, 30, segment_bytes=2000)
    assert len(files) > 3
    assert verify(store).is_whole
    assert len(recorded(store, 30, segment_bytes=2000)) > len(files)
    assert verify(store).is_whole


def test_nobody_can_write_after_the_end(tmp_path):
    async def use(audit):
        await audit.close()
        assert audit.failing == "the record is closed"
        with pytest.raises(StoreError, match="cannot be written: the record is closed"):
            await audit.write(command())

    with_audit(tmp_path / "s.db", use)


def test_after_kill_9_no_acknowledged_entry_is_missing(tmp_path):
    store, told = tmp_path / "s.db", []
    for _ in range(2):
        writer = subprocess.Popen([sys.executable, "-P", "-c", WRITES, store], stdout=subprocess.PIPE, cwd=ROOT,
                                  text=True, env=beside_the_tests())
        try:
            told += [writer.stdout.readline() for _ in range(120)]
        finally:
            writer.send_signal(signal.SIGKILL)
            told += writer.communicate()[0].splitlines(keepends=True)
    whole = {line.strip() for line in told if line.endswith("\n")}
    recorded(store, 1)
    assert verify(store).is_whole
    there = {f"{entry.who} {entry.values}" for entry in entries(store)}
    assert whole
    assert whole <= there


@contextmanager
def no_file_may_grow_over(size):
    """Like a full disk for every file that is as large already; the interpreter ignores SIGXFSZ."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def until(holds):
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)


def test_a_disk_that_refuses_is_told_and_so_is_that_it_takes_entries_again(tmp_path):
    store = tmp_path / "s.db"

    async def use(audit):
        await audit.write(command(1))
        [file] = segment_files(store)
        size = file.stat().st_size
        with no_file_may_grow_over(size + 100):
            with pytest.raises(StoreError, match="File too large"):
                await audit.write(command(2))
            assert "File too large" in audit.failing
            assert "commands are refused" in audit.fault()
            with pytest.raises(StoreError):
                await audit.write(command(3))
            audit.note(refusal())
            audit.report(command(2, outcome="done"))
            assert file.stat().st_size == size
        await until(lambda: audit.failing is None)
        await audit.write(command(4))
        assert audit.failures > 0

    with_audit(store, use)
    assert [entry.values["number"] for entry in entries(store) if entry.kind == "command"] == [1, 2, 4]
    assert command(2, outcome="done") in entries(store)
    assert refusal() in entries(store)
    [gap] = [entry for entry in entries(store) if entry.outcome == "failed"]
    assert "could not be written" in gap.reason
    assert "2 entries that were to be written are missing" in gap.reason
    assert verify(store).is_whole


def test_an_agent_begins_where_the_disk_refuses_from_the_start(tmp_path):
    store = tmp_path / "s.db"
    recorded(store)
    [file] = segment_files(store)

    async def use(database):
        with no_file_may_grow_over(file.stat().st_size):
            audit = await Audit.open(database, retry_s=0.01)
            assert "File too large" in audit.failing
        await until(lambda: audit.failing is None)
        await audit.write(command(9))
        await audit.close()

    with_store(store, use)
    assert entries(store)[-2] == command(9)
    assert verify(store).is_whole


def test_a_crash_in_the_middle_of_a_line_is_put_aside_and_is_no_fault(tmp_path):
    store = tmp_path / "s.db"
    [file] = recorded(store)
    whole = file.read_bytes()
    for torn in (b'{"sequence":6,"prev', b"\0" * 100, b"\0\0\n\0\0"):
        file.write_bytes(whole + torn)

        async def use(audit):
            assert audit.broken is None

        with_audit(store, use)
        assert f"a crash left {len(torn)} bytes that nobody relied on: they are put aside" in reasons(store)
        assert verify(store).is_whole
        whole = file.read_bytes()
    kept = {aside.read_bytes() for aside in tmp_path.glob("s.db.audit.torn-*")}
    assert kept == {b'{"sequence":6,"prev', b"\0" * 100, b"\0\0\n\0\0"}


def test_what_is_broken_is_told_until_it_is_accepted(tmp_path, caplog):
    store = tmp_path / "s.db"
    [file] = recorded(store)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-2]))
    broken = recorded_fault(store)
    assert broken.startswith("entries 4 to 5 are missing: the store remembers 5:")
    assert "the audit record is broken: entries 4 to 5 are missing" in caplog.text
    assert recorded_fault(store) == broken
    assert len(segment_files(store)) == 2
    assert file.read_bytes() == b"".join(lines[:-2])
    lay(store, Accepted("anna", "something else", "looked into"))
    assert recorded_fault(store) == broken
    lay(store, Accepted("anna", broken, "the disk was copied by hand"))
    assert recorded_fault(store) is None
    assert not accepted_file(store).exists()
    [accepted] = [entry for entry in entries(store) if entry.who == "anna"]
    assert (accepted.before, accepted.outcome) == (broken, "done")
    assert recorded_fault(store) is None
    assert not verify(store).is_whole


def recorded_fault(store):
    async def use(audit):
        await audit.write(command())
        assert audit.failing is None
        return audit.broken

    return with_audit(store, use)


@pytest.mark.parametrize("harm", ["cut", "append", "remove"])
def test_what_others_do_to_the_file_while_it_is_open_is_found_at_once(tmp_path, harm):
    store = tmp_path / "s.db"

    async def use(audit):
        await audit.write(command(1), command(2))
        [file] = segment_files(store)
        if harm == "cut":
            os.truncate(file, 500)
        elif harm == "append":
            file.write_bytes(file.read_bytes() + b"{}\n")
        else:
            file.unlink()
        await audit.write(command(3))
        assert audit.broken
        await audit.write(command(4))

    with_audit(store, use)
    numbers = [line.head.sequence for file in segment_files(store) for raw in raw_lines(file) if (line := unseal(raw))]
    assert len(numbers) == len(set(numbers))
    assert not verify(store).is_whole


def test_a_flood_of_refusals_is_two_entries_a_minute(tmp_path):
    store = tmp_path / "s.db"

    async def use(audit):
        for number in range(5000):
            audit.note(refusal(number))
        for number in range(200):
            audit.note(refusal(number, f"192.0.2.{number}"))
        await audit.write(command(1))

    with_audit(store, use)
    refusals = [entry for entry in entries(store) if entry.kind == "refusal"]
    assert len(refusals) < 140
    assert sum(entry.count or 1 for entry in refusals) == 5200
    total = max(refusals, key=lambda entry: entry.count or 0)
    assert (total.count, total.time) == (5000, refusal(1).time)


def test_a_disk_that_hangs_refuses_commands(tmp_path, monkeypatch):
    store = tmp_path / "s.db"

    async def use(database):
        audit = await Audit.open(database, patience_s=0.05)
        ours, theirs = os.pipe()
        sync = os.fsync
        monkeypatch.setattr(os, "fsync", lambda descriptor: (os.read(ours, 1), sync(descriptor))[1])
        with pytest.raises(StoreError, match=r"not on disk after 0\.05 s"):
            await audit.write(command(1))
        assert audit.failing.startswith("the disk has not answered for")
        monkeypatch.setattr(os, "fsync", sync)
        os.write(theirs, b"xxxxxx")
        await until(lambda: audit.failing is None)
        await audit.close()
        os.close(ours)
        os.close(theirs)

    with_store(store, use)


def test_what_waits_for_the_disk_is_bounded(tmp_path):
    async def use(audit):
        with pytest.raises(StoreError, match="1024 entries wait"):
            await audit.write(*(command(number) for number in range(record_module.MOST_WAITING + 1)))
        await audit.write(command(1))

    with_audit(tmp_path / "s.db", use)
    assert "more entries came than the disk took; 1025 entries that were to be written are missing" in reasons(
        tmp_path / "s.db")


def test_the_store_remembers_the_head(tmp_path):
    store = tmp_path / "s.db"
    recorded(store)
    with closing(sqlite3.connect(store)) as connection:
        [(head,)] = connection.execute("SELECT value FROM meta WHERE key = 'audit.head'")
    assert head == str(verify(store).head)


def test_values_that_are_no_json_raise_and_nothing_is_written(tmp_path):
    store = tmp_path / "s.db"

    async def use(audit):
        with pytest.raises(TypeError):
            await audit.write(AuditEntry(time="now", kind="command", who="x", values=object()))

    with_audit(store, use)
    assert {entry.kind for entry in entries(store)} == {"record"}


@pytest.mark.skipif(not FOLDER.exists(), reason="what is open is seen through /proc")
def test_a_segment_whose_name_the_disk_does_not_keep_is_not_left_open(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        Segment(tmp_path / "segment", is_new=True)
    assert open_below(tmp_path) == []


def test_after_a_failed_fsync_the_entry_is_not_there(tmp_path, monkeypatch):
    store = tmp_path / "s.db"
    sync, faults = os.fsync, [OSError(errno.EIO, "Input/output error")]

    def fail_once(descriptor):
        if faults:
            raise faults.pop()
        sync(descriptor)

    async def use(audit):
        monkeypatch.setattr(os, "fsync", fail_once)
        with pytest.raises(StoreError, match="Input/output error"):
            await audit.write(command(1))
        await until(lambda: audit.failing is None)
        await audit.write(command(2))

    with_audit(store, use)
    assert [entry.values["number"] for entry in entries(store) if entry.kind == "command"] == [2]
    assert verify(store).is_whole
