"""`edgeagent remote` and `edgeagent push`, which ask over the console: their options, and how they begin."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from edgeagent.tools.keeping import which_store

if TYPE_CHECKING:
    import asyncio

    from edgeagent.tools.commands import Add

_COMMANDS = {
    "status": "tell who has control, and who asks for it",
    "grant": "grant remote control for a while",
    "release": "take remote control back",
}

_PUSH = {
    "status": "tell how each target stands, and which events are set aside",
    "retry": "try at once, or send events once more that are set aside",
    "skip": "set the event aside at which a stopped target stands, so that those after it go on",
}


def add_to(add: Add) -> None:
    """Add remote and push."""
    text = "tell, grant or take back remote control, on the oven PC"
    remote = _below(add("remote", _remote, text, logging.ERROR), _COMMANDS)
    for command in remote.values():
        command.add_argument("--machine", metavar="ID", help="where the agent serves several")
    remote["grant"].add_argument("--minutes", type=int, metavar="N", help="how long (as was asked, or as configured)")

    text = "tell how events reach an MES, try again, pass over one, on the oven PC"
    push = _below(add("push", _push, text, logging.ERROR), _PUSH)
    for command in push.values():
        command.add_argument("--target", metavar="NAME", help="where there are several")
    which = push["retry"].add_mutually_exclusive_group()
    which.add_argument("--sequence", type=int, metavar="N", help="send this event again, which is set aside")
    which.add_argument("--all", action="store_true", help="send all events again that are set aside")
    push["skip"].add_argument("--sequence", type=int, metavar="N", required=True,
                              help="of the event at which it stands, see status")  # fmt: skip
    push["skip"].add_argument("--reason", metavar="TEXT", required=True, help="why, for the audit record")


def _below(parser: argparse.ArgumentParser, texts: dict[str, str]) -> dict[str, argparse.ArgumentParser]:
    """Add the commands below one, each of which finds the console by the store."""
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="what",
                                     parser_class=argparse.ArgumentParser)  # fmt: skip
    below = {name: commands.add_parser(name, help=text, description=text) for name, text in texts.items()}
    for command in below.values():
        which_store(command)
        command.add_argument("--json", action="store_true", help="print one JSON object")
    return below


async def _remote(options: argparse.Namespace, _: asyncio.Event) -> bool:
    from edgeagent.tools.remote import remote  # noqa: PLC0415

    return remote(options)


async def _push(options: argparse.Namespace, _: asyncio.Event) -> bool:
    from edgeagent.tools.push import push  # noqa: PLC0415

    return push(options)
