"""Who a client says it is, decided by the agent: a user's name and token, a certificate, or nobody."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Coroutine
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto
from cryptography.hazmat.primitives.asymmetric import rsa

from edgeagent.errors import CommandRefused
from edgeagent.publish.opcua.folders import MOST_BYTES, fingerprint
from edgeagent.publish.opcua.port import Identity
from edgeagent.publish.opcua.services.reading import is_text

if TYPE_CHECKING:
    from edgeagent.publish.opcua.server import UaInternalServer
    from edgeagent.publish.opcua.sessions import UaSession

_MOST_SECRET = 1024
"""Bytes of a user name, and of a password as it is sent."""

_DECRYPT: dict[str, Callable[..., bytes]] = {
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep": uacrypto.decrypt_rsa_oaep,
    "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256": uacrypto.decrypt_rsa_oaep_sha256,
}
"""The old rsa-1_5 is not here: what it answers tells others how a password decrypts."""

_VERIFY: dict[str, Callable[..., None]] = {
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": uacrypto.verify_sha256,
    "http://opcfoundation.org/UA/security/rsa-pss-sha2-256": uacrypto.verify_pss_sha256,
}

_STATUS = {"unauthenticated": ua.StatusCodes.BadUserAccessDenied, "tooMany": ua.StatusCodes.BadServerTooBusy}


async def identified(
    server: UaInternalServer, session: UaSession, address: str, parameters: ua.ActivateSessionParameters
) -> Identity:  # fmt: skip
    """Ask the agent who this is.

    Raises:
        ServiceError: the token is none, or not taken; the agent refuses it.
    """
    token = parameters.UserIdentityToken
    if isinstance(token, ua.UserNameIdentityToken):
        name, password = _name(token), _password(server, session, token)
        return await _opened(server, partial(server.port.open, address, token=password, user=name))
    if isinstance(token, ua.X509IdentityToken):
        der = token.CertificateData or b""
        until_s = _proven(server, session, der, parameters.UserTokenSignature)
        shown = fingerprint(der)
        return await _opened(server, partial(server.port.open, address, fingerprint=shown, expires_s=until_s))
    is_nobody = token is None or isinstance(token, ua.AnonymousIdentityToken)
    is_null = isinstance(token, ua.ExtensionObject) and token.TypeId == ua.NodeId(ua.Int32(ua.ObjectIds.Null))
    if (is_nobody or is_null) and server.settings.anonymous_reading and _is_here(address):
        return await _opened(server, partial(server.port.open, address))
    raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)


async def _opened(server: UaInternalServer, ask: partial[Coroutine[Any, Any, Identity]]) -> Identity:
    """The agent's answer; a session that nobody waits for any more is closed there."""
    asking = asyncio.ensure_future(ask())
    try:
        return await asyncio.shield(asking)
    except CommandRefused as refused:
        raise ServiceError(_STATUS.get(refused.kind, ua.StatusCodes.BadUserAccessDenied)) from None
    except asyncio.CancelledError:
        asking.add_done_callback(partial(_close, server))
        raise


def _close(server: UaInternalServer, opened: asyncio.Future[Identity]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        server.port.close(opened.result().session)


def _name(token: ua.UserNameIdentityToken) -> str:
    name = token.UserName
    if not isinstance(name, str) or not 0 < len(name) <= _MOST_SECRET:
        raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid)
    if not is_text(name):
        raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid)
    return name


def _password(server: UaInternalServer, session: UaSession, token: ua.UserNameIdentityToken) -> str:
    """The password; a client may encrypt it once more inside its channel, and then it holds this session's nonce."""
    secret = token.Password or b""
    try:
        if token.EncryptionAlgorithm:
            plain = _DECRYPT[token.EncryptionAlgorithm](server.private_key, secret[: 2 * _MOST_SECRET])
            length = int.from_bytes(plain[:4], "little")
            nonce = session.nonce or b""
            if length != len(plain) - 4 or not hmac.compare_digest(plain[len(plain) - len(nonce) :], nonce):
                raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid)
            secret = plain[4 : len(plain) - len(nonce)]
        if not 0 < len(secret) <= _MOST_SECRET:
            raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid)
        return secret.decode()
    except (LookupError, ValueError):
        raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid) from None


def _proven(server: UaInternalServer, session: UaSession, der: bytes, signature: ua.SignatureData) -> float:
    """When the certificate ends, in seconds since 1970, if the client holds its key."""
    try:
        if len(der) > MOST_BYTES:
            raise ValueError("too large")
        certificate = uacrypto.x509_from_der(der)
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey) or not 2048 <= key.key_size <= 4096:
            raise ValueError("not a key that is taken")
        challenge = uacrypto.der_from_x509(server.certificate) + (session.nonce or b"")
        _VERIFY[signature.Algorithm](certificate, challenge, signature.Signature or b"")
        return float(certificate.not_valid_after_utc.timestamp())
    except Exception:  # noqa: BLE001  cryptography has an error of its own for each thing it does not know
        raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid) from None


def _is_here(address: str) -> bool:
    """Whether it is this computer."""
    try:
        its = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(its, "ipv4_mapped", None)
    return bool((mapped or its).is_loopback)
