"""The last bytes of each wire, kept in memory for whoever has to find out what a device said."""

from __future__ import annotations

import struct
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeagent.acquire.serial_port import Tap

MOST_BYTES = 64 << 10
"""Of each wire, with what keeping a frame costs."""
MOST_TOGETHER = 2 << 20
"""Of all wires: where there are many, each has its share."""

_HEAD = struct.Struct("<q?")
_COST = 64
"""Bytes of memory that a kept frame needs beside its own, about."""


class Frame(NamedTuple):
    """Bytes that passed at a wall time (ns)."""

    wall_ns: int
    is_sent: bool
    data: bytes


class _Wire:
    __slots__ = ("frames", "held")

    def __init__(self) -> None:
        self.frames = deque[bytes]()
        self.held = 0


class LastFrames:
    """The newest frames of every wire; on the event loop only.

    Args:
        wall_ns: the time.
    """

    def __init__(self, wall_ns: Callable[[], int]) -> None:
        self._wall_ns = wall_ns
        self._wires: dict[str, _Wire] = {}

    def tap(self, wire: str) -> Tap:
        """Make what is called with every byte that passes on a wire."""
        return partial(self._keep, self._wires.setdefault(wire, _Wire()))

    def _keep(self, wire: _Wire, is_sent: bool, data: bytes) -> None:
        if not data:
            return
        most = min(MOST_BYTES, MOST_TOGETHER // len(self._wires))
        frame = _HEAD.pack(self._wall_ns(), is_sent) + data[-most // 2:]
        wire.frames.append(frame)
        wire.held += len(frame) + _COST
        while wire.held > most:
            wire.held -= len(wire.frames.popleft()) + _COST

    def frames(self) -> dict[str, list[Frame]]:
        """Wire → its frames, oldest first."""
        return {name: [_read(frame) for frame in wire.frames] for name, wire in self._wires.items()}


def _read(frame: bytes) -> Frame:
    wall_ns, is_sent = _HEAD.unpack_from(frame)
    return Frame(wall_ns, is_sent, frame[_HEAD.size:])
