"""Switches off a machine that has waited for too long, by a command like any other: permitted, announced, told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edgeagent.control import interlocks
from edgeagent.control.heat import ON
from edgeagent.control.power import IDLE
from edgeagent.errors import CommandRefused
from edgeagent.model.callers import Caller
from edgeagent.model.functions.power import PowerOff

if TYPE_CHECKING:
    from edgeagent.clock import Clock
    from edgeagent.control.commanded import Commanded
    from edgeagent.control.executor import Executor
    from edgeagent.control.unfollowed import Unfollowed

_FUNCTION = "Status.PowerOff"

_log = logging.getLogger(__name__)


class Idle:
    """Watches one machine; after a restart of the agent its time begins anew.

    Args:
        unfollowed: says whether it is on without a job that follows it, which is idle before it is ready too.
    """

    def __init__(self, commanded: Commanded, executor: Executor, clock: Clock, unfollowed: Unfollowed) -> None:
        self._commanded = commanded
        self._executor = executor
        self._clock = clock
        self._unfollowed = unfollowed
        self._minutes = commanded.settings.auto_off_minutes
        self._since_ns = clock.monotonic_ns()
        self._caller = Caller(IDLE, "engineer", "agent", "", frozenset((_FUNCTION,)), is_authenticated=True)

    async def look(self) -> None:
        """Look once, and command it off when it is due."""
        if self.is_due():
            await self._switch_off()

    def is_due(self) -> bool:
        """Look once: whether it has been ready, without a board and without a command, for the configured time."""
        now_ns, it = self._clock.monotonic_ns(), self._commanded.machine
        state = it.status().state
        is_idle = (state == "ready" or (state in ON and self._unfollowed.stands)) and \
            not any(interlocks.boards_inside(it))
        is_commanded = any(running.commanded is self._commanded for running in self._executor.jobs)
        if not is_idle or is_commanded:
            self._since_ns = now_ns
        self._since_ns = max(self._since_ns, self._executor.last_command_ns(self._commanded.id))
        return self._minutes is not None and now_ns - self._since_ns >= self._minutes * 60e9

    async def _switch_off(self) -> None:
        """Command it where control is remote; a refusal is logged, and asked for again after the same time."""
        self._since_ns = self._clock.monotonic_ns()
        control, reason = self._commanded.look().allows(_FUNCTION)
        if control != "remote":
            _log.info("%s has been idle for %d minutes and is not switched off: %s",
                      self._commanded.id, self._minutes, reason)  # fmt: skip
            return
        warning = self._commanded.settings.auto_off_warning_minutes
        _log.warning("%s has been idle for %d minutes and is switched off in %d, unless a board or a command comes",
                     self._commanded.id, self._minutes, warning)  # fmt: skip
        try:
            await self._executor.call(_FUNCTION, PowerOff(machine=self._commanded.id), self._caller)
        except CommandRefused as error:
            _log.warning("%s is idle and was not switched off: %s", self._commanded.id, error.reason)
