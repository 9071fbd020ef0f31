"""`edgeagent users` and `edgeagent keys`: their options, and how each begins."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeagent.arguments import count
from edgeagent.model.callers import ROLES

if TYPE_CHECKING:
    import asyncio

    from edgeagent.tools.commands import Add

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LONGEST = timedelta(days=3660)


def add_to(add: Add, which_store: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add users and keys.

    Args:
        which_store: lets a parser name the store of an agent.
    """
    users = add("users", _users, "add, list and revoke who may ask the agent; the agent may run", logging.ERROR)
    commands = users.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="what")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
        which_store(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        return parser

    adding = command("add", "add a user and show its token, once")
    adding.add_argument("name", metavar="NAME", help="letters, digits, . _ @ -")
    _rights(adding)
    _token_options(adding)
    adding.add_argument("--certificate", type=Path, metavar="FILE",
                        help="a client certificate (PEM) that shows who it is, in place of a token")
    adding.add_argument("--common-name", metavar="CN",
                        help="any client certificate of client_ca with this name shows who it is, in place of a token")
    command("list", "list the users, what they may, and their tokens")
    revoking = command("revoke", "take everything away from a user, or one token; open connections lose it at once")
    revoking.add_argument("name", metavar="NAME")
    revoking.add_argument("--token", metavar="ID", help="this token only, as `users list` names it")
    granting = command("grant", "let a user have another role, or exactly these functions")
    granting.add_argument("name", metavar="NAME")
    _rights(granting)
    another = command("token", "make another token for a user, so that the old one can be revoked once nobody needs it")
    another.add_argument("name", metavar="NAME")
    _token_options(another)
    keys = add("keys", _keys, "make keys and certificates for a test bench", logging.ERROR)
    making = keys.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="what").add_parser(
        "init", help="make a CA, and a key and certificate of the server", description="make a CA, and a key and "
        "certificate of the server; nothing is ever overwritten")
    making.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="where they go (here)")
    making.add_argument("--name", action="append", default=[], metavar="HOST", dest="names",
                        help="a name or address by which clients call the agent, beside localhost; several times")
    making.add_argument("--client", metavar="NAME", help="make a key and certificate of a client of this name as well")
    making.add_argument("--rsa", action="store_true", help="make RSA keys, for clients that know no others, as Mono")
    making.add_argument("--days", type=count, default=825, metavar="N", help="how long they are good (825)")
    making.add_argument("--json", action="store_true", help="print one JSON object")


def _rights(parser: argparse.ArgumentParser) -> None:
    rights = parser.add_mutually_exclusive_group(required=True)
    rights.add_argument("--role", choices=ROLES, help="each includes the ones before it")
    rights.add_argument("--function", action="append", metavar="F", dest="functions",
                        help="exactly this function, for example Status.PowerOn; several times")


def _token_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--expires", type=lifetime, metavar="TIME", help="the token ends after 90d, 12w or 36h (never)")
    parser.add_argument("--label", default="", metavar="TEXT", help="what the token is for")


def lifetime(text: str) -> timedelta:
    """Read how long something lives: 36h, 90d, 12w; raises ArgumentTypeError."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([hdw])", text)
    life = int(found[1]) * _UNITS[found[2]] if found else _LONGEST * 2
    if life > _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 90d, 12w or 36h, of ten years at most")
    return life


async def _users(options: argparse.Namespace, _: asyncio.Event) -> bool:
    from edgeagent.tools.users import UserCommands  # noqa: PLC0415

    return UserCommands(options).run()


async def _keys(options: argparse.Namespace, _: asyncio.Event) -> bool:
    from edgeagent.tools import keys  # noqa: PLC0415

    make = keys.older if options.rsa else keys.elliptic
    made: dict[str, Any] = keys.init(options.folder, options.names, options.client, options.days, make)
    if options.json:
        import json  # noqa: PLC0415

        print(json.dumps(made))
    else:
        for file, text in made.items():
            print(f"{file}  {text}")
    return True
