"""Sessions that rest at the same place, told past their transports over real sockets."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeagent.publish.session import Session
from edgeagent.publish.straight import Straight
from tests.publish.serving import Line, Served, event, request, serving

Run = Callable[..., None]


def line(notification: bytes) -> bytes:
    return notification + b"\n"


class Transport:
    """One that writes only when it is told to, over a socket of which the peer reads only when it is told to."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.near.setblocking(False)
        self.far.setblocking(False)
        self.waiting = b""
        self.closing = False
        self.fails = False
        self.extra: dict[str, Any] = {"socket": self.near}

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.extra.get(name, default)

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        if self.fails:
            raise OSError("no more can be watched")
        self.waiting += data

    def abort(self) -> None:
        self.closing = True

    def flush(self) -> None:
        try:
            self.waiting = self.waiting[self.near.send(self.waiting) :] if self.waiting else b""
        except BlockingIOError:
            return

    def heard(self) -> bytes:
        try:
            return self.far.recv(1 << 20)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        self.near.close()
        self.far.close()


async def resting(served: Served, transport: Transport, *topics: str) -> Session:
    """A session at the end of the journal, with a subscription to each topic."""

    def send_at_once(message: bytes) -> bool:
        transport.write(line(message))
        return True

    session = served.delivery.session(
        lambda message: transport.write(line(message)), lambda _: None, send_at_once=send_at_once,
        straight=Straight(transport, line),
    )  # fmt: skip
    for topic in topics or ("*",):
        await session.subscribe((topic,), None, served.journal.committed_sequence + 1)
    await session.answer(None)
    await asyncio.sleep(0)
    return session


async def happened(served: Served, count: int = 1, topic: str = "Status.MachineStatusChanged") -> None:
    await served.journal.settled(served.happen(count, topic))
    await asyncio.sleep(0)


def told(lines: bytes) -> list[tuple[int, int]]:
    params = [json.loads(each)["params"] for each in lines.splitlines()]
    return [(it["sequence"], it["previous"]) for it in params]


def test_whose_transport_is_empty_is_told_past_it_and_each_has_the_previous_of_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            transports = [Transport() for _ in range(5)]
            for transport, topic in zip(transports, ("*", "*", "*", "Alarm.*", "Alarm.*"), strict=True):
                await resting(served, transport, topic)
            for topic in ("Alarm.Raised", "Status.MachineStatusChanged", "Alarm.Cleared"):
                await happened(served, topic=topic)
            await happened(served, 3, "Alarm.Raised")
            heard = [transport.heard() for transport in transports]
            assert [told(it) for it in heard[::3]] == [
                [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5)], [(1, 0), (3, 1), (4, 3), (5, 4), (6, 5)]
            ]  # fmt: skip
            assert (heard[1:3], heard[4]) == ([heard[0]] * 2, heard[3])
            assert not any(transport.waiting for transport in transports)
            for transport in transports:
                transport.close()

    asyncio.run(main())


def test_what_a_socket_does_not_take_goes_on_in_its_transport_and_nothing_overtakes_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            stuck, reads = Transport(), Transport()
            for transport in (stuck, reads):
                await resting(served, transport)
            heard = b""
            while not stuck.waiting:
                served.journal.append([event("Status.MachineStatusChanged", reason="x" * 1000)])
                await happened(served)
                heard += reads.heard()
            rest = len(stuck.waiting)
            await happened(served, 2)
            assert len(stuck.waiting) > rest, "what is new waits behind what is old"
            got = b""
            while stuck.waiting:
                stuck.flush()
                got += stuck.heard()
            await happened(served)
            got, heard = got + stuck.heard(), heard + reads.heard()
            assert not stuck.waiting, "past the transport again"
            assert got == heard
            assert told(got) == [(n, n - 1) for n in range(1, served.journal.last_sequence + 1)]
            stuck.close()
            reads.close()

    asyncio.run(main())


def test_a_transport_that_takes_no_rest_ends_its_own_connection_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            fails, stuck, reads = (Transport() for _ in range(3))
            for transport in (fails, stuck, reads):
                await resting(served, transport)
            fails.fails = True
            heard, got = b"", b""
            while not stuck.waiting:
                served.journal.append([event("Status.MachineStatusChanged", reason="x" * 1000)])
                await happened(served)
                heard += reads.heard()
            assert fails.closing
            while stuck.waiting:
                stuck.flush()
                got += stuck.heard()
            assert got == heard
            assert told(got) == [(n, n - 1) for n in range(1, served.journal.last_sequence + 1)]
            for transport in (fails, stuck, reads):
                transport.close()

    asyncio.run(main())


def test_nothing_overtakes_an_answer_that_waits_in_the_transport(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            answered, reads = Transport(), Transport()
            for transport in (answered, reads):
                await resting(served, transport)
            answered.write(b"the answer\n")
            await happened(served)
            answer, _, events = answered.waiting.partition(b"\n")
            assert (answer, told(events), answered.heard()) == (b"the answer", [(1, 0)], b"")
            answered.flush()
            await happened(served)
            assert (answered.waiting, told(answered.heard().splitlines()[-1])) == (b"", [(2, 1)]), "past it again"
            assert told(reads.heard()) == [(1, 0), (2, 1)]
            answered.close()
            reads.close()

    asyncio.run(main())


def test_more_than_is_written_in_one_go_is_told_without_waiting_for_the_next_commit(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path, heartbeat_s=3600.0) as served:
            transports = [Transport(), Transport()]
            for transport in transports:
                await resting(served, transport)
            await served.journal.settled(served.happen(30))
            for transport in transports:
                heard = b""
                async with asyncio.timeout(10):
                    while heard.count(b"\n") < 30:
                        await asyncio.sleep(0)
                        transport.flush()
                        heard += transport.heard()
                assert told(heard) == [(n, n - 1) for n in range(1, 31)]
                transport.close()

    asyncio.run(main())


def test_a_closing_transport_and_one_with_tls_are_never_passed_by(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            closing, secured = Transport(), Transport()
            secured.extra["ssl_object"] = object()
            for transport in (closing, secured):
                await resting(served, transport)
            closing.closing = True
            await happened(served)
            for transport in (closing, secured):
                assert (transport.heard(), told(transport.waiting)) == (b"", [(1, 0)])
                transport.close()

    asyncio.run(main())


def test_a_session_with_several_subscriptions_is_told_each_of_them_singly(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            several, single = Transport(), Transport()
            session = await resting(served, several, "*", "Status.*")
            await resting(served, single)
            await happened(served)
            assert (told(several.waiting), several.heard()) == ([(1, 0), (1, 0)], b"")
            several.waiting = b""
            session.unsubscribe("1")
            await asyncio.sleep(0)
            await happened(served)
            assert (several.waiting, told(several.heard())) == (b"", [(2, 1)])
            session.unsubscribe("2")
            await happened(served)
            assert (several.waiting, several.heard()) == (b"", b"")
            assert told(single.heard()) == [(1, 0), (2, 1), (3, 2)]
            several.close()
            single.close()

    asyncio.run(main())


def test_a_peer_that_breaks_off_takes_nothing_from_the_others(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            clients: list[Line] = [await served.connect() for _ in range(10)]
            for client in clients:
                await client.ask("Event.Subscribe", topics=["*"])
            for client in clients[::2]:
                client.writer.transport.abort()
            for number in range(1, 21):
                await happened(served)
                if number == 10:
                    clients.append(await served.connect())  # may have the number of a socket that is gone
                    assert "result" in await clients[-1].call("Event.Consumers")
            for client in clients[1:10:2]:
                got = [(await client.message())["params"]["sequence"] for _ in range(20)]
                assert got == list(range(1, 21))
            assert "result" in await clients[-1].call("Event.Consumers"), "nobody else's events come to it"
            for client in clients:
                await client.close()

    run(main())


def test_answers_and_events_of_a_connection_keep_their_order(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            clients = [await served.connect() for _ in range(3)]
            for client in clients:
                await client.ask("Event.Subscribe", topics=["*"])
            for _ in range(50):
                await happened(served)
                for client in clients:
                    assert (await client.message())["params"]["sequence"] == served.journal.last_sequence
                    assert "result" in await client.call("Event.Consumers")
            for client in clients:
                assert (await client.ask("Event.Unsubscribe", subscription="1"))["nextSequence"] == 51
            await happened(served)
            for client in clients:
                assert "result" in await client.call("Event.Consumers"), "nothing of it is sent after the answer"
                await client.close()

    run(main())


def test_whatever_peers_do_meanwhile_each_is_told_its_own_events_once_and_in_order(tmp_path: Path, run: Run) -> None:
    async def client(served: Served, chance: random.Random, last: int) -> None:
        """Asks, listens, rests from reading, goes and comes back, until it has seen the last event."""
        mine, seen = chance.choice((["*"], ["Alarm.*"])), 0
        while seen < last:
            line = await served.connect()
            place: Any = {"stream": served.journal.stream, "sequence": seen + 1}
            await line.ask("Event.Subscribe", topics=mine, **{"from": place})
            asked = 0
            while seen < last:
                if not asked and chance.random() < 0.3:
                    line.write(request("Event.Consumers") + b"\n")
                    asked = 1
                if chance.random() < 0.05:
                    await asyncio.sleep(0.01)
                message = await line.message()
                if "result" in message:
                    asked = 0
                    continue
                assert (message["params"]["previous"], message["params"]["sequence"] > seen) == (seen, True)
                seen = message["params"]["sequence"]
                if chance.random() < 0.02:
                    break
            await line.close()

    async def main() -> None:
        async with serving(tmp_path) as served:
            chance, last = random.Random(7), 400
            clients = [asyncio.create_task(client(served, random.Random(n), last)) for n in range(20)]
            while served.journal.last_sequence < last - 20:
                topic = chance.choice(("Alarm.Raised", "Status.MachineStatusChanged"))
                served.happen(chance.choice((1, 1, 1, 2, 12)), topic)
                await asyncio.sleep(chance.choice((0, 0.001, 0.005)))
            served.happen(last - served.journal.last_sequence, "Alarm.Raised")
            await asyncio.gather(*clients)

    run(main())
