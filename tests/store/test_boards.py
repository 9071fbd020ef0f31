from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.errors import CommandRefused
from edgeagent.model.boards import BoardTrace
from edgeagent.model.events import BoardLost, Event
from edgeagent.store import Boards, Journal, traces
from edgeagent.store.boards import search
from tests.store.samples import NOON, board, left, with_store

MINUTE = 60_000_000_000


def kept(path, records, use):
    async def work(database):
        journal = await Journal.open(database)
        await journal.settled(journal.append([left(record) for record in records]))
        return await use(Boards(database))

    return with_store(path, work)


def ids(records):
    return [json.loads(record)["id"] for record in records]


async def pages(boards, limit, **question):
    found, cursor = await boards.find(limit=limit, **question)
    result = [*found]
    while cursor is not None:
        assert len(found) == limit
        found, cursor = await boards.find(limit=limit, cursor=cursor, **question)
        assert found
        result += found
    return ids(result)


def test_a_board_that_never_was_is_none(tmp_path):
    async def use(boards):
        assert await boards.get("none") is None
        assert await boards.trace("none", 10) is None
        assert await boards.find(barcode="none") == ([], None)

    kept(tmp_path / "s.db", [], use)


def test_pages_hold_what_a_plain_filter_finds_newest_first(tmp_path):
    chance = random.Random(4)
    records = [
        (board(f"b{n:03}", entered, tuple(codes), recipe, process, machine), entered, codes)
        for n in range(300)
        for entered, codes, recipe, process, machine in [(
            NOON + chance.randrange(60) * MINUTE, chance.sample(["A", "B", "C", "D"], chance.randrange(3)),
            chance.choice(["SAC305-A", "SnPb", None]), chance.choice(["pass", "fail", "unknown"]),
            chance.choice(["RO0001", "RO0002"]),
        )]
    ]  # fmt: skip

    def oracle(barcode=None, recipe=None, verdict=None, since_ns=None, until_ns=None, machine=None):
        found = [
            (entered, record.id) for record, entered, codes in records
            if (barcode is None or barcode in codes) and (recipe is None or record.recipe.name == recipe)
            and (verdict is None or record.verdict.process == verdict)
            and (machine is None or record.machine.id == machine)
            and (since_ns is None or entered >= since_ns) and (until_ns is None or entered < until_ns)
        ]  # fmt: skip
        return [name for _, name in sorted(found, reverse=True)]

    async def use(boards):
        for _ in range(150):
            question = {
                name: value for name, value in (
                    ("barcode", chance.choice(["A", "B", "none"])), ("recipe", chance.choice(["SAC305-A", "SnPb"])),
                    ("verdict", chance.choice(["pass", "fail"])), ("machine", "RO0002"),
                    ("since_ns", NOON + chance.randrange(60) * MINUTE),
                    ("until_ns", NOON + chance.randrange(60) * MINUTE),
                ) if chance.random() < 0.35
            }  # fmt: skip
            assert await pages(boards, chance.choice([1, 3, 50, 200]), **question) == oracle(**question)

    kept(tmp_path / "s.db", [record for record, _, _ in records], use)


def test_a_board_that_passes_twice_is_found_twice(tmp_path):
    records = [board("first", NOON, ("PCB1",)), board("second", NOON + MINUTE, ("PCB1", "PANEL"))]

    async def use(boards):
        assert await pages(boards, 1, barcode="PCB1") == ["second", "first"]
        assert await pages(boards, 1, barcode="PANEL") == ["second"]

    kept(tmp_path / "s.db", records, use)


def test_a_record_that_comes_again_replaces_the_first_with_its_barcodes(tmp_path):
    async def use(boards):
        assert await pages(boards, 5, barcode="OLD") == []
        assert await pages(boards, 5, barcode="NEW") == ["b"]
        assert await pages(boards, 5) == ["b"]

    kept(tmp_path / "s.db", [board("b", NOON, ("OLD",)), board("b", NOON + MINUTE, ("NEW",))], use)


def test_times_beyond_what_a_file_can_hold_are_only_far_away(tmp_path):
    async def use(boards):
        assert await pages(boards, 5, since_ns=-(10**30), until_ns=10**30) == ["b"]
        assert await pages(boards, 5, since_ns=10**30) == []

    kept(tmp_path / "s.db", [board("b")], use)


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!", "äöü", "MQ", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OSBi", "LTEgYg", "gIA", "a" * 10_000]
)
def test_a_cursor_that_is_none_of_ours_is_refused(tmp_path, cursor):
    async def use(boards):
        with pytest.raises(CommandRefused, match="cursor") as refused:
            await boards.find(cursor=cursor)
        assert refused.value.kind == "invalidParameters"

    kept(tmp_path / "s.db", [], use)


def test_a_damaged_record_or_trace_is_left_out_and_logged(tmp_path, caplog):
    async def use(database):
        journal = await Journal.open(database)
        trace = BoardTrace("b1", [0.0], [20.0], {})
        await journal.settled(journal.append([left(board(f"b{n}"), trace) for n in range(3)]))
        await database.write(lambda c: c.execute("UPDATE boards SET body = x'7b7d' WHERE id = 'b1'") and None)
        await database.write(lambda c: c.execute("UPDATE traces SET body = x'00' WHERE id = 'b1'") and None)
        boards = Boards(database)
        assert await boards.get("b1") is None
        assert await boards.trace("b1", 5) is None
        assert (await boards.trace("b2", 5)).id == "b2"
        first, cursor = await boards.find(limit=2)
        second, end = await boards.find(limit=2, cursor=cursor)
        assert (ids(first), ids(second), end) == (["b2"], ["b0"], None)

    with_store(tmp_path / "s.db", use)
    assert "damaged" in caplog.text


def test_a_lost_board_is_marked_and_has_its_record(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        record = board("b")
        await journal.settled(journal.append([Event("Board.Lost", NOON, "RO0001", BoardLost(record, "late"), record)]))
        assert await database.read(lambda c: c.execute("SELECT lost FROM boards").fetchone()) == (1,)
        assert json.loads(await Boards(database).get("b"))["id"] == "b"

    with_store(tmp_path / "s.db", use)


@pytest.mark.parametrize(
    ("question", "index"),
    [
        ({"barcode": "A"}, "codes USING PRIMARY KEY (code=? AND entered_ns>? AND (entered_ns,board)<(?,?))"),
        ({"barcode": "A", "machine": "RO0001", "verdict": "fail"}, "codes USING PRIMARY KEY (code=? AND"),
        ({"recipe": "R"}, "boards USING INDEX boards_by_recipe (recipe=? AND entered_ns>? AND (entered_ns,id)<(?,?))"),
        ({"verdict": "fail"}, "boards USING INDEX boards_by_process (process=? AND entered_ns>? AND"),
        ({"machine": "RO0001"}, "boards USING INDEX boards_by_machine (machine=? AND entered_ns>? AND"),
        ({}, "boards USING INDEX boards_by_entry (entered_ns>? AND (entered_ns,id)<(?,?))"),
    ],
)
@pytest.mark.parametrize("before", [None, (NOON, "b")])
def test_every_search_goes_by_an_index_and_sorts_nothing(tmp_path, question, index, before):
    names = ("barcode", "recipe", "verdict", "since_ns", "until_ns", "machine")
    query, values = search(*(question.get(name) for name in names), before)

    async def use(database):
        return await database.read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {query}", (*values, 51)).fetchall())

    plan = [row[3] for row in with_store(tmp_path / "s.db", use)]
    assert index in plan[0]
    assert all(step.startswith("SEARCH") for step in plan)


@given(st.integers(2, 60), st.integers(2, 60))
def test_a_thinned_trace_keeps_its_ends_its_order_and_its_bound(count, most):
    trace = BoardTrace("b", [float(n) for n in range(count)], [None] * count, {"z": [n / 10 for n in range(count)]})
    thin = traces.thinned(trace, most)
    assert len(thin.seconds) == min(count, most)
    assert (thin.seconds[0], thin.seconds[-1]) == (0.0, count - 1.0)
    assert thin.seconds == sorted(set(thin.seconds))
    assert thin.zones["z"] == [second / 10 for second in thin.seconds]


def test_a_trace_of_noise_fits_into_20_kilobytes_and_keeps_its_ends():
    chance = random.Random(1)
    count = 3200
    zones = {f"zone/{n}": [chance.uniform(20, 300) for _ in range(count)] for n in range(24)}
    body = traces.pack(
        BoardTrace("b", [n / 10 for n in range(count)], [chance.uniform(20, 300) for _ in range(count)], zones)
    )
    trace = traces.unpack("b", body)
    assert len(body) <= 20_000
    assert len(trace.seconds) > 200
    assert (trace.seconds[0], trace.seconds[-1]) == (0.0, 319.9)
    assert trace.zones["zone/3"][0] == round(zones["zone/3"][0], 1)


@given(st.lists(st.none() | st.floats(), max_size=30))
def test_packing_rounds_to_a_tenth_and_makes_nothing_up(values):
    trace = BoardTrace("b", [n / 2 for n in range(len(values))], values, {"z": values})
    unpacked = traces.unpack("b", traces.pack(trace))
    assert unpacked.seconds == trace.seconds
    for before, after in zip(values, unpacked.zones["z"], strict=True):
        if before is None or not math.isfinite(before) or abs(before) >= 1e15:
            assert after is None
        else:
            assert after == pytest.approx(before, abs=0.0501, rel=1e-12)
