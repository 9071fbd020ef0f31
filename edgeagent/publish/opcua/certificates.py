"""The server's own certificate: made at the first start, renewed before it ends, its key read by nobody else."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE_FILE, KEY_FILE = "own/certificate.der", "own/key.pem"
"""In the folder of the settings."""

VALID = timedelta(days=3650)
RENEWED_BEFORE = timedelta(days=60)
"""Clients trust one certificate: it changes as seldom as it may, and in time for somebody to tell them."""

_KEY_BITS = 2048
"""What every policy that is served takes, and every client."""

_SLACK = timedelta(days=1)
"""A client's clock may be behind."""


class Unreadable(Exception):
    """The certificate or the key is there and cannot be read; says which file, why, and how to mend it."""


class Own(msgspec.Struct, frozen=True):
    """The server's certificate and its key.

    Attributes:
        is_new: it was made just now, and clients do not know it yet.
    """

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    is_new: bool

    @property
    def der(self) -> bytes:
        """The certificate as it is sent."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of it, hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()


def own_certificate(folder: Path, application_uri: str, names: Sequence[str], now: datetime) -> Own:
    """Read the certificate and its key; make what is not there, a certificate that ends soon or says another name.

    The key stays when the certificate is renewed.

    Args:
        names: hosts and addresses by which clients call this computer.

    Raises:
        Unreadable: the files cannot be read, or the key is none.
        OSError: they cannot be written.
    """
    certificate_file, key_file = folder / CERTIFICATE_FILE, folder / KEY_FILE
    key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = _read_key(key_file) if key_file.exists() else _made_key(key_file)
    if certificate_file.exists():
        certificate = _read_certificate(certificate_file)
        if _serves(certificate, key, application_uri, names, now):
            return Own(certificate, key, False)
    made = _made(key, application_uri, names, now)
    write_whole(certificate_file, made.public_bytes(serialization.Encoding.DER), 0o644)
    return Own(made, key, True)


def is_due(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether a certificate ends soon, or is not valid yet because a clock was wrong."""
    return not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEWED_BEFORE


def application_uris(certificate: x509.Certificate) -> tuple[str, ...]:
    """The URIs among its alternative names."""
    return tuple(name.value for name in _names(certificate) if isinstance(name, x509.UniformResourceIdentifier))


def _names(certificate: x509.Certificate) -> tuple[x509.GeneralName, ...]:
    try:
        return tuple(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return ()


def _serves(
    certificate: x509.Certificate, key: rsa.RSAPrivateKey, application_uri: str, names: Sequence[str], now: datetime
) -> bool:  # fmt: skip
    wanted = _alternative_names(application_uri, names)
    is_ours = certificate.public_key() == key.public_key() and set(wanted) <= set(_names(certificate))
    return is_ours and not is_due(certificate, now)


def _made(key: rsa.RSAPrivateKey, application_uri: str, names: Sequence[str], now: datetime) -> x509.Certificate:
    subject = x509.Name([
        x509.NameAttribute(NameOID.COMMON_NAME, f"edgeagent at {socket.gethostname()}"[:64]),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "edgeagent"),
    ])  # fmt: skip
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=True, data_encipherment=True,
        key_cert_sign=True, key_agreement=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(_alternative_names(application_uri, names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _alternative_names(application_uri: str, names: Sequence[str]) -> list[x509.GeneralName]:
    made: list[x509.GeneralName] = [x509.UniformResourceIdentifier(application_uri)]
    for name in dict.fromkeys((*names, socket.gethostname())):
        try:
            made.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            made.append(x509.DNSName(name.encode("idna").decode()))
    return made


def _made_key(file: Path) -> rsa.RSAPrivateKey:
    key = rsa.generate_private_key(65537, _KEY_BITS)
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_whole(file, content, 0o600)
    return key


def _read_key(file: Path) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Unreadable(f"{file}: this is no private key ({error}); restore it, or delete it to get another") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Unreadable(f"{file}: OPC UA takes RSA keys alone; delete it, and a key is made anew")
    if os.name == "posix" and file.stat().st_mode & 0o077:
        file.chmod(0o600)
    return key


def _read_certificate(file: Path) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        raise Unreadable(f"{file}: this is no certificate ({error}); delete it to renew it") from None


def write_whole(file: Path, content: bytes, mode: int) -> None:
    """Put a file there whole, with its mode from the first byte on."""
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as writing:
        writing.write(content)
        writing.flush()
        os.fsync(writing.fileno())
    draft.replace(file)
