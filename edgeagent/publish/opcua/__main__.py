"""The OPC UA process: it has a socket to the agent, serves what it is told there, and ends when the agent is gone."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from edgeagent._core import kernel
from edgeagent.publish.opcua.link import AgentLink
from edgeagent.publish.opcua.spared import spare

_REPORT_S = 1.0

_MORE_LIKELY_KILLED = "500"
"""Where memory runs out, this process goes before the agent does."""


def main() -> int:
    """Serve over the inherited socket whose number is the last argument; return the exit code."""
    kernel.end_with_parent()  # one that hangs would keep the port from the next agent
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # systemd sends them to all; it ends with the agent, and after it
    _step_back()
    end = socket.socket(fileno=int(sys.argv[-1]))
    if sys.platform == "win32":
        return asyncio.run(_served(end))
    import uvloop  # noqa: PLC0415

    return uvloop.run(_served(end))


def _step_back() -> None:
    """Let the agent go first, with the processor and with memory; where the service may not say so, it is not said."""
    with suppress(OSError):
        os.nice(5)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_MORE_LIKELY_KILLED)


async def _served(end: socket.socket) -> int:
    try:
        link = await AgentLink.over_socket(end)
    except ConnectionError:
        return 0
    logging.getLogger().handlers[:] = [_ToAgent(link)]
    logging.getLogger().setLevel(link.log_level)
    logging.getLogger("asyncua").setLevel(max(link.log_level, logging.ERROR))
    try:
        return await _serve(link)
    finally:
        logging.getLogger().handlers.clear()
        await link.end()


async def _serve(link: AgentLink) -> int:
    spare()
    # Imported here, so that the agent is told what it says while it is imported.
    from edgeagent.publish.opcua.certificates import Unreadable  # noqa: PLC0415
    from edgeagent.publish.opcua.serving import Serving  # noqa: PLC0415

    serving = Serving(link)
    try:
        endpoint = await serving.start()
    except OSError as error:
        link.failed(f"cannot listen at {link.settings.host}:{link.settings.port}: {error.strerror or error}")
        return 1
    except Unreadable as error:
        link.failed(str(error))
        return 1
    gc.collect()
    gc.freeze()  # what is there now stays
    kernel.give_back()
    link.listening(endpoint)
    try:
        while not link.over.done():
            link.report(serving.load())
            await asyncio.wait((link.over,), timeout=_REPORT_S)
    finally:
        await serving.stop()
    return 0


class _ToAgent(logging.Handler):
    """Lets the agent log what is logged here: it has one log, and keeps floods out of it."""

    def __init__(self, link: AgentLink) -> None:
        super().__init__()
        self._link = link
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Send it."""
        try:
            self._link.log(record.levelno, record.name, self.format(record))
        except Exception:  # noqa: BLE001  a message that cannot be written must not end what wrote it
            self.handleError(record)


if __name__ == "__main__":
    sys.exit(main())
