"""`edgeagent push`: how events reach the MES, asked and helped on the oven PC over the agent's console."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from edgeagent.tools import tables
from edgeagent.tools.console import ask, console
from edgeagent.tools.stores import named

_FUNCTIONS = {"status": "Push.Status", "retry": "Push.Retry", "skip": "Push.Skip"}


def push(options: argparse.Namespace) -> bool:
    """Ask, and print how the targets stand then; says whether none is stopped.

    Raises:
        AgentUnreachable, AgentRefused, ConfigError.
    """
    names = ("target", "sequence", "reason", "all")
    params = {name: value for name in names if (value := getattr(options, name, None)) not in (None, False)}
    told = ask(console(named(options)), _FUNCTIONS[options.what], params)
    if options.json:
        print(json.dumps(told))
    else:
        print("\n".join(shown(told, tables.width())))
    return options.what != "status" or not any(target["state"] == "stopped" for target in told["targets"])


def shown(told: dict[str, Any], width: int | None) -> Iterator[str]:
    """How targets stand, in lines for people."""
    if not told["targets"]:
        yield "events are pushed nowhere; add [[openapps.push]] to the configuration"
    for target in told["targets"]:
        yield from _target(target, width)


def _target(it: dict[str, Any], width: int | None) -> Iterator[str]:
    yield tables.printable(f"{it['target']} ({it['url']}) is {it['state']} since {tables.local(it['since'])}")
    if it["reason"]:
        yield f"  why: {tables.printable(it['reason'])}"
    if it["state"] == "stopped":
        yield f"  {_next_try(it)}"
    behind = f"  {it['lag']} events are not delivered" if it["lag"] else "  everything is delivered"
    if it["head"]:
        behind += f"; next is event {it['head']}, of {it['lagSeconds']:g} s ago"
    yield f"{behind}; last success: {tables.local(it['lastSuccess']) if it['lastSuccess'] else 'none since the start'}"
    if it["setAsideCount"]:
        count, many = it["setAsideCount"], len(it["setAside"])
        yield f"  {count} set aside{f', the newest {many}' if many < count else ''}:"
        rows = [("event", "topic", "when", "by", "why")]
        rows += [(str(each["sequence"]), each["topic"], tables.local(each["at"]), each["by"],
                  f"{'to be sent again; ' if each['again'] else ''}{each['reason']}") for each in it["setAside"]]
        yield from (f"    {line}" for line in tables.table(rows, width - 4 if width else None, whole=1))
        yield "  to send them again: edgeagent push retry --all, or --sequence N"


def _next_try(it: dict[str, Any]) -> str:
    if it["nextTrySeconds"] is not None:
        return f"tries again in {it['nextTrySeconds']:g} s; at once with edgeagent push retry"
    if it["head"] is not None or it["lag"]:
        return "tries now; edgeagent push status tells what comes of it"
    return "tries again with the next event"
