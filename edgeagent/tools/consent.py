"""Asks whoever sits at the terminal before something is changed."""

from __future__ import annotations

import asyncio
import sys

from edgeagent.errors import EdgeAgentError


async def agreed(question: str, stop: asyncio.Event) -> bool:
    """Ask on standard error; whether the answer is yes, and neither `stop` nor the end of the input.

    Raises:
        EdgeAgentError: standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise EdgeAgentError("nobody is there to be asked: say --yes")
    print(question, end=" [y/N] ", file=sys.stderr, flush=True)
    loop, answered = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, answered.set)
    waiting = [asyncio.ensure_future(event.wait()) for event in (answered, stop)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(sys.stdin)
        for future in waiting:
            future.cancel()
    return not stop.is_set() and sys.stdin.readline().strip().lower() in ("y", "yes")
