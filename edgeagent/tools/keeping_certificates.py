"""`edgeagent opcua`: its options, and how it begins."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from edgeagent.tools.commands import Add


def add_to(add: Add, which_store: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add opcua.

    Args:
        which_store: lets a parser name the store of an agent.
    """
    opcua = add("opcua", _run, "list, trust and reject the certificates of OPC UA clients; the agent may run",
                logging.ERROR)  # fmt: skip
    commands = opcua.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="what")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
        which_store(parser)
        parser.add_argument("--folder", type=Path, metavar="DIR",
                            help="where the certificates are (pki beside the store)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        return parser

    command("list", "list the certificates that are trusted, and those that were turned away")
    for name, text in (
        ("trust", "trust a client whose certificate was turned away; it may connect at once"),
        ("reject", "trust a client no longer; its sessions end within seconds"),
    ):
        command(name, text).add_argument("fingerprint", metavar="FINGERPRINT",
                                         help="its beginning is enough, as `edgeagent opcua list` shows it")


async def _run(options: argparse.Namespace, _: asyncio.Event) -> bool:
    from edgeagent.tools.certificates import run  # noqa: PLC0415

    return run(options)
