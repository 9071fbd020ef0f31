"""asyncua's server behind our own door: endpoints, certificate, trust, sessions of the agent's users, bounds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlparse

from asyncua import Server, ua
from asyncua.common.connection import TransportLimits
from asyncua.crypto import security_policies
from asyncua.crypto.security_policies import SecurityPolicyFactory
from asyncua.server.internal_session import InternalSession
from asyncua.server.user_managers import UserManager
from asyncua.ua import ua_binary

from edgeagent.publish.opcua.certificates import Own, Unreadable, is_due, own_certificate
from edgeagent.publish.opcua.connections import Connection, Door
from edgeagent.publish.opcua.memory import Returned
from edgeagent.publish.opcua.port import AgentPort, Policy
from edgeagent.publish.opcua.requests import CHUNK_BYTES, Requests
from edgeagent.publish.opcua.services import diagnostics, standard_methods
from edgeagent.publish.opcua.services.browsing import UaView
from edgeagent.publish.opcua.services.subscriptions import UaSubscriptions
from edgeagent.publish.opcua.sessions import CONTINUATION_POINTS, UaSession
from edgeagent.publish.opcua.standard.server import LazyServer
from edgeagent.publish.opcua.trust import TrustList, wall_time

_POLICIES: dict[Policy, type[security_policies.SecurityPolicy]] = {
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
}
_LEVELS: dict[Policy, int] = {"Aes256_Sha256_RsaPss": 90, "Aes128_Sha256_RsaOaep": 80, "Basic256Sha256": 70}
_MODE = ua.MessageSecurityMode.SignAndEncrypt

_REFRESHED_S = 1.0
_RENEWAL_LOOKED_AT_S = 3600.0

_TOLD_AGAIN_S = 60.0
_MOST_TOLD = 256
"""Reasons for turning somebody away that are remembered, so that a flood is told once."""

_SECURITY = frozenset((
    ua.StatusCodes.BadSecurityModeInsufficient, ua.StatusCodes.BadUserAccessDenied,
    ua.StatusCodes.BadIdentityTokenInvalid, ua.StatusCodes.BadIdentityTokenRejected,
    ua.StatusCodes.BadApplicationSignatureInvalid, ua.StatusCodes.BadCertificateUriInvalid,
    ua.StatusCodes.BadSessionIdInvalid,
))  # fmt: skip

_MOST_RESHAPED = 10_000
"""Elements of an array that a client only declares; asyncua makes them before it looks whether they are there."""

_log = logging.getLogger(__name__)
_WIRE_LOG = logging.getLogger("asyncua.uaprotocol")


class _Nobody(UserManager):
    """asyncua asks it nothing, for sessions are activated by the agent; if it did, nobody would come in."""

    def get_user(self, *_: object, **__: object) -> None:
        """No user."""


class UaInternalServer(LazyServer):
    """The parts of the server that sessions share.

    Attributes:
        sessions: those that are open, whether they said who they are or not.
        counted: what happened since the start, for the diagnostics.
    """

    subscription_service: UaSubscriptions
    view_service: UaView

    def __init__(self, port: AgentPort, trust: TrustList) -> None:
        super().__init__(_Nobody())
        self.port = port
        self.settings = port.settings
        self.bounds = bounds = port.settings.bounds
        self.trust = trust
        self.policies: list[SecurityPolicyFactory] = []
        self.transport_limits = TransportLimits(CHUNK_BYTES, CHUNK_BYTES, bounds.chunks, bounds.message_bytes)
        self.sessions: set[UaSession] = set()
        self.counted: Counter[str] = Counter()
        self._told: dict[tuple[str, str], float] = {}
        self._unexpected: set[tuple[str, str]] = set()
        self.allow_remote_admin = False
        self.view_service = UaView(self.aspace)
        self.subscription_service = self.isession.subscription_service = UaSubscriptions(self.aspace, self)
        self.max_subscriptions = bounds.sessions * bounds.subscriptions
        self.max_monitored_item_queue_size = bounds.queue
        self.max_session_timeout_ms = bounds.session_timeout_s * 1000
        self.min_session_timeout_ms = min(self.min_session_timeout_ms, self.max_session_timeout_ms)

    def lookup_external_session(self, auth_token: ua.NodeId) -> InternalSession | None:
        """Nobody takes up a session over another connection."""
        return None

    def turned_away(self, address: str, reason: str) -> None:
        """Let the agent know of somebody who was not let in, once in a while."""
        self.counted["security rejected"] += 1
        now, key = time.monotonic(), (address, reason)
        if now - self._told.get(key, -_TOLD_AGAIN_S) < _TOLD_AGAIN_S:
            return
        if len(self._told) >= _MOST_TOLD:
            if now - max(self._told.values()) < _TOLD_AGAIN_S / _MOST_TOLD:
                return
            del self._told[min(self._told, key=self._told.__getitem__)]
        self._told[key] = now
        self.port.turned_away(address, reason)

    def count_rejected(self, status: int) -> None:
        """A request was refused."""
        self.counted["rejected requests"] += 1
        self.counted["security rejected requests"] += status in _SECURITY
        self.counted["rejected"] += status in (ua.StatusCodes.BadUserAccessDenied, ua.StatusCodes.BadTooManySessions)

    def unexpected(self, request: ua.NodeId, error: Exception) -> None:
        """Log what nobody thought of; the same again is not said again."""
        key = (str(request), type(error).__name__)
        if key not in self._unexpected and len(self._unexpected) < _MOST_TOLD:
            self._unexpected.add(key)
            _log.error("the request %s could not be answered", request, exc_info=error)


class UaServer(Server):
    """The server: `init`, then nodes are added as with asyncua's own, then `start`."""

    iserver: UaInternalServer

    def __init__(self, port: AgentPort) -> None:
        settings = port.settings
        self._port = port
        self._folder = Path(settings.folder)
        self._names = (settings.host, *settings.names)
        super().__init__(iserver=UaInternalServer(port, TrustList(self._folder)))
        ua_binary.MAX_RESHAPE_ELEMENTS = _MOST_RESHAPED
        self._application_uri = settings.application_uri
        self.product_uri, self.name, self.manufacturer_name = settings.product_uri, "edgeagent", "edgeagent"
        self.application_type = ua.ApplicationType.Server
        tokens = [ua.UserNameIdentityToken, ua.X509IdentityToken]
        self.set_identity_tokens([*tokens, ua.AnonymousIdentityToken] if settings.anonymous_reading else tokens)
        self._door = Door(self._made, settings.bounds.connections)
        self._summary = diagnostics.Summary(self.iserver)
        self._looking_after: asyncio.Task[None] | None = None
        port.on_ended = self._ended

    async def init(self, shelf_file: Path | None = None) -> None:
        """Make the standard nodes, and read or make the certificate.

        Raises:
            Unreadable: the certificate or its key cannot be read.
        """
        await super().init(shelf_file)
        _WIRE_LOG.setLevel(logging.CRITICAL)  # one line for each message that is too large, whoever sends how many
        version, now = self._port.settings.version, datetime.now()
        await self.set_build_info(self.product_uri, self.manufacturer_name, self.name, version, version, now)
        await diagnostics.describe(self.iserver, CONTINUATION_POINTS)
        standard_methods.link(self.iserver)
        self._use(await self._own())

    async def start(self) -> None:
        """Let clients in.

        Raises:
            OSError: it cannot listen there.
        """
        await self.iserver.start()
        self.iserver.view_service.is_settled = True
        settings = self._port.settings
        try:
            port = await self._door.open(settings.host, settings.port)
        except OSError:
            await self.iserver.stop()
            raise
        self.endpoint = urlparse(f"opc.tcp://{_in_url(settings.host)}:{port}")
        for policy in settings.policies:
            self._set_endpoints(_POLICIES[policy], _MODE, _LEVELS[policy])
        self._looking_after = asyncio.create_task(self._look_after(), name="look after the OPC UA server")

    async def stop(self) -> None:
        """Let everybody out."""
        if self._looking_after:
            self._looking_after.cancel()
            await asyncio.gather(self._looking_after, return_exceptions=True)
        await self._door.close()
        clock, self.iserver.time_task = self.iserver.time_task, None
        if clock:  # asyncua waits until it has slept
            clock.cancel()
            await asyncio.gather(clock, return_exceptions=True)
        await self.iserver.stop()

    @property
    def connections(self) -> int:
        """Clients, whether they have a session or not."""
        return len(self._door.connections)

    @property
    def items(self) -> int:
        """Monitored items of all subscriptions."""
        return sum(len(each.monitored_item_srv) for each in self.iserver.subscription_service.subscriptions.values())

    def _made(self, connection: Connection) -> Requests:
        return Requests(self.iserver, connection)

    def _ended(self, session: int, reason: str) -> None:
        """The agent ended a session."""
        for each in tuple(self.iserver.sessions):
            if each.identity and each.identity.session == session:
                each.end(reason)

    async def _own(self) -> Own:
        uri = self._port.settings.application_uri
        return await asyncio.to_thread(own_certificate, self._folder, uri, self._names, wall_time())

    def _use(self, own: Own) -> None:
        """Serve this certificate; clients that are connected go on with the one that they know."""
        if own.is_new:
            _log.warning("The OPC UA server has a new certificate; clients have to trust it: %s", own.fingerprint)
        self.iserver.certificate, self.iserver.private_key = own.certificate, own.key
        self.iserver.policies[:] = [
            SecurityPolicyFactory(_POLICIES[policy], _MODE, own.certificate, own.key)
            for policy in self._port.settings.policies
        ]
        for endpoint in self.iserver.endpoints:
            endpoint.ServerCertificate = own.der

    async def _look_after(self) -> None:
        looked_at, memory = time.monotonic(), Returned()
        while True:
            memory.look(self._door.left)
            self.iserver.counted["rejected"] += self._door.rejected
            self._door.rejected = 0
            await self._summary.refresh()
            await asyncio.sleep(_REFRESHED_S)
            if time.monotonic() - looked_at > _RENEWAL_LOOKED_AT_S:
                looked_at = time.monotonic()
                if is_due(self.iserver.certificate, wall_time()):
                    await self._renew()

    async def _renew(self) -> None:
        try:
            self._use(await self._own())
        except (OSError, Unreadable) as error:
            _log.error("The certificate of the OPC UA server could not be renewed, and is tried again: %s", error)


def _in_url(host: str) -> str:
    try:
        return f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        return host
