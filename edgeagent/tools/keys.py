"""`edgeagent keys init`: a CA and what it signs, for a test bench; a factory has a CA of its own."""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgeagent.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_HERE = ("localhost", "127.0.0.1", "::1")
_CLOCKS_APART = timedelta(hours=1)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def elliptic() -> PrivateKey:
    """Make a key as all of today take it."""
    return ec.generate_private_key(ec.SECP256R1())


def older() -> PrivateKey:
    """Make a key for clients that know RSA only."""
    return rsa.generate_private_key(65537, 2048)


def init(
    folder: Path, names: Sequence[str], client: str | None, days: int, make: Callable[[], PrivateKey] = elliptic
) -> dict[str, str]:
    """Make the files, each readable by its owner alone.

    Args:
        names: of the server, beside those of this computer for itself.
        client: name of a client that gets a certificate as well.
        make: makes a key.

    Returns:
        Each file, and what it is.

    Raises:
        StoreError: one of them is there already, a name cannot be one, or the folder cannot be written.
    """
    alternatives = [_alternative(name) for name in dict.fromkeys((*_HERE, *names))]
    authority = _Authority(days, make)
    made = {"ca.pem": ("give it to every client", authority.certificate),
            "ca.key": ("makes more certificates; keep it elsewhere", authority.key)}  # fmt: skip
    called = names[0] if names else "localhost"
    made |= authority.signed("server", called, alternatives, ExtendedKeyUsageOID.SERVER_AUTH)
    if client is not None:
        made |= authority.signed("client", client, [], ExtendedKeyUsageOID.CLIENT_AUTH)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if there := [name for name in made if (folder / name).exists()]:
            raise StoreError(f"{folder / there[0]} is there already; nothing is overwritten: name another folder with "
                             "--folder; a client's files are made together with their CA, with --client")  # fmt: skip
        for name, (_, content) in made.items():
            _write(folder / name, content)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}") from None
    return {str(folder / name): text for name, (text, _) in made.items()}


class _Authority:
    """A CA that lives for this command; its key goes to a file."""

    def __init__(self, days: int, make: Callable[[], PrivateKey]) -> None:
        self._days = days
        self._make = make
        self._private = make()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edgeagent test bench CA")])
        signed = (
            self._begun(self._name, self._private)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(is_authority=True), critical=True)
            .sign(self._private, SHA256())
        )
        self.certificate = signed.public_bytes(Encoding.PEM)
        self.key = _pem(self._private)

    def signed(
        self, file: str, name: str, alternatives: Sequence[x509.GeneralName], purpose: x509.ObjectIdentifier
    ) -> dict[str, tuple[str, bytes]]:
        """A key and its certificate: file → what it is, and its content."""
        private = self._make()
        try:
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        except ValueError as error:
            raise StoreError(f"{name!r} cannot be a name: {error}") from None
        builder = (
            self._begun(subject, private)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._private.public_key()), False)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = builder.sign(self._private, SHA256()).public_bytes(Encoding.PEM)
        return {f"{file}.pem": (f"certificate of the {file} {name}", certificate),
                f"{file}.key": (f"key of the {file}; nobody else may read it", _pem(private))}  # fmt: skip

    def _begun(self, subject: x509.Name, private: PrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCKS_APART)
            .not_valid_after(now + timedelta(days=self._days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        )


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False)  # fmt: skip


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise StoreError(f"{name!r} is neither a host's name nor an address: {error}") from None


def _pem(private: PrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
