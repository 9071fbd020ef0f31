"""What an event costs that is on disk before it is told: `bench_durable.py [ROUNDS] [FOLDER] [--sync-ms N]`.

The journal's `append` and `settled`: one after the other, in groups of 100, by many callers at once. Beside it stand
the same records appended to a file that is synced, by who asks and by a thread that tells the loop of it, put into a
bare SQLite file (WAL, FULL), and written as the journal does, without thread and loop. All take turns in each round, so
that a busy computer meets them alike; a ratio is of one round, and their median counts. Rounds count once the
write-ahead logs have their length: a file that grows is slower to sync. Then what an event takes from `append` until it
is told, how fast one who is 100,000 events behind catches up, the memory of consumers.

`--sync-ms N` stands in for a slower disk: every fsync and fdatasync of the whole process sleeps N ms more after the
disk is done, for the plain file and the bare SQLite file as for the journal (`slow_sync.c`, which needs gcc). Nothing
else of such a disk is imitated: reads and writes are as fast as ever. Only what waits for a sync is measured then.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import aiohttp
import msgspec
import uvloop

from edgeagent.clock import Clock, iso
from edgeagent.model.events import ConfigurationChanged, Event, StoredEvent
from edgeagent.publish.delivery import Delivery
from edgeagent.store import Database, Journal, standing
from edgeagent.store import events as table
from edgeagent.store.bell import Bell
from edgeagent.store.connection import connect_writer
from edgeagent.tools.proving.consumer import Consumer
from edgeagent.tools.proving.filling import fill
from edgeagent.tools.proving.ground import Ground

TEXT = "x" * 400
SINGLES, GROUPS, GROUP, CALLERS = 200, 20, 100, 50
UNCOUNTED = 1000
"""Singles before the first round: as many pages at least as a write-ahead log has before it begins anew."""
BEHIND, CONSUMERS = 100_000, 100
SYNC_NS = "SYNC_NS"
"""Environment of `slow_sync.c`."""


def event(number: int) -> Event:
    """One of half a kilobyte."""
    said = ConfigurationChanged(f"what {number}", None, TEXT, "bench")
    return Event("Configuration.Changed", time.time_ns(), "M", said)


def record(number: int) -> bytes:
    """The same as a line of JSON."""
    it = event(number)
    told = {"sequence": number, "time": iso(it.time_ns), "machine": it.machine, "data": it.data}
    return msgspec.json.encode(told) + b"\n"


class Appending:
    """A file that is appended to and synced."""

    def __init__(self, folder: Path) -> None:
        self.descriptor = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def put(self, count: int) -> None:
        os.write(self.descriptor, b"".join(record(number) for number in range(count)))
        os.fsync(self.descriptor)


class Threaded:
    """The same file, by a thread that is rung for each record and tells the loop of it."""

    def __init__(self, folder: Path) -> None:
        self._file, self._bell, self._number = Appending(folder), Bell(), 0
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self._bell.wait()
            if self._done is None:
                return
            self._file.put(1)
            self._loop.call_soon_threadsafe(self._done.set_result, None)

    async def rate(self, times: int) -> float:
        """Records per second."""
        begun = time.perf_counter()
        for _ in range(times):
            self._done = self._loop.create_future()
            self._bell.ring()
            await self._done
        return times / (time.perf_counter() - begun)

    def close(self) -> None:
        self._done = None
        self._bell.ring()
        self._thread.join()


class Direct:
    """What the journal writes of an event, by who asks."""

    def __init__(self, folder: Path) -> None:
        self.connection, self._last = connect_writer(folder / "direct"), 0

    def put(self, count: int) -> None:
        stored = [StoredEvent(self._last + 1 + n, "Configuration.Changed", "M", record(n)) for n in range(count)]
        self._last += count
        self.connection.execute("BEGIN IMMEDIATE")
        table.insert(self.connection, stored)
        standing.keep(self.connection, self._last, is_refused=False)
        self.connection.execute("COMMIT")


class Bare:
    """An SQLite file with one table."""

    def __init__(self, folder: Path) -> None:
        self.connection = sqlite3.connect(folder / "bare", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute("CREATE TABLE events(sequence INTEGER PRIMARY KEY, body BLOB) STRICT")

    def put(self, count: int) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany("INSERT INTO events(body) VALUES(?)", [(record(n),) for n in range(count)])
        self.connection.execute("COMMIT")


def rate(put, times: int, count: int) -> float:
    """Records per second."""
    begun = time.perf_counter()
    for _ in range(times):
        put(count)
    return times * count / (time.perf_counter() - begun)


async def settled(journal: Journal, times: int, count: int) -> float:
    begun = time.perf_counter()
    for number in range(times):
        await journal.settled(journal.append([event(number) for _ in range(count)]))
    return times * count / (time.perf_counter() - begun)


async def by_many(journal: Journal, times: int) -> float:
    begun = time.perf_counter()
    await asyncio.gather(*(settled(journal, times // CALLERS, 1) for _ in range(CALLERS)))
    return times / (time.perf_counter() - begun)


async def rates(folder: Path, rounds: int) -> None:
    database = Database(folder / "store.sqlite3")
    database.open()
    journal = await Journal.open(database)
    plain, bare, direct, threaded = Appending(folder), Bare(folder), Direct(folder), Threaded(folder)
    for put in (bare.put, direct.put):
        rate(put, UNCOUNTED, 1)
    await settled(journal, UNCOUNTED, 1)
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, value in (
            ("append and fsync, singly", rate(plain.put, SINGLES, 1)),
            ("the same by a thread, singly", await threaded.rate(SINGLES)),
            ("bare SQLite, singly", rate(bare.put, SINGLES, 1)),
            ("the journal's rows, singly", rate(direct.put, SINGLES, 1)),
            ("journal, singly", await settled(journal, SINGLES, 1)),
            (f"journal, {CALLERS} callers at once", await by_many(journal, SINGLES * 5)),
            ("append and fsync, 100", rate(plain.put, GROUPS, GROUP)),
            ("bare SQLite, 100", rate(bare.put, GROUPS, GROUP)),
            ("journal, 100", await settled(journal, GROUPS, GROUP)),
        ):
            found.setdefault(name, []).append(value)
    threaded.close()
    print(f"{'':34} events/s  of append and fsync")
    for name, values in found.items():
        against = found["append and fsync, 100" if name.endswith("100") else "append and fsync, singly"]
        ratio = statistics.median(value / other for value, other in zip(values, against, strict=True))
        print(f"{name:34} {statistics.median(values):8,.0f}  {ratio:6.0%}")
    await asyncio.to_thread(database.close)


async def latency(folder: Path, times: int = 2000) -> None:
    """From `append` until the bytes go to a peer that keeps up, against the sync alone."""
    database = Database(folder / "latency.sqlite3")
    database.open()
    journal = await Journal.open(database)
    delivery = Delivery(journal, Clock())
    told = asyncio.Event()

    def send(message: bytes) -> bool:
        told.set()
        return True

    session = delivery.session(lambda m: send(m) and None, lambda _: None, send_at_once=send)
    await session.subscribe(("*",), None, 1)
    await session.answer(None)
    await asyncio.sleep(0.1)
    took, plain = [], Appending(folder)
    synced = []
    for number in range(times):
        told.clear()
        begun = time.perf_counter()
        journal.append([event(number)])
        await told.wait()
        took.append((time.perf_counter() - begun) * 1e3)
        begun = time.perf_counter()
        plain.put(1)
        synced.append((time.perf_counter() - begun) * 1e3)
    for name, values in (("append to told", took), ("append and fsync alone", synced)):
        parts = statistics.quantiles(values, n=100)
        print(f"{name:34} p50 {parts[49]:.3f} ms, p99 {parts[98]:.3f} ms")
    await delivery.close()
    await asyncio.to_thread(database.close)


async def catching_up(folder: Path) -> None:
    ground = Ground(folder / "behind", 1)
    agent = ground.agent(None)
    await fill(agent.store, BEHIND)
    await agent.start()
    try:
        async with aiohttp.ClientSession() as http:
            begun = time.perf_counter()
            async with http.ws_connect(agent.http, max_msg_size=0) as socket:
                await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "Event.Subscribe",
                                        "params": {"topics": ["*"], "from": "beginning"}})  # fmt: skip
                for _ in range(BEHIND + 1):
                    await socket.receive()
            print(f"{'caught up over WebSocket':34} {BEHIND / (time.perf_counter() - begun):8,.0f} events/s")
            begun, place = time.perf_counter(), "beginning"
            read = 0
            while read < BEHIND:
                body = {"jsonrpc": "2.0", "id": 1, "method": "Event.Read", "params": {"from": place, "limit": 1000}}
                async with http.post(agent.http, json=body) as answer:
                    page = (await answer.json())["result"]
                read += len(page["events"])
                place = {"stream": page["stream"], "sequence": page["nextSequence"]}
            print(f"{'caught up by Event.Read':34} {BEHIND / (time.perf_counter() - begun):8,.0f} events/s")
    finally:
        await ground.close()


async def memory(folder: Path) -> None:
    ground = Ground(folder / "memory", 1)
    oven = await ground.oven(10.0)
    agent = ground.agent(oven)
    await agent.start()
    await oven.order(scans=0.5)
    try:
        await asyncio.sleep(5)
        before = agent.rss_mb()
        consumers = [Consumer(f"c{n}", folder / f"c{n}.log", 5, is_synced=False) for n in range(CONSUMERS)]
        for consumer in consumers:
            await consumer.attach(agent)
        await asyncio.sleep(20)
        print(f"{'RSS, none and 100 consumers':34} {before:.1f} MB, {agent.rss_mb():.1f} MB")
        for consumer in consumers:
            await consumer.detach()
    finally:
        await ground.close()


def slow_down(sync_ms: float) -> None:
    """Begin anew as a process whose syncs take so much longer; its library is compiled for it."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "slow_sync.so"
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library,
                        Path(__file__).with_name("slow_sync.c"), "-ldl"], check=True)  # fmt: skip
        environment = {**os.environ, "LD_PRELOAD": str(library), SYNC_NS: str(round(sync_ms * 1e6))}
        raise SystemExit(subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode)


async def main(rounds: int, place: str | None, sync_ms: float) -> None:
    if sync_ms:
        print(f"every sync takes {sync_ms:g} ms more than the disk's own")
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        await rates(folder, rounds)
        await latency(folder)
        if rounds > 3 and not sync_ms:
            await catching_up(folder)
            await memory(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", type=int, nargs="?", default=20)
    parser.add_argument("folder", nargs="?", help="on the disk that is measured")
    parser.add_argument("--sync-ms", type=float, default=0.0, metavar="N", help="make every sync longer by N ms")
    given = parser.parse_args()
    if given.sync_ms < 0 or (given.sync_ms and not shutil.which("gcc")):
        parser.error("--sync-ms takes a time of 0 or more, and needs gcc")
    if given.sync_ms and SYNC_NS not in os.environ:
        slow_down(given.sync_ms)
    uvloop.run(main(given.rounds, given.folder, given.sync_ms))
