"""The control room: who has control of each machine, and every function that changes something."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from edgeagent.clock import Clock, iso
from edgeagent.config import ControlTable, MachineTable
from edgeagent.control.commanded import Commanded
from edgeagent.control.executor import KEPT_NS, Executor
from edgeagent.control.gate import Gate
from edgeagent.control.handing_over import standing_of
from edgeagent.control.idle import Idle
from edgeagent.control.ports import AsNow, CommandedMachine, Reach, Report
from edgeagent.control.procedure import Factory
from edgeagent.control.procedures import PROCEDURES
from edgeagent.control.pulses import pulse_points
from edgeagent.control.records import Audit, Records
from edgeagent.control.remote import Remote, Standing
from edgeagent.control.running import Running
from edgeagent.control.unfollowed import Unfollowed
from edgeagent.model.callers import Caller
from edgeagent.model.commands import Job
from edgeagent.model.functions import FUNCTIONS, OfMachine
from edgeagent.model.functions.commands import StopJob
from edgeagent.model.functions.console import CONSOLE
from edgeagent.model.functions.control import ControlStanding
from edgeagent.store import Archive

Handler = Callable[[Any, Caller], Awaitable[Any]]

_LOOK_S = 1.0
_FORGET_EVERY = 600


class ControlRoom:
    """Commands the machines of one agent.

    Args:
        machines: each with the way to its registers and its table of the configuration.
        as_now: gives a caller with what it may at that moment.
        report: tells the alarms of the agent itself.
        real: the clock of leases and windows, which runs in real time also where the agent's does not.
    """

    def __init__(
        self, settings: ControlTable, machines: Iterable[tuple[CommandedMachine, Reach, MachineTable]],
        archive: Archive, audit: Audit, clock: Clock, real: Clock | None = None,
        procedures: Mapping[str, Factory] = PROCEDURES, as_now: AsNow = lambda caller: caller, *,
        report: Report,
    ) -> None:  # fmt: skip
        self._records = Records(archive, audit, clock)
        self._archive = archive
        self.machines = {
            table.id: Commanded(
                it, Gate(table.id, reach, pulse_points(it.machine.map)), table,
                Remote(settings, table, it.machine.map.remote is not None, real or Clock()), self._turned)
            for it, reach, table in machines
        }  # fmt: skip
        self._procedures = procedures
        self._unfollowed = {name: Unfollowed(commanded, clock, report) for name, commanded in self.machines.items()}
        self.executor = Executor(self.machines, procedures, FUNCTIONS | CONSOLE, settings, archive, self._records,
                                 clock, as_now, self._ended)  # fmt: skip
        self._idle = [Idle(commanded, self.executor, clock, self._unfollowed[name])
                      for name, commanded in self.machines.items()]  # fmt: skip

    def handlers(self) -> dict[str, Handler]:
        """Every function of the network's catalogue that changes something."""
        doing = {name: self._doing(name) for name in self._procedures if name in FUNCTIONS}
        return doing | {"Command.Stop": self.stop}

    def console(self) -> dict[str, Handler]:
        """Every function of the console."""
        doing = {name: self._doing(name) for name in self._procedures if name in CONSOLE}
        return doing | {"Status.GetRemote": self.get}

    async def stop(self, wanted: StopJob, caller: Caller) -> Job:
        """Ask a job to come to its nearest safe state and end; answer it as it stands."""
        return await self.executor.stop(wanted.job, caller)

    async def get(self, wanted: OfMachine, _: Caller) -> ControlStanding:
        """Who has control of a machine."""
        commanded = self.executor.find(wanted.machine)
        return standing_of(commanded.id, commanded.look())

    async def start(self) -> None:
        """Say who has control now, and take up the jobs that ran when the agent ended."""
        self.look()
        for unfollowed in self._unfollowed.values():
            await unfollowed.load(self._archive.jobs)
        await self.executor.resume()

    async def run(self) -> None:
        """Look again and again who has control, and what stands idle; runs for ever."""
        async with asyncio.TaskGroup() as group:
            for commanded in self.machines.values():
                group.create_task(_watch_switch(commanded))
            group.create_task(self._take_turns())

    async def _take_turns(self) -> None:
        turns = 0
        while True:
            await self.turn()
            if turns % _FORGET_EVERY == 0:
                self._archive.requests.forget(self._archive.steady.now_ns() - KEPT_NS)
                self._archive.steady.keep()
            turns += 1
            await asyncio.sleep(_LOOK_S)

    async def turn(self) -> None:
        """Look once who has control, what heats without a job, and what stands idle."""
        self.look()
        for unfollowed in self._unfollowed.values():
            unfollowed.look(self.executor.jobs)
        for idle in self._idle:
            await idle.look()

    def look(self) -> None:
        """Look who has control of each machine, and tell what changed."""
        for commanded in self.machines.values():
            commanded.look()

    async def close(self) -> None:
        """Leave the jobs where they are: the next start takes them up."""
        await self.executor.close()
        self._archive.steady.keep()

    def _doing(self, name: str) -> Handler:
        async def do(parameters: Any, caller: Caller) -> Any:
            return await self.executor.call(name, parameters, caller)

        return do

    def _ended(self, running: Running) -> None:
        self._unfollowed[running.commanded.id].ended(running)

    def _turned(self, machine: str, before: str, now: Standing) -> None:
        until = iso(now.until_ns) if now.until_ns else None
        self._records.turned(machine, before, now.state, now.by, until, now.reason)


async def _watch_switch(commanded: Commanded) -> None:
    """Look at each beat at which the panel's switch, or whether the machine answers, is another: both may be short."""
    before: tuple[bool | None, bool, str] | None = None
    while True:
        await commanded.machine.next_beat()
        status = commanded.machine.status()
        if (now := (commanded.machine.switch(), status.connected, status.state)) != before:
            before = now
            commanded.look()
