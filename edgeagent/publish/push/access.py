"""What a push target is opened with: token, CA, client certificate; the files are read again as they change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeagent.config import PushTable, file_of
from edgeagent.errors import DeliveryError
from edgeagent.model.events import TOPICS, matches
from edgeagent.publish.transports.tls import TlsFault, no_password, require_private, require_readable

if TYPE_CHECKING:
    from ssl import SSLContext

_MOST_TOKEN = 4096
_FILES = ("token", "ca", "certificate", "key")

Stamp = tuple[tuple[int, int, int] | None, ...]


class AccessFault(DeliveryError):
    """A file that a target is opened with cannot be used: its key in the configuration, the reason, how to mend it."""

    def __init__(self, key: str, reason: str, mend: str) -> None:
        super().__init__(f"{key}: {reason} ({mend})")
        self.key = key
        self.reason = reason
        self.mend = mend


class Access:
    """The files of one target.

    Args:
        folder: of the configuration, where relative paths begin.
    """

    def __init__(self, table: PushTable, folder: Path) -> None:
        self._table = table
        self._folder = folder

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken."""
        return self._table.url.startswith("https:")

    @property
    def shows_certificate(self) -> bool:
        """Whether the agent has a client certificate for it."""
        return self._table.certificate is not None

    def check(self) -> None:
        """Look whether all of them can be used; raises AccessFault."""
        self.token()
        if self.is_secure:
            self.context()

    def stamp(self) -> Stamp:
        """Changes whenever one of the files does, or who may read it."""
        try:
            return tuple(_stamp(self._file(key)) for key in _FILES if getattr(self._table, key) is not None)
        except AccessFault:  # a credential that systemd did not give: until the next start
            return ()

    def token(self) -> str | None:
        """What is shown in the header; None where no token is configured. Raises AccessFault."""
        if self._table.token is None:
            return None
        file = self._file("token")
        try:
            require_private(file, "token")
            with file.open("rb") as opened:
                token = opened.read(_MOST_TOKEN).decode("ascii").strip()
        except TlsFault as fault:
            raise AccessFault(fault.key, fault.reason, fault.mend) from None
        except OSError as error:
            raise AccessFault("token", f"{file} cannot be read: {error.strerror}",
                              "name a file that the user of the agent may read") from None
        except UnicodeDecodeError:
            token = ""
        if not token or len(token.split()) != 1 or not token.isprintable():
            raise AccessFault("token", f"{file} does not hold a token and nothing else",
                              "write the token that the MES gave, in one line")
        return token

    def context(self) -> SSLContext:
        """What TLS is spoken with: 1.2 or newer, the name and the CA of the MES checked. Raises AccessFault."""
        import ssl  # noqa: PLC0415  only where there is TLS

        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            ca = self._readable("ca") or _authorities()
            try:
                context.load_verify_locations(*((None, ca) if ca.is_dir() else (ca, None)))
            except (OSError, ssl.SSLError) as error:
                raise AccessFault("ca", f"{ca} holds no certificate of a CA ({getattr(error, 'reason', error)})",
                                  "name a PEM file") from None
            context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
            if self._table.certificate is None:
                return context
            certificate, key = self._readable("certificate"), self._file("key")
            assert certificate is not None, "it is configured"
            require_private(key)
            try:
                context.load_cert_chain(certificate, key, password=no_password)
            except ssl.SSLError as error:
                raise AccessFault("certificate", f"{certificate} and {key} cannot be used ({error.reason or error})",
                                  "name a certificate and its own key, both PEM") from None
        except TlsFault as fault:
            raise AccessFault(fault.key, fault.reason, fault.mend) from None
        return context

    def _readable(self, key: str) -> Path | None:
        if getattr(self._table, key) is None:
            return None
        file = self._file(key)
        require_readable(key, file)
        return file

    def _file(self, key: str) -> Path:
        try:
            return file_of(getattr(self._table, key), self._folder)
        except ValueError as error:
            mend = "say LoadCredential= in the unit, or name a file"
            raise AccessFault(key, str(error), mend) from None


def _authorities() -> Path:
    """The CAs of this computer: a folder of which one is read when it is wanted, else a file with all of them.

    The variables of the environment do not count: the service's keep libraries from reading all CAs at each start.
    """
    import ssl  # noqa: PLC0415

    places = ssl.get_default_verify_paths()
    folder = Path(places.openssl_capath)
    return folder if any(folder.glob("*.0")) else Path(places.openssl_cafile)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_ctime_ns


def faults(tables: Sequence[PushTable], folder: Path) -> Iterator[tuple[int, str, str, str]]:
    """What hinders targets: number of the target, key, reason, how to mend it.

    A target without its files waits for them, so that the agent can begin without; who checks a configuration wants to
    know it.
    """
    for number, table in enumerate(tables):
        for topic in table.topics:
            if not any(matches(topic, name) and kind.durable for name, kind in TOPICS.items()):
                yield number, "topics", f"{topic} is no event that is kept", 'write it like "Board.*" or "Alarm.Raised"'
        try:
            Access(table, folder).check()
        except AccessFault as fault:
            yield number, fault.key, fault.reason, fault.mend
