"""Whose certificates are trusted: a folder of those that are, and one of those that were turned away."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from edgeagent.publish.opcua.certificates import application_uris, write_whole
from edgeagent.publish.opcua.folders import (
    MOST_BYTES,
    REJECTED,
    TRUSTED,
    Change,
    Fingerprints,
    State,
    der_of,
    files,
    fingerprint,
    note,
)  # fmt: skip

MOST_REJECTED = 50
"""The oldest gives way: whoever is to be trusted knocks again."""

_MODE = 0o644
"""Of a certificate's file: there is no secret in it."""

_RSA_BITS = range(2048, 4097)
"""What the policies allow (OPC 10000-7)."""


class NotTrusted(Exception):
    """A certificate was turned away, and why."""


class Known(msgspec.Struct, frozen=True):
    """A certificate in one of the folders.

    Attributes:
        fingerprint: SHA-256 of its DER, hexadecimal. uris: what it says its application is.
        problem: why it would not be taken even if it were trusted; empty where nothing is wrong.
    """

    fingerprint: str
    state: State
    file: Path
    subject: str
    uris: tuple[str, ...]
    until: datetime | None
    problem: str


class TrustList:
    """The two folders; each certificate is a file of its own, DER or PEM, under any name.

    Others may add and remove files while it is used. An empty folder trusts nobody.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folders: dict[State, Path] = {TRUSTED: folder / TRUSTED, REJECTED: folder / REJECTED}
        for each in self._folders.values():
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._trusted = Fingerprints(self._folders[TRUSTED])

    def check(self, der: bytes, now: datetime) -> x509.Certificate:
        """Let a client's certificate pass; keep another one among the rejected, for somebody to look at.

        Raises:
            NotTrusted: it is unknown, too large, none at all, not valid now, or of a kind that is not taken.
        """
        if not 0 < len(der) <= MOST_BYTES:
            raise NotTrusted(f"its certificate has {len(der)} bytes, and not 1 to {MOST_BYTES}")
        if not self.trusts(fingerprint(der)):
            self._keep(der)
            raise NotTrusted(f"its certificate {fingerprint(der)[:16]} is not trusted")
        try:
            certificate = x509.load_der_x509_certificate(der)
        except ValueError as error:
            raise NotTrusted(f"its certificate cannot be read ({error})") from None
        if problem := problem_of(certificate, now):
            raise NotTrusted(f"its certificate {problem}")
        return certificate

    def trusts(self, digest: str) -> bool:
        """Whether the certificate of this fingerprint is trusted now; none is while the folder cannot be read."""
        try:
            return digest in self._trusted.now()
        except OSError:
            return False

    def known(self, now: datetime) -> list[Known]:
        """All certificates of both folders, the trusted ones first."""
        return [self._known(state, file, now) for state in self._folders for _, file in files(self._folders[state])]

    def trust(self, beginning: str, now: datetime, by: str = "") -> Known:
        """Trust the rejected certificate whose fingerprint begins so.

        Args:
            by: the account that wants it, for the audit record.

        Raises:
            LookupError: none or several begin so, or it would not be taken. OSError: it cannot be done.
        """
        found = self._the_one(beginning, REJECTED, now)
        if found.problem:
            raise LookupError(f"{found.fingerprint[:16]} of {found.subject}: the certificate {found.problem}")
        return self._move(found, TRUSTED, now, by)

    def reject(self, beginning: str, now: datetime, by: str = "") -> Known:
        """Trust a certificate no longer; its sessions end within seconds. As `trust`."""
        return self._move(self._the_one(beginning, TRUSTED, now), REJECTED, now, by)

    def _the_one(self, beginning: str, state: State, now: datetime) -> Known:
        digits = beginning.lower().replace(":", "")
        found = [file for digest, file in files(self._folders[state]) if digest.startswith(digits)]
        if len(found) != 1 or not digits:
            raise LookupError(f"{len(found) or 'no'} {state} certificates begin with {beginning!r}")
        return self._known(state, found[0], now)

    def _move(self, known: Known, to: State, now: datetime, by: str) -> Known:
        note(self._folder, known.fingerprint, Change(by, known.subject))  # first: the agent may look at any moment
        target = self._folders[to] / f"{known.fingerprint}.der"
        write_whole(target, der_of(known.file.read_bytes()), _MODE)
        known.file.unlink()
        return self._known(to, target, now)

    def _keep(self, der: bytes) -> None:
        """Put it among the rejected, if it is a certificate at all."""
        file = self._folders[REJECTED] / f"{fingerprint(der)}.der"
        if file.exists():
            return
        with suppress(ValueError, OSError):
            x509.load_der_x509_certificate(der)
            held = sorted(self._folders[REJECTED].iterdir(), key=lambda each: each.stat().st_mtime_ns)
            for oldest in held[: max(0, len(held) - MOST_REJECTED + 1)]:
                oldest.unlink(missing_ok=True)
            write_whole(file, der, _MODE)

    def _known(self, state: State, file: Path, now: datetime) -> Known:
        der = der_of(file.read_bytes())
        try:
            certificate = x509.load_der_x509_certificate(der)
            subject, until = certificate.subject.rfc4514_string(), certificate.not_valid_after_utc
        except ValueError as error:
            return Known(fingerprint(der), state, file, "", (), None, f"cannot be read ({error})")
        uris, problem = application_uris(certificate), problem_of(certificate, now)
        return Known(fingerprint(der), state, file, subject, uris, until, problem)


def problem_of(certificate: x509.Certificate, now: datetime) -> str:
    """Why a certificate cannot be used whoever trusts it; empty where nothing is wrong."""
    try:
        key, uris = certificate.public_key(), application_uris(certificate)
        algorithm = certificate.signature_hash_algorithm
    except Exception as error:  # noqa: BLE001  cryptography has an error of its own for each thing it does not know
        return f"cannot be used ({type(error).__name__})"
    problem = ""
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in _RSA_BITS:
        problem = f"has no RSA key of {_RSA_BITS.start} to {_RSA_BITS.stop - 1} bits"
    elif not isinstance(algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        problem = "is not signed with SHA-256 or better"
    elif not uris:
        problem = "names no application (a URI among its alternative names)"
    elif now < certificate.not_valid_before_utc:
        problem = f"is valid from {certificate.not_valid_before_utc:%Y-%m-%d} on"
    elif now >= certificate.not_valid_after_utc:
        problem = f"was valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
    return problem


def wall_time() -> datetime:
    """Now; the one clock that says whether a certificate is valid."""
    return datetime.now(UTC)
