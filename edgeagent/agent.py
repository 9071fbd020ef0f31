"""The agent: opens the rooms, hands them to one another, and owns every task."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING

import msgspec

import edgeagent
from edgeagent.acquire.wires import Reader, Wires
from edgeagent.errors import EdgeAgentError
from edgeagent.health import Health
from edgeagent.model.events import ConfigurationChanged, Event
from edgeagent.model.functions import FUNCTIONS
from edgeagent.publish.access import Access
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.jsonrpc import Dispatcher
from edgeagent.publish.openapps.answers import answers
from edgeagent.publish.transports.http import HttpServer
from edgeagent.publish.transports.lines import LineServer
from edgeagent.publish.transports.websocket import WebSocketRoute
from edgeagent.store import Archive, Checkpoints, Database, Journal
from edgeagent.unit import Unit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from edgeagent.acquire.recorder import Recorder
    from edgeagent.clock import Clock
    from edgeagent.config import Configuration
    from firmware_iface.registers import RegisterMap

_log = logging.getLogger(__name__)

_RESTART_S = 1.0
ITSELF = "the agent"
"""Name of the checkpoint in which the agent keeps what it was configured with; no machine can be called so."""


class Agent:
    """One running agent.

    Args:
        maps: machine id → the maps of its sources.
        store: the database file.
        recorder: takes everything that happens on the wires.

    Attributes:
        addresses: outlet name → the address that it listens at, once started.
        health: what is not well now.
    """

    def __init__(
        self, configuration: Configuration, maps: dict[str, tuple[RegisterMap, ...]], store: Path, clock: Clock,
        recorder: Recorder | None = None,
    ) -> None:  # fmt: skip
        self._configuration = configuration
        self._maps = maps
        self._clock = clock
        self._recorder = recorder
        self._database = Database(store)
        self._tasks: list[asyncio.Task[None]] = []
        self._stops: list[Callable[[], Awaitable[None]]] = []
        self.units: list[Unit] = []
        self.addresses: dict[str, str] = {}
        self.health = Health()

    async def start(self) -> None:
        """Open the store, take up the machines' state, bind the ports, begin to poll.

        Raises:
            StoreError, OSError, ConfigError: it cannot start; what was opened is closed again.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End all tasks, write the last checkpoints, close everything."""
        await asyncio.gather(*(_ended(task) for task in self._tasks))
        for stop in reversed(self._stops):
            await stop()
        for unit in self.units:
            unit.save()
        await asyncio.to_thread(self._database.close)
        self._tasks, self._stops, self.units = [], [], []

    async def _start(self) -> None:
        self._database.open()
        archive = await Archive.open(self._database, self._clock)
        journal, checkpoints = archive.journal, archive.checkpoints
        delivery = Delivery(journal, self._clock)
        self._stops.append(delivery.close)
        wires, readers = Wires(self._configuration.lines, self._clock, self._recorder), list[Reader]()
        for table in self._configuration.machines:
            unit = Unit(table, self._maps[table.id], self._clock, journal, checkpoints, delivery.telemetry,
                        self._recorder, delivery.hears)
            readers += wires.readers(table, unit.machine, unit.row, unit.beat)
            await unit.resume()
            _log.info("%s: %s", unit.machine.id, unit.resumed)
            self.units.append(unit)
        await tell_changes(
            self._configuration, self._maps, journal, checkpoints, self._clock, edgeagent.__version__, self._recorder)
        handlers = answers(self.units, archive, delivery, self._clock)
        await self._listen(Dispatcher(Access(FUNCTIONS, handlers)), delivery)
        self.health.add("store", lambda: self._database.health().failing)
        self._tasks += [asyncio.create_task(_supervised(reader.name, reader.run)) for reader in readers]

    async def _listen(self, dispatcher: Dispatcher, delivery: Delivery) -> None:
        http, lines = self._configuration.openapps.http, self._configuration.openapps.lines
        if http.enabled:
            server = HttpServer(dispatcher, WebSocketRoute(dispatcher, delivery), origins=http.origins)
            port = await server.start(http.host, http.port)
            self._stops.append(server.stop)
            self.addresses["HTTP"] = f"http://{http.host}:{port}/rpc"
            self.addresses["WebSocket"] = f"ws://{http.host}:{port}/rpc"
        if lines.enabled:
            line_server = LineServer(dispatcher, delivery)
            port = await line_server.start(lines.host, lines.port)
            self._stops.append(line_server.stop)
            self.addresses["TCP lines"] = f"{lines.host}:{port}"


async def tell_changes(
    configuration: Configuration, maps: dict[str, tuple[RegisterMap, ...]], journal: Journal, checkpoints: Checkpoints,
    clock: Clock, software: str, recorder: Recorder | None = None,
) -> None:  # fmt: skip
    """Tell what is another than at the last start, and keep it in the same transaction.

    Args:
        software: version of the agent that runs.
    """
    saved = await checkpoints.load(ITSELF)
    wall_ns = clock.wall_ns()
    if recorder:
        recorder.taken_up(ITSELF, saved, (), clock.monotonic_ns(), wall_ns)
    before: dict[str, str] = msgspec.json.decode(saved.body) if saved else {}
    now = {"software": software}
    for table in configuration.machines:
        configured = hashlib.sha256(msgspec.json.encode(table)).hexdigest()[:12]
        now[f"machine configuration of {table.id}"] = configured
        now[f"register map of {table.id}"] = " ".join(f"{m.id} {m.fingerprint}" for m in maps[table.id])
    events = [
        Event("Configuration.Changed", wall_ns, table.id,
              ConfigurationChanged(what=what.partition(" of ")[0], from_=before[what], to=value, by="restart"))
        for what, value in now.items() if before.get(what, value) != value
        for table in configuration.machines if what == "software" or what.endswith(f" of {table.id}")
    ]  # fmt: skip
    checkpoint = (ITSELF, msgspec.json.encode(now))
    if events:
        journal.append(events, checkpoint, "trusted" if clock.trusted else "untrusted")
    elif before != now:
        checkpoints.save(*checkpoint)


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task until it ends: pymodbus's `wait_for` on Python 3.11 loses a cancellation that meets an answer."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=0.2)


async def _supervised(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a task for ever; what it did not foresee is logged, and it starts again."""
    while True:
        try:
            await run()
        except EdgeAgentError as error:
            _log.error("%s: %s", name, error)
        except Exception:  # noqa: BLE001  supervised: logged, and it starts again
            _log.exception("%s failed unexpectedly and is started again", name)
        await asyncio.sleep(_RESTART_S)
