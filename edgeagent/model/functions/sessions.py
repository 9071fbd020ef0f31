"""Session.*: who asks."""

from __future__ import annotations

from edgeagent.model.functions.forms import Parameters, Result, Text


class Authenticate(Parameters, frozen=True):
    """Says who asks, by a token."""

    token: Text


class Authenticated(Result, frozen=True):
    """The user of the token: its role, or in place of one the functions that it may call; when the token ends."""

    user: str
    role: str | None
    functions: tuple[str, ...] | None
    expires: str | None
