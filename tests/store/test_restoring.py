"""A store has its past again from a backup, and keeps what is newer: where the machines stand, and their boards."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from edgeagent.clock import Clock
from edgeagent.errors import StoreError
from edgeagent.model.boards import BoardTrace
from edgeagent.store import Archive, Checkpoints, Database, Journal
from edgeagent.store.backup import back_up, examine
from edgeagent.store.checksums import GIVEN_LATER, checksum, checksum_of
from edgeagent.store.restored import find, laid_file
from edgeagent.store.restoring import lay, refused_file, take_up
from edgeagent.store.schema import MIGRATIONS
from tests.store.deaths import deaths, layout, tables
from tests.store.samples import NOON, board, left, scanned, with_store

MINUTE = 60_000_000_000
FIXTURES = Path(__file__).parent / "fixtures"
BOARDS = [f"board-{n}" for n in range(1, 6)]


def fill(path, numbers):
    """Boards leave, each with barcode, trace and the machine's state; tells the stream and the last number."""

    async def use(database):
        journal, checkpoints = await Journal.open(database), Checkpoints(database, Clock())
        last = journal.last_sequence
        for n in numbers:
            trace = BoardTrace("", [0.0, 1.0], [25.0, 26.0], {})
            left_by = left(board(f"board-{n}", NOON + n * MINUTE, (f"PCB-{n}",)), trace)
            checkpoints.record("RO0001", n, b"row %d" % n)
            last = journal.append([scanned("x"), left_by], ("RO0001", b"state %d" % n))
        await journal.settled(last)
        return journal.stream, last

    return with_store(path, use)


@pytest.fixture
def store(tmp_path):
    """A store with boards 1 to 5, and a backup of it from when there were 3."""
    fill(tmp_path / "s.db", (1, 2, 3))
    back_up(tmp_path / "s.db", tmp_path / "b.db")
    fill(tmp_path / "s.db", (4, 5))
    return tmp_path / "s.db"


def seen(path):
    """What readers find in a store: stream, last number, boards, their barcodes and traces, the machine's state."""

    async def use(database):
        archive = await Archive.open(database, Clock())
        ids = [record[7:14].decode() for record in (await archive.boards.find())[0]][::-1]
        coded = [bool((await archive.boards.find(barcode=each.replace("board", "PCB")))[0]) for each in ids]
        traced = [bool(await archive.boards.trace(each, 10)) for each in ids]
        assert coded == traced == [True] * len(ids)
        state = await archive.checkpoints.load("RO0001")
        history = [body for _, body in await archive.checkpoints.history("RO0001", 0)]
        restored = await database.read(find)
        journal = archive.journal
        events = [event.sequence for event in (await journal.read(1, ("*",), None, 100))[0]]
        return (journal.stream, journal.last_sequence, ids, state and state.body, history, restored, events)

    return with_store(path, use)


def test_a_restored_store_has_the_events_of_the_backup_and_the_boards_of_both(store, caplog):
    stream, last = fill(store, ())
    lay(store.with_name("b.db"), store)
    new, numbered, ids, state, history, restored, events = seen(store)
    assert new != stream
    assert numbered == last == 10, "no number that was given is given again"
    assert (ids, state, history) == (BOARDS, b"state 5", [b"row %d" % n for n in range(1, 6)])
    assert events == [1, 2, 3, 4, 5, 6]
    assert (restored.boards, restored.machines, restored.unread) == (2, ["RO0001"], [])
    assert "taken over from it: 2 boards, the state of RO0001; not readable there: nothing" in caplog.text
    assert not laid_file(store).exists()
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    assert fill(store, (6,)) == (new, 12)


@pytest.mark.parametrize("table", ["alarms", "aside", "consumers", "endings", "jobs", "states"])
def test_what_others_left_in_the_store_since_is_taken_over(store, table):
    of_type = {"TEXT": "newer", "INTEGER": 7, "BLOB": b"newer"}
    of_name = {"crc": checksum("newer", b"newer"), "to_ns": 8}
    with closing(sqlite3.connect(store)) as connection, connection:
        columns = connection.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall()
        row = {name: of_name.get(name, of_type[kind]) for name, kind in columns}
        if table in GIVEN_LATER:
            row["crc"] = checksum_of(table, row)
        values = list(row.values())
        connection.execute(f"INSERT INTO {table} VALUES({', '.join('?' * len(values))})", values)
    lay(store.with_name("b.db"), store)
    take_up(store)
    assert tuple(values) in tables(store, (table,))[table]


COLUMNS = ("name", "owner", "topics", "machines", "stream", "acknowledged", "made_ns", "seen_ns")


def alarm(number, text):
    body = text.encode()
    return f"a{number}", "RO0001", NOON + number, checksum(f"a{number}", body), body


def stay(from_ns, to_ns, state):
    row = {"machine": "RO0001", "from_ns": from_ns, "to_ns": to_ns, "state": state}
    return (*row.values(), checksum_of("states", row))


def insert(path, table, rows):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES({', '.join('?' * len(rows[0]))})", rows)


def test_a_backup_of_an_earlier_layout_takes_over_as_much_as_one_of_today(store):
    old = store.with_name("old.db")
    shutil.copy(FIXTURES / "layout-1.db", old)
    insert(store, "alarms", [alarm(1, "newer")])
    consumer = dict(zip(COLUMNS, ("mes", "me", "[]", "null", "s", 3, 1, 1), strict=True))
    insert(store, "consumers", [(*consumer.values(), checksum_of("consumers", consumer))])
    insert(store, "states", [stay(NOON, NOON + MINUTE, "running")])
    before = tables(store, ("endings",))["endings"]
    lay(old, store)
    take_up(store)
    found = tables(store, ("alarms", "consumers", "endings", "states"))
    assert alarm(1, "newer") in found["alarms"]
    assert [row[0] for row in found["consumers"]] == ["mes"]
    assert len(found["states"]) == 1
    assert set(before) < set(found["endings"])
    assert {row[2] for row in found["alarms"]} > {NOON + 1}, "and those that the backup tells"


def test_boards_of_a_store_that_did_not_count_yet_are_counted(store):
    old = store.with_name("old.db")
    shutil.copy(FIXTURES / "layout-1.db", old)
    with closing(sqlite3.connect(old)) as connection:
        ids = {id for (id,) in connection.execute("SELECT id FROM boards WHERE NOT lost")}  # noqa: A001
    fill(store.with_name("empty.db"), ())
    back_up(store.with_name("empty.db"), store.with_name("none.db"))
    lay(store.with_name("none.db"), old)
    take_up(old)
    assert {row[4] for row in tables(old, ("endings",))["endings"]} == ids


def test_a_damaged_row_does_not_take_the_place_of_a_whole_one(store):
    for path in (store, store.with_name("b.db")):
        insert(path, "alarms", [alarm(1, "whole")])
    insert(store, "alarms", [(*alarm(1, "whole")[:4], b"damaged"), alarm(2, "newer")])
    lay(store.with_name("b.db"), store)
    assert seen(store)[5].unread == ["some rows of alarms"]
    assert tables(store, ("alarms",))["alarms"] == [alarm(1, "whole"), alarm(2, "newer")]


def test_rows_before_a_damaged_place_are_taken_over(store):
    insert(store, "alarms", [alarm(number, "x" * 1000) for number in range(1000)])
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    body = store.read_bytes().index(b"x" * 1000, store.stat().st_size // 2)
    with store.open("r+b") as file:
        file.seek(body // 4096 * 4096)
        file.write(bytes(4096))
    lay(store.with_name("b.db"), store)
    assert seen(store)[5].unread == ["some rows of alarms"]
    assert 0 < len(tables(store, ("alarms",))["alarms"]) < 1000


def test_time_that_both_stores_tell_is_told_once(store):
    ready = stay(NOON - 9 * MINUTE, NOON - 2 * MINUTE, "ready")
    insert(store.with_name("b.db"), "states", [ready, stay(NOON, NOON + 9 * MINUTE, "running")])
    newer = [ready, stay(NOON - 2 * MINUTE, NOON + MINUTE, "fault")]  # since the clock was set back
    insert(store, "states", newer)
    lay(store.with_name("b.db"), store)
    take_up(store)
    assert tables(store, ("states",))["states"] == newer


def test_a_damaged_row_of_what_is_counted_is_not_taken_over(store):
    *row, crc = stay(NOON, NOON + MINUTE, "running")
    insert(store, "states", [(*row[:3], "sunning", crc), stay(NOON + MINUTE, NOON + 2 * MINUTE, "ready")])
    with closing(sqlite3.connect(store)) as connection, connection:
        assert connection.execute("UPDATE endings SET result = 'qass' WHERE id = 'board-5'").rowcount == 1
    lay(store.with_name("b.db"), store)
    assert seen(store)[5].unread == ["some rows of endings", "some rows of states"]
    assert {row[3] for row in tables(store, ("states",))["states"]} == {"ready"}
    assert "qass" not in {row[2] for row in tables(store, ("endings",))["endings"]}


def test_a_restore_that_was_refused_can_be_laid_again(store):
    refused = refused_file(store)
    store.with_name("b.db").rename(refused)
    lay(refused, store)
    assert seen(store)[2] == BOARDS


def test_what_waits_to_be_taken_up_is_not_laid_once_more(store):
    lay(store.with_name("b.db"), store)
    with pytest.raises(StoreError, match="an earlier restore waits"):
        lay(laid_file(store), store)
    assert laid_file(store).exists()


def test_a_log_of_an_earlier_restore_does_not_hinder(store):
    laid_file(store).with_name("s.db.restore-journal").write_bytes(b"old")
    lay(store.with_name("b.db"), store)
    assert seen(store)[2] == BOARDS


def test_a_restore_that_the_disk_refuses_leaves_the_store_as_it_is(store, monkeypatch, caplog):
    before = fill(store, ())
    lay(store.with_name("b.db"), store)

    class Full(sqlite3.Connection):
        """A disk that takes nothing more."""

        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            self.execute("PRAGMA max_page_count = 1")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Full))
        take_up(store)
    assert "not restored, the store stays as it is: database or disk is full" in caplog.text
    assert fill(store, ()) == before
    assert seen(store)[2] == BOARDS


def test_the_store_of_before_is_put_aside_and_can_be_had_back(store):
    before = fill(store, ())
    lay(store.with_name("b.db"), store)
    aside = Path(seen(store)[5].aside)
    assert aside.name.startswith("s.db.before-restore-2")
    assert fill(aside, ()) == before, "it goes on as if nothing had been, with its mark"
    assert seen(aside)[6] == list(range(1, 11))
    lay(aside, store)
    stream, numbered, ids, *_, restored, events = seen(store)
    assert stream != before[0]
    assert (numbered, ids, events, restored.made) == (10, BOARDS, list(range(1, 11)), None)


def test_a_store_that_goes_on_from_a_backup_is_no_backup(store):
    assert examine(store.with_name("b.db"), is_thorough=False).made
    lay(store.with_name("b.db"), store)
    fill(store, (6,))
    assert examine(store, is_thorough=False).made is None


def test_each_restore_begins_a_stream_of_its_own(store):
    streams = {fill(store, ())[0]}
    for _ in range(3):
        lay(store.with_name("b.db"), store)
        streams.add(fill(store, ())[0])
    assert len(streams) == 4
    assert len([file for file in store.parent.iterdir() if "before-restore" in file.name and file.suffix != ".mark"
                and not file.name.endswith(("-shm", "-wal"))]) == 3  # fmt: skip


def test_a_backup_begins_a_new_stream_wherever_it_is_put(store, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "s.db"
    elsewhere.parent.mkdir()
    lay(store.with_name("b.db"), elsewhere)
    by_hand = tmp_path / "copied.db"
    shutil.copy(store.with_name("b.db"), by_hand)
    streams = {fill(path, ()) for path in (store, elsewhere, by_hand)}
    assert sorted(last for _, last in streams) == [6, 6, 10]
    assert len({stream for stream, _ in streams}) == 3
    assert seen(elsewhere)[2] == BOARDS[:3]


def test_a_log_that_was_not_written_back_is_read_and_put_aside_with_its_file(store, tmp_path):
    live = tmp_path / "live"
    live.mkdir()

    async def use(database):
        journal = await Journal.open(database)
        await journal.settled(journal.append([left(board("board-9", NOON + 9 * MINUTE, ("PCB-9",)),
                                                   BoardTrace("", [0.0], [1.0], {}))]))  # fmt: skip
        for file in tmp_path.glob("s.db*"):
            shutil.copy(file, live)

    with_store(store, use)
    assert (live / "s.db-wal").stat().st_size
    lay(store.with_name("b.db"), live / "s.db")
    assert seen(live / "s.db")[1:3] == (11, [*BOARDS, "board-9"])
    assert not list(live.glob("s.db-*"))
    aside = Path(seen(live / "s.db")[5].aside)
    assert seen(aside)[2] == [*BOARDS, "board-9"]


def test_a_backup_put_in_the_place_of_a_killed_agents_store_is_not_read_with_its_log(store, tmp_path):
    live = tmp_path / "live"
    live.mkdir()

    async def use(database):
        journal = await Journal.open(database)
        await journal.settled(journal.append([scanned("x")]))
        for file in tmp_path.glob("s.db*"):
            shutil.copy(file, live)

    with_store(store, use)
    shutil.copy(store.with_name("b.db"), live / "s.db")
    with pytest.raises(StoreError, match=r"s\.db-wal: belongs to the file that was here before.*move it"):
        fill(live / "s.db", ())
    with pytest.raises(StoreError, match=r"s\.db-wal: belongs"):
        back_up(live / "s.db", tmp_path / "again.db")
    (live / "s.db-wal").unlink()
    (live / "s.db-shm").unlink()
    assert seen(live / "s.db")[2] == BOARDS[:3]


@pytest.mark.parametrize(("table", "lost"), [("boards", "places in the table of boards"),
                                             ("checkpoints", "where the machines stand")])
def test_a_damaged_store_gives_what_can_be_read(store, table, lost):
    with closing(sqlite3.connect(store)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    with store.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    lay(store.with_name("b.db"), store)
    _, numbered, ids, state, _, restored, _ = seen(store)
    assert numbered == 10
    assert lost in " ".join(restored.unread)
    assert (ids, state) == ((BOARDS[:3], b"state 5") if table == "boards" else (BOARDS, b"state 3"))


def test_a_damaged_record_is_not_taken_over_and_the_others_are(store):
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE boards SET body = x'00' WHERE id = 'board-4'")
        connection.execute("UPDATE checkpoints SET body = x'00'")
    lay(store.with_name("b.db"), store)
    _, _, ids, state, _, restored, _ = seen(store)
    assert (ids, state) == ([*BOARDS[:3], "board-5"], b"state 3")
    assert restored.unread == ["where RO0001 stands", "board board-4"]


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000])
def test_a_store_that_is_none_any_more_does_not_hinder(store, content):
    store.write_bytes(content)
    lay(store.with_name("b.db"), store)
    _, numbered, ids, state, _, restored, _ = seen(store)
    assert (numbered, ids, state) == (10, BOARDS[:3], b"state 3"), "the mark still tells the last number"
    assert restored.unread
    assert Path(restored.aside).read_bytes() == content


def test_what_was_not_laid_by_a_restore_is_put_aside(store, caplog):
    before = fill(store, ())
    for content in (store.with_name("b.db").read_bytes(), b"rubbish"):
        laid_file(store).write_bytes(content)
        assert fill(store, ()) == before
        assert refused_file(store).read_bytes() == content
    assert "was not laid by edgeagent restore" in caplog.text
    assert "the store stays as it is" in caplog.text


def test_a_damaged_backup_is_not_laid(store):
    backup = store.with_name("b.db")
    with backup.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(bytes(8192))
    with pytest.raises(StoreError, match="is damaged"):
        lay(backup, store)
    assert not list(store.parent.glob("*.restore*"))


def test_a_second_restore_takes_the_place_of_one_that_waits(store):
    first = lay(store.with_name("b.db"), store)
    second = lay(store.with_name("b.db"), store)
    assert first != second
    assert seen(store)[5].laid == second


def test_a_kill_at_any_moment_leaves_the_old_store_or_the_new_one(store, tmp_path_factory):
    whole = tables(store, ("events", "boards"))
    lay(store.with_name("b.db"), store)
    places = deaths(store.parent, "s.db", "take_up", tmp_path_factory.mktemp("deaths"))
    assert len(places) > 40
    halfway = 0
    for place in places:
        halfway += not place.exists()
        assert place.exists() or laid_file(place).exists(), "never neither"
        take_up(place)
        assert taken(place) == taken(places[-1]), "as if nothing had happened"
        (aside,) = place.parent.glob("s.db.before-restore-*Z")
        assert tables(aside, ("events", "boards")) == whole
    assert halfway >= 3, "some died between the moves"
    assert seen(places[0])[1:4] == seen(places[-1])[1:4] == (10, BOARDS, b"state 5")


def taken(path):
    """Everything in a restored store but when it was restored."""
    found = tables(path, ("meta", "events", "boards", "board_barcodes", "traces", "checkpoints", "history"))
    found["meta"] = [row for row in found["meta"] if row[0] != "restore.taken"]
    assert "journal.stream" not in {row[0] for row in found["meta"]}
    return found


def test_a_restore_that_stopped_halfway_is_not_overwritten(store):
    lay(store.with_name("b.db"), store)
    store.rename(store.with_name("moved.db"))
    with pytest.raises(StoreError, match="stopped halfway: start the agent"):
        lay(store.with_name("b.db"), store)
    assert seen(store)[2] == BOARDS[:3]


def test_a_backup_of_an_earlier_layout_is_brought_to_that_of_today(store, tmp_path):
    old = tmp_path / "old.db"
    shutil.copy(FIXTURES / "layout-1.db", old)
    lay(old, store)
    _, numbered, ids, state, _, restored, events = seen(store)
    assert (numbered, state, events) == (10, b"state 5", list(range(1, 9)))
    assert ids == ["board-1", "board-2", "board-3", "board-4", "board-5"]
    assert restored.boards == 2
    assert layout(store) == len(MIGRATIONS)


def test_nothing_laid_changes_nothing(store):
    before = store.read_bytes()
    take_up(store)
    assert store.read_bytes() == before


def test_an_open_store_is_not_taken_from_its_agent(store):
    async def use(_):
        lay(store.with_name("b.db"), store)
        with pytest.raises(StoreError, match="already open"):
            Database(store).open()

    with_store(store, use)
    assert laid_file(store).exists()
