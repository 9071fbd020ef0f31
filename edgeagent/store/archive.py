"""Everything that is kept, over one database file."""

from __future__ import annotations

from typing import NamedTuple

from edgeagent.clock import Clock
from edgeagent.store.alarms import Alarms
from edgeagent.store.aside import Asides
from edgeagent.store.boards import Boards
from edgeagent.store.care import Care
from edgeagent.store.checkpoints import Checkpoints
from edgeagent.store.consumers import Consumers
from edgeagent.store.counters import Counters
from edgeagent.store.database import Database
from edgeagent.store.jobs import Jobs
from edgeagent.store.journal import Journal
from edgeagent.store.recipes import Recipes
from edgeagent.store.requests import Requests
from edgeagent.store.states import States
from edgeagent.store.steady import Steady


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
    consumers: Consumers
    recipes: Recipes
    requests: Requests
    asides: Asides
    steady: Steady
    care: Care

    def lags(self) -> list[tuple[str, int]]:
        """Each consumer, and how many events the journal has after those that it has acknowledged."""
        last = self.journal.committed_sequence
        return [(consumer.name, max(0, last - consumer.acknowledged)) for consumer in self.consumers.all()]

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> Archive:
        """Take up every part of an open database.

        Raises:
            StoreError: the journal cannot go on.
        """
        journal, consumers = await Journal.open(database, clock), await Consumers.open(database)
        return cls(
            database, journal, Boards(database), Checkpoints(database, clock),
            alarms=Alarms(database), counters=Counters(database), states=States(database), jobs=Jobs(database),
            consumers=consumers, recipes=await Recipes.open(database), requests=Requests(database),
            asides=await Asides.open(database),
            steady=await Steady.open(database, clock),
            care=await Care.open(database, journal, consumers),
        )  # fmt: skip
