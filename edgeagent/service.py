"""The agent as a service: it runs until it is told to end, begins anew when it is told to, and systemd sees it live."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgeagent import config
from edgeagent._core import kernel
from edgeagent.agent import Agent
from edgeagent.errors import ConfigError
from edgeagent.listeners import secured
from edgeagent.notify import Notifier
from edgeagent.tools.record import clock_of, recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeagent.model.functions.machines import MachineStatus

_log = logging.getLogger(__name__)

_LOOK_S = 5.0
"""How often it is looked at how the agent stands."""

_SAVED_S = 1.0
"""How often it is looked at whether all is saved."""

_LONGEST_START_S = 900.0
"""TimeoutStartSec of the unit: so long may the store be brought to a new layout."""


class Service:
    """Runs the agent with a configuration file.

    Args:
        configuration: the file; read at each start.
        record: a new file that takes what happens on the wires, until `megabytes` are full.
        say: takes the addresses that the agent listens at, line by line.
    """

    def __init__(
        self, configuration: Path, record: Path | None, megabytes: float, say: Callable[[str], None]
    ) -> None:
        self._file = configuration
        self._record = record
        self._megabytes = megabytes
        self._say = say
        self._stop = asyncio.Event()
        self._again = asyncio.Event()
        self._notifier = Notifier(os.environ)
        self._pause_s = min(_LOOK_S, (self._notifier.watchdog_s or _LOOK_S) / 3)

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; at SIGHUP end cleanly and begin anew, with the file as it is then.

        Raises:
            ConfigError, StoreError, OSError: the agent cannot start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._again.set)
        try:
            loaded = config.load(self._file)
            while not self._stop.is_set():
                self._again.clear()
                await self._once(*loaded)
                loaded = self._loaded(loaded)
                self._record = None  # a recording is of one start; its file is whole now
        except ConfigError as error:
            self._notifier.status(f"the configuration cannot be used: {error}")
            raise
        except Exception as error:
            self._notifier.status(f"ended: {error}")
            raise
        finally:
            self._notifier.close()

    async def _once(self, configuration: config.Configuration, maps: config.Maps) -> None:
        clock = clock_of(configuration)
        with recorder(self._record, self._megabytes, self._file, configuration, maps, clock) as recording:
            agent = Agent(configuration, maps, self._store(configuration), clock, recording, self._file)
            await self._start(agent)
            watched = asyncio.create_task(self._watch(agent))
            try:
                for name, address in agent.addresses.items():
                    self._say(f"{name}: {address}")
                self._notifier.status(told(agent))
                self._notifier.ready()
                await self._told()
                await self._saved(agent)
            finally:
                watched.cancel()
                if self._stop.is_set():
                    self._notifier.stopping()
                else:
                    self._notifier.reloading()
                await agent.stop()
                gc.unfreeze()

    async def _start(self, agent: Agent) -> None:
        """Start it; the watchdog, which waits since an earlier start, is fed meanwhile."""
        self._notifier.status("begins: takes up the store and the machines")
        fed = asyncio.create_task(self._feed())
        try:
            await agent.start()
        finally:
            fed.cancel()
        # What is there now stays: walked through again and again, it would hold the loop for 20 ms each time.
        gc.collect()
        gc.freeze()
        kernel.give_back()

    async def _feed(self) -> None:
        end = time.monotonic() + _LONGEST_START_S
        while self._notifier.watchdog_s and time.monotonic() < end:
            self._notifier.alive()
            await asyncio.sleep(self._pause_s)

    async def _watch(self, agent: Agent) -> None:
        """Tell systemd how the agent stands, and feed its watchdog while every vital part lives."""
        dead: dict[str, str] = {}
        while True:
            before, dead = dead, agent.health.dead()
            if not dead and self._notifier.watchdog_s:
                self._notifier.alive()
            for part in dead.keys() - before.keys():
                _log.critical("%s %s; the watchdog is not fed until it does better", part, dead[part])
            self._notifier.status(told(agent))
            await asyncio.sleep(self._pause_s)

    async def _told(self) -> None:
        """Wait until it is told to end or to begin anew."""
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._stop, self._again)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for future in waiting:
            future.cancel()

    async def _saved(self, agent: Agent) -> None:
        """Wait until nothing is lost by beginning anew, or until it is told to end."""
        if (fault := agent.unsaved()) and not self._stop.is_set():
            _log.error("it begins anew once the store can be written: %s", fault)
        while agent.unsaved() and not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _SAVED_S)

    def _loaded(self, before: tuple[config.Configuration, config.Maps]) -> tuple[config.Configuration, config.Maps]:
        """The configuration as it is now, or as it was where it cannot be used now."""
        if self._stop.is_set():
            return before
        try:
            loaded = config.load(self._file)
            secured(loaded[0], self._store(loaded[0]), self._file)
            return loaded
        except ConfigError as error:
            _log.error("the configuration cannot be used, the one of before is kept:\n%s", error)
            return before

    def _store(self, configuration: config.Configuration) -> Path:
        return self._file.parent / configuration.agent.store


def told(agent: Agent) -> str:
    """How an agent stands, in one line for people: `2 machines: RO0001 running, 3 boards inside; RO0002 ...`."""
    machines = [_of_machine(unit.status()) for unit in agent.units]
    faults = [f"{part}: {fault}" for part, fault in agent.health.faults().items()]
    count = "1 machine" if len(machines) == 1 else f"{len(machines)} machines"
    return f"{count}: " + "; ".join(machines + faults)


def _of_machine(status: MachineStatus) -> str:
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in status.state)
    state = f"{status.machine} {words}" if status.connected else f"{status.machine} does not answer"
    if not status.boards:
        return state
    return f"{state}, 1 board inside" if status.boards == 1 else f"{state}, {status.boards} boards inside"
