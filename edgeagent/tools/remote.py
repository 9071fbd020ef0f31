"""`edgeagent remote`: who has control of a machine, asked and granted on the oven PC over the agent's console."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from edgeagent.errors import AgentRefused, AgentUnreachable
from edgeagent.publish.transports.console import connected, console_of
from edgeagent.tools.stores import named

_IN_RUN = Path("/run/edgeagent/console")
"""Where the installed service has it."""
_PATIENCE_S = 15.0
_FUNCTIONS = {"status": "Status.GetRemote", "grant": "Status.GrantRemote", "release": "Status.ReleaseRemote"}


def remote(options: argparse.Namespace) -> bool:
    """Ask or grant, and print who has control then.

    Raises:
        AgentUnreachable, AgentRefused, ConfigError.
    """
    params = {name: value for name in ("machine", "minutes") if (value := getattr(options, name, None)) is not None}
    told = ask(console(options), _FUNCTIONS[options.what], params)
    print(json.dumps(told) if options.json else shown(told))
    return True


def ask(place: Path, function: str, params: dict[str, Any]) -> dict[str, Any]:
    """Call a function of the console.

    Raises:
        AgentUnreachable: no agent answers there, or this user may not ask it. AgentRefused: it refused.
    """
    request = {"jsonrpc": "2.0", "id": 1, "method": function, "params": params}
    try:
        with connected(place, _PATIENCE_S) as client, client.makefile("rwb") as stream:
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            line = stream.readline()
    except PermissionError as error:
        raise AgentUnreachable(f"{place}: this user may not; try sudo, or join the service's group") from error
    except OSError as error:
        reason = error.strerror or error
        raise AgentUnreachable(f"{place}: no agent answers there ({reason}); does it run?") from error
    if not line:
        raise AgentUnreachable(f"{place}: the agent ended the connection")
    answer = json.loads(line)
    if fault := answer.get("error"):
        raise AgentRefused(fault["message"], fault["data"]["kind"], {})
    result: dict[str, Any] = answer["result"]
    return result


def shown(told: dict[str, Any]) -> str:
    """Who has control, in lines for people."""
    lines = [f"{told['machine']} is under {told['control']} control (by {told['by']})"
             + (f" until {told['until']}" if told["until"] else "")]  # fmt: skip
    if told["functions"]:
        lines.append(f"for {', '.join(told['functions'])} only")
    if told["reason"]:
        lines.append(told["reason"])
    if wish := told["pending"]:
        lines.append(f"{wish['by']} asks for {wish['minutes']} min since {wish['at']}: {wish['reason']}")
        lines.append("to grant it: edgeagent remote grant")
    return "\n".join(lines)


def console(options: argparse.Namespace) -> Path:
    """Where the agent whose store the options name has its console."""
    beside = console_of(named(options))
    # The folder of the store is closed to the members of the service's group, who may ask here.
    return _IN_RUN if not os.path.exists(beside) and os.path.exists(_IN_RUN) else beside  # noqa: PTH110
