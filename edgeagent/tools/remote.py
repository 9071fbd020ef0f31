"""`edgeagent remote`: who has control of a machine, asked and granted on the oven PC over the agent's console."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edgeagent.tools.console import ask, console
from edgeagent.tools.stores import named

_FUNCTIONS = {"status": "Status.GetRemote", "grant": "Status.GrantRemote", "release": "Status.ReleaseRemote"}


def remote(options: argparse.Namespace) -> bool:
    """Ask or grant, and print who has control then.

    Raises:
        AgentUnreachable, AgentRefused, ConfigError.
    """
    params = {name: value for name in ("machine", "minutes") if (value := getattr(options, name, None)) is not None}
    told = ask(console(named(options)), _FUNCTIONS[options.what], params)
    print(json.dumps(told) if options.json else shown(told))
    return True


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
