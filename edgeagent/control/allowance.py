"""How often the alarms of a machine may be reset from afar: counted over a restart of the agent."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from edgeagent.clock import instant_ns

if TYPE_CHECKING:
    from edgeagent.store.jobs import Jobs

RESETS = ("Alarm.Reset", "Alarm.ResetAll")
"""What counts, together."""

_MINUTE_NS = 60_000_000_000


class Allowance:
    """Resets of each machine within the time before, by monotonic time: setting the clock allows none.

    The store keeps them by wall time. What seems to be still to come after a restart was reset just now.

    Args:
        most: resets of one machine within `minutes`.
    """

    def __init__(self, most: int, minutes: int) -> None:
        self._most = most
        self._minutes = minutes
        self._times: dict[str, deque[int]] = {}

    async def load(self, jobs: Jobs, now_ns: int, wall_ns: int) -> None:
        """Take up what was reset before a restart."""
        for job in await jobs.since(wall_ns - self._minutes * _MINUTE_NS, RESETS):
            self.add(job.machine, now_ns - max(0, wall_ns - instant_ns(job.accepted_at)))

    def add(self, machine: str, now_ns: int) -> None:
        """Note a reset."""
        self._times.setdefault(machine, deque(maxlen=self._most)).append(now_ns)

    def spent(self, machine: str, now_ns: int) -> str | None:
        """Say why the machine's alarms must not be reset from afar now; None where they may."""
        lately = sum(now_ns - time < self._minutes * _MINUTE_NS for time in self._times.get(machine, ()))
        if lately < self._most:
            return None
        return (f"The alarms of {machine} were reset {lately} times from afar within {self._minutes} minutes: "
                "see to their cause at the machine.")  # fmt: skip
