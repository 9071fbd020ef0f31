"""Who asks: the roles, and what is known of a caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeagent.model.users import Certificate

ROLES = ("viewer", "operator", "engineer", "administrator")
"""Each role includes the ones before it."""

NO_ROLE = "none"
"""The role of a caller who may nothing, and of a function that needs none."""

ANYBODY = "loopback"
"""Name of every caller on this computer who did not say who it is."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in which role, and over which way.

    Attributes:
        role: one of ROLES, or NO_ROLE.
        transport: "http", "websocket", "lines" or "opcua"; peer: address for logs.
        functions: exactly what the caller may call, in place of what the role allows; None where the role says it.
        is_authenticated: it proved that it is the user `name`.
        session: what can be pushed to, as its outlet knows it; None where nothing can.
        token: id of the token that proved it; empty where something else did.
        certificate: what proved it; None where something else did.
    """

    name: str
    role: str
    transport: str
    peer: str
    functions: frozenset[str] | None = None
    is_authenticated: bool = False
    session: object | None = None
    token: str = ""
    certificate: Certificate | None = None

    @property
    def is_user(self) -> bool:
        """Whether it is in the users' file: the console's callers and the agent itself have a colon in their names."""
        return self.is_authenticated and ":" not in self.name


def rank(role: str) -> int:
    """How much a role may: 0 for NO_ROLE, more for each of ROLES; raises ValueError."""
    return 0 if role == NO_ROLE else 1 + ROLES.index(role)
