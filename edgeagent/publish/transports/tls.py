"""The TLS of all listeners: which files it needs, whether they can be used, and what is spoken with them."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ssl import SSLContext


class TlsFault(Exception):
    """TLS cannot be spoken: the key of the configuration's table that is wrong, the reason, and how to mend it."""

    def __init__(self, key: str, reason: str, mend: str) -> None:
        super().__init__(f"{key}: {reason} ({mend})")
        self.key = key
        self.reason = reason
        self.mend = mend


class TlsFiles(NamedTuple):
    """What TLS is spoken with; PEM files.

    Attributes:
        certificate: of this server, with those between it and its CA after it.
        client_ca: makes the certificates of clients; None where clients need none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    is_client_certificate_required: bool = False


def server_context(files: TlsFiles) -> SSLContext:
    """Read the files; TLS 1.2 or newer, without compression, renegotiation and session tickets.

    Raises:
        TlsFault: a file cannot be used.
    """
    import ssl  # noqa: PLC0415  only where there is TLS

    require_private(files.key)
    require_readable("certificate", files.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    try:
        context.load_cert_chain(files.certificate, files.key, password=no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFault("key", f"{files.key} is not the key of {files.certificate}",
                           "name the two that belong together") from None
        raise TlsFault("certificate", f"{files.certificate} or {files.key} is no PEM file that can be used "
                       f"({error.reason or error})", "edgeagent keys init makes some for a test bench") from None
    if files.client_ca is not None:
        require_readable("client_ca", files.client_ca)
        try:
            context.load_verify_locations(files.client_ca)
        except ssl.SSLError as error:
            raise TlsFault("client_ca", f"{files.client_ca} holds no certificate of a CA ({error.reason or error})",
                           "name a PEM file") from None
        context.verify_mode = ssl.CERT_REQUIRED if files.is_client_certificate_required else ssl.CERT_OPTIONAL
    return context


def no_password() -> str:
    """In place of the question that nobody could answer; raises TlsFault."""
    raise TlsFault("key", "the key is locked with a password, and nobody is there to type it",
                   "write it without one, readable by the agent alone")  # fmt: skip


def require_private(key: Path, what: str = "key") -> None:
    """Refuse a secret that others may read or change; raises TlsFault."""
    require_readable(what, key)
    mode = key.stat().st_mode
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise TlsFault(what, f"{key} may be read or changed by others (mode {stat.S_IMODE(mode):04o})",
                       f"chmod 600 {key}, and give it to the user of the agent")


def require_readable(what: str, file: Path) -> None:
    """Refuse a file that cannot be read; raises TlsFault."""
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise TlsFault(what, f"{file} cannot be read: {error.strerror}",
                       "name a file that the user of the agent may read") from None
