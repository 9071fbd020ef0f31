"""A store whose file is damaged anywhere: the agent starts, says what is lost, and serves nothing that is not whole."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeagent.clock import Clock
from edgeagent.errors import StoreError
from edgeagent.store import Archive, Database
from edgeagent.store.salvaged import Salvaged, find, keep
from edgeagent.store.schema import MIGRATIONS
from tests.store import damage
from tests.store.damage import PAGE, Rows, Served
from tests.store.deaths import deaths
from tests.store.samples import scanned

T = TypeVar("T")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "s.db"
    damage.make(path)
    return path


@pytest.fixture(scope="module")
def rows(whole) -> Rows:
    return damage.rows_of(whole)


@pytest.fixture
def store(whole, tmp_path) -> Path:
    for file in whole.parent.iterdir():
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / "s.db"


def again(whole: Path, store: Path) -> None:
    """Put the whole store back."""
    for file in store.parent.iterdir():
        file.unlink()
    for file in whole.parent.iterdir():
        shutil.copy(file, store.parent / file.name)


def zero(store: Path, page: int) -> None:
    with store.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(bytes(PAGE))


def flip(store: Path, place: int, bit: int = 1) -> None:
    with store.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ bit]))


def held(
    store: Path, rows: Rows, served: Served, *, of: str | None = None, is_one_page: bool = True
) -> dict[str, int]:
    """Nothing is served that is not as it was written, and what is lost is told; returns how many rows of each table.

    Args:
        of: the only table of which rows may be missing; any for None.
        is_one_page: whether rows that have no checksum must be as they were as well.
    """
    now = damage.rows_of(store)
    lost = {}
    for table in rows.keys() - {"meta"}:
        before = rows[table]
        if table == "endings":  # made again, with the board's time in place of the event's
            before, now[table] = ({key[-1]: {} for key in each} for each in (before, now[table]))
        for key, row in now[table].items():
            if not is_one_page and "crc" not in row:
                continue
            assert key in before or "new" in str(key) or "new" in str(row), (table, row)
            assert served_of(before.get(key, row)) == served_of(row), table
        missing = before.keys() - now[table].keys()
        if table == "board_barcodes":  # of a board that is lost they name nothing any more
            missing = {key for key in missing if (before[key]["board"],) in now["boards"]}
        lost[table] = len(missing)
    assert {table for table, count in lost.items() if count} <= ({of} if of else set(lost)), lost
    numbers = {key[0] for key in rows["events"]}
    assert set(served.events) == numbers & {key[0] for key in now["events"]}
    if served.events:
        between = set(range(min(served.events), max(served.events)))
        assert set(served.gaps) >= between - set(served.events), "what is lost between others is told exactly"
    if any(lost.values()):
        assert served.damage or served.missing or served.gaps, lost
    assert served.next == served.last + 1
    return lost


def served_of(row: dict[str, Any] | None) -> object:
    """What of a row is shown: of one with a checksum its body, the other columns are only looked for."""
    return row["body"] if row and "body" in row else row


def test_every_table_of_the_schema_is_filled(whole, rows):
    assert len(rows) >= 14
    assert min(map(len, rows.values())) >= damage.ROWS // 2


def test_a_zeroed_page_in_any_table_or_index_costs_no_other_table_a_row(whole, store, rows):
    found = damage.pages(whole)
    for name in ("sqlite_schema", "alarms", *random.Random(7).sample(sorted(found), 2)):
        zeroed(whole, store, rows, name, found[name][len(found[name]) // 2])


def names() -> list[str]:
    """Every table and index of the schema."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for step in MIGRATIONS:
            connection.executescript(step.script)
        return ["sqlite_schema", *(name for (name,) in connection.execute("SELECT name FROM sqlite_master"))]


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_pages_zeroed_of_each_table_and_index_cost_no_other_table_a_row(whole, store, rows, name):
    numbers = damage.pages(whole)[name]
    for page in {*some(numbers), numbers[0], numbers[-1]}:
        zeroed(whole, store, rows, name, page)


def some(them: Sequence[T]) -> list[T]:
    """Four of many, others on another day: all would take hours on a busy computer."""
    return random.Random(date.today().toordinal()).sample(them, min(4, len(them)))


def zeroed(whole: Path, store: Path, rows: Rows, name: str, page: int) -> None:
    again(whole, store)
    zero(store, page)
    of = None if name == "sqlite_schema" else _table(whole, name)
    lost = held(store, rows, damage.serve(store), of=of)
    if of in ("board_barcodes", "endings") or name not in rows:
        assert not any(lost.values()), (name, lost, "the table is whole, or is made again from another")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_put_aside_and_begins_a_new_stream(whole, store, rows, share):
    size = store.stat().st_size // PAGE
    truncated(whole, store, rows, round(size * share))


def test_a_first_key_of_nothing_costs_no_other_table_a_row(whole, store, rows):
    first = damage.pages(whole)["history"][1]
    with store.open("r+b") as file:
        file.seek(first * PAGE - 1000)
        file.write(bytes(1000))
    with closing(sqlite3.connect(store)) as connection:
        key = connection.execute("SELECT machine FROM history ORDER BY machine, t_ns LIMIT 1").fetchone()
    assert key == (None,)
    flip(store, 0)
    served = damage.serve(store)
    assert 0 < held(store, rows, served, of="history")["history"] < damage.ROWS
    assert "lost of history" in served.damage


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("is_found_at_once", [False, True])
def test_events_that_are_whole_but_not_found_by_their_numbers_are_served(whole, store, rows, share, is_found_at_once):
    data = store.read_bytes()
    begins = [(page - 1) * PAGE for page in damage.pages(whole)["events"]]
    leaves = [(begin, cells) for begin in begins if data[begin] == 13
              and (cells := int.from_bytes(data[begin + 3 : begin + 5], "big")) >= 3]  # fmt: skip
    begin, cells = leaves[round(share * len(leaves))]
    pointer = begin + 8 + (cells - 1) // 2 * 2
    with store.open("r+b") as file:
        file.seek(begin + int.from_bytes(data[pointer : pointer + 2], "big"))
        file.write(bytes(8))  # its number is 0 now
    if is_found_at_once:
        flip(store, 0)
    assert held(store, rows, damage.serve(store), of="events")["events"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("tenth", range(10))
def test_a_file_truncated_at_any_page_is_put_aside_and_begins_a_new_stream(whole, store, rows, tenth):
    pages = range(store.stat().st_size // PAGE)
    for page in some(pages[len(pages) * tenth // 10 : len(pages) * (tenth + 1) // 10]):
        again(whole, store)
        truncated(whole, store, rows, page)


def truncated(whole: Path, store: Path, rows: Rows, page: int) -> None:
    with store.open("r+b") as file:
        file.truncate(page * PAGE)
    served = damage.serve(store)
    held(store, rows, served)
    assert served.damage
    assert sum(each.stat().st_size for each in store.parent.glob("s.db.corrupt-*")) >= page * PAGE, "nothing is deleted"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(("flip", "zero", "garbage", "cut")), st.floats(0, 1), st.integers(1, 9000)),
                min_size=1, max_size=3))  # fmt: skip
def test_whatever_is_done_to_a_file_the_agent_starts_and_serves_only_what_was_written(whole, store, rows, done):
    again(whole, store)
    data = bytearray(store.read_bytes())
    for kind, share, size in done:
        place = min(len(data) - 1, round(share * len(data)))
        if kind == "cut":
            del data[max(1, place):]
        elif kind == "flip":
            data[place] ^= 1 << size % 8
        else:
            end = min(len(data), place + size)
            data[place:end] = bytes(end - place) if kind == "zero" else random.Random(size).randbytes(end - place)
    store.write_bytes(data)
    held(store, rows, damage.serve(store), is_one_page=False)


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_anywhere_is_never_served(store, rows, seed):
    place = random.Random(seed)
    for _ in range(1 + seed % 2 * 20):
        flip(store, place.randrange(store.stat().st_size), 1 << place.randrange(8))
    held(store, rows, damage.serve(store), is_one_page=False)


@pytest.mark.parametrize("what", ["missing", "garbage", "empty"])
def test_without_a_mark_that_can_be_read_nothing_is_lost(store, rows, what, caplog):
    mark = store.with_name("s.db.mark")
    mark.unlink()
    if what != "missing":
        mark.write_bytes(b"\xff\x00 garbage" if what == "garbage" else b"")
    served = damage.serve(store)
    assert not any(held(store, rows, served).values())
    assert (served.damage, served.missing) == (None, None)
    assert "whether the end of its journal is missing, nobody knows" in caplog.text


@pytest.fixture
def killed(store) -> Path:
    """A store whose newest events are in its log only, as a kill leaves it."""
    with closing(sqlite3.connect(store)) as connection:
        stream = connection.execute("SELECT value FROM meta WHERE key = 'journal.stream'").fetchone()[0]
    code = (
        "import asyncio, os, sys\n"
        "from edgeagent.store import Database, Journal\n"
        "from tests.store.samples import scanned\n"
        "async def main():\n"
        "    database = Database(sys.argv[1]); database.open(); journal = await Journal.open(database)\n"
        "    await journal.settled(journal.append([scanned('x')] * 3)); os._exit(0)\n"
        "asyncio.run(main())"
    )
    subprocess.run([sys.executable, "-c", code, str(store)], check=True, cwd=Path(__file__).parents[2])
    assert store.with_name("s.db-wal").stat().st_size, stream
    return store


def test_a_log_that_is_missing_is_found_and_a_new_stream_begins(killed, rows):
    killed.with_name("s.db-wal").unlink()
    served = damage.serve(killed)
    assert not any(held(killed, rows, served).values())
    assert "the end of the journal is missing" in served.missing
    assert served.last == len(rows["events"]) + 3, "no number that was given is given again"


@pytest.mark.parametrize("kind", ["random", "flipped", "cut"])
def test_a_log_of_other_bytes_is_read_as_far_as_it_is_whole(killed, rows, kind):
    log = killed.with_name("s.db-wal")
    data = log.read_bytes()
    if kind == "random":
        log.write_bytes(random.Random(5).randbytes(len(data)))
    elif kind == "flipped":
        flip(log, len(data) // 2)
    else:
        log.write_bytes(data[: len(data) // 2])
    served = damage.serve(killed)
    assert not any(held(killed, rows, served).values())
    assert "the end of the journal is missing" in served.missing
    assert served.last == len(rows["events"]) + 3


def test_a_file_of_somebody_else_is_never_put_aside(tmp_path):
    mine = tmp_path / "thesis.pdf"
    mine.write_bytes(b"%PDF" * 1000)
    with pytest.raises(StoreError, match="cannot be opened"):
        damage.serve(mine)
    assert mine.read_bytes() == b"%PDF" * 1000


def test_a_header_that_tells_of_an_earlier_or_a_senseless_layout_is_damage(whole, store, rows):
    for layout in (1, 2, 0, 131):
        again(whole, store)
        with store.open("r+b") as file:
            file.seek(60)
            file.write(layout.to_bytes(4, "big"))
        served = damage.serve(store)
        assert "layout" in served.damage, layout
        assert not any(held(store, rows, served).values())


@pytest.mark.slow
def test_a_kill_at_any_moment_of_healing_leaves_a_store_that_the_next_start_heals(tmp_path_factory):
    small = tmp_path_factory.mktemp("small") / "s.db"
    damage.make(small, 2)
    rows = damage.rows_of(small)
    zero(small, damage.pages(small)["alarms"][-1])
    stores = deaths(small.parent, "s.db", "heal", tmp_path_factory.mktemp("deaths"))
    assert len(stores) > 20
    for place in {*some(stores), stores[0], stores[-1]}:
        served = damage.serve(place)
        assert served.damage
        held(place, rows, served, of="alarms")


@pytest.mark.parametrize("is_read_meanwhile", [False, True])
def test_damage_under_a_running_agent_is_healed_and_what_is_in_memory_is_not_lost(
    store, rows, monkeypatch, is_read_meanwhile
):
    if is_read_meanwhile:
        monkeypatch.setattr("edgeagent.store.care._FIRST_S", 0.0)
        monkeypatch.setattr("edgeagent.store.scrub._PART", 1 << 10)
        monkeypatch.setattr("edgeagent.store.scrub._BYTES_A_SECOND", 1 << 12)

    async def go() -> tuple[list[int], list[int], str | None]:
        database = Database(store, retry_s=0.01)
        database.open()
        archive = await Archive.open(database, Clock())
        care = asyncio.create_task(archive.care.run())
        journal = archive.journal
        await journal.settled(journal.append([scanned("before")]))
        with closing(sqlite3.connect(store)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        found = damage.pages(store)
        for page in (*found["events"][10:12], found["consumers"][-1]):
            zero(store, page)
        async with asyncio.timeout(30):
            while archive.care.damage() is None:
                with suppress(StoreError):
                    await journal.read(1, ("*",), None, 1000)
                await journal.settled(journal.append([scanned("while")]))
        last = journal.append([scanned("after")])
        await journal.settled(last)
        events, gaps = await damage._read(archive)
        assert events[-1] == last == journal.last_sequence
        told = archive.care.damage()
        await database.write(lambda _: None)
        care.cancel()
        await asyncio.wait((care,))
        await asyncio.to_thread(database.close)
        return events, gaps, f"{journal.stream} {told}"

    events, gaps, told = asyncio.run(go())
    monkeypatch.undo()
    assert damage.serve(store).stream in told
    assert damage.rows_of(store)["consumers"] == rows["consumers"], "they are kept in memory as well"
    assert gaps
    assert sorted(events + gaps) == list(range(1, events[-1] + 1))
    assert "was damaged" in told


def test_a_second_damage_soon_after_the_first_is_healed_and_all_of_both_is_taken_over(store, rows):
    async def go() -> None:
        database = Database(store, retry_s=0.01)
        database.open()
        archive = await Archive.open(database, Clock())
        for table in ("alarms", "recipes"):
            await asyncio.to_thread(overwrite, table)
            before = len(list(store.parent.glob("s.db.corrupt-*[0-9Z]")))
            async with asyncio.timeout(60):
                while len(list(store.parent.glob("s.db.corrupt-*[0-9Z]"))) == before:
                    with suppress(StoreError):
                        await database.read(lambda c, table=table: c.execute(f"SELECT * FROM {table}").fetchall())
                    await asyncio.sleep(0.01)
        care = asyncio.create_task(archive.care.run())
        async with asyncio.timeout(60):
            while not whole_again(archive):  # noqa: ASYNC110  salvage tells nobody
                await asyncio.sleep(0.01)
        events, _ = await damage._read(archive)
        assert events == list(range(1, 2 * damage.ROWS + 1))
        care.cancel()
        await asyncio.wait((care,))
        await asyncio.to_thread(database.close)

    def overwrite(table: str) -> None:
        with closing(sqlite3.connect(store)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        zero(store, damage.pages(store)[table][1])

    def whole_again(archive: Archive) -> bool:
        found = archive.care._salvaged
        return found is not None and found.is_done

    asyncio.run(go())
    found = damage.rows_of(store)
    for table in ("boards", "traces", "events", "endings"):
        assert found[table] == rows[table], table


def test_a_start_with_a_second_damage_takes_over_what_was_still_to_come_from_the_first_file(store, rows):
    async def start(until_taken_over: bool) -> set[str]:
        database = Database(store, retry_s=0.01)
        database.open()
        archive = await Archive.open(database, Clock())
        if until_taken_over:
            await archive.care.salvage()
        told = archive.care.damage() or ""
        await asyncio.to_thread(database.close)
        return {path for path in map(str, store.parent.glob("s.db.corrupt-*[0-9Z]")) if path in told}

    for table in ("alarms", "jobs"):
        zero(store, damage.pages(store)[table][-1])
        told = asyncio.run(start(until_taken_over=table == "jobs"))
    assert len(told) == 2, "both files are told of"
    found = damage.rows_of(store)
    for table in ("boards", "traces", "events", "endings"):
        assert found[table] == rows[table], table


@pytest.mark.parametrize("value", ["'7' || value", "replace(value, 'is_done', 'is_dome')", "'{'"])
@pytest.mark.parametrize("is_damaged_anew", [False, True])
def test_where_it_cannot_be_read_how_far_it_is_taken_over_all_of_it_is_once_more(
    store, rows, value, is_damaged_anew, caplog
):
    zero(store, damage.pages(store)["alarms"][-1])
    assert "was damaged" in damage_told(store)
    with closing(sqlite3.connect(store)) as connection, connection:
        assert connection.execute(f"UPDATE meta SET value = {value} WHERE key = 'salvage'").rowcount == 1
    if is_damaged_anew:
        zero(store, damage.pages(store)["jobs"][-1])

    async def go() -> None:
        database = Database(store, retry_s=0.01)
        database.open()
        archive = await Archive.open(database, Clock())
        with pytest.raises(StoreError, match="being taken over from a damaged file: ask again later"):
            await archive.boards.find()
        assert "was damaged" in (archive.care.damage() or "")
        await archive.care.salvage()
        events, _ = await damage._read(archive)
        assert events == list(range(1, 2 * damage.ROWS + 1))
        await asyncio.to_thread(database.close)

    asyncio.run(go())
    assert "cannot be read" in caplog.text
    found = damage.rows_of(store)
    for table in ("boards", "traces", "events", "endings"):
        assert found[table] == rows[table], table


def test_of_a_disk_that_damages_everything_a_few_files_are_remembered(store, caplog):
    earlier = None
    for number in range(30):
        earlier = Salvaged("2026-11-21T12:00:00Z", f"file {number}", "a trial", earlier=earlier)
    with closing(sqlite3.connect(store)) as connection, connection:
        keep(connection, earlier)
    zero(store, damage.pages(store)["alarms"][-1])
    assert "file 29" in damage_told(store)
    with closing(sqlite3.connect(store)) as connection:
        found = find(connection)
    assert found and [it.aside for it in found.each()][1:] == [f"file {number}" for number in range(29, 22, -1)]
    assert "file 22: is not taken over to its end" in caplog.text


def damage_told(store: Path) -> str:
    """Open it, and go before anything is taken over beside the agent."""
    async def go() -> str:
        database = Database(store)
        database.open()
        archive = await Archive.open(database, Clock())
        await asyncio.to_thread(database.close)
        return archive.care.damage() or ""

    return asyncio.run(go())


def test_boards_and_traces_that_still_come_are_asked_for_again_and_not_denied(whole, store):
    zero(store, damage.pages(whole)["alarms"][-1])

    async def go() -> None:
        database = Database(store, retry_s=0.01)
        database.open()
        archive = await Archive.open(database, Clock())
        boards = archive.boards
        for asked in (boards.get("board-0003"), boards.trace("board-0003", 10), boards.find(),
                      boards.find(barcode="PCB-0003")):  # fmt: skip
            with pytest.raises(StoreError, match="being taken over from a damaged file: ask again later"):
                await asked
        await archive.care.salvage()
        assert await boards.get("board-0003")
        assert (await boards.trace("board-0003", 10)).zones["zone/1/top"] == [3.0, 2.0]
        assert len((await boards.find(barcode="PCB-0003"))[0]) == 1
        assert await boards.get("board-none") is None
        await asyncio.to_thread(database.close)

    asyncio.run(go())


@pytest.mark.parametrize("table", ["events", "boards", "jobs", "checkpoints", "consumers"])
def test_a_read_that_finds_damage_waits_until_it_is_healed(whole, store, table):
    found = damage.pages(whole)[table]

    async def go() -> None:
        database = Database(store, retry_s=0.01)
        database.open()
        for page in found:
            zero(store, page)
        rows = await database.read(lambda c: c.execute(f"SELECT * FROM {table} ORDER BY 1 DESC").fetchall())
        assert rows == await database.read(lambda c: c.execute(f"SELECT * FROM {table} ORDER BY 1 DESC").fetchall())
        archive = await Archive.open(database, Clock())
        await archive.care.salvage()
        assert "was damaged" in archive.care.damage()
        await asyncio.to_thread(database.close)

    asyncio.run(go())


def test_what_is_read_the_moment_a_damaged_file_is_healed_is_told_without_a_false_gap(whole, store, monkeypatch):
    middle = damage.pages(whole)["events"][12]

    async def go() -> None:
        database = Database(store, retry_s=0.01)
        database.open()
        archive = await Archive.open(database, Clock())
        journal = archive.journal
        zero(store, middle)
        with pytest.raises(StoreError, match="being taken over"):
            for first in range(1, journal.committed_sequence, 16):
                await journal.read(first, ("*",), None, 16)
        care = asyncio.create_task(archive.care.run())
        events, gaps = await damage._read(archive)
        assert 0 < len(gaps) < 10
        assert sorted(events + gaps) == list(range(1, journal.committed_sequence + 1))
        care.cancel()
        await asyncio.wait((care,))
        await asyncio.to_thread(database.close)

    asyncio.run(go())


def test_a_salvage_gives_way_where_the_store_was_damaged_once_more_under_way(store):
    async def go() -> tuple[Salvaged | None, bool, bool]:
        aside = shutil.copy(store, store.with_suffix(".corrupt"))
        before, after = (Salvaged("2026-11-21T12:00:00Z", name, "a trial") for name in (str(aside), "another"))
        database = Database(store)
        database.open()
        try:
            archive = await Archive.open(database, Clock())
            await database.write(lambda c: keep(c, after))
            archive.care._salvaged = before
            archive.journal._wait_for(5)
            await archive.care.salvage()
            return await database.read(find), before.is_done, archive.journal.is_partial
        finally:
            await asyncio.to_thread(database.close)

    found, is_done, is_partial = asyncio.run(go())
    assert found is not None and (found.aside, found.is_done) == ("another", False)
    assert not is_done
    assert is_partial


def _table(whole: Path, name: str) -> str:
    with closing(sqlite3.connect(whole)) as connection:
        found = connection.execute("SELECT tbl_name FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    return found[0] if found else name
