"""The agent: opens the rooms, hands them to one another, and owns every task."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import edgeagent
from edgeagent import logs, wellbeing
from edgeagent.accounts import known_users, refusals, sign_ins
from edgeagent.acquire.wires import Reader, Wires
from edgeagent.apart import opcua_clients, opcua_outlet
from edgeagent.changes import tell_changes
from edgeagent.control.room import ControlRoom
from edgeagent.health import Health
from edgeagent.listeners import Listeners, secured
from edgeagent.loop_lag import LoopLag
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.functions.console import CONSOLE, PUSH
from edgeagent.own_alarms import OwnAlarms
from edgeagent.publish.access import Access
from edgeagent.publish.authentication import Authentication
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.jsonrpc import Dispatcher
from edgeagent.publish.observe.observed import Observed
from edgeagent.publish.observe.pages import Pages
from edgeagent.publish.openapps.answers import answers
from edgeagent.publish.push.pushes import Pushes
from edgeagent.publish.transports.console import Console, console_of
from edgeagent.store import Archive, Audit, Checkpoints, Database
from edgeagent.store.restored import laid_file, restored_from
from edgeagent.store.retention import Retention
from edgeagent.store.room import Room
from edgeagent.supervision import ended, supervised
from edgeagent.unit import Unit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from edgeagent.acquire.reach import Reach
    from edgeagent.acquire.recorder import Recorder
    from edgeagent.apart.process import OpcuaProcess
    from edgeagent.clock import Clock
    from edgeagent.config import Configuration
    from edgeagent.store.recipes import Recipes
    from firmware_iface.registers import RegisterMap

_log = logging.getLogger(__name__)


class Agent:
    """One running agent.

    Args:
        maps: machine id → the maps of its sources.
        store: the database file.
        recorder: takes everything that happens on the wires.
        file: the configuration's; its folder is where relative paths begin.

    Attributes:
        addresses: outlet name → the address that it listens at, once started.
        health: what is not well now.
        reaches: machine id → the way to write its points and read them back.
    """

    def __init__(
        self, configuration: Configuration, maps: dict[str, tuple[RegisterMap, ...]], store: Path, clock: Clock,
        recorder: Recorder | None = None, file: Path | None = None,
    ) -> None:  # fmt: skip
        self._configuration = configuration
        self._maps = maps
        self._clock = clock
        self._recorder = recorder
        self._database = Database(store, room=Room.of(store, configuration.store))
        self._file = file
        self._folder = file.parent if file else Path()
        self._tasks: list[asyncio.Task[None]] = []
        self._stops: list[Callable[[], Awaitable[None]]] = []
        self._room: ControlRoom | None = None
        self.units: list[Unit] = []
        self.reaches: dict[str, Reach] = {}
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
        room, self._room = self._room, None
        if room is not None:
            await room.close()
        await asyncio.gather(*(ended(task) for task in self._tasks))
        for stop in reversed(self._stops):
            await stop()
        for unit in self.units:
            unit.save()
        await asyncio.to_thread(self._database.close)
        self._tasks, self._stops, self.units = [], [], []

    def unsaved(self) -> str | None:
        """Why ending now would lose what the store is to keep; None where it would not, or a restore waits for it."""
        return None if laid_file(self._database.path).exists() else self._database.health().failing

    async def _start(self) -> None:
        context = secured(self._configuration, self._database.path, self._file)
        await asyncio.to_thread(self._database.open, asyncio.get_running_loop())
        audit = await Audit.open(self._database, self._clock)
        self._stops.append(audit.close)
        archive = await Archive.open(self._database, self._clock)
        journal, checkpoints = archive.journal, archive.checkpoints
        delivery = Delivery(journal, self._clock, patience_s=self._configuration.openapps.patience_s)
        self._stops.append(delivery.close)
        alarms = await OwnAlarms.open([table.id for table in self._configuration.machines], journal, checkpoints,
                                      self._clock)
        self._watch_recipes(archive.recipes)
        wires = Wires(self._configuration.lines, self._clock, self._recorder)
        readers: list[tuple[str, Reader]] = []
        self.reaches = wires.reaches
        for table in self._configuration.machines:
            unit = Unit(table, self._maps[table.id], self._clock, journal, checkpoints, delivery.telemetry,
                        self._recorder, archive.states, delivery.hears, archive.recipes.judging, alarms.of)
            readers += [(table.id, each) for each in wires.readers(table, unit.machine, unit.row, unit.beat)]
            await unit.resume()
            _log.info("%s: %s", unit.machine.id, unit.resumed)
            self.units.append(unit)
        await tell_changes(
            self._configuration, self._maps, journal, checkpoints, self._clock, edgeagent.__version__, self._recorder,
            await self._database.read(restored_from))
        users = await known_users(self._database.path, checkpoints, audit, self._clock)
        authentication = Authentication(users, delivery.notices.tally, sign_ins(audit, self._clock))
        self._room = room = ControlRoom(
            self._configuration.control,
            [(unit, wires.reaches[table.id], table) for unit, table in zip(self.units, self._configuration.machines,
                                                                           strict=True)],
            archive, audit, self._clock, as_now=authentication.as_now, report=alarms.report)
        handlers = answers(self.units, archive, delivery, self._clock, authentication) | room.handlers()
        retention = Retention(self._database, journal, archive.consumers, self._configuration.store, self._clock,
                              archive.steady)
        wellbeing.look_after_the_store(self.health, alarms, self._database, archive, audit, retention)
        wellbeing.look_after_the_users(self.health, alarms, users.health)
        wellbeing.look_after_the_machines(self.health, self.units, readers, wires.longest_wait_s)
        alarms.look()
        refused, tally = refusals(audit, self._clock), delivery.notices.tally
        access = Access(FUNCTIONS, handlers, refused, authentication.as_now, tally)
        dispatcher = Dispatcher(access)
        listeners = Listeners(self._configuration.openapps, dispatcher, delivery, authentication, context,
                              self.health)
        self._stops.append(listeners.stop)
        loop_lag = LoopLag()
        pushes = Pushes(self._configuration.openapps.push, self._folder, archive, delivery.notices, audit, self._clock)
        opcua = opcua_outlet(self._configuration.opcua, self._database.path, self._folder, access, dispatcher,
                             delivery, authentication, self.units, self._clock)
        observed = Observed(self.units, readers, self._database, journal, delivery.notices.tally, listeners.loads,
                            loop_lag, archive.lags, audit, pushes.lines, retention, opcua)
        pages = Pages(self.health, observed, wires.last_frames.frames, logs.recent)
        await room.start()
        at_console = Access(CONSOLE | PUSH, room.console() | pages.console() | pushes.handlers(), refused)
        console = Console(Dispatcher(at_console), console_of(self._database.path))
        await console.start()
        self._stops.append(console.stop)
        self.health.add("console", lambda: console.fault, is_needed=False)
        self.addresses = await listeners.start(pages.all())
        wellbeing.look_after_the_pushes(self.health, alarms, pushes.lines)
        self._stops.append(pushes.close)
        running = [*((reader.name, reader.run) for _, reader in readers),
                   *((each.name, each.run) for each in wires.heartbeats),
                   *((f"push/{line.name}", line.run) for line in pushes.lines),
                   ("control", room.run), ("own alarms", alarms.run), ("store's care", archive.care.run),
                   ("retention", retention.run), ("event loop", loop_lag.run), ("users", authentication.watch)]
        self._tasks += [asyncio.create_task(supervised(name, run)) for name, run in running]
        await self._serve_opcua(opcua, listeners, checkpoints, audit)

    async def _serve_opcua(
        self, opcua: OpcuaProcess | None, listeners: Listeners, checkpoints: Checkpoints, audit: Audit
    ) -> None:
        """Begin it; where it does not listen yet, everything else does."""
        if opcua is not None:
            clients = opcua_clients(opcua, checkpoints, audit, self._clock)
            self._tasks.append(asyncio.create_task(supervised("OPC UA's clients", clients.run)))
            self.health.add("OPC UA", opcua.fault, is_needed=False)
            listeners.loads["opcua"] = opcua.connections
            self._stops.append(opcua.stop)
            self.addresses["OPC UA"] = await opcua.start() or f"not yet: {opcua.fault()}"

    def _watch_recipes(self, recipes: Recipes) -> None:
        """Record what boards are judged by."""
        if self._recorder:
            for recipe in recipes.all():
                self._recorder.recipe(recipe)
            recipes.on_made.append(self._recorder.recipe)
