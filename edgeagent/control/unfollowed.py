"""Watches a machine whose power on ended with its command sent and not seen to: what it heats later is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeagent.control.heat import ON, WITHOUT_HEAT
from edgeagent.control.power import SWITCH_ON

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgeagent.clock import Clock
    from edgeagent.control.commanded import Commanded
    from edgeagent.control.ports import Report
    from edgeagent.control.running import Running
    from edgeagent.model.commands import Job
    from edgeagent.store.jobs import Jobs

CODE = "heatsUnfollowed"
_ON, _OFF = "Status.PowerOn", "Status.PowerOff"
_KEPT_NS = 24 * 3600 * 1_000_000_000
"""How long a machine that does not come on is watched."""


class Unfollowed:
    """Watches one machine, over restarts of the agent.

    Args:
        report: tells the alarm of the agent itself.
    """

    def __init__(self, commanded: Commanded, clock: Clock, report: Report) -> None:
        self._commanded = commanded
        self._clock = clock
        self._report = report
        self._left: Job | None = None
        """The power on that may still do something."""
        self._until_ns = 0

    @property
    def stands(self) -> bool:
        """Whether the machine is on, and that is nobody's job."""
        return any(alarm.code == CODE for alarm in self._commanded.machine.alarms())

    async def load(self, jobs: Jobs) -> None:
        """Go on where the last power on that the store knows had come to its command and not to a good end."""
        found = await jobs.since(self._clock.wall_ns() - _KEPT_NS, (_ON, _OFF))
        last = next((job for job in reversed(found) if job.machine == self._commanded.id and
                     (job.function == _ON or job.state == "done")), None)  # fmt: skip
        if last and last.function == _ON and _came_to_it(last) and last.state not in ("running", "done"):
            self._watch(last)

    def ended(self, running: Running) -> None:
        """A job of the machine has ended."""
        if running.procedure.leaves_open(running.sent) and _came_to_it(running.job):
            self._watch(running.job)
        elif running.procedure.takes_long and running.job.state == "done":
            self._forget(running.job.by)

    def look(self, jobs: Collection[Running]) -> None:
        """Look once: an alarm stands while it is on, or may be, and no job has the machine.

        Args:
            jobs: those that run.
        """
        machine = self._commanded.machine
        status = machine.status()
        if self._left is None or not status.connected:
            return
        owner = next((each for each in jobs if each.commanded is self._commanded and each.procedure.takes_long), None)
        if owner is not None:
            self._clear(owner.job.by)
        elif status.state in ON:
            self._tell(self._left, status.state)
        elif self.stands and status.state in WITHOUT_HEAT:
            self._forget("machine")
        elif not self.stands and self._clock.monotonic_ns() > self._until_ns:
            self._left = None

    def _watch(self, job: Job) -> None:
        self._left, self._until_ns = job, self._clock.monotonic_ns() + _KEPT_NS

    def _forget(self, by: str) -> None:
        self._left = None
        self._clear(by)

    def _clear(self, by: str) -> None:
        if self.stands:
            self._report("heat", CODE, None, machines=(self._commanded.id,), by=by)

    def _tell(self, job: Job, state: str) -> None:
        text = (
            f"It is on ({state}) and no job follows it: {job.function} of {job.by} ended {job.state} "
            f"(job {job.id}). If nobody switched it on at the machine, that did; Status.PowerOff switches it off."
        )
        self._report("heat", CODE, text, "warning", machines=(self._commanded.id,))


def _came_to_it(job: Job) -> bool:
    return any(step.text == SWITCH_ON for step in job.steps)
