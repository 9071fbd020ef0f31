"""Who a peer is: by its token or its certificate, and for as long as the users' file says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from typing import NamedTuple, Protocol

from edgeagent.errors import CommandRefused
from edgeagent.model import users as known
from edgeagent.model.callers import ANYBODY, NO_ROLE, Caller
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.functions.rights import entitled
from edgeagent.model.tokens import digest, mistake
from edgeagent.model.users import Certificate, Identity, User
from edgeagent.publish.tally import Tally
from edgeagent.publish.throttle import Throttle

_LOOK_S = 1.0
"""How often it is looked whether those who are connected may still be."""

_ANEW_S = 3600.0
_MOST_SEEN = 1024
"""Of whom requests show by themselves who sends them, the first in an hour from one address is told, of so many."""


class SignIn(NamedTuple):
    """An attempt to say who one is, for the audit.

    Attributes:
        user: None where nobody has the token. may: the role, or the functions.
        fault: why it was refused; None where it was not.
        function: what it called for that; None where it did not come so far.
    """

    user: str | None
    may: str
    transport: str
    peer: str
    proof: str
    fault: str | None
    function: str | None = "Session.Authenticate"


class Directory(Protocol):
    """Where the users are kept."""

    @property
    def generation(self) -> int:
        """Another number whenever they are others."""

    def now(self) -> Iterable[User]:
        """Who they are at this moment."""


class Subscriber(Protocol):
    """The side of a connection that events are pushed to."""

    def end_subscriptions(self, reason: str) -> None:
        """Push nothing more, and tell the peer why."""


class Nobody:
    """A directory without users."""

    generation = 0

    def now(self) -> Iterable[User]:
        """Nobody."""
        return ()


def _utc() -> datetime:
    return datetime.now(UTC)


class Authentication:
    """Finds users by what they show, and watches those who are connected.

    Args:
        audit: takes each attempt with a token or a certificate on a connection that stays, and each that is refused.
        now: the time of the day, by which tokens expire. monotonic: seconds, for the pauses after wrong tokens.
    """

    def __init__(
        self, users: Directory | None = None, tally: Tally | None = None,
        audit: Callable[[SignIn], None] = lambda _: None,
        now: Callable[[], datetime] = _utc, monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._users = users or Nobody()
        self._tally = tally or Tally()
        self._throttle = Throttle(monotonic)
        self._monotonic = monotonic
        self._seen: dict[tuple[str, str], float] = {}
        self._audit = audit
        self.now = now
        self._peers: set[Peer] = set()

    @property
    def generation(self) -> int:
        """Another number whenever the users are others; looks at them."""
        self._users.now()
        return self._users.generation

    def by_token(self, token: str, transport: str, address: str, name: str | None = None) -> Identity:
        """Find the user of a token.

        Args:
            name: of the user that it must be; None for any.

        Raises:
            CommandRefused: unauthenticated, or tooMany while the address is slowed down.
        """
        host = address.rpartition(":")[0] if transport == "lines" else address
        if (pause_s := self._throttle.pause_s(host)) > 0:
            self._tally.authentications["slowed"] += 1
            seconds = ceil(pause_s)
            self.tell(None, transport, address, "too many wrong tokens came from there, so this one was not looked at")
            raise CommandRefused("tooMany", f"Too many wrong tokens came from {host}; send the right one in {seconds} "
                                 "s.", retryAfterS=seconds)  # fmt: skip
        wrong = mistake(token)
        identity = None if wrong else known.by_digest(self._users.now(), digest(token), self.now())
        if identity is not None and name is not None and identity.user.name != name:
            identity, wrong = None, "no user of this name has this token"
        if identity is None or identity.fault:
            fault = (identity.fault if identity else wrong) or "no user has this token"
            self._throttle.wrong(host)
            self._tally.authentications["wrong"] += 1
            self.tell(identity, transport, address, fault)
            raise CommandRefused("unauthenticated", f"The token is refused: {fault}.")
        self._throttle.right(host)
        self._tally.authentications["right"] += 1
        return identity

    def by_certificate(self, certificate: Certificate, transport: str, address: str) -> Identity | None:
        """Find the user of a certificate; None where it is nobody's, or not any more."""
        identity = known.by_certificate(self._users.now(), certificate, self.now())
        if identity is None or identity.fault:
            fault = (identity.fault if identity else None) or "no user has this certificate"
            self.tell(identity, transport, address, f"{fault} ({shown(certificate)})")
            return None
        return identity

    def renewed(self, identity: Identity) -> Identity | None:
        """The same user as it is now; None where it or its proof is gone."""
        return known.renewed(self._users.now(), identity, self.now())

    def as_now(self, caller: Caller) -> Caller:
        """The same caller with what it may at this moment: nothing, where its user or its token is gone."""
        if not caller.is_user:
            return caller
        user = known.as_now(self._users.now(), caller.name, caller.certificate or caller.token, self.now())
        if user is None:
            return replace(caller, role=NO_ROLE, functions=None, is_authenticated=False)
        return replace(caller, role=user.role or NO_ROLE, functions=_functions(user))

    def tell(self, identity: Identity | None, transport: str, address: str, fault: str | None = None) -> None:
        """Let the audit know of an attempt."""
        if identity is None:
            self._audit(SignIn(None, "", transport, address, "token", fault))
        else:
            self._audit(SignIn(identity.user.name, identity.user.may, transport, address, proof_of(identity), fault))

    def turned_away(self, transport: str, address: str, reason: str) -> None:
        """Let the audit know of a peer that was refused before it could say who it is."""
        self._audit(SignIn(None, "", transport, address, "", reason, None))

    def came(self, identity: Identity, transport: str, address: str) -> None:
        """Let the audit know of a request that shows by itself who sends it, where that is new or long ago."""
        key, now = (proof_of(identity), address), self._monotonic()
        if key in self._seen and now - self._seen[key] < _ANEW_S:
            return
        self._seen.pop(key, None)
        self._seen[key] = now
        if len(self._seen) > _MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        self.tell(identity, transport, address)

    def watched(self, peer: Peer) -> None:
        """Look at a peer again and again, until it is `forgotten`."""
        self._peers.add(peer)

    def forgotten(self, peer: Peer) -> None:
        """Look at a peer no more; its connection is gone."""
        self._peers.discard(peer)

    async def watch(self) -> None:
        """End the subscriptions of those who lose their rights; runs for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for peer in tuple(self._peers):
                peer.caller()


class Peer:
    """Who stands at the other end of one connection; it may say who it is, and may lose that.

    Args:
        anonymous: the role of who did not say who it is; NO_ROLE where it must.
        session: what the outlet pushes to.
    """

    def __init__(
        self, authentication: Authentication, anonymous: str, transport: str, address: str,
        session: Subscriber, identity: Identity | None = None,
    ) -> None:  # fmt: skip
        self._authentication = authentication
        self._transport = transport
        self._address = address
        self._session = session
        self._identity: Identity | None = None
        self._generation = -1
        self._caller = Caller(ANYBODY, anonymous, transport, address, session=session)
        if identity is not None:
            self._take(identity)

    def caller(self) -> Caller:
        """Who asks now, and what it may now."""
        if self._identity is not None and (
            self._generation != self._authentication.generation or self._is_over(self._identity)
        ):
            self._renew(self._identity)
        return self._caller

    @property
    def seen(self) -> Caller:
        """Who asked when it was looked last: at most a second ago, or by the peer's last call."""
        return self._caller

    def authenticate(self, token: str, name: str | None = None) -> Identity:
        """Say who it is; what it was before stays where the token is refused. See `by_token`."""
        identity = self._authentication.by_token(token, self._transport, self._address, name)
        self._take(identity)
        return identity

    def close(self) -> None:
        """The connection is gone."""
        self._authentication.forgotten(self)

    def _is_over(self, identity: Identity) -> bool:
        return identity.expires is not None and identity.expires <= self._authentication.now()

    def _take(self, identity: Identity) -> None:
        self._generation = self._authentication.generation
        self._identity = identity
        self._caller = caller_of(identity, self._transport, self._address, self._session)
        self._authentication.watched(self)
        self._authentication.tell(identity, self._transport, self._address)

    def _renew(self, before: Identity) -> None:
        generation = self._authentication.generation
        identity = self._authentication.renewed(before)
        if identity is None or identity.fault is not None or identity.user.name != before.user.name:
            fault = (identity.fault if identity else None) or f"{proof_of(before)} of {before.user.name} was revoked"
            self._identity = None
            self._caller = Caller(before.user.name, NO_ROLE, self._transport, self._address, session=self._session)
            self._authentication.forgotten(self)
            self._session.end_subscriptions(f"The {fault.removeprefix('the ')}; authenticate anew.")
            return
        self._generation, self._identity = generation, identity
        self._caller = caller_of(identity, self._transport, self._address, self._session)
        if refused := entitled(FUNCTIONS["Event.Subscribe"], self._caller):
            self._session.end_subscriptions(refused.reason)


def caller_of(identity: Identity, transport: str, address: str, session: object | None = None) -> Caller:
    """The caller that a user is."""
    user, proof = identity.user, identity.proof
    token, certificate = ("", proof) if isinstance(proof, Certificate) else (proof.id, None)
    return Caller(user.name, user.role or NO_ROLE, transport, address, _functions(user), True, session, token,
                  certificate)


def _functions(user: User) -> frozenset[str] | None:
    return None if user.functions is None else frozenset(user.functions)


def proof_of(identity: Identity) -> str:
    """What showed who it is, for people and the audit: never a secret."""
    proof = identity.proof
    return shown(proof) if isinstance(proof, Certificate) else f"token {proof.id}"


def shown(certificate: Certificate) -> str:
    """A certificate by the beginning of its fingerprint."""
    return f"certificate {certificate.fingerprint[:16]}"
