from __future__ import annotations

import msgspec

from edgeagent.model.events import BoardLost, Event
from edgeagent.store import Boards, Journal
from edgeagent.store.counters import Counted, Counters
from tests.store.samples import NOON, board, left, unexpected, with_store

MINUTE = 60_000_000_000


def at(event: Event, minutes: float) -> Event:
    return msgspec.structs.replace(event, time_ns=NOON + round(minutes * MINUTE))


def lost(name: str, minutes: float) -> Event:
    record = msgspec.structs.replace(board(name), exited_at=None)
    return at(Event("Board.Lost", NOON, "RO0001", BoardLost(record, "late"), record), minutes)


def counted(path, events, *spans):
    async def work(database):
        journal = await Journal.open(database)
        await journal.settled(journal.append(events))
        counters = Counters(database)
        return [
            [(it.recipe, it.result, it.boards) for it in await counters.count(machine, NOON + a, NOON + b)]
            for machine, a, b in spans
        ]

    return with_store(path, work)


def test_boards_are_counted_when_they_left_by_recipe_and_verdict(tmp_path):
    events = [
        at(left(board("b1")), 1), at(left(board("b2")), 2), at(left(board("b3", process="fail")), 2),
        at(left(board("b4", recipe="SnPb", process="unknown")), 3), at(left(board("b5", recipe=None)), 4),
        at(left(board("b6", machine="RO0002")), 4), lost("b7", 5), at(unexpected(), 6),
    ]  # fmt: skip
    whole, early, other = counted(
        tmp_path / "s.db", events, ("RO0001", 0, 10 * MINUTE), ("RO0001", 0, 2 * MINUTE), ("RO0002", 0, 10 * MINUTE)
    )
    assert whole == [
        (None, "pass", 1), (None, "unexpected", 1), ("SAC305-A", "fail", 1), ("SAC305-A", "lost", 1),
        ("SAC305-A", "pass", 2), ("SnPb", "unknown", 1),
    ]  # fmt: skip
    assert early == [("SAC305-A", "pass", 1)]
    assert other == [("SAC305-A", "pass", 1)]


def test_a_board_that_left_stays_so_though_its_exit_is_forgotten_and_it_is_told_as_lost(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        await journal.settled(journal.append([at(left(board("b1", codes=("PCB1",))), 1), lost("b1", 5), lost("b2", 6)]))
        counted = await Counters(database).count("RO0001", 0, 1 << 62)
        assert [(it.result, it.boards) for it in counted] == [("lost", 1), ("pass", 1)]
        boards = Boards(database)
        assert [msgspec.json.decode(it)["id"] for it in (await boards.find(barcode="PCB1"))[0]] == ["b1"]
        rows = await database.read(lambda c: c.execute("SELECT id, lost FROM boards ORDER BY id").fetchall())
        assert rows == [("b1", 0), ("b2", 1)]

    with_store(tmp_path / "s.db", use)


def test_two_lanes_may_find_a_board_at_the_same_moment(tmp_path):
    second = unexpected()
    second = msgspec.structs.replace(second, data=msgspec.structs.replace(second.data, lane=2))
    assert counted(tmp_path / "s.db", [unexpected(), second], ("RO0001", 0, 1)) == [[(None, "unexpected", 2)]]


def test_a_store_without_boards_knows_no_first_and_counts_none(tmp_path):
    async def use(database):
        counters = Counters(database)
        assert await counters.first_ns("RO0001") is None
        assert await counters.count("RO0001", 0, 1 << 62) == []
        journal = await Journal.open(database)
        await journal.settled(journal.append([at(left(board("b2")), 2), at(left(board("b1")), 1)]))
        assert await counters.first_ns("RO0001") == NOON + MINUTE
        assert await counters.count("RO0001", 0, 1 << 62) == [Counted("SAC305-A", "pass", 2)]

    with_store(tmp_path / "s.db", use)
