"""How a command gets into an agent: the token it sends, the CA it trusts, the certificate it shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgeagent.errors import AgentUnreachable, EdgeAgentError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from ssl import SSLContext

_TOKEN_FILE, _CA = "EDGEAGENT_TOKEN_FILE", "EDGEAGENT_CA"
"""Variables of the environment that stand in for `--token-file` and `--ca`."""

_MOST_TOKEN = 4096


class CannotShow(EdgeAgentError):
    """A file that is to show who a command is cannot be used."""


class Access(NamedTuple):
    """Files that open an agent; None where it needs none.

    Attributes:
        token_file: holds a token and nothing else. ca: PEM. certificate, key: of the client, PEM.
    """

    token_file: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def header(self) -> dict[str, str]:
        """The header that a request shows; empty without a token. Raises CannotShow."""
        if self.token_file is None:
            return {}
        try:
            with self.token_file.open("rb") as opened:
                token = opened.read(_MOST_TOKEN).decode("ascii").strip()
        except OSError as error:
            raise CannotShow(f"{self.token_file}: the token cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            token = ""
        if not token or len(token.split()) != 1 or not token.isprintable():
            raise CannotShow(f"{self.token_file}: this file does not hold a token and nothing else")
        return {"Authorization": f"Bearer {token}"}

    def context(self) -> SSLContext:
        """What TLS is spoken with. Raises CannotShow."""
        import ssl  # noqa: PLC0415  only where TLS is spoken

        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise CannotShow(f"{self.ca}: is no PEM file of a CA ({error})") from None
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate, self.key)
            except (OSError, ssl.SSLError) as error:
                raise CannotShow(f"{self.certificate} and its key cannot be used: {error}") from None
        return context


def add_options(parser: ArgumentParser) -> None:
    """Let the files be named."""
    parser.add_argument("--token-file", type=Path, metavar="FILE", help=f"holds the token to send (${_TOKEN_FILE})")
    parser.add_argument("--ca", type=Path, metavar="FILE", help=f"the CA of the agent's certificate (${_CA})")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="a client certificate to show")
    parser.add_argument("--key", type=Path, metavar="FILE", help="its key, where that is a file of its own")


def access_of(options: Namespace) -> Access:
    """The files that the options name, or the environment."""
    return Access(
        options.token_file or _named(_TOKEN_FILE), options.ca or _named(_CA), options.certificate, options.key)


def untrusted(address: object, error: Exception) -> AgentUnreachable:
    """Say that TLS with an agent failed, and what to do."""
    reason = str(getattr(error, "verify_message", "") or getattr(error, "reason", "") or error)
    mend = ("name the CA of its certificate with --ca FILE, and the agent as its certificate does"
            if hasattr(error, "verify_message") else "look at the agent's log")
    return AgentUnreachable(f"{address}: TLS failed ({reason.replace('_', ' ').lower()}): {mend}")


def _named(variable: str) -> Path | None:
    name = os.environ.get(variable)
    return Path(name) if name else None
