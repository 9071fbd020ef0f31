"""An hour of the agent at twenty times speed, with boards, faults and clients that come and go: nothing grows.

EDGEAGENT_SOAK_MINUTES=5 makes a short try of it; `-s` shows the table while it grows.
"""

import asyncio
import os
import re
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from edgeagent.clock import Clock
from tests.journeys.visitors import Follower, Visitors, lines
from tests.surroundings import of_the_service

MINUTES = float(os.environ.get("EDGEAGENT_SOAK_MINUTES", "60"))
SPEED, INTERVAL_S = 20.0, 60.0
BOARDS = int(MINUTES * 60 * SPEED / INTERVAL_S * 0.85)
"""As many as enter in time, though the outlet is blocked now and then."""

FAULTS = [fault for begin_s in range(300, int(MINUTES * 60 * SPEED) - 400, 240)
          for fault in (f"controller-reboot@{begin_s}+4", f"outlet-blocked@{begin_s + 120}+20")]
"""In seconds of the oven. The line is dead for less time than a board needs to pass a barrier: none is missed."""

WARM_MIN = 15.0
"""Until then the ring of rows (5 minutes of the oven), the newest 1 MiB of events and the database's pages fill."""

MOST_GROWTH_MB = 1.0
"""Of the line through RSS after that, over what is left of the time: arenas that clients come and go in. One kilobyte
kept of each visit or each board would be 1 to 10 MB in an hour."""


class Look(NamedTuple):
    """The agent's process from outside; tasks and the event loop's longest lag of the last minute as it tells them."""

    minute: float
    rss_mb: float
    handles: int
    threads: int
    tasks: int | None
    lag_ms: float
    store_mb: float


class Soak:
    """The oven and the agent, each a process of its own, and what is seen of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.looks: list[Look] = []
        self.http, self.address = "", ("", 0)
        self._began = time.monotonic()

    async def start(self) -> None:
        self.oven = await self._process("simulate", "--port", "0", "--speed", f"{SPEED:g}", "--boards", str(BOARDS),
                                        "--interval", f"{INTERVAL_S:g}", *(f"--fault={fault}" for fault in FAULTS))
        port = (await self._said(self.oven, r"port (\d+)"))[1]
        self._talk = asyncio.create_task(self._hear())
        origin = Clock().wall_ns() // 1_000_000_000
        (self.folder / "agent.toml").write_text(
            f"[agent]\nstore = \"store.sqlite3\"\n[openapps.http]\nport = 0\n[openapps.lines]\nport = 0\n"
            f"[simulation]\nspeed = {SPEED}\norigin = {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(origin))}\n"
            f'[[machines]]\nid = "RO0001"\n[[machines.sources]]\nkind = "modbus-tcp"\nmap = "reflow10"\n'
            f'host = "127.0.0.1"\nport = {port}\n')  # fmt: skip
        self.agent = await self._process("run", str(self.folder / "agent.toml"))
        self.http = (await self._said(self.agent, r"HTTP: (\S+)"))[1]
        said = await self._said(self.agent, r"TCP lines: (.*):(\d+)")
        self.address = said[1], int(said[2])

    async def stop(self) -> None:
        self._talk.cancel()
        for process in (self.agent, self.oven):
            if process.returncode is None:
                process.terminate()
                assert await asyncio.wait_for(process.wait(), 30) == 0

    async def watch(self) -> None:
        """Look every two seconds, until cancelled; a line of the table for each tenth of the time."""
        told = 0.0
        print("\n| minute | RSS, MB | handles | threads | tasks | longest lag, ms | store, MB |")
        print("|---|---|---|---|---|---|---|", flush=True)
        while True:
            look = await self.look()
            self.looks.append(look)
            if look.minute >= told:
                told += MINUTES / 10
                row(look)
            await asyncio.sleep(2)

    async def look(self) -> Look:
        process = Path(f"/proc/{self.agent.pid}")
        status = (process / "status").read_text()
        rss_kb, threads = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads"))
        size = sum(file.stat().st_size for file in self.folder.glob("store.sqlite3*"))
        handles = len(list((process / "fd").iterdir()))
        minute = (time.monotonic() - self._began) / 60
        tasks, lag_s = await self._metrics("edgeagent_tasks", "edgeagent_event_loop_longest_lag_seconds")
        return Look(minute, rss_kb / 1024, handles, threads, None if tasks is None else round(tasks),
                    (lag_s or 0.0) * 1e3, size / 1e6)

    async def _metrics(self, *names: str) -> list[float | None]:
        async with aiohttp.ClientSession() as http, http.get(self.http.replace("/rpc", "/metrics")) as answer:
            told = await answer.text()
        found = (re.search(rf"^{name} (\S+)", told, re.M) for name in names)
        return [float(each[1]) if each else None for each in found]

    async def _process(self, *arguments: str) -> asyncio.subprocess.Process:
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(sys.executable, "-P", "-m", "edgeagent", *arguments,
                                                        stdin=asyncio.subprocess.DEVNULL,
                                                        stdout=asyncio.subprocess.PIPE, stderr=log,
                                                        env=of_the_service())

    async def _said(self, process: asyncio.subprocess.Process, pattern: str) -> re.Match:
        async with asyncio.timeout(30):
            async for line in process.stdout:
                if found := re.search(pattern, line.decode()):
                    return found
        raise AssertionError(f"the process ended without saying {pattern}")

    async def _hear(self) -> None:
        async for _ in self.oven.stdout:
            pass


def row(look: Look) -> None:
    tasks = "-" if look.tasks is None else look.tasks
    cells = (f"{look.minute:.1f}", f"{look.rss_mb:.1f}", look.handles, look.threads, tasks, f"{look.lag_ms:.1f}",
             f"{look.store_mb:.1f}")
    print("|", " | ".join(map(str, cells)), "|", flush=True)


async def level(soak: Soak) -> Look:
    """The agent without clients: as soon as its handles do not change any more."""
    before = await soak.look()
    while True:
        await asyncio.sleep(2)
        after = await soak.look()
        if after.handles == before.handles:
            return after
        before = after


async def emptied(soak: Soak) -> None:
    """Wait until every board is out."""
    async with lines(soak.address) as client, asyncio.timeout(MINUTES * 30 + 60):
        while (await client.call("Status.Get"))["machines"][0]["boards"]:  # noqa: ASYNC110  another process's boards
            await asyncio.sleep(1)


async def an_hour(folder: Path) -> None:
    soak, follower = Soak(folder), Follower()
    await soak.start()
    try:
        before = await level(soak)
        visitors = Visitors(soak.http, soak.address)
        following = asyncio.create_task(follower.follow(soak.address))
        work = (visitors.crowd(), visitors.probe(), soak.watch())
        tasks = [following, *map(asyncio.create_task, work)]
        done, _ = await asyncio.wait(tasks, timeout=MINUTES * 60, return_when=asyncio.FIRST_COMPLETED)
        await ended(tasks[1:])
        for task in done:
            task.result()
        await emptied(soak)
        await asyncio.sleep(1)
        await ended([following])
        after = await level(soak)
    finally:
        await soak.stop()
    slope = report(soak, visitors, follower, before, after)
    if MINUTES > 2 * WARM_MIN:  # a short try shows the table, and cannot tell a leak from a cache that fills
        assert slope * (MINUTES - WARM_MIN) / 60 < MOST_GROWTH_MB
    # Each reader of the database begins, with a file of its own and its log, at a question to it.
    assert after.handles <= before.handles + 3, "every connection's handle is given back"
    assert after.tasks == before.tasks, "every connection's tasks end"
    assert after.threads <= before.threads + 1
    check_boards(follower)


async def ended(tasks: list[asyncio.Task]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def check_boards(follower: Follower) -> None:
    """Every board that entered has one end, and hardly one is lost: a computer that stalls for 0.8 s hides one."""
    assert follower.started == set(follower.ended)
    assert set(follower.ended.values()) == {1}
    assert follower.topics["Board.ProcessCompleted"] >= BOARDS * 0.98 - 1
    assert follower.topics["Event.Gap"] == 0


def report(soak: Soak, visitors: Visitors, follower: Follower, before: Look, after: Look) -> float:
    """Print what was seen as a table; returns the slope of RSS after the warm-up, in MB an hour."""
    warm = [look for look in soak.looks if look.minute > min(WARM_MIN, MINUTES / 2)]
    slope = statistics.linear_regression([look.minute / 60 for look in warm], [look.rss_mb for look in warm]).slope
    delays = sorted(visitors.delays_ms)
    print("\n| | |\n|---|---|")
    for name, value in (
        ("RSS, slope after the warm-up", f"{slope:+.2f} MB/h"),
        ("RSS before the clients / most / after them",
         f"{before.rss_mb:.1f} / {max(look.rss_mb for look in soak.looks):.1f} / {after.rss_mb:.1f} MB"),
        ("handles before / most / after",
         f"{before.handles} / {max(look.handles for look in soak.looks)} / {after.handles}"),
        ("tasks before / after", f"{before.tasks} / {after.tasks}"),
        ("event-loop lag, longest of a minute: median / most",
         f"{statistics.median(look.lag_ms for look in warm):.1f} / {max(look.lag_ms for look in soak.looks):.1f} ms"),
        ("a question's answer, p50 / p99 / longest",
         f"{statistics.median(delays):.1f} / {delays[int(len(delays) * 0.99)]:.1f} / {delays[-1]:.1f} ms"),
        ("visits", ", ".join(f"{count} {kind}" for kind, count in sorted(visitors.visits.items()))),
        ("durable events in order, without a hole", f"{follower.last}"),
        ("boards fed / completed / lost / unexpected",
         " / ".join(str(n) for n in (BOARDS, *(follower.topics[f"Board.{topic}"]
                                               for topic in ("ProcessCompleted", "Lost", "Unexpected"))))),
        ("store", f"{after.store_mb:.1f} MB"),
    ):  # fmt: skip
        print(f"| {name} | {value} |")
    return slope


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="a process is looked at through /proc")
def test_an_hour_with_clients_that_come_and_go_leaves_the_agent_as_it_was(tmp_path):
    asyncio.run(an_hour(tmp_path))
