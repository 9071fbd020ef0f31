"""Bad input by the thousand, and by the million: no crash, no growth, and no register written without a right."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import time
import tracemalloc
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeagent import config
from edgeagent.errors import ConfigError, EdgeAgentError
from edgeagent.model.callers import ANYBODY, Caller
from edgeagent.model.functions import FUNCTIONS
from edgeagent.publish.access import Access
from edgeagent.publish.authentication import Authentication
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.jsonrpc import Dispatcher
from edgeagent.publish.messagepack import NotMessagePack, unpacked
from edgeagent.publish.openapps import answers
from edgeagent.publish.transports.admission import Admission
from edgeagent.publish.transports.http import HttpServer
from edgeagent.publish.transports.splitting import LineSplitter, LineTooLong
from edgeagent.publish.transports.websocket import WebSocketRoute
from edgeagent.store.users import decoded, encoded
from edgeagent.tools.recipe_files import RecipeFile
from tests.control import fuzzed
from tests.control.bench import ENABLED, ENGINEER, bench
from tests.publish.known import MES, Known

NOBODY = Caller(ANYBODY, "viewer", "http", "127.0.0.1")
CONFIGURATION = Path(__file__).parents[2] / "systemd/edgeagent.toml"
USERS = encoded((MES,))
RECIPE = b"""name = "SAC305-A"
settling_s = 60
[settings]
"zone/1/top/setpoint" = 130.0
"conveyor/1/speedSetpoint" = 70.0
"""
_MOST_LINE = 4096


class Mistakes(logging.Handler):
    """Everything that is logged as an error, or with a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR or record.exc_info:
            self.found.append(self.format(record))


class Fuzz:
    """Feeds an agent's parts, and counts what they answered.

    Attributes:
        outcomes: kind of input → what became of how many.
    """

    def __init__(self, dispatcher: Dispatcher, host: str, port: int, folder: Path, seed: int) -> None:
        self._dispatcher = dispatcher
        self._place = host, port
        self._folder = folder
        self.chance = random.Random(seed)
        self.caller = NOBODY
        self.outcomes: dict[str, Counter[str]] = defaultdict(Counter)

    async def feed(self, count: int) -> None:
        """Feed so many inputs of all kinds, in the shares in which they take about the same time."""
        chance = self.chance
        for turn in range(count):
            draw = chance.random()
            if draw < 0.70:
                kind = chance.choice(list(fuzzed.MESSAGES))
                await self._say(kind, fuzzed.MESSAGES[kind](chance))
            elif draw < 0.90:
                kind = chance.choice(list(fuzzed.PACKED))
                await self._say_packed(kind, fuzzed.PACKED[kind](chance))
            elif draw < 0.97:
                await self._lines()
            elif draw < 0.99:
                self._file()
            else:
                await self._http()
            if turn % 50 == 0:
                await asyncio.sleep(0)

    async def _say(self, kind: str, message: bytes) -> None:
        self._count(kind, await self._dispatcher.answer(message, self.caller))

    async def _say_packed(self, kind: str, message: bytes) -> None:
        try:
            text = unpacked(message)
        except NotMessagePack:
            self.outcomes[kind]["parse"] += 1
            return
        await self._say(kind, text)

    async def _lines(self) -> None:
        """Some messages in lines, cut into pieces anywhere."""
        chance, lines = self.chance, LineSplitter(_MOST_LINE)
        kinds = [chance.choice(list(fuzzed.MESSAGES)) for _ in range(3)]
        stream = b"".join(fuzzed.MESSAGES[kind](chance) + chance.choice((b"\n", b"\r\n", b"\n\n")) for kind in kinds)
        while stream:
            size = chance.choice((1, 7, 100, 5000, 100_000))
            lines.feed(stream[:size])
            stream = stream[size:]
            try:
                while (line := lines.take()) is not None:
                    assert len(line) <= _MOST_LINE
                    await self._say("lines in pieces", line)
            except LineTooLong:
                self.outcomes["lines in pieces"]["tooLarge"] += 1

    def _file(self) -> None:
        chance = self.chance
        kind = chance.choice(("configuration file", "users file", "recipe file"))
        try:
            if kind == "users file":
                decoded(fuzzed.flipped(USERS, chance))
            else:
                file = self._folder / ("recipe.toml" if kind == "recipe file" else "agent.toml")
                good = RECIPE if kind == "recipe file" else CONFIGURATION.read_bytes()
                file.write_bytes(fuzzed.flipped(good, chance))
                RecipeFile(file) if kind == "recipe file" else config.load(file)
            self.outcomes[kind]["done"] += 1
        except ConfigError as error:
            assert error.faults, "it names what is wrong"
            self.outcomes[kind]["refused"] += 1
        except (EdgeAgentError, ValueError) as error:
            assert str(error)
            self.outcomes[kind]["refused"] += 1

    async def _http(self) -> None:
        reader, writer = await asyncio.open_connection(*self._place)
        try:
            writer.write(fuzzed.http(self.chance, f"{self._place[0]}:{self._place[1]}"))
            async with asyncio.timeout(0.2):  # of some it waits for the rest
                told = await reader.read()
        except TimeoutError:
            told = b"HTTP/1.1 waits"
        except ConnectionError:
            told = b""
        finally:
            writer.close()
        status = told[9:14].split()[0].decode("ascii", "replace") if told.startswith(b"HTTP/1.") else "closed"
        assert status != "500", told
        self.outcomes["HTTP"][status] += 1

    def _count(self, kind: str, answer: bytes | None) -> None:
        if answer is None:
            self.outcomes[kind]["nothing to answer"] += 1
            return
        told = json.loads(answer, parse_int=str)  # an id of thousands of digits comes back as it was
        for each in told if isinstance(told, list) else [told]:
            assert each["jsonrpc"] == "2.0"
            outcome = "done" if "result" in each else each["error"]["data"]["kind"]
            assert outcome != "internal", answer
            self.outcomes[kind][outcome] += 1


@asynccontextmanager
async def fuzzing(folder: Path, seed: int):
    """An oven under remote control, so that nothing but the rights of who asks keeps it from being commanded."""
    async with bench(folder, settings=ENABLED) as it:
        it.grant(60)
        delivery = Delivery(it.archive.journal, it.clock)
        authentication = Authentication(Known((MES,)), delivery.notices.tally)
        handlers = answers([it.unit], it.archive, delivery, it.clock, authentication) | it.room.handlers()
        dispatcher = Dispatcher(Access(FUNCTIONS, handlers))
        admission = Admission(authentication)
        route = WebSocketRoute(dispatcher, delivery, admission=admission)
        server = HttpServer(dispatcher, route, admission=admission)
        port = await server.start("127.0.0.1", 0)
        levels = {name: logging.getLogger(name).level for name in ("edgeagent", "asyncio", "aiohttp")}
        mistakes = Mistakes()
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
            logging.getLogger(name).addHandler(mistakes)
        try:
            yield it, Fuzz(dispatcher, "127.0.0.1", port, folder, seed), mistakes
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
                logging.getLogger(name).removeHandler(mistakes)
            await server.stop()
            await delivery.close()


def rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 1e6


async def unmoved(it: Any, fuzz: Fuzz, mistakes: Mistakes, tasks: int) -> None:
    """Nothing was written, nothing went wrong, nothing is left over."""
    await it.settled()
    assert not it.reach.wrote
    assert not it.device.wire.heard
    assert not mistakes.found, mistakes.found[:3]
    async with asyncio.timeout(20):
        while len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110  connections that end tell nobody
            await asyncio.sleep(0.01)


async def fed(folder: Path, seed: int, count: int, parts: int) -> tuple[Fuzz, list[float], int]:
    """Feed nobody's inputs, then, under local control, an engineer's; RSS after each part, and what stays allocated."""
    async with fuzzing(folder, seed) as (it, fuzz, mistakes):
        tasks, sizes = len(asyncio.all_tasks()), [rss_mb()]
        for _ in range(parts):
            await fuzz.feed(count // parts)
            sizes.append(rss_mb())
        await unmoved(it, fuzz, mistakes, tasks)
        it.remote.release("mes")
        it.room.look()
        fuzz.caller = ENGINEER
        await fuzz.feed(count // 20)
        await unmoved(it, fuzz, mistakes, tasks)
        fuzz.caller = NOBODY
        tracemalloc.start()
        await fuzz.feed(200)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        await fuzz.feed(max(500, count // 100))
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        await unmoved(it, fuzz, mistakes, tasks)
    return fuzz, sizes, grown


def test_three_thousand_bad_inputs_crash_nothing_and_write_nothing(tmp_path):
    fuzz, _, grown = asyncio.run(fed(tmp_path, 7, 3000, 2))
    assert {*fuzzed.MESSAGES, *fuzzed.PACKED, "lines in pieces", "HTTP", "users file"} <= fuzz.outcomes.keys()
    kinds = sum(fuzz.outcomes.values(), Counter())
    assert {"done", "parse", "invalidRequest", "invalidParameters", "unauthenticated", "notRemote"} <= kinds.keys()
    assert grown < 500_000, grown


@pytest.mark.slow
def test_a_million_bad_inputs_crash_nothing_write_nothing_and_make_nothing_grow(tmp_path, capsys):
    began = time.monotonic()
    fuzz, sizes, grown = asyncio.run(fed(tmp_path, 11, 1_000_000, 20))
    with capsys.disabled():
        print(f"\n{sum(map(Counter.total, fuzz.outcomes.values()))} answers in {time.monotonic() - began:.0f} s; RSS "
              f"{sizes[0]:.0f} MB before, {sizes[4]:.0f} MB after a fifth, {sizes[-1]:.0f} MB after all; "
              f"{grown / 1e3:+.0f} kB allocated over the last {1_000_000 // 100}")
        for kind, outcomes in fuzz.outcomes.items():
            told = ", ".join(f"{outcome} {count}" for outcome, count in outcomes.most_common())
            print(f"{kind:22} {outcomes.total():8}  {told}")
    assert sizes[-1] - sizes[4] < 10, sizes
    assert grown < 1_000_000
