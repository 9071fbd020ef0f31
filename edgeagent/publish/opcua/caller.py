"""Whose request is being answered: each connection answers in a task of its own, and says it there."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeagent.publish.opcua.sessions import UaSession

_CALLING: ContextVar[UaSession | None] = ContextVar("calling", default=None)


def calling() -> int | None:
    """The session that calls at this moment, as the agent knows it; None where nobody does."""
    session = _CALLING.get()
    return session.identity.session if session is not None and session.identity is not None else None


def calling_session() -> UaSession | None:
    """The session that calls at this moment; None in the server's own calls."""
    return _CALLING.get()


def calls_now(session: UaSession | None) -> None:
    """Everything that this task does from now on, it does for this session."""
    _CALLING.set(session)
