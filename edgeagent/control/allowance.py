"""How often the alarms of a machine may be reset from afar: counted over a restart of the agent."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeagent.store.steady import Steady

RESETS = ("Alarm.Reset", "Alarm.ResetAll")
"""What counts, together."""

_MINUTE_NS = 60_000_000_000
_NAME = "resets"


class Allowance:
    """Resets of each machine within the time before, by a time that nobody can set.

    Args:
        most: resets of one machine within `minutes`.
    """

    def __init__(self, most: int, minutes: int, steady: Steady) -> None:
        self._most = most
        self._minutes = minutes
        self._steady = steady
        self._times: dict[str, deque[int]] = {}

    async def load(self) -> None:
        """Take up what was reset before a restart."""
        noted = await self._steady.noted(_NAME)
        self._times = {machine: deque(times, maxlen=self._most) for machine, times in noted.items()}

    def add(self, machine: str) -> None:
        """Note a reset; it is on disk before whatever is written later."""
        self._times.setdefault(machine, deque(maxlen=self._most)).append(self._steady.now_ns())
        self._steady.note(_NAME, self._times)

    def spent(self, machine: str) -> str | None:
        """Say why the machine's alarms must not be reset from afar now; None where they may."""
        since_ns = self._steady.now_ns() - self._minutes * _MINUTE_NS
        lately = sum(time > since_ns for time in self._times.get(machine, ()))
        if lately < self._most:
            return None
        return (f"The alarms of {machine} were reset {lately} times from afar within {self._minutes} minutes: "
                "see to their cause at the machine.")  # fmt: skip
