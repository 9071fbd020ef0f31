"""Asking the running agent over HTTP, with the standard library alone: a command starts as fast as it is typed."""

from __future__ import annotations

import http.client
import json
import os
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from edgeagent.errors import AgentRefused, AgentUnreachable, ConfigError
from edgeagent.tools.access import Access, access_of, untrusted

if TYPE_CHECKING:
    from argparse import Namespace

INSTALLED = Path("/etc/edgeagent/edgeagent.toml")
"""The configuration of the installed service."""

_USUAL = ("127.0.0.1", 8480)
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""An agent that listens at all addresses is here as well."""
_PATIENCE_S = 70.0
"""Longer than any function waits by itself."""

_MOST = 64 << 20
"""Bytes of one answer."""


class Address(NamedTuple):
    """Where an agent answers over HTTP, whether with TLS, and what opens it."""

    host: str
    port: int
    is_secure: bool = False
    access: Access = Access()

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.is_secure else ''}://{host}:{self.port}"

    def connection(self, patience_s: float) -> http.client.HTTPConnection:
        """A connection for requests, not open yet; raises CannotShow."""
        if self.is_secure:
            return http.client.HTTPSConnection(self.host, self.port, timeout=patience_s, context=self.access.context())
        return http.client.HTTPConnection(self.host, self.port, timeout=patience_s)


def address_of(options: Namespace) -> Address:
    """Where the agent is: as `--agent` says, or the configuration, or at the usual port.

    Raises:
        ConfigError: the configuration cannot be read, or its agent does not answer over HTTP.
    """
    address: Address | None = options.agent
    if address is None:
        file = configuration_of(options)
        address = Address(*_USUAL) if file is None else configured(file)
    return address._replace(access=access_of(options))


def configured(file: Path) -> Address:
    """Where the agent of a configuration answers; raises ConfigError like `address_of`."""
    from edgeagent.config import load_http  # noqa: PLC0415  it costs as much as all the rest
    from firmware_iface.map_reader import FileFault  # noqa: PLC0415

    table = load_http(file)
    if not table.enabled or not table.port:
        key, reason = ("port", "0 is any free port") if table.enabled else ("enabled", "the agent does not answer here")
        mend = "say where it is with --agent URL"
        raise ConfigError([FileFault(str(file), None, f"openapps.http.{key}", reason, mend)])
    return Address(_HERE.get(table.host, table.host), table.port, table.tls)


def configuration_of(options: Namespace) -> Path | None:
    """The file that `--config` names, or that of the installed service; None where neither can be had."""
    file: Path | None = options.config
    return file or (INSTALLED if os.access(INSTALLED, os.R_OK) else None)


def parsed(text: str) -> Address:
    """Read an address like http://127.0.0.1:8480; raises ArgumentTypeError."""
    try:
        parts = urlsplit(text if "//" in text else f"//{text}", "http")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    is_place = parts.scheme in ("http", "https") and parts.path in ("", "/", "/rpc") and not parts.query
    if not is_place or not parts.hostname or not port:
        raise ArgumentTypeError(f"{text!r} is not an address like http://127.0.0.1:8480")
    return Address(parts.hostname, port, parts.scheme == "https")


def ask(address: Address, function: str, parameters: dict[str, Any] | list[Any]) -> Any:
    """Call one function of the agent; its result.

    Raises:
        AgentUnreachable: nobody listens there, it does not answer in time, or is no agent.
        AgentRefused: it says why.
    """
    request = {"jsonrpc": "2.0", "id": 1, "method": function, "params": parameters}
    connection = address.connection(_PATIENCE_S)
    try:
        header = {"Content-Type": "application/json", **address.access.header()}
        connection.request("POST", "/rpc", json.dumps(request), header)
        response = connection.getresponse()
        body = response.read(_MOST)
    except (http.client.RemoteDisconnected, http.client.IncompleteRead):
        raise unreachable(address, OSError("it ended the connection")) from None
    except http.client.HTTPException:
        raise stranger(address, "what it says is not HTTP") from None
    except OSError as error:
        raise unreachable(address, error) from None
    finally:
        connection.close()
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or answer.get("jsonrpc") != "2.0" or not answer.keys() & {"result", "error"}:
        raise stranger(address, f"HTTP {response.status}, not JSON-RPC")
    return result_of(function, answer)


def result_of(function: str, answer: dict[str, Any]) -> Any:
    """The result of an answer; raises AgentRefused."""
    if "error" not in answer:
        return answer["result"]
    error = answer["error"]
    more = error.get("data") or {}
    kind = more.get("kind", error.get("code"))
    hint = " Name a file that holds your token with --token-file FILE" if kind == "unauthenticated" else ""
    raise AgentRefused(f"the agent refused {function} ({kind}): {error.get('message')}{hint}", kind, more)


def unreachable(address: Address, error: OSError) -> AgentUnreachable:
    """Say that no agent answers, and what to do."""
    if isinstance(error, ConnectionRefusedError):
        return AgentUnreachable(f"nobody listens at {address}: is the agent running (systemctl status edgeagent)? "
                                "If it is elsewhere, name its address with --agent URL")
    if hasattr(error, "library"):  # an SSLError, without its module
        return untrusted(address, error)
    reason = f"no answer in {_PATIENCE_S:g} s" if isinstance(error, TimeoutError) else error.strerror or str(error)
    return AgentUnreachable(f"{address} does not answer ({reason}): look at the agent's log, or name another address "
                            "with --agent URL")


def stranger(address: Address, reason: str) -> AgentUnreachable:
    """Say that somebody else answers there."""
    return AgentUnreachable(f"{address} is not an edgeagent ({reason}): name the agent's address with --agent URL")
