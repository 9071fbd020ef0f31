"""Who comes in at one listener: what its peers may before they say who they are, and how they show it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

from edgeagent.errors import CommandRefused
from edgeagent.model.callers import ANYBODY, NO_ROLE, Caller
from edgeagent.model.functions.rights import may_see
from edgeagent.model.users import Certificate, Identity
from edgeagent.publish.authentication import Authentication, Peer, caller_of

if TYPE_CHECKING:
    import ssl

    from edgeagent.publish.session import Session

MOST_OF_UNKNOWN = 8 << 10
"""Bytes of one message of a peer that may nothing until it says who it is."""


class Connection(Protocol):
    """What is asked of a transport."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As asyncio's transports have it."""


class Admission:
    """The door of one listener.

    Args:
        anonymous: the role of who did not say who it is; NO_ROLE where it must.

    Attributes:
        anonymous: as given.
    """

    def __init__(self, authentication: Authentication | None = None, anonymous: str = "viewer") -> None:
        self._authentication = authentication or Authentication()
        self.anonymous = anonymous

    def admit(
        self, session: Session, transport: str, address: str, connection: Connection | None,
        identity: Identity | None = None,
    ) -> Peer:  # fmt: skip
        """Give a session its peer, who may have shown who it is already: with a request or a certificate."""
        identity = identity or self._certified(connection, transport, address)
        session.peer = Peer(self._authentication, self.anonymous, transport, address, session, identity)
        return session.peer

    def identified(self, authorization: str | None, transport: str, address: str) -> Identity | None:
        """Find the user of a request by its header `Authorization`; None where it has none.

        Raises:
            CommandRefused: unauthenticated, or tooMany after many wrong tokens.
        """
        if authorization is None:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            self._authentication.tell(None, transport, address, "it showed something else than a token")
            raise CommandRefused("unauthenticated", "Send a token as Authorization: Bearer TOKEN.")
        return self._authentication.by_token(token.strip(), transport, address)

    def caller(
        self, authorization: str | None, transport: str, address: str, connection: Connection | None
    ) -> Caller:
        """Who sends a request that stands for itself; raises like `identified`, also for one who may nothing here."""
        identity = self.identified(authorization, transport, address)
        identity = identity or self._certified(connection, transport, address)
        if identity is not None:
            self._authentication.came(identity, transport, address)
            return caller_of(identity, transport, address)
        if self.anonymous == NO_ROLE:
            self._authentication.tell(None, transport, address, "a request did not say whose it is")
            raise CommandRefused("unauthenticated", "Send a token as Authorization: Bearer TOKEN.")
        return Caller(ANYBODY, self.anonymous, transport, address)

    def sees(
        self, page: str, role: str, authorization: str | None, transport: str, address: str,
        connection: Connection | None,
    ) -> None:  # fmt: skip
        """Let a request see a page that needs a role; raises like `caller`, and "forbidden"."""
        caller = self.caller(authorization, transport, address, connection)
        if refused := may_see(page, role, caller):
            self.turned_away(transport, address, f"{caller.name} may not see {page}")
            raise refused

    def turned_away(self, transport: str, address: str, reason: str) -> None:
        """A request was refused whoever sent it; see `Authentication`."""
        self._authentication.turned_away(transport, address, reason)

    def is_open_to(self, caller: Caller) -> bool:
        """Whether a caller may anything at all here."""
        return caller.is_authenticated or self.anonymous != NO_ROLE

    def _certified(self, connection: Connection | None, transport: str, address: str) -> Identity | None:
        certificate = None if connection is None else certificate_of(connection)
        return None if certificate is None else self._authentication.by_certificate(certificate, transport, address)


def certificate_of(connection: Connection) -> Certificate | None:
    """The certificate that a client proved to have, checked against the CA; None where it showed none."""
    secured = cast("ssl.SSLObject | None", connection.get_extra_info("ssl_object"))
    if secured is None:
        return None
    from ssl import cert_time_to_seconds  # noqa: PLC0415  only where there is TLS

    whole, read = secured.getpeercert(binary_form=True), secured.getpeercert()
    if not whole or not read:
        return None
    subject: Any = read.get("subject", ())
    names = [str(value) for part in subject for key, value in part if key == "commonName"]
    expires = datetime.fromtimestamp(cert_time_to_seconds(str(read["notAfter"])), UTC)
    return Certificate(hashlib.sha256(whole).hexdigest(), names[0] if len(names) == 1 else "", expires)
