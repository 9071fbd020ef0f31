"""How much the compiled core gains over plain Python: `python tests/benchmarks/bench_core.py`, ratios of one run."""

from __future__ import annotations

import random
import struct
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from edgeagent._core.capture import Capture
from edgeagent._core.decode import Decoder
from edgeagent._core.ring import Ring
from tests.core.oracles import Oven

POINTS, BOARDS, PERIOD_NS = 64, 20, 100_000_000
LANE = {
    "speed": 0, "millimetres_per_second": 10 / 60, "period_ns": PERIOD_NS, "inlet_mm": 0.0,
    "zones": [(250 + 355.0 * k, 555 + 355.0 * k, k < 9, (1 + 2 * k, 2 + 2 * k)) for k in range(11)],
    "stay": (0, 23, 24, 25), "thermal": (48.53, 78.2, 502.5, 630.3, 22.22, 25.0),
}  # fmt: skip
JUDGED = range(26)
"""Columns of the lane: belt, zones, oxygen."""
ROW = [70.0, *(random.Random(1).uniform(100, 255) for _ in range(POINTS - 1))]
NO_ROWS = array("q"), array("d"), bytearray()


def fastest(run: Callable[[], float], repeats: int = 7) -> float:
    """Least time of several runs, in µs for one unit of work."""
    return min(run() for _ in range(repeats)) * 1e6


def per(count: int, work: Callable[[], object]) -> float:
    """Seconds for one of `count` units that `work` does."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) / count


def a_capture() -> tuple[Capture, Ring]:
    """A lane with boards spread over the tunnel."""
    row = array("d", ROW), bytearray(POINTS)
    capture, ring = Capture(*row, **LANE), Ring(9000, *row, JUDGED)
    for board in range(BOARDS):
        capture.move(capture.enter(0, 160.0, *NO_ROWS), 4200.0 - 200 * board)
    capture.feed(0)
    return capture, ring


def compiled(rows: int = 1000) -> float:
    """Row into the ring and through the boards, one call each."""
    capture, ring = a_capture()
    times = range(PERIOD_NS, (rows + 1) * PERIOD_NS, PERIOD_NS)

    def work() -> None:
        push, feed = ring.push, capture.feed
        for t in times:
            push(t)
            feed(t)

    return per(rows, work)


def compiled_feed(rows: int = 1000) -> float:
    """Through the boards only, one call each."""
    capture, _ = a_capture()
    times = range(PERIOD_NS, (rows + 1) * PERIOD_NS, PERIOD_NS)

    def work() -> None:
        feed = capture.feed
        for t in times:
            feed(t)

    return per(rows, work)


def without_call(rows: int = 1000) -> float:
    """The same boards, rows handed over all at once."""
    capture, _ = a_capture()
    times = array("q", range(PERIOD_NS, (rows + 1) * PERIOD_NS, PERIOD_NS))
    values, quality = array("d", ROW) * rows, bytearray(POINTS * rows)
    return per(rows, lambda: capture.feed_rows(times, values, quality))


def plain(rows: int = 100) -> float:
    """A deque and the oracle."""
    oven, ring, quality = Oven(**LANE), deque(maxlen=9000), bytearray(POINTS)
    for board in range(BOARDS):
        oven.enter(0, 160.0).place = 4200.0 - 200 * board
    oven.feed(0, ROW, quality)

    def work() -> None:
        for n in range(1, rows + 1):
            ring.append((n * PERIOD_NS, tuple(ROW), bytes(quality)))
            oven.feed(n * PERIOD_NS, ROW, quality)

    return per(rows, work)


SCALES = [random.Random(2).choice([0.1, 0.01, 1.0]) for _ in range(125)]
ANSWER = struct.pack(">125h", *(random.Random(3).randrange(-3000, 3000) for _ in range(125)))


def decoded(count: int = 2000) -> float:
    """125 registers with range, sentinel and quality, by the plan."""
    inf = float("inf")
    fields = [(i, "int16", 2 * i, -1, "big", "big", s, 0.0, -inf, inf, (0x8000,), inf) for i, s in enumerate(SCALES)]
    decode = Decoder(fields, 250, array("d", [0.0]) * 125, bytearray(125)).decode
    return per(count, lambda: [decode(ANSWER, 0) for _ in range(count)])


def unpacked(count: int = 2000) -> float:
    """125 registers by struct and one list comprehension, without any check."""
    unpack = struct.Struct(">125h").unpack

    def work() -> None:
        for _ in range(count):
            [raw * scale for raw, scale in zip(unpack(ANSWER), SCALES, strict=True)]

    return per(count, work)


def main() -> None:
    """Print every pair as µs and ratio."""
    ours, beat, loop, oracle, codec, codec_plain = map(
        fastest, (compiled, compiled_feed, without_call, plain, decoded, unpacked))  # fmt: skip
    print(f"{'work':<42}{'µs':>9}  {'baseline':<36}{'µs':>9}{'ratio':>8}")
    for name, value, baseline, other, ratio in (
        (f"row of {POINTS} into ring and {BOARDS} boards", ours, "deque and plain Python", oracle, oracle / ours),
        (f"row through {BOARDS} boards", beat, "the same loop without the call", loop, beat / loop),
        (f"row of {POINTS} into ring and {BOARDS} boards", ours, "the same loop without the call", loop, ours / loop),
        ("125 registers decoded", codec, "struct.unpack and list comprehension", codec_plain, codec_plain / codec),
    ):
        print(f"{name:<42}{value:>9.3f}  {baseline:<36}{other:>9.3f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
