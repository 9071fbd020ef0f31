"""`edgeagent remote`: its options, and how it begins."""

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


def add_to(add: Add) -> None:
    """Add remote."""
    parser = add("remote", _remote, "tell, grant or take back remote control, on the oven PC", logging.ERROR)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="what",
                                     parser_class=argparse.ArgumentParser)  # fmt: skip
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        which_store(command)
        command.add_argument("--machine", metavar="ID", help="where the agent serves several")
        command.add_argument("--json", action="store_true", help="print one JSON object")
        if name == "grant":
            command.add_argument("--minutes", type=int, metavar="N", help="how long (as was asked, or as configured)")


async def _remote(options: argparse.Namespace, _: asyncio.Event) -> bool:
    from edgeagent.tools.remote import remote  # noqa: PLC0415

    return remote(options)
