"""An event that an MES would not take, or that somebody passed over."""

from __future__ import annotations

import msgspec


class SetAside(msgspec.Struct, frozen=True, rename="camel"):
    """One event that a push target did not get in its turn.

    Attributes:
        sequence: of the event; of a gap that was rejected, its last.
        at: RFC 3339, when it was set aside, or last rejected. by: who passed over it, "mes" where that rejected it.
        again: somebody asked that it be sent once more, and it waits for that.
    """

    target: str
    stream: str
    sequence: int
    topic: str
    at: str
    by: str
    reason: str
    again: bool = False

    @property
    def id(self) -> str:
        """One for each event of a target."""
        return f"{self.target} {self.stream} {self.sequence}"
