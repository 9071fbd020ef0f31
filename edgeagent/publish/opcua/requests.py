"""One client's requests: its channel, its session, and the services that it asks for.

Needed for asyncua 2.1.0 because its UaProcessor attaches a session to a channel before it has checked the signature,
does not compare the session's token afterwards, and serves sessions over channels without security.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from asyncua import ua
from asyncua.common.utils import Buffer, ServiceError
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.server.uaprocessor import PublishRequestData, UaProcessor
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary, struct_to_binary, uatcp_to_binary
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from edgeagent.publish.opcua.caller import calls_now
from edgeagent.publish.opcua.folders import fingerprint
from edgeagent.publish.opcua.identities import identified
from edgeagent.publish.opcua.measured import Measured, decoded
from edgeagent.publish.opcua.services.table import SERVICES, number_of
from edgeagent.publish.opcua.sessions import UaSession
from edgeagent.publish.opcua.trust import NotTrusted, wall_time

if TYPE_CHECKING:
    from edgeagent.publish.opcua.connections import Connection
    from edgeagent.publish.opcua.server import UaInternalServer

CHUNK_BYTES = 65535
"""Of one chunk at most, either way."""

_LEAST_CHUNK_BYTES = 8192
"""What a client has to take (OPC 10000-6, 7.1.2)."""

_LOGIN_BYTES = 65536
"""Of a message before there is a session."""

_MOST_SENT_BYTES = 16 << 20
"""Of one answer; a client may take less."""

_READS_PER_OPERATION = 40
"""Fields of one operation, rounded up generously: a monitored item with a filter has the most."""

_LEAST_CHANNEL_MS, _MOST_CHANNEL_MS = 60_000, 3_600_000
_LEAST_NONCE_BYTES = 32
"""What a client makes up for the server to sign (OPC 10000-4, 5.6.2)."""

_OVERDUE = 1.25
"""Of its lifetime, a channel is served whose keys were not renewed (OPC 10000-4, 5.5.2.1)."""

_log = logging.getLogger(__name__)

_Answers = dict[int, tuple[type[Any] | None, Callable[[Any, Any], Awaitable[Any]]]]


class Requests(UaProcessor):
    """What asyncua's processor does for one connection, but bounded, and for the session's own client alone."""

    iserver: UaInternalServer
    session: UaSession | None

    def __init__(self, server: UaInternalServer, connection: Connection) -> None:
        super().__init__(server, connection.transport, server.transport_limits)
        self._client = connection
        self._policies = server.policies
        self._connection.set_policy_factories(server.policies)
        self._agreed_bytes = 0
        self._most_sent_bytes = self._most_answered_bytes = _MOST_SENT_BYTES
        self._has_greeted = False
        self._certificate: str | None = None
        self._overdue_at = float("inf")

    @property
    def most_chunk_bytes(self) -> int:
        """Of what the client may send in one piece."""
        return int(self._limits.max_recv_buffer)

    @property
    def progress(self) -> int:
        """How far it has come: 0 silent, 1 greeted, 2 has a channel, 3 one with a certificate that is trusted."""
        return self._has_greeted + self._connection.is_open() + (self._certificate is not None)

    @property
    def is_active(self) -> bool:
        """Whether it has a session, and has said who it is."""
        return self.session is not None and self.session.is_activated()

    @property
    def _is_secure(self) -> bool:
        return self._connection.security_policy.URI != SecurityPolicyNone.URI

    def over(self) -> tuple[int, str] | None:
        """Why the connection has to end; None where it goes on."""
        if self._certificate and not self.iserver.trust.trusts(self._certificate):
            return ua.StatusCodes.BadSecurityChecksFailed, "the certificate is not trusted any more"
        if time.monotonic() > self._overdue_at:
            return ua.StatusCodes.BadSecureChannelClosed, "the channel was not renewed"
        return self.session.over() if self.session else None

    def peer(self) -> x509.Certificate:
        """The client's certificate."""
        return x509.load_der_x509_certificate(self._connection.security_policy.peer_certificate or b"")

    async def close(self) -> None:
        """The client is gone, and its session with it."""
        self.iserver.counted["aborted"] += self.is_active
        await self._end_session()

    async def _end_session(self) -> None:
        self._publish_requests.clear()
        self._publish_results_subs.clear()
        self._most_answered_bytes = _MOST_SENT_BYTES
        if self.session:
            session, self.session = self.session, None
            calls_now(None)
            await session.close_session()

    def send_response(
        self, requesthandle: int, seqhdr: ua.SequenceHeader, response: Any, msgtype: Any = ua.MessageType.SecureMessage
    ) -> None:
        """See asyncua; an answer that the client or its session does not take becomes a fault."""
        if self._transport.is_closing():
            return  # uvloop raises where asyncio lets it pass, and a subscription would end with a traceback
        response.ResponseHeader.RequestHandle = requesthandle
        content = struct_to_binary(response)
        most = self._most_sent_bytes
        if msgtype == ua.MessageType.SecureMessage:
            most = min(most, self._most_answered_bytes)
        if len(content) > most:
            fault = _fault(ua.StatusCodes.BadResponseTooLarge)
            fault.ResponseHeader.RequestHandle = ua.IntegerId(requesthandle)
            content = struct_to_binary(fault)
        self._transport.write(self._connection.message_to_binary(content, msgtype, seqhdr.RequestId))

    async def process(self, header: ua.Header, body: Buffer) -> bool:
        """Take one chunk; False where the client wants to go.

        Raises:
            UaStatusCodeError: this ends the connection.
        """
        kind = cast("bytes", header.MessageType)
        if kind == ua.MessageType.Hello:
            self._greet(struct_from_binary(ua.Hello, body))
            return True
        if kind == ua.MessageType.SecureOpen:
            self._open(header, body)
            return True
        if not self._connection.is_open():
            raise ua.UaStatusCodeError(ua.StatusCodes.BadSecureChannelIdInvalid)
        message = self._connection.receive_from_header_and_body(header, body)
        if kind == ua.MessageType.SecureClose:
            return False
        if message is not None:
            await self._take(message.SequenceHeader(), message.body())
        return True

    def _greet(self, hello: ua.Hello) -> None:
        if self._has_greeted or min(hello.ReceiveBufferSize, hello.SendBufferSize) < _LEAST_CHUNK_BYTES:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadConnectionRejected)
        self._has_greeted = True
        acknowledged = self._limits.create_acknowledge_and_set_limits(hello)
        self._agreed_bytes = self._limits.max_message_size
        self._most_sent_bytes = min(hello.MaxMessageSize or _MOST_SENT_BYTES, _MOST_SENT_BYTES)
        self._limits.max_message_size = min(_LOGIN_BYTES, self._agreed_bytes)
        self._transport.write(uatcp_to_binary(cast("Any", ua.MessageType.Acknowledge), acknowledged))

    def _open(self, header: ua.Header, body: Buffer) -> None:
        """Open the channel, or renew its keys: a certificate is looked up before anything is computed with it."""
        if not self._has_greeted or cast("bytes", header.ChunkType) != ua.ChunkType.Single:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadTcpMessageTypeInvalid)
        named = struct_from_binary(ua.AsymmetricAlgorithmHeader, body.copy(header.body_size))
        is_renewed = self._connection.is_open()
        certificate = self._checked(named, is_renewed)
        message = self._connection.receive_from_header_and_body(header, body)
        request = struct_from_binary(ua.OpenSecureChannelRequest, message.body())
        asked = request.Parameters
        if (asked.RequestType == ua.SecurityTokenRequestType.Renew) is not is_renewed:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadRequestTypeInvalid)
        policy = self._connection.security_policy
        if policy.Mode != asked.SecurityMode:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadSecurityModeRejected)
        if self._is_secure and len(asked.ClientNonce or b"") != policy.secure_channel_nonce_length:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadNonceInvalid)
        asked.RequestedLifetime = min(max(asked.RequestedLifetime, _LEAST_CHANNEL_MS), _MOST_CHANNEL_MS)
        response = ua.OpenSecureChannelResponse()
        response.Parameters = self._connection.open(asked, self.iserver)
        handle, sequence = request.RequestHeader.RequestHandle, message.SequenceHeader()
        self.send_response(handle, sequence, response, ua.MessageType.SecureOpen)
        self._certificate = certificate
        self._overdue_at = time.monotonic() + _OVERDUE * asked.RequestedLifetime / 1000

    def _checked(self, named: ua.AsymmetricAlgorithmHeader, is_renewed: bool) -> str | None:
        """Fingerprint of the client's certificate; None for a channel that only tells the endpoints."""
        der = named.SenderCertificate or b""
        if is_renewed:
            if named.SecurityPolicyURI != self._connection.security_policy.URI:
                raise ua.UaStatusCodeError(ua.StatusCodes.BadSecurityPolicyRejected)
            if self._is_secure and fingerprint(der) != self._certificate:
                raise ua.UaStatusCodeError(ua.StatusCodes.BadCertificateInvalid)
            return self._certificate
        if named.SecurityPolicyURI == SecurityPolicyNone.URI:
            return None
        if not any(policy.matches(named.SecurityPolicyURI) for policy in self._policies):
            raise ua.UaStatusCodeError(ua.StatusCodes.BadSecurityPolicyRejected)
        try:
            self.iserver.trust.check(der, wall_time())
        except NotTrusted as refused:
            self.iserver.turned_away(self._client.address, str(refused))
            raise ua.UaStatusCodeError(ua.StatusCodes.BadSecurityChecksFailed) from None
        return fingerprint(der)

    async def _take(self, sequence: ua.SequenceHeader, body: Buffer) -> None:
        most = self.iserver.bounds.operations * _READS_PER_OPERATION
        measured = Measured(body.read(len(body)), [most])
        number = nodeid_from_binary(measured)
        header = struct_from_binary(ua.RequestHeader, measured)
        try:
            response = await self._answer(number, header, sequence, measured)
        except (ServiceError, ua.UaStatusCodeError) as error:
            self.iserver.count_rejected(error.code)
            response = _fault(error.code)
        except ConnectionError:
            response = _fault(ua.StatusCodes.BadShutdown)  # the agent is gone, and this process will be
        except Exception as error:  # noqa: BLE001  one request must not end the others
            self.iserver.unexpected(number, error)
            response = _fault(ua.StatusCodes.BadInternalError)
        if response is not None:
            self.send_response(header.RequestHandle, sequence, response)

    async def _answer(
        self, number: ua.NodeId, header: ua.RequestHeader, sequence: ua.SequenceHeader, body: Measured
    ) -> Any:  # fmt: skip
        key = cast("Any", number.Identifier) if number.NamespaceIndex == 0 else None
        if key in _DISCOVERY:
            parameters, answer = _DISCOVERY[key]
            return await answer(self, decoded(parameters, body))
        if not self._is_secure:
            raise ServiceError(ua.StatusCodes.BadSecurityModeInsufficient)
        if key == number_of("CreateSession"):
            return await self._create_session(decoded(ua.CreateSessionParameters, body))
        session = self.session
        if session is None or header.AuthenticationToken != session.auth_token:
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        session.touch()
        if key in _OF_SESSION:
            parameters, answer = _OF_SESSION[key]
            return await answer(self, decoded(parameters, body))
        if not session.is_activated():
            raise ServiceError(ua.StatusCodes.BadSessionNotActivated)
        if key == number_of("Publish"):
            return await self._publish(session, decoded(ua.PublishParameters, body), header, sequence)
        return await self._serve(session, key, body)

    async def _serve(self, session: UaSession, key: Any, body: Measured) -> Any:
        service = SERVICES.get(key)
        if service is None:
            raise ServiceError(ua.StatusCodes.BadServiceUnsupported)
        if not service.is_open and not session.is_authenticated:
            raise ServiceError(ua.StatusCodes.BadUserAccessDenied)
        parameters = decoded(service.parameters, body)
        counted = service.counted(parameters)
        if counted > self.iserver.bounds.operations:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        if not counted:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        await self._client.turn.between()
        answer = await getattr(session, service.method)(service.argument(parameters))
        return service.answered(answer)

    async def _get_endpoints(self, parameters: ua.GetEndpointsParameters) -> Any:
        response = ua.GetEndpointsResponse()
        endpoints = await self.iserver.get_endpoints(parameters, self.sockname)
        profiles = parameters.ProfileUris
        response.Endpoints = [each for each in endpoints if not profiles or each.TransportProfileUri in profiles]
        return response

    async def _find_servers(self, parameters: ua.FindServersParameters) -> Any:
        """It knows itself alone; asyncua knows nobody before somebody registers."""
        response = ua.FindServersResponse()
        endpoints = await self.iserver.get_endpoints(
            ua.GetEndpointsParameters(EndpointUrl=parameters.EndpointUrl), self.sockname
        )
        wanted = parameters.ServerUris
        response.Servers = [each.Server for each in endpoints[:1] if not wanted or each.Server.ApplicationUri in wanted]
        return response

    async def _create_session(self, parameters: ua.CreateSessionParameters) -> Any:
        if self.is_active:
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        await self._end_session()
        policy = self._connection.security_policy
        if parameters.ClientCertificate and parameters.ClientCertificate != policy.peer_certificate:
            raise ServiceError(ua.StatusCodes.BadCertificateInvalid)
        if len(parameters.ClientNonce or b"") < _LEAST_NONCE_BYTES:
            raise ServiceError(ua.StatusCodes.BadNonceInvalid)
        self.session = UaSession(self.iserver, self, self._client)
        response = ua.CreateSessionResponse()
        response.Parameters = await self.session.create_session(parameters, self.sockname)
        response.Parameters.ServerCertificate = policy.host_certificate
        response.Parameters.MaxRequestMessageSize = self._agreed_bytes
        signed = (policy.peer_certificate or b"") + (parameters.ClientNonce or b"")
        signature = response.Parameters.ServerSignature
        signature.Signature = policy.asymmetric_cryptography.signature(signed)
        signature.Algorithm = policy.AsymmetricSignatureURI
        self._most_answered_bytes = parameters.MaxResponseMessageSize or _MOST_SENT_BYTES
        return response

    async def _activate(self, parameters: ua.ActivateSessionParameters) -> Any:
        session, policy = self.session, self._connection.security_policy
        assert session is not None
        try:
            challenge = (policy.host_certificate or b"") + (session.nonce or b"")
            policy.asymmetric_cryptography.verify(challenge, parameters.ClientSignature.Signature or b"")
        except InvalidSignature:
            raise ServiceError(ua.StatusCodes.BadApplicationSignatureInvalid) from None
        identity = await identified(self.iserver, session, self._client.address, parameters)
        response = ua.ActivateSessionResponse()
        response.Parameters = session.belongs_to(identity)
        response.Parameters.Results = [ua.StatusCode() for _ in parameters.ClientSoftwareCertificates or ()]
        self._limits.max_message_size = self._agreed_bytes
        return response

    def answer_waiting(self, status: int) -> None:
        """Answer all Publish requests that wait: nothing will be published."""
        while self._publish_requests:
            asked = self._publish_requests.popleft()
            self.send_response(asked.requesthdr.RequestHandle, asked.seqhdr, _fault(status))

    async def _close_session(self, _: Any) -> Any:
        self.answer_waiting(ua.StatusCodes.BadSessionClosed)
        await self._end_session()
        self._limits.max_message_size = min(_LOGIN_BYTES, self._agreed_bytes)
        return ua.CloseSessionResponse()

    async def _publish(
        self, session: UaSession, parameters: ua.PublishParameters, header: ua.RequestHeader,
        sequence: ua.SequenceHeader,
    ) -> None:  # fmt: skip
        own, results = session.publish(parameters.SubscriptionAcknowledgements)
        asked = PublishRequestData(header, sequence, results)
        while self._publish_results_subs:
            number = next(iter(self._publish_results_subs))
            del self._publish_results_subs[number]
            waiting = session.own(number)
            if waiting and await waiting.publish_results(asked):
                return
        if len(self._publish_requests) >= self.publish_request_limit(own):
            self._evict_publish_request()
        self._publish_requests.append(asked)


def _fault(status: int) -> ua.ServiceFault:
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.UInt32(status))
    return fault



_DISCOVERY: _Answers = {
    number_of("GetEndpoints"): (ua.GetEndpointsParameters, Requests._get_endpoints),
    number_of("FindServers"): (ua.FindServersParameters, Requests._find_servers),
}
_OF_SESSION: _Answers = {
    number_of("ActivateSession"): (ua.ActivateSessionParameters, Requests._activate),
    number_of("CloseSession"): (None, Requests._close_session),
}
