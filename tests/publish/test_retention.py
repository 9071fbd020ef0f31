"""What clients are told of events that retention deleted, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeagent.clock import iso
from edgeagent.config import StoreTable
from edgeagent.model.callers import Caller
from edgeagent.store.retention import Retention
from tests.publish.serving import Line, Served, serving
from tests.publish.test_consumers import acknowledge, acknowledge_over_http, listen, sequences
from tests.store.samples import NOON, board, left, scanned
from tests.store.test_retention import DAY_NS, Passing, StandingClock, finished

STATUS = "Status.MachineStatusChanged"
LIMITS = msgspec.convert({"retention": {"events": {"days": 1}, "boards": {"days": 1}}}, StoreTable)


async def delete(served: Served, *, after_days: int = 400) -> None:
    """Let retention look once, as if so many days had passed and nobody had been there since."""
    clock = StandingClock(max(NOON, time.time_ns()) + after_days * DAY_NS)
    retention = Retention(served.archive.database, served.journal, served.archive.consumers, LIMITS, clock,
                          Passing(clock), rest=0)  # type: ignore[arg-type]
    retention._began -= 1e9
    await retention.look()


@asynccontextmanager
async def filled(folder: Path) -> AsyncIterator[Served]:
    """Eight events: status, status, board, scan, status, board, status, scan."""
    async with serving(folder, heartbeat_s=60.0) as served:
        served.happen(2)
        served.journal.append([finished("b1"), scanned("S1")])
        served.happen(1)
        served.journal.append([left(board("b2", NOON, ("P",)))])
        served.happen(1)
        await served.journal.settled(served.journal.append([scanned("S2")]))
        yield served


async def leave(client: Line, served: Served, others: int = 0) -> None:
    """Break off: the agent would hold a connection that only says it has nothing more to ask."""
    opened = client.writer.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()
    await served.left(others)


async def next_of(client: Line) -> Any:
    message = await client.message()
    return message["params"] if message["method"] != "Event.Gap" else message["params"]["data"]["ranges"]


def test_a_consumer_that_was_away_for_too_long_is_told_what_is_gone_between_what_is_left(tmp_path: Path) -> None:
    async def main() -> None:
        async with filled(tmp_path) as served:
            client, _ = await listen(served)
            assert await sequences(client, 8) == list(range(1, 9))
            await acknowledge(client, served, 1)
            await leave(client, served)
            await delete(served)
            client, made = await listen(served)
            assert made["nextSequence"] == 2
            assert await next_of(client) == [{"from": 2, "to": 2, "count": 1, "topics": [STATUS]}]
            board = await next_of(client)
            assert (board["sequence"], board["previous"]) == (3, 2)
            assert await next_of(client) == [
                {"from": 4, "to": 5, "count": 2, "topics": ["Board.BarcodeRead", STATUS]}]
            assert (await next_of(client))["previous"] == 5
            assert await next_of(client) == [
                {"from": 7, "to": 8, "count": 2, "topics": ["Board.BarcodeRead", STATUS]}]
            served.happen()
            assert (await next_of(client))["previous"] == 8
            assert (await acknowledge(client, served, 9))["result"]["acknowledged"] == 9
            await client.close()

    asyncio.run(main())


def test_a_consumer_that_wants_nothing_of_what_went_is_told_nothing_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with filled(tmp_path) as served:
            await delete(served)
            client, _ = await listen(served, topics=["Board.ProcessCompleted"])
            assert await sequences(client, 2) == [3, 6]
            await client.close()

    asyncio.run(main())


def test_whoever_reads_from_anywhere_is_told_exactly_what_is_gone_from_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with filled(tmp_path) as served:
            await delete(served)
            client = await served.connect()
            stream = served.journal.stream
            read = await client.ask("Event.Read", **{"from": {"stream": stream, "sequence": 2}})
            assert (read["firstSequence"], read["nextSequence"]) == (3, 9)
            assert [(it["sequence"], it["previous"]) for it in read["events"]] == [(3, 2), (6, 5)]
            assert [(gap["from"], gap["to"], gap["count"]) for gap in read["gaps"]] == [(2, 2, 1), (4, 5, 2), (7, 8, 2)]
            read = await client.ask("Event.Read", **{"from": "beginning", "topics": [STATUS]})
            assert read["events"] == []
            assert read["gaps"] == [{"from": 5, "to": 7, "count": 2, "topics": [STATUS]}]
            snapshot = await client.ask("Event.Snapshot")
            assert (snapshot["stream"], snapshot["sequence"]) == (stream, 8)
            await client.close()

    asyncio.run(main())


def test_records_that_are_gone_are_not_found_and_still_counted(tmp_path: Path) -> None:
    async def main() -> None:
        async with filled(tmp_path) as served:
            client, _ = await listen(served)
            await sequences(client, 8)
            await acknowledge(client, served, 3)
            await leave(client, served)
            await delete(served)
            client = await served.connect()
            assert (await client.call("Board.Get", id="b1"))["error"]["code"] == -32006
            assert (await client.ask("Board.Get", id="b2"))["id"] == "b2", "it was told, and not acknowledged"
            found = await client.ask("Board.Find")
            assert [it["id"] for it in found["boards"]] == ["b2"]
            since = iso(NOON - DAY_NS)
            (counted,) = (await client.ask("Production.GetCounters", since=since))["machines"]
            assert counted["boards"] == 2
            await client.close()

    asyncio.run(main())


@pytest.mark.parametrize("place", ["now", "number"])
def test_what_a_cursor_passed_over_was_not_had(tmp_path: Path, place: str) -> None:
    async def main() -> None:
        async with filled(tmp_path) as served:
            begin = "now" if place == "now" else {"stream": served.journal.stream, "sequence": 6}
            client, _ = await listen(served, **{"from": begin})
            served.happen()
            told = [9] if place == "now" else [6, 7, 8, 9]
            assert await sequences(client, len(told)) == told
            await acknowledge(client, served, 9)
            await leave(client, served)
            await delete(served)
            assert await served.archive.boards.get("b1") is not None
            assert (await served.archive.boards.get("b2") is None) == (place == "number")

    asyncio.run(main())


def test_what_was_told_by_other_topics_was_not_had(tmp_path: Path) -> None:
    async def main() -> None:
        async with filled(tmp_path) as served:
            client, _ = await listen(served, topics=["Status.*"])
            assert await sequences(client, 4) == [1, 2, 5, 7]
            again, _ = await listen(served, topics=["Board.*"], maxInFlight=1)
            assert await sequences(again, 1) == [3]
            refused = await acknowledge(again, served, 7)
            assert refused["error"]["code"] == -32005, "these topics were told up to 3 only"
            await acknowledge(again, served, 3)
            await leave(client, served, 1)
            await leave(again, served)
            await delete(served)
            assert await served.archive.boards.get("b1") is None
            assert await served.archive.boards.get("b2") is not None

    asyncio.run(main())


def test_a_consumer_that_acknowledges_nothing_holds_up_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with filled(tmp_path) as served:
            slow, _ = await listen(served, "slow", maxInFlight=1)
            quick, _ = await listen(served, maxInFlight=2)
            assert await sequences(slow, 1) == [1]
            for first in range(1, 9, 2):
                assert await sequences(quick, 2) == [first, first + 1]
                await acknowledge_over_http(served, first + 1)
            consumers = (await quick.ask("Event.Consumers"))["consumers"]
            assert {it["name"]: it["acknowledged"] for it in consumers} == {"slow": 0, "mes": 8}
            for client in (slow, quick):
                await client.close()

    asyncio.run(main())


def test_whoever_is_connected_is_present_until_it_leaves(tmp_path: Path) -> None:
    async def main() -> None:
        async with filled(tmp_path) as served:
            first, _ = await listen(served)
            second, _ = await listen(served)
            assert served.archive.consumers.present == {"mes"}
            await leave(first, served, 1)
            assert served.archive.consumers.present == {"mes"}, "another connection has it"
            await leave(second, served)
            assert served.archive.consumers.present == set()

    asyncio.run(main())


def test_another_user_can_neither_take_up_nor_acknowledge_nor_delete_a_consumer(tmp_path: Path) -> None:
    async def main() -> None:
        async with filled(tmp_path) as served:
            client, _ = await listen(served)
            await sequences(client, 8)
            session = served.delivery.session(nobody, nobody)
            other = Caller("other", "viewer", "test", "nowhere", session=session)
            place = {"consumer": "mes", "stream": served.journal.stream, "sequence": 8}
            for function, parameters in (
                ("Event.Acknowledge", place), ("Event.DeleteConsumer", {"consumer": "mes"}),
                ("Event.Subscribe", {"consumer": "mes", "topics": ["*"]}),
            ):  # fmt: skip
                with pytest.raises(Exception, match="belongs to another user"):
                    await served.dispatcher._outlet.call(function, msgspec.json.encode(parameters), other)
            standing = await served.dispatcher._outlet.call("Event.Consumers", None, other)
            assert standing.consumers == ()
            (kept,) = served.archive.consumers.all()
            assert (kept.owner, kept.acknowledged) == ("loopback", 0)
            session.close()
            await client.close()

    asyncio.run(main())


async def nobody(*_: Any) -> None: ...
