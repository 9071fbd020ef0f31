"""Users of the tests, held in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from edgeagent.model.tokens import digest
from edgeagent.model.users import Token, User

TOKEN = "edgeagent_00000000000000000000000000000000000000000000dgEWz"
"""Of the MES; it is shown in the contract, and opens nothing."""
MES = User(
    name="mes", role="administrator", created=datetime(2026, 11, 1, tzinfo=UTC),
    tokens=(Token(id="0d5e1a7c", sha256=digest(TOKEN), created=datetime(2026, 11, 1, tzinfo=UTC),
                  expires=datetime(2099, 11, 1, tzinfo=UTC)),),
)  # fmt: skip


@dataclass
class Known:
    """A directory that a test changes by hand."""

    users: tuple[User, ...] = ()
    generation: int = 0

    def now(self) -> tuple[User, ...]:
        return self.users

    def become(self, *users: User) -> None:
        self.users = users
        self.generation += 1
