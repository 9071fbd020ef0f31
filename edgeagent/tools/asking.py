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

if TYPE_CHECKING:
    from argparse import Namespace

INSTALLED = Path("/etc/edgeagent/edgeagent.toml")
"""The configuration of the installed service."""

_USUAL = ("127.0.0.1", 8480)
_PATIENCE_S = 70.0
"""Longer than any function waits by itself."""

_MOST = 64 << 20
"""Bytes of one answer."""


class Address(NamedTuple):
    """Where an agent answers over HTTP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def address_of(options: Namespace) -> Address:
    """Where the agent is: as `--agent` says, or the configuration, or at the usual port.

    Raises:
        ConfigError: the configuration cannot be read, or its agent does not answer over HTTP.
    """
    if options.agent is not None:
        address: Address = options.agent
        return address
    file = configuration_of(options)
    if file is None:
        return Address(*_USUAL)
    return configured(file)


def configured(file: Path) -> Address:
    """Where the agent of a configuration answers; raises ConfigError like `address_of`."""
    from edgeagent.config import load_http  # noqa: PLC0415  it costs as much as all the rest
    from firmware_iface.map_reader import FileFault  # noqa: PLC0415

    table = load_http(file)
    if not table.enabled or not table.port:
        key, reason = ("port", "0 is any free port") if table.enabled else ("enabled", "the agent does not answer here")
        mend = "say where it is with --agent URL"
        raise ConfigError([FileFault(str(file), None, f"openapps.http.{key}", reason, mend)])
    return Address(table.host, table.port)


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
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/", "/rpc") or parts.query or not port:
        raise ArgumentTypeError(f"{text!r} is not an address like http://127.0.0.1:8480")
    return Address(parts.hostname, port)


def ask(address: Address, function: str, parameters: dict[str, Any] | list[Any]) -> Any:
    """Call one function of the agent; its result.

    Raises:
        AgentUnreachable: nobody listens there, it does not answer in time, or is no agent.
        AgentRefused: it says why.
    """
    request = {"jsonrpc": "2.0", "id": 1, "method": function, "params": parameters}
    connection = http.client.HTTPConnection(*address, timeout=_PATIENCE_S)
    try:
        connection.request("POST", "/rpc", json.dumps(request), {"Content-Type": "application/json"})
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
    raise AgentRefused(f"the agent refused {function} ({kind}): {error.get('message')}", kind, more)


def unreachable(address: Address, error: OSError) -> AgentUnreachable:
    """Say that no agent answers, and what to do."""
    if isinstance(error, ConnectionRefusedError):
        return AgentUnreachable(f"nobody listens at {address}: is the agent running (systemctl status edgeagent)? "
                                "If it is elsewhere, name its address with --agent URL")
    reason = f"no answer in {_PATIENCE_S:g} s" if isinstance(error, TimeoutError) else error.strerror or str(error)
    return AgentUnreachable(f"{address} does not answer ({reason}): look at the agent's log, or name another address "
                            "with --agent URL")


def stranger(address: Address, reason: str) -> AgentUnreachable:
    """Say that somebody else answers there."""
    return AgentUnreachable(f"{address} is not an edgeagent ({reason}): name the agent's address with --agent URL")
