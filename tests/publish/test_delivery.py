from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeagent.errors import CommandRefused
from edgeagent.model.samples import MeasuredValue
from edgeagent.publish.session import MOST_SUBSCRIPTIONS, Session
from tests.publish.serving import STARTED_NS, Served, event, ours, request, serving

Run = Callable[..., None]


class Peer:
    """The far end of a session: takes messages while its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self.ended = asyncio.get_running_loop().create_future()

    async def send(self, message: bytes) -> None:
        self.messages.put_nowait(json.loads(message))
        await self.gate.wait()

    def hang_up(self, reason: str) -> None:
        self.ended.set_result(reason)

    async def next(self) -> Any:
        return await asyncio.wait_for(self.messages.get(), 10)


async def subscribed(served: Served, *topics: str, first: int = 1) -> tuple[Session, Peer]:
    peer = Peer()
    session = served.delivery.session(peer.send, peer.hang_up)
    await session.subscribe(topics, None, first)
    await session.answer(None)
    return session, peer


def speeds(*values: float) -> tuple[MeasuredValue, ...]:
    return tuple(
        MeasuredValue(f"lane/{n}", "speed", value, "cm/min", "good", None) for n, value in enumerate(values, 1)
    )


def test_events_come_after_the_answer_of_subscribe_and_in_order(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await served.journal.settled(served.happen(100))
            client = await served.connect()
            client.write(request("Event.Subscribe", topics=["*"], **{"from": "beginning"}) + b"\n")
            served.happen(100)
            answer = (await client.message())["result"]
            assert answer == {"subscription": "1", "stream": served.journal.stream, "nextSequence": 1}
            got = [(await client.message())["params"] for _ in range(200)]
            assert [(it["sequence"], it["previous"]) for it in got] == [(n, n - 1) for n in range(1, 201)]
            assert got[0]["data"] == {"from": "ready", "to": "running", "reason": "boards inside"}
            await client.close()

    run(main())


def test_a_client_that_comes_back_misses_nothing_whatever_happened_meanwhile(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        seen: list[int] = []
        for visit in range(5):
            async with serving(tmp_path) as served:
                served.happen(20)
                client = await served.connect()
                place: Any = {"stream": served.journal.stream, "sequence": seen[-1] + 1} if seen else "beginning"
                await client.ask("Event.Subscribe", topics=["*"], **{"from": place})
                for _ in range(13 if visit < 4 else 100 - len(seen)):
                    seen.append((await client.message())["params"]["sequence"])
                await client.close()
                await served.journal.settled(served.journal.last_sequence)
        assert seen == list(range(1, 101))

    run(main())


def test_a_filtered_subscription_tells_its_own_previous(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, machines=("RO0001", "RO0002")) as served:
            topics = ["Alarm.Raised", "Status.MachineStatusChanged", "Alarm.Cleared"]
            served.journal.append([event(topics[n % 3], f"RO000{1 + n % 2}") for n in range(12)])
            client = await served.connect()
            wanted = {"topics": ["Alarm.*"], "machines": ["RO0002"]}
            place = {"stream": served.journal.stream, "sequence": 5}
            await client.ask("Event.Subscribe", **wanted, **{"from": place})
            got = [(await client.message())["params"] for _ in range(3)]
            assert [(it["sequence"], it["previous"]) for it in got] == [(6, 4), (10, 6), (12, 10)]
            assert {it["machine"] for it in got} == {"RO0002"}
            await client.close()

    run(main())


def test_from_now_tells_nothing_of_before(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await served.journal.settled(served.happen(5))
            client = await served.connect()
            assert (await client.ask("Event.Subscribe", topics=["*"]))["nextSequence"] == 6
            served.happen()
            assert (await client.message())["params"]["sequence"] == 6
            await client.close()

    asyncio.run(main())


def test_every_matching_subscription_tells_an_event_until_it_is_ended(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            client = await served.connect()
            names = [(await client.ask("Event.Subscribe", topics=[it]))["subscription"] for it in ("*", "Status.*")]
            served.happen()
            assert [(await client.message())["params"]["sequence"] for _ in names] == [1, 1]
            await client.ask("Event.Unsubscribe", subscription=names[0])
            error = (await client.call("Event.Unsubscribe", subscription=names[0]))["error"]
            assert error["code"] == -32006
            served.happen(2)
            assert [(await client.message())["params"]["sequence"] for _ in range(2)] == [2, 3]
            await client.close()

    asyncio.run(main())


def test_an_idle_subscription_hears_a_heartbeat_with_the_place_it_stands_at(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, heartbeat_s=0.05) as served:
            await served.journal.settled(served.happen(7))
            client = await served.connect()
            await client.ask("Event.Subscribe", topics=["Alarm.*"])
            for _ in range(2):
                beat = await client.message()
                assert beat["method"] == "Event.Heartbeat"
                assert beat["params"]["data"] == {"stream": served.journal.stream, "lastSequence": 7}
                assert "sequence" not in beat["params"]
            await client.close()

    run(main())


def test_a_heartbeat_never_claims_an_event_that_was_not_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path, heartbeat_s=0.01) as served:
            _, peer = await subscribed(served, "*")
            told = 0
            for n in range(1, 200):
                served.happen()
                while told < n:
                    params = (await peer.next())["params"]
                    if "sequence" in params:
                        told = params["sequence"]
                    else:
                        assert params["data"]["lastSequence"] <= told

    asyncio.run(main())


def test_damaged_events_are_told_as_a_gap_in_their_place(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await served.journal.settled(served.happen(6))
        with sqlite3.connect(tmp_path / "edge.db") as connection:
            connection.execute("UPDATE events SET body = X'7B7D' WHERE sequence IN (3, 4)")
        connection.close()
        async with serving(tmp_path) as served:
            client = await served.connect()
            await client.ask("Event.Subscribe", topics=["*"], **{"from": "beginning"})
            got = [await client.message() for _ in range(5)]
            gaps = [it["params"]["data"]["ranges"] for it in got if it["method"] == "Event.Gap"]
            assert [(it["from"], it["to"], it["count"]) for (it,) in gaps] == [(3, 4, 2)]
            places = [it["params"].get("sequence", "gap") for it in got]
            assert places == [1, 2, "gap", 5, 6]
            read = await client.ask("Event.Read", **{"from": "beginning"})
            assert [(it["sequence"], it["previous"]) for it in read["events"]] == [(1, 0), (2, 1), (5, 4), (6, 5)]
            assert [(it["from"], it["to"]) for it in read["gaps"]] == [(3, 4)]
            await client.close()

    asyncio.run(main())


def test_a_reader_that_stops_costs_one_batch_and_is_cut_off_with_a_reason(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, patience_s=0.2) as served:
            served.journal.append([event("Status.MachineStatusChanged", reason="x" * 20_000) for _ in range(1000)])
            client = await served.connect()
            await client.ask("Event.Subscribe", topics=["*"], **{"from": "beginning"})
            (connection,) = served.lines.connections
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            most = 0
            while served.lines.connections:
                most = max(most, connection._transport.get_write_buffer_size())
                await asyncio.sleep(0)
            assert most < 200_000
            await client.close()

    run(main())


def test_the_reason_of_a_cut_is_told_to_the_transport(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path, patience_s=0.01) as served:
            _, peer = await subscribed(served, "*")
            peer.gate.clear()
            served.happen(100)
            assert "read nothing" in await peer.ended
            assert peer.messages.qsize() == 1

    asyncio.run(main())


def test_telemetry_reaches_an_idle_session_whole(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            _, peer = await subscribed(served, "Status.*")
            _, deaf = await subscribed(served, "Alarm.*")
            served.delivery.telemetry("RO0001", speeds(70.0, 80.0), STARTED_NS)
            message = await peer.next()
            assert message["method"] == "Status.MeasuredValueChanged"
            params = message["params"]
            assert params.keys() == {"stream", "time", "clock", "machine", "data"}
            assert (params["time"], params["machine"]) == ("2026-11-21T21:53:20.000Z", "RO0001")
            assert [it["value"] for it in params["data"]["values"]] == [70.0, 80.0]
            assert deaf.messages.empty()

    asyncio.run(main())


def test_telemetry_is_heard_by_those_alone_who_want_it_of_this_machine(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await subscribed(served, "Alarm.*")
            assert not served.delivery.hears("RO0001")
            session, _ = await subscribed(served, "Status.*")
            assert served.delivery.hears("RO0001")
            session.close()
            assert not served.delivery.hears("RO0001")

    asyncio.run(main())


def test_a_slow_peer_gets_the_newest_of_each_value_and_every_event(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            session, peer = await subscribed(served, "*")
            peer.gate.clear()
            served.delivery.telemetry("RO0001", speeds(1.0), STARTED_NS)
            assert (await peer.next())["params"]["data"]["values"][0]["value"] == 1.0
            for n in range(1000):
                served.delivery.telemetry("RO0001", speeds(*([2.0, 3.0] if n == 500 else [float(n)])), STARTED_NS + n)
            assert sum(len(told.values) for told in session._telemetry.values()) == 2
            await served.journal.settled(served.happen(3))
            peer.gate.set()
            got = [await peer.next() for _ in range(4)]
            assert [it["params"]["sequence"] for it in got[:3]] == [1, 2, 3]
            assert [it["value"] for it in got[3]["params"]["data"]["values"]] == [999.0, 3.0]
            assert peer.messages.empty()

    asyncio.run(main())


def test_nothing_of_an_ended_subscription_is_sent_even_where_it_was_read_already(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            session, peer = await subscribed(served, "*")
            peer.gate.clear()
            served.happen(10)
            assert (await peer.next())["params"]["sequence"] == 1
            assert session.unsubscribe("1") == 2
            await session.subscribe(("Alarm.*",), None, 11)
            await session.answer(None)
            peer.gate.set()
            served.happen(topic="Alarm.Raised")
            assert (await peer.next())["params"]["sequence"] == 11

    asyncio.run(main())


def test_an_ended_subscription_says_where_to_go_on_so_that_nothing_is_missed(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await served.journal.settled(served.happen(100))
            client = await served.connect()
            place = {"stream": served.journal.stream, "sequence": 8}
            begin = request("Event.Subscribe", topics=["*"], **{"from": place})
            client.write(b"[" + begin + b"," + request("Event.Unsubscribe", subscription="1") + b"]\n")
            begun, ended = await client.message()
            assert (begun["result"]["nextSequence"], ended["result"]["nextSequence"]) == (8, 8)
            await client.close()

    asyncio.run(main())


def test_many_subscriptions_of_one_connection_share_the_loop(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            last = served.happen(32)
            await served.journal.settled(last)
            runs, whole = [0], asyncio.Event()

            def send(_: bytes) -> None:
                runs[-1] += 1
                if sum(runs) == MOST_SUBSCRIPTIONS * last:
                    whole.set()

            session = served.delivery.session(send, lambda reason: reason)
            for _ in range(MOST_SUBSCRIPTIONS):
                await session.subscribe(("*",), None, 1)
            await session.answer(None)
            while not whole.is_set():
                runs.append(0)
                await asyncio.sleep(0)
            assert max(runs) <= 64, "so many messages were sent before anybody else had a turn"

    asyncio.run(main())


def test_a_task_of_the_agent_that_outlives_it_is_found(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            task = asyncio.create_task(served.delivery.next_commit())
            await asyncio.sleep(0)
            assert ours() == [task]
            task.cancel()

    asyncio.run(main())


def test_an_event_wanted_alike_is_built_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await served.journal.settled(served.happen())
            (stored,), _, _ = await served.journal.read(1, ("*",), None, 1)
            assert served.delivery.notices.durable(stored, 0) is served.delivery.notices.durable(stored, 0)
            assert served.delivery.notices.durable(stored, 0) != served.delivery.notices.durable(stored, 7)

    asyncio.run(main())


def test_a_connection_has_a_largest_number_of_subscriptions(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            session, _ = await subscribed(served, "*")
            names = [await session.subscribe(("*",), None, 1) for _ in range(MOST_SUBSCRIPTIONS - 1)]
            with pytest.raises(CommandRefused) as refused:
                await session.subscribe(("*",), None, 1)
            assert refused.value.kind == "tooMany"
            assert session.unsubscribe(names[0]) == 1
            await session.subscribe(("*",), None, 1)

    asyncio.run(main())


async def keeping_up(
    served: Served, send_at_once: Callable[[bytes], bool], topics: tuple[str, ...] = ("*",)
) -> tuple[Session, Peer]:
    """A session at the end of the journal whose peer can be sent messages at once."""
    peer = Peer()
    session = served.delivery.session(peer.send, peer.hang_up, send_at_once=send_at_once)
    await session.subscribe(topics, None, served.journal.committed_sequence + 1)
    await session.answer(None)
    await asyncio.sleep(0)
    return session, peer


def test_events_go_at_once_to_a_peer_that_keeps_up_and_in_a_while_to_one_that_does_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            told: list[tuple[int, int]] = []
            keeps_up = True

            def send_at_once(message: bytes) -> bool:
                if keeps_up:
                    params = json.loads(message)["params"]
                    told.append((params["sequence"], params["previous"]))
                return keeps_up

            _, peer = await keeping_up(served, send_at_once)
            for _ in range(3):
                await served.journal.settled(served.happen())
                await asyncio.sleep(0)
            assert (told, peer.messages.qsize()) == ([(1, 0), (2, 1), (3, 2)], 0)
            keeps_up = False
            served.happen(2)
            later = [(await peer.next())["params"] for _ in range(2)]
            assert [(it["sequence"], it["previous"]) for it in later] == [(4, 3), (5, 4)]
            await asyncio.sleep(0)
            keeps_up = True
            await served.journal.settled(served.happen())
            await asyncio.sleep(0)
            assert (told[3:], peer.messages.qsize()) == ([(6, 5)], 0)

    asyncio.run(main())


def test_who_wants_the_same_is_told_the_same_and_who_wants_less_is_told_its_own_previous(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            told: list[list[bytes]] = [[], [], []]

            def teller(heard: list[bytes]) -> Callable[[bytes], bool]:
                return lambda message: heard.append(message) is None

            for heard, topics in zip(told, (("*",), ("*",), ("Alarm.*",)), strict=True):
                await keeping_up(served, teller(heard), topics)
            for topic in ("Alarm.Raised", "Status.MachineStatusChanged", "Alarm.Raised"):
                await served.journal.settled(served.happen(topic=topic))
                await asyncio.sleep(0)
            assert [first is second for first, second in zip(*told[:2], strict=True)] == [True] * 3
            places = [[(it["sequence"], it["previous"]) for it in (json.loads(m)["params"] for m in heard)]
                      for heard in told[1:]]  # fmt: skip
            assert places == [[(1, 0), (2, 1), (3, 2)], [(1, 0), (3, 1)]]

    asyncio.run(main())


def test_many_events_at_once_are_all_told_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            told: list[int] = []

            def send_at_once(message: bytes) -> bool:
                told.append(json.loads(message)["params"]["sequence"])
                return True

            _, peer = await keeping_up(served, send_at_once)
            served.happen(100)
            for _ in range(100 - 8):
                told.append((await peer.next())["params"]["sequence"])
            assert told == list(range(1, 101))

    asyncio.run(main())


def test_many_peers_that_keep_up_are_told_in_turns_of_the_loop(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            loop, told, turns = asyncio.get_running_loop(), 0, []

            def send_at_once(_: bytes) -> bool:
                nonlocal told
                told += 1
                if told == 1:
                    loop.call_soon(lambda: turns.append(told))
                return True

            for _ in range(100):
                await keeping_up(served, send_at_once)
            await served.journal.settled(served.happen())
            async with asyncio.timeout(10):
                while told < 100:  # noqa: ASYNC110  turns of the loop are what is looked at
                    await asyncio.sleep(0)
            assert 0 < turns[0] < 100

    asyncio.run(main())


def test_a_session_that_fails_ends_its_own_connection_and_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            told: list[bytes] = []

            def failing(_: bytes) -> bytes:
                raise ValueError("no form")

            def send_at_once(message: bytes) -> bool:
                told.append(message)
                return True

            peer = Peer()
            session = served.delivery.session(peer.send, peer.hang_up, failing, send_at_once)
            await session.subscribe(("*",), None, 1)
            await session.answer(None)
            others = [await keeping_up(served, send_at_once) for _ in range(3)]
            await served.journal.settled(served.happen())
            assert await asyncio.wait_for(peer.ended, 10) == "delivery failed"
            assert len(told) == 3
            assert not any(other.ended.done() for _, other in others)

    asyncio.run(main())
