"""A shop floor in small: simulated ovens on real sockets, the agent in this process, users, a caller for each way."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from ssl import SSLContext
from typing import Any

import aiohttp
import msgpack

from edgeagent import config
from edgeagent.agent import Agent
from edgeagent.clock import Clock
from edgeagent.model.tokens import digest, new_token
from edgeagent.model.users import Token, User
from edgeagent.publish.transports.console import console_of
from edgeagent.simulate import TcpServer
from edgeagent.store.users import change, users_file
from firmware_iface import catalog
from firmware_iface.registers import RegisterMap
from firmware_iface.simulated.build import simulated

WAYS = ("http", "websocket", "msgpack", "lines")
SETPOINT = {"object": "zone/3/top", "name": "setpoint"}
PATH = "zone/3/top/setpoint"
OVEN = catalog.builtin("reflow10")
PATIENT = replace(OVEN, device=replace(OVEN.device, timeout_ms=10_000),
                  groups=tuple(replace(group, max_age_ms=20_000) for group in OVEN.groups))  # fmt: skip
"""The same oven of which the agent believes for longer what it has read: this process may be too slow for its beats."""


class SureClock(Clock):
    """The computer's clock, taken to be set; `shift_ns` is by how much a test has it wrong."""

    shift_ns = 0
    is_sure = True

    def wall_ns(self) -> int:
        return super().wall_ns() + self.shift_ns

    @property
    def trusted(self) -> bool:
        return self.is_sure


@dataclass
class Floor:
    """Ovens by machine id, all warm and empty, with their panel's switch on.

    Attributes:
        tokens: user → its token. wrote: what each oven was told to set over the wire, in order.
    """

    folder: Path
    ovens: dict[str, Any]
    tables: dict[str, Any]
    clock: SureClock
    tokens: dict[str, str] = field(default_factory=dict)
    agent: Agent | None = None

    @property
    def store(self) -> Path:
        return self.folder / "store.sqlite3"

    def knows(self, name: str, **may: Any) -> str:
        """Add a user with one token."""
        token, now = new_token(), datetime.now(UTC)
        kept = Token(id=f"{len(self.tokens):08x}", sha256=digest(token), created=now)
        self.edits(lambda users: (*users, User(name=name, created=now, tokens=(kept,), **may)))
        self.tokens[name] = token
        return token

    def edits(self, edit: Any) -> None:
        """Change the users' file, as `edgeagent users` does."""
        change(users_file(self.store), edit)

    def wrote(self, machine: str = "RO0001") -> list[tuple[str, Any]]:
        return [(path, value) for _, path, value in self.ovens[machine].wire.heard]

    async def start(self) -> None:
        maps = {machine: (oven.map,) for machine, oven in self.ovens.items()}
        self.agent = Agent(config.Configuration(**self.tables), maps, self.store, self.clock)
        await self.agent.start()

    async def stop(self) -> None:
        if self.agent is not None:
            await self.agent.stop()
            self.agent = None

    def unit(self, machine: str = "RO0001") -> Any:
        assert self.agent is not None
        return next(unit for unit in self.agent.units if unit.machine.id == machine)

    async def ended(self, job: str) -> dict[str, Any]:
        """The end of a job, as the store has it."""
        reader = self.agent._room._archive.jobs  # the table itself, not what an outlet says of it
        async with asyncio.timeout(30):
            while True:
                body = await reader.get(job)
                if body and (kept := json.loads(body)).get("endedAt"):
                    return kept
                await asyncio.sleep(0.01)

    async def until(self, holds: Any, seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110  the ovens wake nobody here
                await asyncio.sleep(0.01)

    async def connected(self) -> None:
        """Until every machine has told its state and its switch."""
        units = [self.unit(machine) for machine in self.ovens]
        await self.until(lambda: all(
            unit.status().state != "unknown" and (unit.machine.map.remote is None or unit.switch()) for unit in units))

    async def grant(self, *machines: str) -> None:
        """Look into the tunnels, and grant remote control at the console."""
        assert self.agent is not None, "it runs"
        for unit in self.agent.units:
            unit.confirm_empty(None, "looked", "anna")
        async with self.console() as console:
            for machine in machines or self.ovens:
                (answer,) = await console.ask([("Status.GrantRemote", {"machine": machine, "minutes": 30})])
                assert answer["result"]["control"] == "remote", answer

    def caller(self, way: str, token: str | None = None, context: SSLContext | None = None) -> Any:
        """A connection of a user, or of nobody, over one of WAYS; with a context over TLS, by its certificate."""
        assert self.agent is not None, "it runs"
        addresses = self.agent.addresses
        if way == "http":
            return Http(addresses["HTTP"], token, context)
        if way in ("websocket", "msgpack"):
            return WebSocket(addresses["WebSocket"], token, context, is_packed=way == "msgpack")
        host, port = addresses["TCP lines"].removesuffix(" with TLS").rsplit(":", 1)
        return Lines(asyncio.open_connection(host, int(port), limit=1 << 24, ssl=context), token)

    def console(self) -> Any:
        return Lines(asyncio.open_unix_connection(str(console_of(self.store)), limit=1 << 24), None)


Call = tuple[str, dict[str, Any]]


class _Caller:
    """Asks many things at once and takes the answers in the order of the questions."""

    def __init__(self, token: str | None) -> None:
        self.token = token
        self._ids = itertools.count(1)

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _messages(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        return [{"jsonrpc": "2.0", "id": next(self._ids), "method": name, "params": params} for name, params in calls]

    async def call(self, name: str, /, **params: Any) -> Any:
        (answer,) = await self.ask([(name, params)])
        return answer


class Http(_Caller):
    def __init__(self, url: str, token: str | None, context: SSLContext | None = None) -> None:
        super().__init__(token)
        self._url, self._context = url, context

    async def __aenter__(self) -> Http:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        self._session = aiohttp.ClientSession(headers=headers)
        return self

    async def ask(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        messages = self._messages(calls)
        for batch in itertools.batched(messages, 100) if hasattr(itertools, "batched") else _batched(messages):
            async with self._session.post(self._url, json=list(batch), ssl=self._context or True) as response:
                got = await response.json()
            if response.status != 200:
                got = [got | {"id": each["id"]} for each in batch]
            answers += got
        assert [each["id"] for each in answers] == [each["id"] for each in messages]
        return answers

    async def close(self) -> None:
        await self._session.close()

    def abort(self) -> None:
        """Break the connection off, as aiohttp does where a question is cancelled."""


class WebSocket(_Caller):
    def __init__(self, url: str, token: str | None, context: SSLContext | None = None, *, is_packed: bool) -> None:
        super().__init__(token)
        self._url, self._context, self._is_packed = url, context, is_packed

    async def __aenter__(self) -> WebSocket:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        protocols = ("msgpack",) if self._is_packed else ()
        self._session = aiohttp.ClientSession()
        try:
            self._socket = await self._session.ws_connect(
                self._url, headers=headers, protocols=protocols, max_msg_size=0, ssl=self._context or True)
        except BaseException:
            await self._session.close()
            raise
        return self

    async def ask(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        messages = self._messages(calls)
        for message in messages:
            if self._is_packed:
                await self._socket.send_bytes(msgpack.packb(message))
            else:
                await self._socket.send_str(json.dumps(message))
        answers: dict[int, dict[str, Any]] = {}
        while len(answers) < len(messages):
            frame = await self._socket.receive()
            if frame.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                raise ConnectionError("the agent closed the connection")
            got = msgpack.unpackb(frame.data) if self._is_packed else json.loads(frame.data)
            if "method" not in got:
                answers[got["id"]] = got
        return [answers[each["id"]] for each in messages]

    async def close(self) -> None:
        await self._socket.close()
        await self._session.close()

    def abort(self) -> None:
        self._socket._response.close()


class Lines(_Caller):
    """Over TCP, or at the console."""

    def __init__(self, opening: Any, token: str | None) -> None:
        super().__init__(token)
        self._opening = opening

    async def __aenter__(self) -> Lines:
        self._reader, self._writer = await self._opening
        if self.token:
            answer = await self.call("Session.Authenticate", token=self.token)
            assert "result" in answer, answer
        return self

    async def ask(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        messages = self._messages(calls)
        self._writer.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
        answers: dict[int, dict[str, Any]] = {}
        while len(answers) < len(messages):
            line = await self._reader.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("the agent closed the connection")
            got = json.loads(line)
            if "method" not in got:
                answers[got["id"]] = got
        return [answers[each["id"]] for each in messages]

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


def _batched(messages: list[Any]) -> list[list[Any]]:
    return [messages[at : at + 100] for at in range(0, len(messages), 100)]


def outcome(answer: dict[str, Any]) -> str:
    """What became of a call: "done", or the kind of its refusal."""
    if "error" not in answer:
        return "done"
    kind: str = answer["error"]["data"]["kind"]
    return kind


@asynccontextmanager
async def floor(
    folder: Path, *machines: str, control: config.ControlTable | None = None, windows: Sequence[Any] = (),
    maps: dict[str, RegisterMap] | None = None, speed: float = 1.0, cold: bool = False, **more: Any
) -> AsyncIterator[Floor]:  # fmt: skip
    """A floor whose agent runs and hears every oven; nobody has remote control yet.

    Args:
        windows: of remote control, of every machine. maps: of machines that are no ten-zone ovens as they come.
        speed: of the ovens' time and the agent's. cold: the ovens are switched off and as cold as the room.
    """
    clock = SureClock(speed, time.time_ns())
    control = control or config.ControlTable(enabled=True, caller_per_minute=600, machine_per_minute=600)
    async with AsyncExitStack() as stack:
        ovens, tables = {}, []
        for machine in machines or ("RO0001",):
            its = (maps or {}).get(machine, OVEN)
            ovens[machine] = oven = simulated(its, seed=7, cold=cold)
            if cold:
                oven.switch_off()
            while oven.state != "ready" and not cold:
                oven.advance(1)
            server = TcpServer({its.device.unit: oven}, clock)
            port = await server.start()
            stack.push_async_callback(server.stop)
            source = config.ModbusTcpTable("reflow10", "127.0.0.1", port)
            tables.append(config.MachineTable(machine, (source,), remote_windows=tuple(windows)))
        outlets = config.OpenAppsTable(http=config.HttpTable(port=0), lines=config.LinesTable(port=0))
        it = Floor(folder, ovens, {"machines": tuple(tables), "control": control, "openapps": outlets, **more}, clock)
        await it.start()
        stack.push_async_callback(it.stop)
        await it.connected()
        yield it
