"""What is done for the file beside the agent: a salvage goes on to its end, and all of it is read now and then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from edgeagent.store import salvaged
from edgeagent.store.salvage import Salvage
from edgeagent.store.salvaged import Salvaged
from edgeagent.store.scrub import Found, scrub

if TYPE_CHECKING:
    from edgeagent.store.consumers import Consumers
    from edgeagent.store.database import Database
    from edgeagent.store.journal import Journal

_EVERY_S = 86_400.0
"""Real seconds from the end of one reading to the next."""
_FIRST_S = 60.0
"""Real seconds from the start to the first: a start has better things to do."""


class Care:
    """Tells of the damage that the store comes from, and works on it; on the event loop only."""

    def __init__(
        self, database: Database, journal: Journal, consumers: Consumers, found: Salvaged | None
    ) -> None:
        self._database = database
        self._journal = journal
        self._consumers = consumers
        self._salvaged = found
        self._found = Found()
        self._healed = asyncio.Event()
        database.on_healed.append(self._healed.set)

    @classmethod
    async def open(cls, database: Database, journal: Journal, consumers: Consumers) -> Care:
        """Look where the store comes from."""
        return cls(database, journal, consumers, await database.read(salvaged.find))

    def damage(self) -> str | None:
        """What was damaged and what is lost, as long as the damaged file lies beside the store; None where nothing."""
        if self._salvaged is None or self._salvaged.waits or not self._salvaged.is_beside:
            return None
        return f"{self._salvaged.words()}: move it away to end this"

    def rows(self) -> str | None:
        """Which rows the last reading of the whole file found damaged, or this start of consumers; None where none."""
        begin = [f"the consumer {name} is damaged on disk: it begins anew at the oldest event"
                 for name in self._consumers.damaged]  # fmt: skip
        return "; ".join(filter(None, (*begin, self._found.words()))) or None

    async def run(self) -> None:
        """Work for ever: salvage to the end, read the whole file after a minute and once a day, look after a healing.

        Raises:
            StoreError: the database is closed.
        """
        rest_s = _FIRST_S
        while True:
            await self.salvage()
            try:
                async with asyncio.timeout(rest_s):
                    await self._healed.wait()
            except TimeoutError:
                await self.scrub()
                rest_s = _EVERY_S
            else:
                self._healed.clear()
                self._salvaged = await self._database.read(salvaged.find)
                if self._salvaged is not None:
                    self._journal.healed(self._salvaged.pending_events)
                else:
                    await self._journal.salvaged()

    async def salvage(self) -> None:
        """Take over what is left of a damaged file; nothing to do where nothing is."""
        if self._salvaged is not None and not self._salvaged.is_done and not self._salvaged.waits:
            await Salvage(self._database, self._salvaged).run()
            if self._salvaged.is_done:
                await self._journal.salvaged()

    async def scrub(self) -> None:
        """Read the whole file once, or until another one takes its place, and look again where it comes from.

        What waits for room is not read.
        """
        if self._database.waits is not None:
            return
        self._found = await scrub(self._database, self._healed.is_set)
        if not self._healed.is_set():
            self._salvaged = await self._database.read(salvaged.find)
