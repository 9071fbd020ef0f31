"""Tasks that run for ever, and how they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edgeagent.errors import EdgeAgentError

_RESTART_S = 1.0

_log = logging.getLogger(__name__)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task until it ends: pymodbus's `wait_for` on Python 3.11 loses a cancellation that meets an answer."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=0.2)


async def supervised(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a task for ever; what it did not foresee is logged, and it starts again."""
    while True:
        try:
            await run()
        except EdgeAgentError as error:
            _log.error("%s: %s", name, error)
        except Exception:  # noqa: BLE001  supervised: logged, and it starts again
            _log.exception("%s failed unexpectedly and is started again", name)
        await asyncio.sleep(_RESTART_S)
