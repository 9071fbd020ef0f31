"""The agent as a service: it runs until it is told to end, and begins anew when it is told to."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from edgeagent import config
from edgeagent.agent import Agent
from edgeagent.errors import ConfigError
from edgeagent.tools.record import clock_of, recorder

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)


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

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; at SIGHUP end cleanly and begin anew, with the file as it is then.

        Raises:
            ConfigError, StoreError, OSError: the agent cannot start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._again.set)
        loaded = config.load(self._file)
        while not self._stop.is_set():
            self._again.clear()
            await self._once(*loaded)
            loaded = self._loaded(loaded)
            self._record = None  # a recording is of one start; its file is whole now

    async def _once(self, configuration: config.Configuration, maps: config.Maps) -> None:
        clock = clock_of(configuration)
        with recorder(self._record, self._megabytes, self._file, configuration, maps, clock) as recording:
            agent = Agent(configuration, maps, self._file.parent / configuration.agent.store, clock, recording)
            await agent.start()
            for name, address in agent.addresses.items():
                self._say(f"{name}: {address}")
            try:
                await self._told()
            finally:
                await agent.stop()

    async def _told(self) -> None:
        """Wait until it is told to end or to begin anew."""
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._stop, self._again)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for future in waiting:
            future.cancel()

    def _loaded(self, before: tuple[config.Configuration, config.Maps]) -> tuple[config.Configuration, config.Maps]:
        """The configuration as it is now, or as it was where it cannot be used now."""
        if self._stop.is_set():
            return before
        try:
            return config.load(self._file)
        except ConfigError as error:
            _log.error("the configuration cannot be used, the one of before is kept:\n%s", error)
            return before
