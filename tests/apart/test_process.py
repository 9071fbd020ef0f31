"""The agent beside a real process: what it answers and feeds, and that it does without it when it goes wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from edgeagent.apart import process
from edgeagent.apart.process import OpcuaProcess
from edgeagent.clock import Clock
from edgeagent.model.callers import NO_ROLE
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from edgeagent.publish.opcua.frames import Channel
from edgeagent.publish.opcua.port import OpcuaSettings
from tests.fakes import FakeMachine
from tests.publish.known import MES, Known
from tests.publish.serving import Served, ours, serving

EVENTS = 5000
ROOT = Path(__file__).resolve().parents[2]
GUEST = """
import sys, types, runpy
sys.modules["tests"] = package = types.ModuleType("tests")
package.__path__ = [sys.argv.pop(1)]
runpy.run_module("tests.apart.guest", run_name="__main__", alter_sys=False)
"""


class Fed(FakeMachine):
    """A machine with a row, and a history of one row."""

    def __init__(self) -> None:
        super().__init__()
        self.row = Row(len(self.machine.points), len(self.machine.groups))
        self.on_beat: list[Callable[[int], None]] = []

    def recent(self, since_ns: int) -> tuple[list[int], list[float], list[int], int]:
        width = len(self.machine.points)
        return [4711], [175.43] * width, [int(Quality.GOOD)] * width, width

    def read(self, celsius: float, clock: Clock) -> None:
        self.row.times[0], self.row.stamps[0] = clock.monotonic_ns(), clock.wall_ns()
        self.row.values[0], self.row.quality[0] = celsius, Quality.GOOD
        for heard in self.on_beat:
            heard(0)


class Beside:
    """The agent's parts and the process."""

    def __init__(self, served: Served, folder: Path, mode: str, known: Known) -> None:
        self.served = served
        self.file, self.go = folder / "guest.jsonl", folder / "guest.jsonl.go"
        self.known = known
        self.clock = Clock()
        self.machine = Fed()
        settings = OpcuaSettings("127.0.0.1", 0, "urn:test", str(folder), "0.0.0")
        self.process = OpcuaProcess(
            settings, NO_ROLE, served.dispatcher._outlet, served.dispatcher, served.delivery, served.authentication,
            [self.machine], self.clock,  # type: ignore[list-item]
            (sys.executable, "-P", "-c", GUEST, str(ROOT / "tests"), str(self.file), mode))  # fmt: skip

    def said(self, what: str) -> list[Any]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [told for name, told in map(json.loads, lines) if name == what]

    async def hear(self, what: str, count: int = 1) -> list[Any]:
        await until(lambda: len(self.said(what)) >= count)
        return self.said(what)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110  what another process does has no event
            await asyncio.sleep(0.02)


@asynccontextmanager
async def beside(folder: Path, mode: str, start: bool = True) -> AsyncIterator[Beside]:
    known = Known((MES,))
    async with serving(folder, known=known, anonymous=NO_ROLE) as served:
        its = Beside(served, folder, mode, known)
        watching = asyncio.create_task(served.authentication.watch())
        try:
            if start:
                assert await its.process.start(60) == "opc.tcp://127.0.0.1:4840"
            yield its
        finally:
            await its.process.stop()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def run(body: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        await body
        assert not [task for task in ours() if task is not asyncio.current_task()]

    asyncio.run(main())


def test_the_process_asks_as_clients_over_json_rpc_do_and_is_refused_as_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with beside(tmp_path, "ask") as its:
            await its.hear("no history")
            assert its.said("begun") == [["127.0.0.1", ["RO0001"], 7]]
            assert its.said("status")[0]["machines"][0]["state"] == "running"
            [session, user, role] = its.said("identity")[0]
            assert (user, role) == ("mes", "administrator")
            assert its.said("authenticated")[0]["user"] == "mes"
            assert its.said("history") == [[[4711, [175.4], [0]]]]
            kinds = {
                "own command": "unauthenticated", "wrong": "unauthenticated", "nobody": "unauthenticated",
                "bad parameters": "invalidParameters", "huge": "tooLarge", "unknown session": "unauthenticated",
                "no history": "notFound",
            }  # fmt: skip
            assert {what: its.said(what)[0][0] for what in kinds} == kinds
            its.known.become(replace(MES, role="viewer", revoked=MES.created))
            [[ended, reason]] = await its.hear("ended")
            assert ended == session
            assert "revoked" in reason

    with caplog.at_level(logging.INFO):
        run(body())
    assert ("asyncua.test", logging.WARNING, "something was odd") in caplog.record_tuples
    assert "asyncua.test" not in logging.root.manager.loggerDict


def test_values_come_all_at_once_and_then_as_they_change_and_events_from_the_first_on(tmp_path: Path) -> None:
    async def body() -> None:
        async with beside(tmp_path, "tell") as its:
            its.served.happen(3)
            [first, *_] = await its.hear("values")
            assert [column for column, *_ in first[1]] == list(range(7))
            its.machine.read(175.43, its.clock)
            [_, second, *_] = await its.hear("values", 2)
            assert second == ["RO0001", [[0, 175.4, 0, its.machine.row.stamps[0]]]]
            events = await its.hear("event", 3)
            assert [event["sequence"] for event in events] == [1, 2, 3]
            assert events[0]["method"] == "Status.MachineStatusChanged"
            assert events[0]["machine"] == "RO0001"
            assert its.process.fault() is None
            await until(lambda: its.process.load.sessions == 1)

    run(body())


def test_a_value_does_not_wait_for_the_end_of_a_long_line_of_events(tmp_path: Path) -> None:
    async def body() -> None:
        async with beside(tmp_path, "late") as its:
            await its.hear("held")
            its.served.happen(EVENTS)
            await until(lambda: not channel_of(its).keeps_up)
            its.machine.read(175.43, its.clock)
            its.go.touch()
            await until(lambda: len(its.said("event")) == EVENTS)
            names = [json.loads(line) for line in its.file.read_text().splitlines()]
            [value] = (place for place, (name, told) in enumerate(names) if name == "values" and told[1][0][1] == 175.4)
            after = sum(name == "event" for name, _ in names[value:])
            assert after > EVENTS // 2, "only what was on its way goes before it"

    def channel_of(its: Beside) -> Channel:
        assert its.process._answers is not None
        return its.process._answers.channel

    run(body())


def test_a_process_that_ends_is_started_anew_and_its_sessions_are_over(tmp_path: Path) -> None:
    async def body() -> None:
        async with beside(tmp_path, "end") as its:
            await its.hear("begun", 2)
            assert its.process.restarts >= 1
            assert len(its.process._guests) == 0

    run(body())


def test_why_nobody_can_connect_is_told(tmp_path: Path) -> None:
    async def body() -> None:
        async with beside(tmp_path, "fail", start=False) as its:
            await its.process.start(0.0)
            await until(lambda: its.process.fault() == "cannot listen at 127.0.0.1:1: it is taken")

    run(body())


@pytest.mark.parametrize(("mode", "words"), [
    ("silent", "said nothing"), ("large", "more than 256"), ("ahead", "the events after 4711 cannot be followed"),
])  # fmt: skip
def test_a_process_that_goes_wrong_is_ended_and_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: str, words: str
) -> None:
    monkeypatch.setattr(process, "_SILENT_S", 1.0 if mode == "silent" else 60.0)
    monkeypatch.setattr(process, "_LOOK_S", 0.05)

    async def body() -> None:
        async with beside(tmp_path, mode, start=False) as its:
            await its.process.start(60)
            await until(lambda: words in caplog.text)

    run(body())


def test_a_process_that_cannot_be_fed_is_not_left_with_what_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    async def body() -> None:
        async with beside(tmp_path, "tell") as its:
            await its.hear("values")
            monkeypatch.setattr(its.machine.row, "times", ())
            await its.hear("begun", 2)
            assert "it could not be fed" in caplog.text

    run(body())


def test_a_process_that_hears_nothing_any_more_is_killed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_FAREWELL_S", 0.1)

    async def body() -> None:
        async with beside(tmp_path, "deaf") as its:
            its.machine.read(1.0, its.clock)

    run(body())
    assert not [each for each in Path("/proc").iterdir() if _is_guest_of(tmp_path, each)]


KILLED = """
import subprocess, sys
process = subprocess.Popen((*sys.argv[2:], sys.argv[1]), pass_fds=(int(sys.argv[1]),), start_new_session=True)
print(process.pid, flush=True)
process.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends it")
def test_a_process_that_does_not_see_that_the_agent_was_killed_ends_with_it() -> None:
    near, far = socket.socketpair()
    with near, far:  # as long as this end is open, it is not told
        command = (sys.executable, "-P", "-c", KILLED, str(far.fileno()), *process.COMMAND)
        with subprocess.Popen(command, pass_fds=(far.fileno(),), stdout=subprocess.PIPE, text=True) as agent:
            assert agent.stdout
            status = Path("/proc", agent.stdout.readline().strip(), "status")
            asyncio.run(until(lambda: _ignores(signal.SIGTERM, status)))
            agent.kill()
        asyncio.run(until(lambda: not status.exists() or "State:\tZ" in status.read_text()))


def _ignores(number: int, status: Path) -> bool:
    [ignored] = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigIgn"))
    return bool(int(ignored, 16) >> number - 1 & 1)


def _is_guest_of(folder: Path, process: Path) -> bool:
    try:
        return process.name.isdigit() and str(folder).encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False


AGENT = """
import asyncio, sys
from pathlib import Path
from edgeagent.agent import Agent
from edgeagent.clock import Clock
from edgeagent.config import *
from firmware_iface import catalog

async def main(folder, wanted):
    machine = MachineTable("RO0001", (ModbusTcpTable("reflow10", "127.0.0.1", port=1),))
    configuration = Configuration((machine,), openapps=OpenAppsTable(HttpTable(port=0), LinesTable(port=0)),
                                  opcua=OpcuaTable(port=0) if wanted else None)
    agent = Agent(configuration, {"RO0001": (catalog.builtin("reflow10"),)}, folder / "edge.sqlite3", Clock())
    await agent.start()
    print("modules:", *sorted({name.partition(".")[0] for name in sys.modules} & {"asyncua", "cryptography"}),
          *sorted(name for name in sys.modules if name.startswith("edgeagent.apart.")))
    await agent.stop()

asyncio.run(main(Path(sys.argv[1]), sys.argv[2] == "yes"))
"""


def test_an_agent_without_opc_ua_imports_nothing_of_it(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-P", "-c", AGENT, str(tmp_path), "no"], capture_output=True, text=True,
                          timeout=120, check=True)  # fmt: skip
    assert done.stdout.split() == ["modules:"]


@pytest.mark.slow
def test_an_agent_with_opc_ua_leaves_the_library_to_its_process(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-P", "-c", AGENT, str(tmp_path), "yes"], capture_output=True, text=True,
                          timeout=300, check=True)  # fmt: skip
    assert "asyncua" not in done.stdout
    assert "edgeagent.apart.process" in done.stdout
