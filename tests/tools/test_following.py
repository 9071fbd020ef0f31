"""The events are followed by a process of its own, over restarts, gaps and new streams, until somebody has enough."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from contextlib import asynccontextmanager

from edgeagent.model.samples import MeasuredValue
from edgeagent.publish.transports.http import HttpServer
from edgeagent.publish.transports.websocket import WebSocketRoute
from tests.publish.serving import STARTED_NS, Served, serving


class Tail:
    """A running `edgeagent tail`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        return (await asyncio.wait_for(self.process.stdout.readline(), 10)).decode().rstrip("\n")

    async def notification(self) -> dict:
        return json.loads(await self.line())

    async def sequences(self, count: int) -> list[int]:
        return [(await self.notification())["params"]["sequence"] for _ in range(count)]

    async def said(self) -> str:
        return (await asyncio.wait_for(self.process.stderr.readline(), 10)).decode()

    async def interrupted(self) -> tuple[int, str]:
        """Ctrl-C; its exit code, and what it said last."""
        self.process.send_signal(signal.SIGINT)
        _, errors = await asyncio.wait_for(self.process.communicate(), 10)
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def tail(served: Served, *arguments: str):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "edgeagent", "tail", *arguments, "--agent", f"http://127.0.0.1:{served.http_port}",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ))  # fmt: skip  # a library may have set COLUMNS behind its back
    try:
        yield Tail(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()


async def until_followed(served: Served) -> None:
    while not any(session.subscribed for session in served.delivery._sessions):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@asynccontextmanager
async def restarted(served: Served, by: Served | None = None):
    """The HTTP server of an agent ended, and another one in its place, of the same agent or of another one."""
    await served.http.stop()
    room = by or served
    again = HttpServer(room.dispatcher, WebSocketRoute(room.dispatcher, room.delivery))
    yield again
    await again.stop()


def test_events_are_followed_from_their_beginning_or_a_sequence_or_now_on(tmp_path):
    async def main() -> None:
        async with serving(tmp_path) as served:
            await served.journal.settled(served.happen(3))
            async with tail(served, "--json", "--from", "beginning") as it:
                assert await it.sequences(3) == [1, 2, 3]
                assert await it.interrupted() == (0, "")
            async with tail(served, "--json", "--from", "2") as it:
                assert await it.sequences(2) == [2, 3]
            async with tail(served, "--json") as it:
                await until_followed(served)
                served.happen(1)
                assert await it.sequences(1) == [4]

    asyncio.run(main())


def test_people_see_a_line_for_each_event_below_its_day(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "CET-1")
    monkeypatch.setenv("COLUMNS", "80")

    async def main() -> None:
        async with serving(tmp_path) as served:
            served.happen(1)
            served.happen(1, "Alarm.Raised")
            async with tail(served, "--from", "beginning") as it:
                assert await it.line() == "2026-11-21, UTC+0100"
                assert [await it.line(), await it.line()] == [
                    "22:53:20.000       1  Status.MachineStatusChanged   from ready, to running, r...",
                    "22:53:20.000       2  Alarm.Raised                  E100 too hot",
                ]  # fmt: skip

    asyncio.run(main())


def test_topics_and_machines_are_chosen_and_measured_values_are_told_where_they_are_wanted(tmp_path, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)  # of a terminal around the tests
    values = (MeasuredValue("zone/1/top", "temperature", 175.4, "degC", "good", None),)

    async def main() -> None:
        async with serving(tmp_path, machines=("RO0001", "RO0002")) as served:
            served.happen(1)
            served.happen(1, "Alarm.Raised", "RO0002")
            served.happen(1, "Alarm.Raised")
            chosen = ("--from", "beginning", "--topic", "Alarm.*", "--topic", "Status.MeasuredValueChanged")
            async with tail(served, *chosen, "--machine", "RO0001") as it:
                assert "RO0001" not in await it.line()
                assert "       3  Alarm.Raised" in await it.line()
                served.delivery.telemetry("RO0001", values, STARTED_NS)
                told = await it.line()
                assert "-  Status.MeasuredValueChanged   zone/1/top temperature 175.4 degC" in told
            async with tail(served, "--json") as it:
                await until_followed(served)
                served.delivery.telemetry("RO0001", values, STARTED_NS)
                served.happen(1)
                assert (await it.notification())["method"] == "Status.MachineStatusChanged"

    asyncio.run(main())


def test_it_comes_back_after_the_agent_was_away_and_misses_nothing(tmp_path):
    async def main() -> None:
        async with serving(tmp_path) as served, tail(served, "--json", "--from", "beginning") as it:
            served.happen(2)
            assert await it.sequences(2) == [1, 2]
            async with restarted(served) as again:
                assert "waiting for the agent to come back" in await it.said()
                served.happen(3)
                await again.start("127.0.0.1", served.http_port)
                assert await it.said() == "edgeagent: the agent is back; going on at event 3\n"
                assert await it.sequences(3) == [3, 4, 5]
                assert await it.interrupted() == (0, "")

    asyncio.run(main())


def test_a_new_stream_is_told_and_followed_from_its_beginning(tmp_path):
    async def main() -> None:
        async with (serving(tmp_path / "new") as new, serving(tmp_path / "old") as old,
                    tail(old, "--json", "--from", "beginning") as it):
            old.happen(5)
            assert await it.sequences(5) == [1, 2, 3, 4, 5]
            new.happen(2)
            async with restarted(old, new) as again:
                await it.said()
                await again.start("127.0.0.1", old.http_port)
                assert "a new stream of events" in await it.said()
                assert await it.sequences(2) == [1, 2]

    asyncio.run(main())


def test_what_is_gone_is_told_in_its_place(tmp_path):
    async def main() -> None:
        async with serving(tmp_path) as served:
            await served.journal.settled(served.happen(6))
        with sqlite3.connect(tmp_path / "edge.db") as connection:
            connection.execute("UPDATE events SET body = X'7B7D' WHERE sequence IN (3, 4)")
        connection.close()
        async with serving(tmp_path) as served:
            async with tail(served, "--from", "beginning") as it:
                lines = [await it.line() for _ in range(6)]
                assert lines[3] == "events are gone: 3 to 4"
                assert await it.interrupted() == (0, "")
            async with tail(served, "--json", "--from", "beginning") as it:
                assert [(await it.notification())["method"] for _ in range(5)][2] == "Event.Gap"

    asyncio.run(main())


def test_it_ends_when_nobody_reads_any_more_although_nothing_happens(tmp_path):
    async def main() -> None:
        async with serving(tmp_path) as served:
            served.happen(1)
            shell = await asyncio.create_subprocess_exec(
                "bash", "-c", f'"{sys.executable}" -P -m edgeagent tail --json --from beginning --agent'
                f' http://127.0.0.1:{served.http_port} | head -n 1; echo "${{PIPESTATUS[0]}}"',
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)  # fmt: skip
            out, errors = await asyncio.wait_for(shell.communicate(), 10)
            first, code = out.decode().splitlines()
            assert json.loads(first)["params"]["sequence"] == 1
            assert (code, errors) == ("0", b"")

    asyncio.run(main())


def test_a_topic_that_no_event_has_is_told(tmp_path):
    async def main() -> None:
        async with serving(tmp_path) as served, tail(served, "--topic", "Boad.*", "--topic", "Board.*") as following:
            assert "no event that this version knows is called Boad.*: " in await following.said()
            await until_followed(served)
            assert await following.interrupted() == (0, "")

    asyncio.run(main())
