"""What a running procedure works with: every write is asked for again, audited, and passes the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from edgeagent.clock import Clock
from edgeagent.control import interlocks
from edgeagent.control.authority import Permit
from edgeagent.control.ports import Allows, Value, Written
from edgeagent.control.procedure import CommandEnded, Failed, NotConfirmed, Withdrawn
from edgeagent.control.running import Running
from edgeagent.errors import BadAnswer, Broken, MachineError, NotWritable, Refused, StoreError, Unreachable
from edgeagent.model.conditions import Condition
from edgeagent.model.events import Event
from edgeagent.model.samples import plain
from edgeagent.store.journal import Kept
from firmware_iface.commands import Command

_NOT_WRITTEN = (NotWritable, Refused, Unreachable, ValueError, PermissionError, CommandEnded)
"""What says that nothing was written; a connection that broke with the request under way does not."""


class JobWork:
    """Implements `Work` for one job.

    Args:
        permit: asks for a permit for a job that was taken up after a restart; raises Withdrawn.
    """

    def __init__(self, running: Running, clock: Clock, permit: Callable[[Running], Permit]) -> None:
        self._running = running
        self._clock = clock
        self._ask_permit = permit
        self._gate = running.commanded.gate
        self._machine = running.commanded.machine

    @property
    def stopped_by(self) -> str | None:
        """See `Work.stopped_by`."""
        return self._running.stopped_by if self._running.stop_asked.is_set() else None

    def was_sent(self, path: str) -> bool:
        """See `Work.was_sent`."""
        return path in self._running.sent

    async def step(self, text: str) -> None:
        """See `Work.step`."""
        await self._running.step(text)

    async def write(self, path: str, value: Written) -> None:
        """See `Work.write`."""
        self._demand(path)
        await self._running.begin()
        async with self._gate.turn:
            await self._write(path, value, path)

    async def command(self, name: str) -> None:
        """See `Work.command`."""
        command = next((each for each in self._machine.machine.map.commands if each.name == name), None)
        if command is None:
            raise Failed(f"The map of {self._running.job.machine} has no command {name}.")
        self._demand(name)
        await self._running.begin()
        async with self._gate.turn:
            self._require(command)
            sent_ns = await (self._pulse(command) if command.style == "pulse" else self._level(command))
        await self._confirm(command, sent_ns)

    async def read(self, *paths: str) -> dict[str, float | str | bool]:
        """See `Work.read`."""
        await self._gate.refresh(*paths)
        found: dict[str, float | str | bool] = {}
        for path in paths:
            value = self._good(path)
            if value is None:
                raise BadAnswer(f"{path} of {self._running.job.machine} has no good value")
            found[path] = self._running.seen[path] = value
        return found

    async def until(self, holds: Callable[[], bool | None], timeout_s: float) -> bool:
        """See `Work.until`."""
        deadline_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        while True:
            self._running.demand_going_on()
            if holds():
                return True
            if self._clock.monotonic_ns() >= deadline_ns:
                return False
            await self._beat(deadline_ns)

    async def sleep(self, seconds: float) -> None:
        """See `Work.sleep`."""
        await self.until(lambda: False, seconds)

    def keep(self, row: Kept) -> None:
        """See `Work.keep`."""
        self._running.rows.append(row)

    def tell(self, event: Event) -> None:
        """See `Work.tell`."""
        self._running.events.append(event)

    # Writing

    async def _write(self, path: str, value: Written, name: str) -> None:
        await self._record(path, value, name)
        await self._send(path, value, partial(self._running.demand_writing, name))

    async def _record(self, path: str, value: Written, name: str) -> None:
        """Put a write into the audit; name: by what it may be written, the path or the command that it belongs to."""
        running, job = self._running, self._running.job
        try:
            await running.records.audit(
                "write", running.caller, function=job.function, machine=job.machine, request_id=job.request_id,
                job=job.id, values={path: value}, before={path: self._good(path)},
            )  # fmt: skip
        except StoreError as error:
            raise Withdrawn(f"It cannot be recorded any more: {error}.") from error
        # The record took its time: what is not allowed any more need not wait for its turn on the wire.
        running.demand_writing(name)

    def _demand(self, name: str) -> None:
        """Ask whether it may write; a job that was taken up asks to be permitted anew."""
        self._running.demand_writing(name)
        if self._running.permit is None:
            self._running.permit = self._ask_permit(self._running)
            self._gate.admit(self._running.permit)

    async def _send(self, path: str, value: Written, allows: Allows) -> int:
        """Write, and return when that was; what was surely not written is not expected and does not count as sent.

        Args:
            allows: asked once more when the write has its turn.
        """
        running, was_sent = self._running, self.was_sent(path)
        self._machine.expect({path: value}, running.job.by)
        running.sent.add(path)
        try:
            await self._gate.write(running.permit, path, value, allows)
        except _NOT_WRITTEN as error:
            if not isinstance(error, Broken):
                self._machine.expect_no_more((path,))
                if not was_sent:
                    running.sent.discard(path)
            raise
        return self._clock.monotonic_ns()

    def _demand_command(self, command: Command) -> None:
        self._running.demand_writing(command.name)
        self._require(command)

    def _require(self, command: Command) -> None:
        if reasons := " ".join(interlocks.preconditions(self._machine, command.preconditions, command.name)):
            raise Failed(reasons)
        if command.handshake is not None and \
                interlocks.number(self._machine, command.handshake) != command.handshake_value:
            raise Failed(f"{command.name} needs {command.handshake} to be {command.handshake_value:g}.")

    async def _level(self, command: Command) -> int:
        await self._record(command.write, command.value, command.name)
        return await self._send(command.write, command.value, partial(self._demand_command, command))

    async def _pulse(self, command: Command) -> int:
        """Write and take back; a pulse that has begun is ended whatever happens meanwhile, the panel's switch too."""
        await self._record(command.write, command.value, command.name)
        try:
            sent_ns = await self._send(command.write, command.value, partial(self._demand_command, command))
            await self._clock.sleep((command.pulse_ms or 0) / 1000)
        finally:
            if self.was_sent(command.write):
                self._running.left_set = True
                await self._send(command.write, 0.0, _always)
                self._running.left_set = False
        return sent_ns

    async def _confirm(self, command: Command, sent_ns: int) -> None:
        """Wait for the command's confirmation, by values that were read after it was sent."""
        if not command.confirm:
            return
        machine, row = self._machine.machine, self._machine.row
        paths = {path for term in command.confirm for path in (term.path, term.minus) if path}
        groups = {machine.point(path).group for path in paths}
        with suppress(MachineError):
            await self._gate.refresh(*paths)
        condition = Condition(machine, command.confirm)

        def holds() -> bool | None:
            return condition.holds(row) if all(row.times[group] >= sent_ns for group in groups) else None

        if not await self.until(holds, command.timeout_s):
            raise NotConfirmed(f"{self._running.job.machine} did not do {command.name} within {command.timeout_s:g} s.")

    # Looking

    def _good(self, path: str) -> Value:
        machine, row = self._machine.machine, self._machine.row
        point = machine.point(path)
        return plain(row, point) if row.good(point.index) else None

    async def _beat(self, deadline_ns: int) -> None:
        """Wait for the next beat, the deadline or the job's stop, whichever is first."""
        waiting = [
            asyncio.ensure_future(wait)
            for wait in (self._machine.next_beat(), self._clock.sleep_until(deadline_ns), self._stop_asked())
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _stop_asked(self) -> None:
        """Wait for a stop that has not been heeded yet."""
        if self._running.ends is not None:
            await asyncio.Event().wait()
        await self._running.stop_asked.wait()


def _always() -> None:
    """Nothing keeps a command from being taken back."""
