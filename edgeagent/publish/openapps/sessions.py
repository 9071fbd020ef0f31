"""Answers about who asks."""

from __future__ import annotations

from typing import cast

from edgeagent.clock import iso
from edgeagent.model.callers import Caller
from edgeagent.model.functions.sessions import Authenticate, Authenticated
from edgeagent.publish.access import Handler
from edgeagent.publish.authentication import Authentication
from edgeagent.publish.outlet import Subscriptions


class SessionAnswers:
    """Takes tokens: for all that follows on a connection that stays; else it only tells what a token is good for."""

    def __init__(self, authentication: Authentication) -> None:
        self._authentication = authentication

    def handlers(self) -> dict[str, Handler]:
        """Function name → handler."""
        return {"Session.Authenticate": self.authenticate}

    async def authenticate(self, wanted: Authenticate, caller: Caller) -> Authenticated:
        """Session.Authenticate."""
        if caller.session is None:
            identity = self._authentication.by_token(wanted.token, caller.transport, caller.peer)
            self._authentication.came(identity, caller.transport, caller.peer)
        else:
            identity = cast("Subscriptions", caller.session).authenticate(wanted.token)
        expires = None if identity.expires is None else iso(round(identity.expires.timestamp() * 1e9))
        return Authenticated(identity.user.name, identity.user.role, identity.user.functions, expires)
