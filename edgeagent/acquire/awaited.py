"""Those who wait for a read that begins after they came."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeagent.errors import MachineError


class Awaited:
    """Wakes whoever came before a read began, when it has ended."""

    def __init__(self) -> None:
        self._came: list[asyncio.Future[None]] = []
        self._served: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Wait for the end of the next read that begins; raises what it failed with."""
        waiter = asyncio.get_running_loop().create_future()
        self._came.append(waiter)
        await waiter

    def begin(self) -> None:
        """A read begins now."""
        self._served += self._came
        self._came.clear()

    def end(self, error: MachineError | None) -> None:
        """The read has ended."""
        for waiter in self._served:
            if waiter.done():
                continue
            if error:
                waiter.set_exception(error)
            else:
                waiter.set_result(None)
        self._served.clear()
