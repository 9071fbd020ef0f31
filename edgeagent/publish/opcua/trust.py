"""Whose certificates are trusted: a folder of those that are, and one of those that were turned away."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from edgeagent.publish.opcua.certificates import application_uris, write_whole

MOST_BYTES = 8192
"""Of one certificate; those in use have 1 to 2 KB."""

MOST_REJECTED = 50
"""The oldest gives way: whoever is to be trusted knocks again."""

MOST_TRUSTED = 1000

_SETTLES_S = 1.0
"""After a change the folder is read once more: a file may not have been whole, and two changes may bear one time."""

_MODE = 0o644
"""Of a certificate's file: there is no secret in it."""

_RSA_BITS = range(2048, 4097)
"""What the policies allow (OPC 10000-7)."""

State = Literal["trusted", "rejected"]
TRUSTED: Final = "trusted"
REJECTED: Final = "rejected"


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
        self._folders: dict[State, Path] = {TRUSTED: folder / TRUSTED, REJECTED: folder / REJECTED}
        for each in self._folders.values():
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._trusted: frozenset[str] = frozenset()
        self._changed_at = -1
        self._settles_at: float | None = None

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
            self._look()
        except OSError:
            self._trusted, self._changed_at = frozenset(), -1
        return digest in self._trusted

    def _look(self) -> None:
        """Read the folder if it has changed."""
        changed_at, now = self._folders[TRUSTED].stat().st_mtime_ns, time.monotonic()
        if changed_at != self._changed_at:
            self._settles_at = now + _SETTLES_S
        elif self._settles_at is not None and now >= self._settles_at:
            self._settles_at = None
        else:
            return
        self._trusted = frozenset(known for known, _ in self._files(TRUSTED))
        self._changed_at = changed_at

    def known(self, now: datetime) -> list[Known]:
        """All certificates of both folders, the trusted ones first."""
        return [self._known(state, file, now) for state in self._folders for _, file in self._files(state)]

    def trust(self, beginning: str, now: datetime) -> Known:
        """Trust the rejected certificate whose fingerprint begins so.

        Raises:
            LookupError: none or several begin so, or it would not be taken.
        """
        found = self._the_one(beginning, REJECTED, now)
        if found.problem:
            raise LookupError(f"{found.fingerprint[:16]} of {found.subject}: the certificate {found.problem}")
        return self._move(found, TRUSTED, now)

    def reject(self, beginning: str, now: datetime) -> Known:
        """Trust a certificate no longer; its sessions end within seconds.

        Raises:
            LookupError: none or several of the trusted begin so.
        """
        return self._move(self._the_one(beginning, TRUSTED, now), REJECTED, now)

    def _the_one(self, beginning: str, state: State, now: datetime) -> Known:
        digits = beginning.lower().replace(":", "")
        found = [file for digest, file in self._files(state) if digest.startswith(digits)]
        if len(found) != 1 or not digits:
            raise LookupError(f"{len(found) or 'no'} {state} certificates begin with {beginning!r}")
        return self._known(state, found[0], now)

    def _move(self, known: Known, to: State, now: datetime) -> Known:
        target = self._folders[to] / f"{known.fingerprint}.der"
        write_whole(target, _der(known.file.read_bytes()), _MODE)
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

    def _files(self, state: State) -> Iterator[tuple[str, Path]]:
        """Fingerprint and file of all that can be read; what is none is left out."""
        for file in sorted(self._folders[state].iterdir())[:MOST_TRUSTED]:
            with suppress(OSError, ValueError):
                if file.stat().st_size <= 2 * MOST_BYTES:
                    yield fingerprint(_der(file.read_bytes())), file

    def _known(self, state: State, file: Path, now: datetime) -> Known:
        der = _der(file.read_bytes())
        try:
            certificate = x509.load_der_x509_certificate(der)
            subject, until = certificate.subject.rfc4514_string(), certificate.not_valid_after_utc
        except ValueError as error:
            return Known(fingerprint(der), state, file, "", (), None, f"cannot be read ({error})")
        uris, problem = application_uris(certificate), problem_of(certificate, now)
        return Known(fingerprint(der), state, file, subject, uris, until, problem)


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate's DER, hexadecimal."""
    return hashlib.sha256(der).hexdigest()


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


def _der(content: bytes) -> bytes:
    """A file's certificate as DER; raises ValueError where it is PEM, and none."""
    if not content.startswith(b"-----BEGIN"):
        return content
    return x509.load_pem_x509_certificate(content).public_bytes(serialization.Encoding.DER)


def wall_time() -> datetime:
    """Now; the one clock that says whether a certificate is valid."""
    return datetime.now(UTC)
