"""The gate before a machine's registers: it opens for a permit of a job that runs; without one a pulse only ends."""

from __future__ import annotations

import asyncio

from edgeagent.control.authority import Permit
from edgeagent.control.ports import Allows, Reach, Written


class Gate:
    """One machine's registers; every write of this agent passes here, one at a time.

    Args:
        pulses: paths that pulses, and nothing else, are given at: at 0 they are at rest.

    Attributes:
        turn: whose it is to write; held over a whole pulse or handshake.
    """

    def __init__(self, machine: str, reach: Reach, pulses: frozenset[str] = frozenset()) -> None:
        self._machine = machine
        self._reach = reach
        self._pulses = pulses
        self._admitted: set[int] = set()
        self.turn = asyncio.Lock()

    def admit(self, permit: Permit) -> None:
        """Let a job in; raises PermissionError where the permit is none of this machine."""
        if type(permit) is not Permit or permit.machine != self._machine:
            raise PermissionError(f"{permit!r} is no permit for {self._machine}")
        self._admitted.add(id(permit))

    def dismiss(self, permit: Permit) -> None:
        """The job has ended."""
        self._admitted.discard(id(permit))

    async def write(self, permit: Permit | None, path: str, value: Written, allows: Allows) -> None:
        """Write one point; raises PermissionError, and what `Reach.write` raises."""

        def demand() -> None:
            if type(permit) is not Permit or id(permit) not in self._admitted:
                raise PermissionError(f"{path} of {self._machine} is written for a job that is permitted and runs only")

        def is_still_allowed() -> None:
            demand()
            allows()

        demand()
        await self._reach.write(path, value, is_still_allowed)

    async def take_back(self, path: str, allows: Allows) -> None:
        """Put a pulse's point to rest, which takes a command away and gives none: needs no permit.

        Args:
            allows: asked when the write has its turn.

        Raises:
            PermissionError: no pulse is given there; and what `Reach.write` raises.
        """
        if path not in self._pulses:
            raise PermissionError(f"{path} of {self._machine} is no point of a pulse")
        await self._reach.write(path, 0.0, allows)

    async def refresh(self, *paths: str) -> None:
        """Read anew, as `Reach.refresh`."""
        await self._reach.refresh(paths)

    def why_not(self, path: str) -> str | None:
        """Say why a point cannot be written, as `Reach.why_not`."""
        return self._reach.why_not(path)
