"""The clients' sessions as the agent knows them: who each one is, and for how long."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from edgeagent.errors import CommandRefused
from edgeagent.model import users
from edgeagent.model.callers import NO_ROLE, Caller
from edgeagent.publish.authentication import Authentication, Peer
from edgeagent.publish.opcua.port import Identity

TRANSPORT = "opcua"
"""As callers, the audit and the metrics name this way in."""


class Guests:
    """Every session of the OPC UA process.

    Args:
        anonymous: the role of who did not say who it is; NO_ROLE where everybody must.
        most: sessions at the same time.
        ended: takes a session that lost its rights, and why.
    """

    def __init__(
        self, authentication: Authentication, anonymous: str, most: int, ended: Callable[[int, str], None]
    ) -> None:
        self._authentication = authentication
        self._anonymous = anonymous
        self._most = most
        self._ended = ended
        self._numbers = itertools.count(1)
        self._guests: dict[int, _Guest] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._guests)

    def open(
        self, address: str, token: str | None = None, fingerprint: str | None = None, expires_s: float | None = None,
        user: str | None = None,
    ) -> Identity:  # fmt: skip
        """Let a client say who it is; see `AgentPort`.

        Raises:
            CommandRefused: unauthenticated, tooMany.
        """
        if len(self._guests) >= self._most:
            raise CommandRefused("tooMany", f"There are {self._most} sessions already.")
        identity = None if fingerprint is None or token is not None else self._known(address, fingerprint, expires_s)
        guest = _Guest(next(self._numbers), self._lost)
        guest.peer = peer = Peer(self._authentication, self._anonymous, TRANSPORT, address, guest, identity)
        if token is not None:
            peer.authenticate(token, user)
        elif identity is None and self._anonymous == NO_ROLE:
            self._authentication.tell(None, TRANSPORT, address, "a session did not say whose it is")
            raise CommandRefused("unauthenticated", "Everybody must say who it is: a user, and its token as password.")
        caller = guest.caller = peer.caller()
        self._guests[guest.number] = guest
        functions = None if caller.functions is None else tuple(sorted(caller.functions))
        return Identity(guest.number, caller.name, caller.role, functions, caller.is_authenticated)

    def caller(self, session: int) -> Caller:
        """Who asks in a session, with what it may now.

        Raises:
            CommandRefused: unauthenticated, where there is no such session any more.
        """
        if guest := self._guests.get(session):
            caller = guest.peer.caller()
            if session in self._guests:
                return replace(caller, session=None)  # nothing is pushed by what it calls
        raise CommandRefused("unauthenticated", "This session has ended; connect anew.")

    def close(self, session: int) -> None:
        """A session is over."""
        if guest := self._guests.pop(session, None):
            guest.peer.close()

    def look(self) -> None:
        """End the sessions of those whose functions are others: what they see was told to the process as they came."""
        for guest in tuple(self._guests.values()):
            if guest.peer.caller().functions != guest.caller.functions:
                self._lost(guest.number, "The user's functions are others now; connect anew.")

    def clear(self) -> None:
        """All sessions are over: their process is gone."""
        for session in tuple(self._guests):
            self.close(session)

    def _known(self, address: str, fingerprint: str, expires_s: float | None) -> users.Identity:
        expires = datetime.fromtimestamp(expires_s or 0.0, UTC)
        # Nobody's CA vouches for the name in it, so that the fingerprint alone counts.
        certificate = users.Certificate(fingerprint, "", expires)
        identity = self._authentication.by_certificate(certificate, TRANSPORT, address)
        if identity is None:
            raise CommandRefused("unauthenticated", "No user has this certificate, or not any more.")
        return identity

    def _lost(self, session: int, reason: str) -> None:
        if session in self._guests:
            self.close(session)
            self._ended(session, reason)


class _Guest:
    """One session; what it may is what it may until it ends."""

    peer: Peer
    caller: Caller

    def __init__(self, number: int, lost: Callable[[int, str], None]) -> None:
        self.number = number
        self._lost = lost

    def end_subscriptions(self, reason: str) -> None:
        """It may not be told anything more: its user or token is gone, or may less than before."""
        now = self.peer.seen
        if not now.is_authenticated or (now.role, now.functions) != (self.caller.role, self.caller.functions):
            self._lost(self.number, reason)
