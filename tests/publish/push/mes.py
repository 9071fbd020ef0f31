"""An MES that takes pushed events, over a real socket, and does what a test wants of it; and a line to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from ssl import SSLContext
from typing import Any

import msgspec
from aiohttp import web

from edgeagent.clock import Clock
from edgeagent.config import PushTable
from edgeagent.model.events import Event
from edgeagent.publish.notices import Notices
from edgeagent.publish.push.access import Access
from edgeagent.publish.push.backoff import BackOff
from edgeagent.publish.push.line import Line
from edgeagent.store import Archive, Database
from edgeagent.supervision import ended
from tests.publish.serving import event, ours

Does = Callable[["Post"], Awaitable[web.StreamResponse] | web.StreamResponse | int]


@dataclass
class Post:
    """One request as it came."""

    body: bytes
    headers: dict[str, str]
    request: web.BaseRequest
    status: int | None = None

    @property
    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.body)
        return found

    @property
    def sequences(self) -> list[int]:
        return [each["params"]["sequence"] for each in self.events if "sequence" in each["params"]]


@dataclass
class Mes:
    """Takes everything unless `does` says otherwise."""

    does: Does = lambda _: 204
    context: SSLContext | None = None
    posts: list[Post] = field(default_factory=list)
    port: int = 0
    _runner: web.ServerRunner | None = None

    async def start(self) -> None:
        server = web.Server(self._take)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.context, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def stop(self) -> None:
        """Be gone, with every connection."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        post = Post(await request.read(), dict(request.headers), request)
        self.posts.append(post)
        does = self.does(post)
        if isinstance(does, int):
            does = web.Response(status=does)
        elif not isinstance(does, web.StreamResponse):
            does = await does
        post.status = does.status
        return does

    @property
    def taken(self) -> list[int]:
        """Sequences that were answered with 2xx, in the order in which they came."""
        return [number for post in self.posts if post.status and post.status < 300 for number in post.sequences]


@dataclass
class Pushed:
    """A journal, an MES, and the line between them."""

    mes: Mes
    archive: Archive
    line: Line

    def happen(self, count: int = 1, topic: str = "Status.MachineStatusChanged", **more: Any) -> int:
        return self.archive.journal.append([event(topic, **more) for _ in range(count)])

    def tell(self, *events: Event) -> int:
        return self.archive.journal.append(events)


async def until(is_so: Callable[[], object]) -> None:
    """Wait for a condition, however slow this computer is."""
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Hasty(BackOff):
    """Waits only as long as an MES asks for, and does not grow; a test does not want to sit there."""

    def __init__(self) -> None:
        super().__init__(Random(1))
        self.waited: list[float | None] = []

    def failed(self, asked_s: float | None = None) -> float:
        self.waited.append(asked_s)
        return 0.02 if asked_s is None else min(super().failed(asked_s), 0.2)


@asynccontextmanager
async def line_to(
    mes: Mes, folder: Path, back_off: BackOff | None = None, scheme: str = "http", **more: Any
) -> AsyncIterator[Pushed]:
    """Run a line over a store in a folder; what it left is taken up."""
    database = Database(folder / "edge.db")
    database.open(asyncio.get_running_loop())
    try:
        clock = Clock()
        archive = await Archive.open(database, clock)
        table = msgspec.convert(
            {"name": "mes", "url": f"{scheme}://localhost:{mes.port}/events", "timeout_s": 20.0} | more, PushTable)
        notices = Notices(archive.journal.stream, clock)
        line = Line(table, Access(table, folder), archive, notices, clock, back_off or Hasty())
        task = asyncio.create_task(line.run())
        try:
            yield Pushed(mes, archive, line)
            assert not task.done(), task
        finally:
            await ended(task)
            await line.close()
            assert not archive.journal.on_commit
            for _ in range(10):
                await asyncio.sleep(0)
            assert not ours(), f"tasks of the agent outlive it: {ours()}"
    finally:
        await asyncio.to_thread(database.close)


@asynccontextmanager
async def an_mes(does: Does | None = None, context: SSLContext | None = None) -> AsyncIterator[Mes]:
    mes = Mes(does or (lambda _: 204), context)
    await mes.start()
    try:
        yield mes
    finally:
        await mes.stop()
