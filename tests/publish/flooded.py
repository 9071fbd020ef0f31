"""The serving side of a flood as a process of its own: `python -m tests.publish.flooded FOLDER PATIENCE FAREWELL`.

It says its ports; each line on its input is how many events happen next, at 20 events and one telemetry a turn.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from edgeagent.model.samples import MeasuredValue
from tests.publish.serving import STARTED_NS, Served, event, serving

REASON = "x" * 2000


async def flood(served: Served, count: int) -> None:
    for first in range(0, count, 20):
        last = served.journal.append([event("Status.MachineStatusChanged", reason=REASON) for _ in range(20)])
        values = tuple(MeasuredValue(f"zone/{n}", "temperature", first + n, "degC", "good", None) for n in range(20))
        served.delivery.telemetry("RO0001", values, STARTED_NS)
        await served.journal.settled(last)


async def main() -> None:
    patience, farewell = float(sys.argv[2]), float(sys.argv[3])
    async with serving(Path(sys.argv[1]), patience_s=patience, farewell_s=farewell) as served:
        print(served.http_port, served.lines_port, served.journal.stream, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            await flood(served, int(line))
            print(served.journal.committed_sequence, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
