"""Everything that is kept, over one database file."""

from __future__ import annotations

from typing import NamedTuple

from edgeagent.clock import Clock
from edgeagent.store.alarms import Alarms
from edgeagent.store.boards import Boards
from edgeagent.store.checkpoints import Checkpoints
from edgeagent.store.counters import Counters
from edgeagent.store.database import Database
from edgeagent.store.jobs import Jobs
from edgeagent.store.journal import Journal
from edgeagent.store.states import States


class Archive(NamedTuple):
    """The parts of the store, each with a table or two of its own."""

    database: Database
    journal: Journal
    boards: Boards
    checkpoints: Checkpoints
    alarms: Alarms
    counters: Counters
    states: States
    jobs: Jobs

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> Archive:
        """Take up every part of an open database.

        Raises:
            StoreError: the journal cannot go on.
        """
        return cls(
            database, await Journal.open(database, clock), Boards(database), Checkpoints(database, clock),
            alarms=Alarms(database), counters=Counters(database), states=States(database), jobs=Jobs(database),
        )  # fmt: skip
