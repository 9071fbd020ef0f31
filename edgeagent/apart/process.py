"""The OPC UA process: started with the agent, started anew when it ends or goes wrong, and ended with the agent."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgeagent.apart.answers import Answers
from edgeagent.apart.feed import Feed
from edgeagent.apart.guests import Guests
from edgeagent.apart.served import served
from edgeagent.publish.opcua.frames import LEFT, Channel
from edgeagent.publish.opcua.port import Load, OpcuaSettings

if TYPE_CHECKING:
    from edgeagent.clock import Clock
    from edgeagent.publish.authentication import Authentication
    from edgeagent.publish.delivery import Delivery
    from edgeagent.publish.jsonrpc import Dispatcher
    from edgeagent.publish.outlet import Outlet
    from edgeagent.unit import Unit

COMMAND = (sys.executable, "-P", "-m", "edgeagent.publish.opcua")

MOST_BYTES = 256 << 20
"""Memory of the process; one that has more is ended, and begins anew."""

_SILENT_S = 30.0
"""The longest time in which a process that lives says nothing; its start included."""

_LOOK_S = 1.0
_FAREWELL_S = 3.0
"""Time to end by itself."""

_LONGEST_PAUSE_S = 30.0
_WELL_S = 60.0
"""After so long it counts as well, and the next pause is the shortest again."""

_LIGHT = {
    "MALLOC_ARENA_MAX": "1", "PYTHONNODEBUGRANGES": "1", "SSL_CERT_FILE": "/dev/null",
    "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536",
}  # fmt: skip
"""As the unit says of the agent: some MB that nobody needs; and what was used for a moment goes back."""

_OF_SYSTEMD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")

_log = logging.getLogger(__name__)


class OpcuaProcess:
    """The agent's side of the OPC UA outlet; whatever becomes of the process, the agent goes on.

    Args:
        command: what is run, with the number of its socket after it.

    Attributes:
        load: what the process has to do, as it said last. restarts: how often it was started anew.
    """

    def __init__(
        self, settings: OpcuaSettings, role_of_anybody: str, outlet: Outlet, dispatcher: Dispatcher,
        delivery: Delivery, authentication: Authentication, units: Sequence[Unit], clock: Clock,
        command: Sequence[str] = COMMAND,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._outlet = outlet
        self._dispatcher = dispatcher
        self._delivery = delivery
        self._authentication = authentication
        self._units = units
        self._command = command
        self._feeds = {unit.machine.id: Feed(unit, clock) for unit in units}
        self._guests = Guests(authentication, role_of_anybody, 2 * settings.bounds.sessions, self._ended)
        self._answers: Answers | None = None
        self._stopping = asyncio.Event()
        self._first: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._fault: str | None = "has not begun yet"
        self._heard_s = 0.0
        self.load = Load()
        self.restarts = 0

    async def start(self, patience_s: float = 15.0) -> str | None:
        """Start it; return where it listens, None where it does not yet."""
        for unit in self._units:
            unit.on_beat.append(self._beat(self._feeds[unit.machine.id]))
        self._task = asyncio.create_task(self._run(), name="OPC UA process")
        await asyncio.wait((self._first,), timeout=patience_s)
        return self._first.result() if self._first.done() else None

    async def stop(self) -> None:
        """End it."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    @property
    def folder(self) -> Path:
        """Where its certificates and those whom it trusts are."""
        return Path(self._settings.folder)

    def fault(self) -> str | None:
        """Why nobody can connect; None while it listens."""
        return self._fault

    def connections(self) -> tuple[int, int]:
        """How many connections and subscriptions it has."""
        return self.load.connections, self.load.subscriptions

    def _beat(self, feed: Feed) -> Callable[[int], None]:
        def heard(group: int) -> None:
            if self._answers is not None and feed.look(group):
                self._answers.changed()

        return heard

    def _ended(self, session: int, reason: str) -> None:
        if self._answers is not None:
            self._answers.channel.tell("ended", session, reason)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = 1.0
        while not self._stopping.is_set():
            began_s = loop.time()
            try:
                self._fault = await self._live()
            except Exception as error:  # noqa: BLE001  supervised: logged, and it starts again
                _log.exception("the OPC UA process failed unexpectedly")
                self._fault = f"failed: {error}"
            if not self._first.done():
                self._first.set_result(None)
            if self._stopping.is_set():
                return
            pause_s = 1.0 if loop.time() - began_s > _WELL_S else pause_s
            _log.error("the OPC UA process %s; it begins anew in %.0f s", self._fault, pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            self.restarts += 1
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _live(self) -> str:
        """One life of the process; return how it ended."""
        machines = await served(self._outlet, [(unit.machine, self._feeds[unit.machine.id]) for unit in self._units])
        near, far = socket.socketpair()
        with far:
            process = await _begun(self._command, far)
        answers = Answers(self._dispatcher, self._delivery, self._authentication, self._guests, self._feeds,
                          self._hear)
        answers.channel = await Channel.over(near, answers)
        answers.endpoint.add_done_callback(self._listens)
        self._heard_s = asyncio.get_running_loop().time()
        try:
            answers.channel.tell("begin", self._settings, machines, logging.getLogger().level)
            self._answers = answers
            return await self._watch(answers, process)
        finally:
            self._answers = None
            self.load = Load()
            answers.endpoint.cancel()
            await answers.close()
            await _end(process)

    async def _watch(self, answers: Answers, process: asyncio.subprocess.Process) -> str:
        stopping = asyncio.create_task(self._stopping.wait())
        ended = asyncio.create_task(process.wait())
        try:
            while True:
                waited: list[asyncio.Future[object]] = [answers.over, stopping, ended]  # type: ignore[list-item]
                await asyncio.wait(waited, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    return "is told to end"
                if answers.over.done() or ended.done():
                    return await self._how_it_ended(answers, ended)
                if asyncio.get_running_loop().time() - self._heard_s > _SILENT_S:
                    return f"said nothing for {_SILENT_S:.0f} s"
                if self.load.resident_bytes > MOST_BYTES:
                    return f"has {self.load.resident_bytes >> 20} MB, more than {MOST_BYTES >> 20}"
        finally:
            for task in (stopping, ended):
                task.cancel()
            await asyncio.gather(stopping, ended, return_exceptions=True)

    async def _how_it_ended(self, answers: Answers, ended: asyncio.Task[int]) -> str:
        if answers.failure:
            return answers.failure
        if answers.over.done() and answers.over.result() != LEFT:
            return f"cannot be spoken with: {answers.over.result()}"
        with suppress(TimeoutError):
            return f"ended with code {await asyncio.wait_for(asyncio.shield(ended), _FAREWELL_S)}"
        return "closed its socket, and did not end"

    def _hear(self, load: Load) -> None:
        self._heard_s = asyncio.get_running_loop().time()
        self.load = load

    def _listens(self, endpoint: asyncio.Future[str]) -> None:
        if not endpoint.cancelled():
            self._fault = None
            if not self._first.done():
                self._first.set_result(endpoint.result())
            _log.info("OPC UA listens at %s", endpoint.result())


async def _begun(command: Sequence[str], far: socket.socket) -> asyncio.subprocess.Process:
    """Start the process with its end of the socket pair."""
    # In a session of its own, so that Ctrl-C reaches the agent alone: it ends when the agent has let go of it.
    environment = {name: value for name, value in os.environ.items() if name not in _OF_SYSTEMD} | _LIGHT
    return await asyncio.create_subprocess_exec(
        *command, str(far.fileno()), pass_fds=(far.fileno(),), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL, env=environment, start_new_session=True)  # fmt: skip


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait until it ends by itself, for its socket is closed; end it where it does not."""
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _FAREWELL_S)
        return
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
