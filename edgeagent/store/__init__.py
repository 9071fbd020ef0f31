"""One SQLite file: events, board records, checkpoints and what the agent remembers of itself; one writer."""

from edgeagent.store.archive import Archive
from edgeagent.store.audit import Audit
from edgeagent.store.boards import Boards
from edgeagent.store.checkpoints import Checkpoint, Checkpoints
from edgeagent.store.consumers import Consumer, Consumers
from edgeagent.store.database import Database
from edgeagent.store.health import StoreHealth
from edgeagent.store.journal import Journal
from edgeagent.store.meta import Meta

__all__ = [
    "Archive",
    "Audit",
    "Boards",
    "Checkpoint",
    "Checkpoints",
    "Consumer",
    "Consumers",
    "Database",
    "Journal",
    "Meta",
    "StoreHealth",
]
