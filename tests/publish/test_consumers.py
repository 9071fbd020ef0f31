from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeagent.clock import Clock
from edgeagent.errors import CommandRefused
from edgeagent.model.callers import Caller
from edgeagent.model.functions import Nothing
from edgeagent.model.functions.events import Acknowledge, OfConsumer, Subscribe
from edgeagent.publish.cursors import Cursors
from edgeagent.publish.openapps import consumers
from edgeagent.publish.session import Session
from edgeagent.store import Consumer
from edgeagent.store.consumers import PUSHED
from tests.publish.serving import Line, Served, event, request, serving
from tests.publish.test_delivery import Peer

Run = Callable[..., None]


async def listen(served: Served, consumer: str = "mes", **more: Any) -> tuple[Line, Any]:
    client = await served.connect()
    return client, await client.ask("Event.Subscribe", **{"topics": ["*"], "consumer": consumer} | more)


async def sequences(client: Line, count: int) -> list[int]:
    return [(await client.message())["params"]["sequence"] for _ in range(count)]


async def acknowledge(client: Line, served: Served, sequence: int, consumer: str = "mes") -> Any:
    """Acknowledge on the connection that events come on: what comes before the answer is passed over."""
    stream = served.journal.stream
    client.write(request("Event.Acknowledge", "ack", consumer=consumer, stream=stream, sequence=sequence) + b"\n")
    while (message := await client.message()).get("id") != "ack":
        pass
    return message


async def silent(client: Line) -> None:
    """Nothing was told: the answer to a request is the next message."""
    assert (await client.call("Configuration.GetSoftwareVersion"))["id"] == 1


def test_a_new_consumer_begins_with_the_oldest_event_and_goes_on_after_what_it_acknowledged(
    tmp_path: Path, run: Run
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await served.journal.settled(served.happen(6))
            client, made = await listen(served)
            assert made == {"subscription": "1", "stream": served.journal.stream, "nextSequence": 1}
            assert await sequences(client, 6) == [1, 2, 3, 4, 5, 6]
            done = await acknowledge(client, served, 4)
            assert done["result"] == {"consumer": "mes", "stream": served.journal.stream, "acknowledged": 4}
            await client.close()
            client, again = await listen(served)
            assert again["nextSequence"] == 5
            assert await sequences(client, 2) == [5, 6]
            await client.close()
        async with serving(tmp_path) as served:
            client, after_restart = await listen(served)
            assert after_restart["nextSequence"] == 5
            first = await client.message()
            assert (first["params"]["sequence"], first["params"]["previous"]) == (5, 4)
            await client.close()

    run(main())


def test_a_consumer_whose_row_the_disk_changed_misses_nothing(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await served.journal.settled(served.happen(6))
            client, _ = await listen(served)
            await sequences(client, 6)
            await acknowledge(client, served, 3)
            await client.close()
        with sqlite3.connect(tmp_path / "edge.db") as connection:
            connection.execute("UPDATE consumers SET acknowledged = acknowledged + 1")
        connection.close()
        async with serving(tmp_path) as served:
            client, again = await listen(served)
            assert again["nextSequence"] == 1
            assert await sequences(client, 6) == [1, 2, 3, 4, 5, 6]
            await client.close()

    run(main())


def test_what_is_acknowledged_is_on_disk_before_it_is_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            served.happen(3)
            client, _ = await listen(served)
            await sequences(client, 3)
            await acknowledge(client, served, 2)
            with sqlite3.connect(f"file:{tmp_path / 'edge.db'}?mode=ro", uri=True) as connection:
                assert connection.execute("SELECT name, acknowledged FROM consumers").fetchall() == [("mes", 2)]
            connection.close()
            await client.close()

    asyncio.run(main())


def test_delivery_pauses_when_so_many_are_not_acknowledged_and_goes_on(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, heartbeat_s=0.05) as served:
            served.happen(100)
            client, _ = await listen(served, maxInFlight=3)
            assert await sequences(client, 3) == [1, 2, 3]
            beat = await client.message()
            assert (beat["method"], beat["params"]["data"]["lastSequence"]) == ("Event.Heartbeat", 3)
            stream = served.journal.stream
            client.write(request("Event.Acknowledge", consumer="mes", stream=stream, sequence=2) + b"\n")
            got = []
            while len(got) < 2:
                message = await client.message()
                if "sequence" in message.get("params", {}):
                    got.append(message["params"]["sequence"])
            assert got == [4, 5]
            await client.close()

    run(main())


@pytest.mark.parametrize("most", [1, 7, 100])
def test_a_consumer_that_breaks_off_at_any_place_gets_everything_in_order(tmp_path: Path, most: int) -> None:
    async def main() -> None:
        told: list[int] = []
        async with serving(tmp_path) as served:
            for visit in range(8):
                served.happen(10)
                client, made = await listen(served, maxInFlight=most)
                assert made["nextSequence"] == (told[-1] + 1 if told else 1)
                for _ in range(9 if visit < 7 else 80 - len(told)):
                    (sequence,) = await sequences(client, 1)
                    told.append(sequence)
                    if most == 1:
                        assert "result" in await acknowledge(client, served, sequence)
                    elif sequence % 5 == 0:
                        await acknowledge_over_http(served, sequence)
                await acknowledge_over_http(served, told[-1])
                await client.close()
        assert told == list(range(1, 81))

    asyncio.run(main())


async def acknowledge_over_http(served: Served, sequence: int) -> None:
    import aiohttp

    body = request("Event.Acknowledge", consumer="mes", stream=served.journal.stream, sequence=sequence)
    url = f"http://127.0.0.1:{served.http_port}/rpc"
    async with (
        aiohttp.ClientSession() as client,
        client.post(url, data=body, headers={"Content-Type": "application/json"}) as answer,
    ):
        assert (await answer.json())["result"]["acknowledged"] == sequence


def test_a_cursor_never_goes_back_nor_beyond_what_was_told_nor_into_another_stream(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            served.happen(5)
            client, _ = await listen(served, maxInFlight=4)
            await sequences(client, 4)
            assert (await acknowledge(client, served, 5))["error"]["code"] == -32005
            assert (await acknowledge(client, served, 3))["result"]["acknowledged"] == 3
            assert (await acknowledge(client, served, 1))["result"]["acknowledged"] == 3
            foreign = await client.call("Event.Acknowledge", consumer="mes", stream="0" * 16, sequence=4)
            foreign = foreign if "error" in foreign else await client.message()
            assert (foreign["error"]["code"], foreign["error"]["data"]["stream"]) == (-32006, served.journal.stream)
            nobody = await acknowledge(client, served, 1, consumer="nobody")
            assert nobody["error"]["code"] == -32006
            await client.close()
        async with serving(tmp_path) as served:
            client = await served.connect()
            assert (await acknowledge(client, served, 3))["result"]["acknowledged"] == 3
            assert (await acknowledge(client, served, 4))["error"]["code"] == -32005, "nothing was told since the start"
            await client.close()

    asyncio.run(main())


def test_the_newest_connection_has_a_consumer_and_the_one_before_is_told_why(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            served.happen(4)
            first, _ = await listen(served)
            assert await sequences(first, 4) == [1, 2, 3, 4]
            second, made = await listen(served)
            assert made["nextSequence"] == 1
            ended = await first.message()
            assert (ended["method"], ended["params"]["data"]) == (
                "Event.SubscriptionEnded",
                {"subscription": "1", "consumer": "mes", "reason": "another connection took the consumer over"},
            )
            served.happen()
            assert await sequences(second, 5) == [1, 2, 3, 4, 5]
            await silent(first)
            assert (await acknowledge(first, served, 4))["result"]["acknowledged"] == 4, "it had them"
            again = (await second.ask("Event.Subscribe", topics=["*"], consumer="mes"))["nextSequence"]
            assert again == 5, "a connection may take over from itself"
            got = [await second.message() for _ in range(2)]
            assert got[0]["params"]["data"]["reason"] == "another connection took the consumer over"
            assert got[1]["params"]["sequence"] == 5
            for client in (first, second):
                await client.close()

    run(main())


def test_a_consumer_may_be_put_elsewhere_and_keeps_that_place(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await served.journal.settled(served.happen(9))
            for place, following in (
                ("now", 10), ("beginning", 1), ({"stream": served.journal.stream, "sequence": 6}, 6), ("cursor", 6),
            ):  # fmt: skip
                client, made = await listen(served, **{"from": place})
                assert made["nextSequence"] == following
                (it,) = (await client_of(served)).consumers
                assert it.acknowledged == following - 1
                await client.close()

    asyncio.run(main())


async def client_of(served: Served, caller: Caller | None = None) -> Any:
    return await served.dispatcher._outlet.call("Event.Consumers", None, caller or ANYBODY)


ANYBODY = Caller("loopback", "viewer", "test", "nowhere")
OTHER = Caller("other", "viewer", "test", "nowhere")
ADMINISTRATOR = Caller("root", "administrator", "test", "nowhere")


def test_consumers_are_listed_with_what_they_have_not_acknowledged(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path, machines=("RO0001", "RO0002")) as served:
            topics = ("Alarm.Raised", "Status.MachineStatusChanged")
            last = served.journal.append([event(topics[n % 2], f"RO000{1 + n // 2 % 2}") for n in range(40)])
            await served.journal.settled(last)
            client, _ = await listen(served, topics=["Alarm.*"], machines=["RO0002"])
            assert await sequences(client, 10) == [n for n in range(1, 41) if n % 4 == 3]
            await acknowledge(client, served, 20)
            (it,) = (await client.ask("Event.Consumers"))["consumers"]
            assert it.pop("lastSeen").endswith("Z")
            assert it == {
                "name": "mes", "owner": "loopback", "topics": ["Alarm.*"], "machines": ["RO0002"],
                "stream": served.journal.stream, "acknowledged": 20, "lag": 5, "connected": True,
            }  # fmt: skip
            await acknowledge(client, served, 39)
            (it,) = (await client.ask("Event.Consumers"))["consumers"]
            assert it["lag"] == 0, "what it does not want is no lag"
            await client.ask("Event.Unsubscribe", subscription="1")
            (it,) = (await client_of(served)).consumers
            assert not it.connected
            await client.close()

    asyncio.run(main())


def test_a_consumer_belongs_to_who_made_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            served.happen(1)
            client, _ = await listen(served)
            assert (await client_of(served, OTHER)).consumers == ()
            assert len((await client_of(served, ADMINISTRATOR)).consumers) == 1
            place = {"consumer": "mes", "stream": served.journal.stream, "sequence": 1}
            for method, params in (("Event.DeleteConsumer", {"consumer": "mes"}), ("Event.Acknowledge", place)):
                with pytest.raises(consumers.CommandRefused) as refused:
                    await served.dispatcher._outlet.call(method, json.dumps(params).encode(), OTHER)
                assert refused.value.kind == "forbidden"
            session = served.delivery.session(no_send, no_send)
            stranger = Caller("other", "viewer", "test", "nowhere", session=session)
            with pytest.raises(consumers.CommandRefused, match="belongs to another"):
                await served.dispatcher._outlet.call(
                    "Event.Subscribe", b'{"topics": ["*"], "consumer": "mes"}', stranger
                )
            session.close()
            await client.close()

    asyncio.run(main())


async def no_send(_: Any) -> None: ...


def test_a_deleted_consumer_ends_its_subscription_and_is_new_when_it_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            served.happen(3)
            client, _ = await listen(served)
            await sequences(client, 3)
            await acknowledge(client, served, 3)
            other = await served.connect()
            gone = await other.ask("Event.DeleteConsumer", consumer="mes")
            assert gone == {"consumer": "mes", "stream": served.journal.stream, "acknowledged": 3}
            assert (await client.message())["params"]["data"]["reason"] == "the consumer was deleted"
            assert (await other.ask("Event.Consumers"))["consumers"] == []
            assert (await other.call("Event.DeleteConsumer", consumer="mes"))["error"]["code"] == -32006
            assert (await client.ask("Event.Subscribe", topics=["*"], consumer="mes"))["nextSequence"] == 1
            for each in (client, other):
                await each.close()

    asyncio.run(main())


def test_the_number_of_consumers_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "MOST_CONSUMERS", 3)

    async def main() -> None:
        async with serving(tmp_path) as served:
            client = await served.connect()
            for n in range(3):
                await client.ask("Event.Subscribe", topics=["*"], consumer=f"c{n}")
            error = (await client.call("Event.Subscribe", topics=["*"], consumer="c3"))["error"]
            assert error["code"] == -32009
            other, _ = await listen(served, "c2")
            await other.ask("Event.DeleteConsumer", consumer="c0")
            await other.ask("Event.Subscribe", topics=["*"], consumer="c3")
            for each in (client, other):
                await each.close()

    asyncio.run(main())


@pytest.mark.parametrize("params", [{"from": "cursor"}, {"maxInFlight": 5}, {"consumer": "", "from": "now"}])
def test_what_is_for_consumers_needs_the_name_of_one(tmp_path: Path, params: dict[str, Any]) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            client = await served.connect()
            assert (await client.call("Event.Subscribe", topics=["*"], **params))["error"]["code"] == -32602
            await client.close()

    asyncio.run(main())


def test_a_consumer_of_a_stream_that_ended_is_told_so_until_it_acknowledges_in_the_new_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            old = served.journal.stream
            await served.journal.settled(served.happen(10))
            client, _ = await listen(served)
            await sequences(client, 10)
            await acknowledge(client, served, 4)
            await client.close()
        with sqlite3.connect(tmp_path / "edge.db") as connection:
            connection.execute("DELETE FROM events WHERE sequence > 6")
        connection.close()
        async with serving(tmp_path) as served:
            assert served.journal.stream != old
            served.happen(1)
            for _ in range(2):
                client, made = await listen(served)
                assert made == {"subscription": "1", "stream": served.journal.stream, "nextSequence": 5}
                gap, five, six, hole, eleven = [await client.message() for _ in range(5)]
                assert gap["params"]["data"] == {"stream": old, "ranges": [], "lostAfter": 4}
                assert [it["params"]["sequence"] for it in (five, six, eleven)] == [5, 6, 11]
                (lost,) = hole["params"]["data"]["ranges"]
                assert (hole["method"], lost["from"], lost["to"]) == ("Event.Gap", 7, 10)
                await client.close()
            await acknowledge_over_http(served, 6)
            client, made = await listen(served)
            assert made["nextSequence"] == 7
            assert (await client.message())["params"]["data"]["ranges"][0]["from"] == 7
            assert await sequences(client, 1) == [11]
            await client.close()

    asyncio.run(main())


def test_two_that_take_up_a_consumer_at_once_do_not_both_keep_it(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            clients = [await served.connect() for _ in range(5)]
            for client in clients:
                client.write(request("Event.Subscribe", topics=["*"], consumer="mes") + b"\n")
            answers = [await client.message() for client in clients]
            assert all("result" in answer for answer in answers)
            served.happen(1)
            told = [await client.message() for client in clients]
            methods = sorted(it["method"] for it in told)
            assert methods == ["Event.SubscriptionEnded"] * 4 + ["Status.MachineStatusChanged"]
            for client in clients:
                await client.close()

    run(main())


@asynccontextmanager
async def busy_disk(served: Served) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Hold the disk; what is given waits until so many changes stand in its queue."""
    free = threading.Event()
    served.archive.database.submit(lambda _: free.wait(10) and None)
    before = served.archive.consumers._pending

    async def pending(count: int) -> None:
        while served.archive.consumers._pending < before + count:  # noqa: ASYNC110
            await asyncio.sleep(0)

    try:
        yield pending
    finally:
        free.set()


def test_what_is_acknowledged_while_a_consumer_is_taken_over_makes_room_on_the_new_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            served.happen(4)
            first, _ = await listen(served, maxInFlight=4)
            await sequences(first, 4)
            second = await served.connect()
            async with busy_disk(served) as pending:
                second.write(request("Event.Subscribe", topics=["*"], consumer="mes", maxInFlight=4) + b"\n")
                await pending(1)
                ack = request("Event.Acknowledge", consumer="mes", stream=served.journal.stream, sequence=4)
                first.write(ack + b"\n")
                await pending(2)
            assert (await second.message())["result"]["nextSequence"] == 1
            assert await sequences(second, 4) == [1, 2, 3, 4]
            served.happen(1)
            assert await sequences(second, 1) == [5]
            for client in (first, second):
                await client.close()

    asyncio.run(main())


def test_what_the_connection_before_was_told_during_the_takeover_may_be_acknowledged(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            await served.journal.settled(served.happen(4))
            peers = [Peer(), Peer()]
            sessions = [served.delivery.session(peer.send, peer.hang_up) for peer in peers]

            async def call(session: Session, method: str, **params: Any) -> Any:
                caller = Caller("loopback", "viewer", "lines", "somewhere", session=session)
                answer = await served.dispatcher.answer(request(method, **params), caller)
                await session.answer(None)
                return json.loads(answer or b"null")

            await call(sessions[0], "Event.Subscribe", topics=["*"], consumer="mes")
            for peer in peers:
                peer.gate.clear()
            assert (await peers[0].next())["params"]["sequence"] == 1
            async with busy_disk(served) as pending:
                again = asyncio.create_task(call(sessions[1], "Event.Subscribe", topics=["*"], consumer="mes"))
                await pending(1)
                peers[0].gate.set()
                assert [(await peers[0].next())["params"]["sequence"] for _ in range(3)] == [2, 3, 4]
            assert (await again)["result"]["nextSequence"] == 1
            place = {"consumer": "mes", "stream": served.journal.stream, "sequence": 4}
            assert (await call(sessions[1], "Event.Acknowledge", **place))["result"]["acknowledged"] == 4

    asyncio.run(main())


def test_a_consumer_that_is_deleted_while_it_is_taken_up_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            first, second = await served.connect(), await served.connect()
            async with busy_disk(served) as pending:
                first.write(request("Event.Subscribe", topics=["*"], consumer="mes") + b"\n")
                await pending(1)
                second.write(request("Event.DeleteConsumer", consumer="mes") + b"\n")
                await pending(2)
            assert "result" in await second.message()
            refused = (await first.message())["error"]["data"]
            assert (refused["kind"], refused["retry"]) == ("busy", True)
            assert served.lines.load() == (2, 0)
            for client in (first, second):
                await client.close()

    asyncio.run(main())


def test_the_end_of_a_subscription_is_told_after_the_answer_that_names_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            first, second = await served.connect(), await served.connect()
            await first.ask("Event.Subscribe", topics=["*"])
            begin = request("Event.Subscribe", topics=["Alarm.*"], consumer="mes")
            wait = request("Event.Read", topics=["*"], waitMs=10_000, **{"from": "now"})
            first.write(b"[" + begin + b"," + wait + b"]\n")
            while not (await second.ask("Event.Consumers"))["consumers"]:
                pass
            while not (await second.ask("Event.Consumers"))["consumers"][0]["connected"]:
                pass
            await second.ask("Event.Subscribe", topics=["*"], consumer="mes")
            served.happen(1)
            got = [await first.message() for _ in range(3)]
            answer = next(n for n, message in enumerate(got) if isinstance(message, list))
            ended = next(n for n, message in enumerate(got) if "Event.SubscriptionEnded" in str(message))
            assert answer < ended
            assert got[answer][0]["result"]["subscription"] == got[ended]["params"]["data"]["subscription"] == "2"
            for client in (first, second):
                await client.close()

    asyncio.run(main())


def test_the_parameters_are_named_as_the_profile_names_them() -> None:
    import msgspec

    names = {field.encode_name for field in msgspec.structs.fields(Subscribe)}
    assert names == {"topics", "machines", "consumer", "from", "maxInFlight"}


def test_the_place_of_a_push_target_is_nobodys_to_take_move_or_delete_while_the_agent_serves_it(
    tmp_path: Path, run: Run
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            kept = served.archive.consumers
            place = Consumer("push:mes", PUSHED, ("*",), None, served.journal.stream, 1, 0, 0)
            await kept.put(place)
            kept.present.add("push:mes")
            await served.journal.settled(served.happen(2))
            root = Caller("root", "administrator", "lines", "", is_authenticated=True)
            answers = consumers.ConsumerAnswers(served.archive, Cursors(kept, Clock()), Clock())
            handlers = answers.handlers()
            session = served.delivery.session(lambda _: None, lambda _: None)
            for refused in (
                handlers["Event.DeleteConsumer"](OfConsumer("push:mes"), root),
                handlers["Event.Acknowledge"](Acknowledge("push:mes", served.journal.stream, 2), root),
                answers.subscribe("push:mes", Subscribe(("*",), consumer="push:mes"), None, session, root),
                answers.subscribe("push:new", Subscribe(("*",), consumer="push:new"), 1, session, root),
            ):
                with pytest.raises(CommandRefused, match="is of a push target"):
                    await refused
            assert kept.get("push:mes") == place
            assert kept.get("push:new") is None
            (standing,) = (await handlers["Event.Consumers"](Nothing(), root)).consumers
            assert (standing.name, standing.connected, standing.lag) == ("push:mes", True, 1)
            viewer = Caller("olga", "viewer", "lines", "", is_authenticated=True)
            assert not (await handlers["Event.Consumers"](Nothing(), viewer)).consumers
            kept.present.discard("push:mes")
            with pytest.raises(CommandRefused, match="belongs to another user"):
                await handlers["Event.DeleteConsumer"](OfConsumer("push:mes"), viewer)
            await handlers["Event.DeleteConsumer"](OfConsumer("push:mes"), root)
            assert not kept.all(), "a target that is not configured any more leaves nothing that cannot be taken away"
            session.close()

    run(main())
