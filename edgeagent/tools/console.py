"""Asking the running agent at its console: who may open that is known on the oven PC, and needs no token."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeagent.config import load_store
from edgeagent.errors import AgentRefused, AgentUnreachable, ConfigError
from edgeagent.publish.transports.console import connected, console_of
from edgeagent.tools.asking import INSTALLED

_IN_RUN = Path("/run/edgeagent/console")
"""Where the installed service has it."""
_PATIENCE_S = 15.0
_MOST = 64 << 20
"""Bytes of one answer."""


def console(store: Path) -> Path:
    """Where the console of the agent with this store is."""
    beside = console_of(store)
    # The folder of the store is closed to the members of the service's group, who may ask here.
    if not os.path.exists(beside) and os.path.exists(_IN_RUN) and _is_installed(store):  # noqa: PTH110
        return _IN_RUN
    return beside


def ask(console: Path, function: str, params: dict[str, Any]) -> dict[str, Any]:
    """Call a function of the console.

    Raises:
        AgentUnreachable: no agent answers there, or this user may not ask it. AgentRefused: it refused.
    """
    request = {"jsonrpc": "2.0", "id": 1, "method": function, "params": params}
    try:
        with connected(console, _PATIENCE_S) as client, client.makefile("rwb") as stream:
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            line = stream.readline(_MOST)
    except PermissionError as error:
        raise AgentUnreachable(f"{console}: this user may not; try sudo, or join the service's group") from error
    except OSError as error:
        reason = error.strerror or error
        raise AgentUnreachable(f"{console}: no agent answers there ({reason}); does it run?") from error
    if not line.endswith(b"\n"):
        raise AgentUnreachable(f"{console}: the agent ended the connection")
    answer = json.loads(line)
    if fault := answer.get("error"):
        raise AgentRefused(fault["message"], fault["data"]["kind"], {})
    result: dict[str, Any] = answer["result"]
    return result


def _is_installed(store: Path) -> bool:
    """Whether it is the store of the installed service: what is meant for another agent must not reach it."""
    with suppress(ConfigError):
        return load_store(INSTALLED) == store
    return False
