from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from edgeagent.errors import StoreError
from edgeagent.model.boards import BoardTrace
from edgeagent.store import Boards, Database, Journal
from tests.store.samples import board, left, scanned, unexpected, with_store

ALL = ("*",)


def codes(events):
    return [json.loads(b"{" + event.body + b"}")["data"]["barcode"] for event in events]


async def fill(database, count, machine="RO0001"):
    journal = await Journal.open(database)
    await journal.settled(journal.append([scanned(f"{n}", machine) for n in range(1, count + 1)]))
    return journal


async def whole(journal, topics=ALL, machines=None, limit=100):
    """Reads from 1 to the end in pages."""
    sequence, events, gaps = 1, [], []
    while sequence <= journal.committed_sequence:
        page, sequence, lost = await journal.read(sequence, topics, machines, limit)
        events += page
        gaps += lost
    return events, [(gap.from_, gap.to, gap.count) for gap in gaps]


def reopened(path, topics=ALL, machines=None, limit=100):
    async def use(database):
        return await whole(await Journal.open(database), topics, machines, limit)

    return with_store(path, use)


def damage(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def test_a_new_journal_is_empty_and_its_stream_stays(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        assert (journal.first_sequence, journal.last_sequence, journal.committed_sequence) == (1, 0, 0)
        assert await journal.read(1, ALL, None, 10) == ([], 1, [])
        assert await journal.previous(1, ALL, None) == 0
        assert journal.append([]) == 0
        await journal.settled(0)
        return journal.stream

    stream = with_store(tmp_path / "s.db", use)
    assert len(stream) == 16
    assert int(stream, 16) >= 0
    assert with_store(tmp_path / "s.db", use) == stream


def test_sequences_have_no_hole_over_restarts(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        return [journal.append([scanned("a"), scanned("b")]), journal.append([scanned("c")])]

    assert [with_store(tmp_path / "s.db", use) for _ in range(3)] == [[2, 3], [5, 6], [8, 9]]
    events, gaps = reopened(tmp_path / "s.db")
    assert [event.sequence for event in events] == list(range(1, 10))
    assert codes(events) == ["a", "b", "c"] * 3
    assert gaps == []


def test_a_body_is_the_end_of_the_notification(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        await journal.settled(journal.append([scanned('Ä"1')], clock="untrusted"))
        return (await journal.read(1, ALL, None, 1))[0][0]

    event = with_store(tmp_path / "s.db", use)
    assert json.loads(b'{"stream":"s",' + event.body + b"}") == {
        "stream": "s", "time": "2026-11-21T12:00:00.000Z", "clock": "untrusted", "machine": "RO0001",
        "data": {"barcode": 'Ä"1', "result": "read", "lane": 1, "scanner": "scanner/1", "position": 0.0, "missed": 0},
    }  # fmt: skip


def test_events_are_told_after_the_commit_in_the_order_of_their_appends(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        told = []
        journal.on_commit.append(lambda events: told.append([event.sequence for event in events]))
        for number in range(200):
            journal.append([scanned("x")] * (number % 3))
        assert (told, journal.last_sequence, journal.committed_sequence) == ([], 199, 0)
        await journal.settled(199)
        assert [sequence for events in told for sequence in events] == list(range(1, 200))
        assert await database.read(lambda c: c.execute("SELECT count(*) FROM events").fetchone()[0]) == 199
        return database.health().commits

    assert with_store(tmp_path / "s.db", use) < 100


def test_a_callback_that_fails_does_not_silence_the_others(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        told, errors = [], []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
        journal.on_commit += [lambda _: 1 / 0, told.extend]
        await journal.settled(journal.append([scanned("x")]))
        assert [event.sequence for event in told] == [1]
        assert [type(error) for error in errors] == [ZeroDivisionError]

    with_store(tmp_path / "s.db", use)


def test_an_event_that_cannot_be_written_takes_no_number(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        crooked = BoardTrace("b", [0.0, 1.0], [20.0], {})
        timeless = BoardTrace("b", [float("nan")], [20.0], {})
        for bad in (left(board("b"), crooked), left(board("b"), timeless)):
            with pytest.raises(ValueError, match="trace of board b"):
                journal.append([scanned("a"), bad])
        assert journal.append([scanned("a")]) == 1

    with_store(tmp_path / "s.db", use)
    assert reopened(tmp_path / "s.db")[1] == []


def test_waiting_for_a_number_that_was_never_given_is_refused(tmp_path):
    async def use(database):
        with pytest.raises(ValueError, match="not given yet"):
            await (await Journal.open(database)).settled(1)

    with_store(tmp_path / "s.db", use)


@pytest.mark.parametrize("memory", [True, False])
def test_reading_chooses_by_topic_and_machine_and_always_goes_on(tmp_path, memory):
    def check(events, gaps):
        assert gaps == []
        return [event.sequence for event in events]

    async def write(database):
        journal = await Journal.open(database)
        kinds = [scanned("a"), unexpected(), scanned("b", "RO0002"), unexpected("RO0002")]
        await journal.settled(journal.append(kinds * 10))
        return await questions(journal)

    async def questions(journal):
        assert check(*await whole(journal, ("Board.BarcodeRead",), limit=3)) == list(range(1, 41, 2))
        assert check(*await whole(journal, ("Board.*",), ("RO0002",), limit=7)) == [
            n for n in range(1, 41) if n % 4 in (3, 0)
        ]
        assert check(*await whole(journal, ("Alarm.*", "Recipe.Started"))) == []
        assert check(*await whole(journal, ("Board.Unexpected", "*"), ("RO0001", "RO0003"))) == [
            n for n in range(1, 41) if n % 4 in (1, 2)
        ]
        assert await journal.read(5, ("Alarm.*",), None, 10) == ([], 41, [])
        events, following, _ = await journal.read(2, ("Board.Unexpected",), ("RO0001",), 2)
        assert [event.sequence for event in events] == [2, 6]
        assert 7 <= following <= 10
        assert await journal.read(41, ALL, None, 10) == ([], 41, [])

    with_store(tmp_path / "s.db", write)
    if not memory:

        async def again(database):
            await questions(await Journal.open(database))

        with_store(tmp_path / "s.db", again)


def test_previous_is_the_last_matching_event_before_a_number(tmp_path):
    async def questions(journal):
        assert [await journal.previous(n, ("Board.BarcodeRead",), None) for n in (1, 2, 3, 4, 5, 9)] == [
            0,
            1,
            1,
            3,
            3,
            3,
        ]
        assert [await journal.previous(n, ALL, ("RO0002",)) for n in (3, 4, 5, 99)] == [0, 3, 4, 4]
        assert await journal.previous(99, ("Alarm.*",), None) == 0

    async def use(database):
        journal = await Journal.open(database)
        if journal.last_sequence == 0:
            kinds = [scanned("a"), unexpected(), scanned("b", "RO0002"), unexpected("RO0002")]
            await journal.settled(journal.append(kinds))
        await questions(journal)

    with_store(tmp_path / "s.db", use)
    with_store(tmp_path / "s.db", use)


def test_previous_and_reading_by_topic_use_the_index(tmp_path):
    seen = []

    async def use(database):
        journal = await fill(database, 10)
        await journal.settled(journal.append([unexpected()]))
        journal = await Journal.open(database)
        both = threading.Barrier(2)  # whichever reader answers, it is traced

        def trace(connection):
            connection.set_trace_callback(seen.append)
            both.wait(10)

        await asyncio.gather(database.read(trace), database.read(trace))
        await journal.previous(5, ("Board.BarcodeRead",), None)
        await journal.read(1, ("Board.BarcodeRead",), None, 5)

        def plans(connection):
            return [
                row[3]
                for statement in seen
                if statement.startswith("SELECT")
                for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            ]

        return await database.write(plans)

    plans = with_store(tmp_path / "s.db", use)
    assert any("COVERING INDEX events_by_kind (machine=? AND topic=? AND sequence<?)" in plan for plan in plans)
    assert all(plan.startswith("SEARCH") for plan in plans)
    assert len(plans) >= 4


def test_a_flipped_byte_is_told_as_a_gap_and_not_delivered(tmp_path):
    with_store(tmp_path / "s.db", lambda database: fill(database, 10))
    content = (tmp_path / "s.db").read_bytes()
    for code in (b"4", b"5", b"8"):
        assert b'"barcode":"%b"' % code in content
        content = content.replace(b'"barcode":"%b"' % code, b'"barcode":"%c"' % (code[0] ^ 0x40))
    (tmp_path / "s.db").write_bytes(content)
    events, gaps = reopened(tmp_path / "s.db", limit=5)
    assert [event.sequence for event in events] == [1, 2, 3, 6, 7, 9, 10]
    assert gaps == [(4, 5, 2), (8, 8, 1)]


def test_rows_that_are_gone_are_told_as_gaps_whatever_was_asked_for(tmp_path):
    async def write(database):
        journal = await fill(database, 10)
        await journal.settled(journal.append([unexpected()] * 10))

    with_store(tmp_path / "s.db", write)
    damage(tmp_path / "s.db", "DELETE FROM events WHERE sequence IN (1, 2, 12, 13, 17)")
    events, gaps = reopened(tmp_path / "s.db", ("Board.BarcodeRead",))
    assert [event.sequence for event in events] == list(range(3, 11))
    assert gaps == [(1, 2, 2), (12, 13, 2), (17, 17, 1)]


def test_numbers_are_not_used_again_when_the_newest_rows_are_gone(tmp_path):
    with_store(tmp_path / "s.db", lambda database: fill(database, 10))
    damage(tmp_path / "s.db", "DELETE FROM events WHERE sequence > 5")

    async def use(database):
        journal = await Journal.open(database)
        assert journal.last_sequence == 10
        assert journal.append([scanned("new")]) == 11
        await journal.settled(11)
        return await whole(journal)

    events, gaps = with_store(tmp_path / "s.db", use)
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 11]
    assert gaps == [(6, 10, 5)]


def test_an_empty_file_of_a_used_journal_begins_after_its_last_number(tmp_path):
    with_store(tmp_path / "s.db", lambda database: fill(database, 10))
    damage(tmp_path / "s.db", "DELETE FROM events")

    async def use(database):
        journal = await Journal.open(database)
        assert (journal.first_sequence, journal.last_sequence) == (11, 10)
        assert [(g.from_, g.to) for g in (await journal.read(1, ALL, None, 5))[2]] == [(1, 10)]

    with_store(tmp_path / "s.db", use)


def test_the_tail_in_memory_is_bounded_and_what_fell_out_is_read_from_disk(tmp_path):
    async def use(database):
        journal = await fill(database, 3000)
        assert len(journal._tail._events) == 1024
        events, gaps = await whole(journal, limit=1000)
        assert [event.sequence for event in events] == list(range(1, 3001))
        assert gaps == []
        await journal.settled(journal.append([scanned("x" * 1_000_000)] * 20))
        assert sum(len(event.body) for event in journal._tail._events) <= 1 << 20
        assert len((await whole(journal, limit=1000))[0]) == 3020

    with_store(tmp_path / "s.db", use)


def test_a_long_journal_is_examined_in_bounded_steps(tmp_path):
    async def use(database):
        journal = await fill(database, 60_000)
        first = await journal.read(1, ("Alarm.*",), None, 10)
        assert first == ([], 50_001, [])
        assert await whole(journal, ("Alarm.*",)) == ([], [])

    with_store(tmp_path / "s.db", use)


def test_a_full_disk_delays_events_and_loses_none(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        room, told = [40], []
        journal.on_commit.append(told.extend)
        go = threading.Event()

        def hold(connection):
            connection.execute(f"PRAGMA max_page_count = {room[0]}").fetchone()
            go.wait(10)

        database.submit(hold)
        for number in range(100):
            journal.append([scanned(f"{number}" + "x" * 3000)])
        go.set()
        async with asyncio.timeout(10):
            while not database.health().failing:  # noqa: ASYNC110  the writer's thread has no event to wait for
                await asyncio.sleep(0.005)
        assert (told, journal.committed_sequence, journal.last_sequence) == ([], 0, 100)
        room[0] = 100_000
        await journal.settled(100)
        assert [event.sequence for event in told] == list(range(1, 101))
        assert len((await whole(journal))[0]) == 100

    with_store(tmp_path / "s.db", use)


def test_events_that_the_file_refuses_are_an_error_for_who_waits_and_a_gap_for_who_reads(tmp_path):
    async def use(database):
        journal = await fill(database, 2)
        await database.write(lambda c: c.execute("INSERT INTO events VALUES(4, 't', 'm', 0, x'')") and None)
        lost = journal.append([scanned("3"), scanned("4")])
        kept = journal.append([scanned("5")])
        with pytest.raises(StoreError, match="could not be written"):
            await journal.settled(lost)
        await journal.settled(kept)
        await database.write(lambda c: c.execute("DELETE FROM events WHERE sequence = 4") and None)
        events, gaps = await whole(journal)
        assert [event.sequence for event in events] == [1, 2, 5]
        assert gaps == [(3, 4, 2)]

    with_store(tmp_path / "s.db", use)


def test_closing_while_the_disk_is_full_ends_every_wait_with_an_error(tmp_path):
    async def use():
        database = Database(tmp_path / "s.db", retry_s=0.01)
        database.open()
        journal = await Journal.open(database)
        await database.write(lambda c: c.execute("PRAGMA max_page_count = 1").fetchone() and None)
        waiting = asyncio.ensure_future(journal.settled(journal.append([scanned("x" * 100_000)])))
        await asyncio.sleep(0)
        with pytest.raises(StoreError):
            database.close()
        with pytest.raises(StoreError):
            await waiting

    asyncio.run(use())


def test_a_board_and_its_event_are_kept_together(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        record = board("b1", codes=("PCB1",))
        trace = BoardTrace("b1", [0.0, 1.0], [25.0, None], {"zone/1/top": [170.04, float("nan")]})
        await journal.settled(journal.append([left(record, trace)]))
        event = (await journal.read(1, ALL, None, 1))[0][0]
        stored = await Boards(database).get("b1")
        assert json.loads(stored) == json.loads(b"{" + event.body + b"}")["data"]["board"]
        assert await Boards(database).trace("b1", 10) == BoardTrace(
            "b1", [0.0, 1.0], [25.0, None], {"zone/1/top": [170.0, None]}
        )

    with_store(tmp_path / "s.db", use)


APPENDING = """
import asyncio, sys
from edgeagent.store import Database, Journal
from tests.store.samples import board, left, scanned

async def main():
    database = Database(sys.argv[1])
    database.open()
    journal = await Journal.open(database)
    while True:
        first = journal.last_sequence + 1
        events = [scanned(str(first)), left(board(f"b{first}"))]
        last = journal.append(events, checkpoint=("RO0001", b"state"))
        journal.append([scanned("between")])
        await journal.settled(last)
        print(first, last, flush=True)

asyncio.run(main())
"""


def test_nothing_that_was_settled_is_lost_when_the_process_is_killed(tmp_path):
    path, printed = tmp_path / "s.db", []
    for kill in range(5):
        with subprocess.Popen([sys.executable, "-c", APPENDING, str(path)], stdout=subprocess.PIPE, text=True) as agent:
            printed += [agent.stdout.readline() for _ in range(20 + 37 * kill)]
            agent.send_signal(signal.SIGKILL)
            printed += agent.stdout.readlines()
    pairs = [tuple(map(int, line.split())) for line in printed if line.endswith("\n")]
    assert len(pairs) >= 5 * 20
    numbers = [number for pair in pairs for number in pair]
    assert len(set(numbers)) == len(numbers)

    async def use(database):
        events, gaps = await whole(await Journal.open(database), limit=1000)
        boards = {number for number in range(1, max(numbers)) if await Boards(database).get(f"b{number}")}
        return events, gaps, boards

    events, gaps, boards = with_store(path, use)
    assert gaps == []
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert len(events) >= max(numbers)
    assert {first for first, _ in pairs} <= boards
