"""Clients for the tests: asyncua's own, with a certificate of its own; and one whose bytes are written by hand."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto import security_policies
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import (
    header_from_binary,
    nodeid_from_binary,
    struct_from_binary,
    struct_to_binary,
    uatcp_to_binary,
)
from cryptography.hazmat.primitives import serialization

from edgeagent.publish.opcua.certificates import Own, own_certificate
from edgeagent.publish.opcua.server import UaServer
from edgeagent.publish.opcua.trust import TrustList
from tests.publish.opcua.fakes import OPERATOR

CLIENT_URI = "urn:test:client"

POLICIES = {
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
}


class Application:
    """A client application: its certificate and key, in files as clients keep them."""

    def __init__(self, folder: Path, uri: str = CLIENT_URI) -> None:
        self.uri = uri
        self.folder = folder
        self.own: Own = own_certificate(folder, uri, ("localhost",), datetime.now(UTC))

    def is_trusted_by(self, folder: Path) -> None:
        """Let a server trust it."""
        TrustList(folder)
        (folder / "trusted" / "client.der").write_bytes(self.own.der)

    @property
    def key_pem(self) -> bytes:
        return self.own.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    async def client(
        self, endpoint: str, server_certificate: bytes, user: str | None = "mes", password: str | None = OPERATOR,
        policy: str = "Basic256Sha256",
    ) -> Client:  # fmt: skip
        """One that is not connected yet."""
        client = Client(endpoint, timeout=20)
        client.application_uri = self.uri
        client.session_timeout = 60_000
        await client.set_security(
            POLICIES[policy], self.own.der, self.folder / "own" / "key.pem",
            server_certificate=server_certificate, mode=ua.MessageSecurityMode.SignAndEncrypt,
        )  # fmt: skip
        if user is not None:
            client.set_user(user)
            client.set_password(password or "")
        return client


@asynccontextmanager
async def connected(server: UaServer, application: Application, **options: Any) -> AsyncIterator[Client]:
    """asyncua's client, in a session."""
    client = await application.client(url(server), der(server), **options)
    async with client:
        yield client


def url(server: UaServer) -> str:
    return server.endpoint.geturl()


def der(server: UaServer) -> bytes:
    return bytes(server.iserver.certificate.public_bytes(serialization.Encoding.DER))


class Wire:
    """A connection whose requests are made one by one, right or wrong."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.channel = SecureConnection(SecurityPolicyNone(), TransportLimits())
        self.token = ua.NodeId()
        self._request = 0

    @classmethod
    async def to(cls, endpoint: str, at: str | None = None) -> Wire:
        """Connect, from another of this computer's addresses where `at` says so."""
        host, _, port = endpoint.removeprefix("opc.tcp://").rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port), local_addr=(at, 0) if at else None))

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def send(self, content: bytes) -> None:
        self.writer.write(content)

    async def greet(self, buffer_bytes: int = 65535) -> Any:
        """Say hello; return what comes back."""
        hello = ua.Hello()
        hello.ReceiveBufferSize = hello.SendBufferSize = buffer_bytes
        hello.EndpointUrl = "opc.tcp://localhost"
        self.send(uatcp_to_binary(ua.MessageType.Hello, hello))
        return await self.answer()

    async def open(self, policy: Any = None, kind: Any = None, mode: Any = None) -> Any:
        """Open the channel; with a policy object made of certificates, or without security."""
        self.channel.security_policy = policy or SecurityPolicyNone()
        request = ua.OpenSecureChannelRequest()
        request.Parameters.RequestType = kind or ua.SecurityTokenRequestType.Issue
        request.Parameters.SecurityMode = mode or self.channel.security_policy.Mode
        request.Parameters.RequestedLifetime = 3_600_000
        nonce = bytes(range(32))[: self.channel.security_policy.secure_channel_nonce_length]
        request.Parameters.ClientNonce = nonce
        self.send(self.channel.message_to_binary(struct_to_binary(request), ua.MessageType.SecureOpen, self.next()))
        response = await self.answer()
        if isinstance(response, ua.OpenSecureChannelResponse):
            self.channel.set_channel(response.Parameters, ua.SecurityTokenRequestType.Issue, nonce)
        return response

    def next(self) -> int:
        self._request += 1
        return self._request

    def request(self, request: Any, token: ua.NodeId | None = None) -> None:
        """Send a request, with this session's token or another."""
        request.RequestHeader.AuthenticationToken = token if token is not None else self.token
        self.message(struct_to_binary(request))

    def message(self, body: bytes) -> None:
        self.send(self.channel.message_to_binary(body, ua.MessageType.SecureMessage, self.next()))

    async def ask(self, request: Any, token: ua.NodeId | None = None) -> Any:
        """Send a request; return the response, or the fault."""
        self.request(request, token)
        return await self.answer()

    async def answer(self) -> Any:
        """The next message; an ErrorMessage or None where the server ended the connection."""
        while True:
            try:
                head = await asyncio.wait_for(self.reader.readexactly(8), 20)
                rest = await asyncio.wait_for(self.reader.readexactly(struct.unpack("<I", head[4:])[0] - 8), 20)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            buffer = Buffer(head + rest)
            header = header_from_binary(buffer)
            message = self.channel.receive_from_header_and_body(header, buffer)
            if message is None:
                continue
            if not isinstance(message, ua.Message):
                return message
            body = message.body()
            number = nodeid_from_binary(body.copy())
            kind = ua.extension_objects_by_typeid.get(number) or _RESPONSES.get(number)
            assert kind is not None, number
            return struct_from_binary(kind, body)

    async def is_ended(self) -> bool:
        """Whether the server ended it, at once or after it said why."""
        while True:
            message = await self.answer()
            if message is None:
                return True
            if not isinstance(message, ua.ErrorMessage):
                return False


_RESPONSES = {
    getattr(ua, name)().TypeId: getattr(ua, name)
    for name in dir(ua)
    if name.endswith("Response") or name == "ServiceFault"
    if hasattr(getattr(ua, name), "__dataclass_fields__")
}


def secured(application: Application, server_der: bytes, policy: str = "Basic256Sha256") -> Any:
    """A client's policy for `Wire.open`."""
    mode = ua.MessageSecurityMode.SignAndEncrypt
    return POLICIES[policy](server_der, application.own.certificate, application.own.key, mode)


async def session(
    wire: Wire, application: Application, server_der: bytes, user: str = "mes", token: str = OPERATOR
) -> Any:
    """Create a session and activate it; return the response to the activation."""
    created = await wire.ask(create_session(application))
    assert isinstance(created, ua.CreateSessionResponse), created
    wire.token = created.Parameters.AuthenticationToken
    return await wire.ask(activate(wire, server_der, created.Parameters.ServerNonce, user, token))


def create_session(application: Application) -> ua.CreateSessionRequest:
    request = ua.CreateSessionRequest()
    request.Parameters.ClientDescription.ApplicationUri = application.uri
    request.Parameters.ClientNonce = bytes(32)
    request.Parameters.ClientCertificate = application.own.der
    request.Parameters.RequestedSessionTimeout = 60_000
    return request


def activate(wire: Wire, server_der: bytes, nonce: bytes, user: str = "mes", token: str = OPERATOR) -> Any:
    policy = wire.channel.security_policy
    request = ua.ActivateSessionRequest()
    signature = request.Parameters.ClientSignature
    signature.Signature = policy.asymmetric_cryptography.signature(server_der + nonce)
    signature.Algorithm = policy.AsymmetricSignatureURI
    request.Parameters.UserIdentityToken = ua.UserNameIdentityToken("username", user, token.encode(), None)
    return request


def within(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
