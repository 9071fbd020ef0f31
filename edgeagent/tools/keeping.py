"""The commands about what is kept, the store and the audit record: their options, and how each begins."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from edgeagent.arguments import number
from edgeagent.tools.asking import INSTALLED

if TYPE_CHECKING:
    import asyncio

    from edgeagent.tools.commands import Add

# What a command needs is imported where it begins, so that all the others start without it.


def add_to(add: Add) -> None:
    """Add backup, restore, store and audit."""
    backing = add("backup", _backup, "back up the store; the agent may run", logging.ERROR)
    which_store(backing)
    backing.add_argument("output", type=Path, help="the backup, a new file")
    backing.add_argument("--force", action="store_true", help="replace an earlier backup of this name")
    backing.add_argument("--json", action="store_true", help="say what is in it as one JSON object")
    restoring = add("restore", _restore, "restore the store from a backup; the agent may run", logging.ERROR)
    which_store(restoring)
    restoring.add_argument("backup", type=Path, help="what edgeagent backup wrote, or a store that was put aside")
    restoring.add_argument("--yes", action="store_true", help="do not ask")
    storing = add("store", _store, "tell how much of what the store keeps, and what holds it back", logging.ERROR)
    looking = storing.add_subparsers(dest="what", required=True, metavar="ACTION", parser_class=argparse.ArgumentParser)
    status = looking.add_parser("status", help="sizes, the oldest of each class, consumers; the agent may run")
    which_store(status)
    status.add_argument("--json", action="store_true", help="say it as one JSON object")
    _audit_options(add("audit", _audit, "verify or export the record of who commanded what", logging.ERROR))


def _audit_options(audit: argparse.ArgumentParser) -> None:
    actions = audit.add_subparsers(dest="what", required=True, metavar="ACTION", parser_class=argparse.ArgumentParser)
    verify = actions.add_parser("verify", help="read the whole record; exit code 1 where it is not whole")
    which_store(verify)
    verify.add_argument("--head", type=_head, action="append", default=[], metavar="SEQ:HASH",
                        help="what an earlier verify told: the record must hold it; may be given several times")
    verify.add_argument("--from", dest="first", type=_sequence, default=1, metavar="SEQ", help="begin at this entry")
    verify.add_argument("--json", action="store_true", help="say it as one JSON object")
    export = actions.add_parser("export", help="write entries as lines or as a table")
    which_store(export)
    export.add_argument("--since", type=_instant, metavar="TIME", help="from then on, for example 2026-11-21T06:00:00Z")
    export.add_argument("--until", type=_instant, metavar="TIME", help="before then")
    export.add_argument("--user", metavar="NAME", help="of this caller")
    export.add_argument("--format", choices=("jsonl", "csv"), default="jsonl",
                        help="the lines as they are, which can be verified, or a table (jsonl)")
    export.add_argument("--output", type=Path, metavar="FILE", help="a new file, instead of printing")
    accept = actions.add_parser("accept", help="record that a broken record was looked into, and tell it no more")
    which_store(accept)
    accept.add_argument("--reason", required=True, metavar="TEXT", help="what was found out")


def which_store(parser: argparse.ArgumentParser) -> None:
    """Let the store be named, by itself or by the configuration of its agent."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--config", type=Path, metavar="FILE",
                       help=f"the agent's configuration, which names the store ({INSTALLED})")
    which.add_argument("--store", type=Path, metavar="FILE", help="the store itself")


async def _backup(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    from edgeagent.tools.backup import backup  # noqa: PLC0415

    return await backup(options, stop)


async def _restore(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    from edgeagent.tools.restore import restore  # noqa: PLC0415

    return await restore(options, stop)


async def _store(options: argparse.Namespace, _: asyncio.Event) -> bool:
    from edgeagent.tools.store_status import status  # noqa: PLC0415

    return status(options)


async def _audit(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    from edgeagent.tools.auditing import run  # noqa: PLC0415

    return await run(options, stop)


def _head(text: str) -> object:
    from edgeagent.store.audit.chain import Head  # noqa: PLC0415

    try:
        return Head.of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _sequence(text: str) -> int:
    return round(number(text, int, 1, 1 << 62))


def _instant(text: str) -> int:
    from edgeagent.clock import instant_ns  # noqa: PLC0415

    try:
        return instant_ns(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"write a time like 2026-11-21T21:53:00Z, not {text!r}") from None
