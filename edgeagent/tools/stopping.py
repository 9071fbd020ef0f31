"""Work that somebody may stop: what it has done by then is kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def until(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Run a piece of work to its end or until `stop` is set; says whether it came to its end. Raises what it raises."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        while not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=0.2)
    if task.cancelled():
        return False
    task.result()
    return True
