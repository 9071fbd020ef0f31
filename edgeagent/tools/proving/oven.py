"""The oven of a proof, a process of its own: it writes down which boards went in and came out, whatever is told."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from edgeagent.clock import Clock
from edgeagent.simulate import TcpServer
from firmware_iface import catalog
from firmware_iface.simulated.conveyor import Board
from firmware_iface.simulated.oven import Oven

BOARD_MM = 300.0
"""Long, so that a start of the agent is shorter than a board's way past a barrier."""

_BEAT_S = 0.02
_LONGEST_WARM_UP_S = 3600.0
_LIMIT, _LIMITS = "oxygen/1/limit", (1000.0, 1001.0)
"""A setting that harms no board: whoever turns it makes an event."""


class Feeding:
    """Lays boards, makes events besides, and writes down what the belt did.

    Attributes:
        every_s: oven seconds from one to the next of each kind of event; 0 makes none: "boards", turns of a "limit",
            "scans" of what is no board.
    """

    def __init__(self, oven: Oven, truth: BinaryIO) -> None:
        self.every_s = {"boards": 0.0, "limit": 0.0, "scans": 0.0}
        self._oven = oven
        self._truth = truth
        self._made = dict.fromkeys(self.every_s, 0)
        self._next_s = dict.fromkeys(self.every_s, 0.0)
        self._told: dict[str, set[int]] = {"in": set(), "out": set()}

    def beat(self) -> None:
        """Do what is due."""
        oven = self._oven
        if self._is_due("boards") and oven.state == "ready":
            oven.insert_board(f"PROOF{self._count('boards'):05d}", BOARD_MM)
        if self._is_due("limit"):
            oven.write(_LIMIT, _LIMITS[self._count("limit") % 2])
        if self._is_due("scans"):
            oven.scans[1] = (oven.scans[1][0] + 1) % 65_536, 1, f"SCAN{self._count('scans'):07d}"
        self._tell("in", (board for board in [*oven.boards, *oven.finished] if board.entered_s is not None))
        self._tell("out", oven.finished)

    def _is_due(self, kind: str) -> bool:
        return self.every_s[kind] > 0 and self._oven.time >= self._next_s[kind]

    def _count(self, kind: str) -> int:
        self._next_s[kind] = self._oven.time + self.every_s[kind]
        self._made[kind] += 1
        return self._made[kind]

    def _tell(self, what: str, boards: Iterable[Board]) -> None:
        new = [board for board in boards if board.number not in self._told[what]]
        for board in new:
            self._told[what].add(board.number)
            at_s = board.entered_s if what == "in" else board.left_s
            self._truth.write(json.dumps({"barcode": board.barcode, "what": what, "at": at_s}).encode() + b"\n")
        if new:
            self._truth.flush()
            os.fsync(self._truth.fileno())


async def serve(file: Path, speed: float, seed: int) -> None:
    """Serve a warm oven until the standard input ends, and obey what is written there, an order a line.

    An order is what `Feeding.every_s` is to be; each is answered with the oven's time and the boards on the belt.
    """
    register_map = catalog.builtin("reflow10")
    oven = Oven(register_map, seed=seed)
    while oven.state != "ready" and oven.time < _LONGEST_WARM_UP_S:
        oven.advance(1.0)
    server = TcpServer({register_map.device.unit: oven}, Clock(speed))
    port = await server.start()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with file.open("ab") as truth:
        feeding = Feeding(oven, truth)
        obeying = asyncio.create_task(_obey(reader, oven, feeding))
        _say({"port": port})
        while not obeying.done():
            feeding.beat()
            await asyncio.sleep(_BEAT_S)
    await server.stop()


async def _obey(reader: asyncio.StreamReader, oven: Oven, feeding: Feeding) -> None:
    async for line in reader:
        feeding.every_s |= json.loads(line)
        _say({"time": oven.time, "boards": [[board.barcode, board.place_mm] for board in oven.boards]})


def _say(told: dict[str, Any]) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
