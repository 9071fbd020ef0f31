"""Everything that is kept, over one database file."""

from __future__ import annotations

from typing import NamedTuple

from edgeagent.clock import Clock
from edgeagent.store.boards import Boards
from edgeagent.store.checkpoints import Checkpoints
from edgeagent.store.consumers import Consumers
from edgeagent.store.database import Database
from edgeagent.store.journal import Journal


class Archive(NamedTuple):
    """The parts of the store, each with a table or two of its own."""

    database: Database
    journal: Journal
    boards: Boards
    checkpoints: Checkpoints
    consumers: Consumers

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> Archive:
        """Take up every part of an open database.

        Raises:
            StoreError: the journal cannot go on.
        """
        return cls(
            database, await Journal.open(database, clock), Boards(database), Checkpoints(database, clock),
            await Consumers.open(database),
        )  # fmt: skip
