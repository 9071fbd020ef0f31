"""A board's trace as it is kept: tenths as integers, packed and compressed, at most 20 KB."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec

from edgeagent.model.boards import BoardTrace

_MOST_BYTES = 20_000
_HIGHEST = 1e15
"""Beyond it, as for NaN, there is no value: hundredths must fit 64 bits."""


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    hundredths: list[int]
    estimated: list[int | None]
    zones: dict[str, list[int | None]]


_decoder = msgspec.msgpack.Decoder(_Packed)


def check(trace: BoardTrace) -> None:
    """Raise ValueError when the trace's lists differ in length or a time is no number."""
    for name, values in (("estimated", trace.estimated), *trace.zones.items()):
        if len(values) != len(trace.seconds):
            raise ValueError(f"trace of board {trace.id}: {len(values)} values of {name}, {len(trace.seconds)} times")
    if not all(abs(second) < _HIGHEST for second in trace.seconds):
        raise ValueError(f"trace of board {trace.id}: a time that is not a number of seconds")


def pack(trace: BoardTrace) -> bytes:
    """Pack a trace into at most 20 KB, thinned evenly until it fits: times to 0.01 s, values to 0.1."""
    # A compressed value takes about a byte, so the first attempt mostly fits and bounds the work.
    points = max(2, _MOST_BYTES // (len(trace.zones) + 2))
    while True:
        thin = thinned(trace, points)
        packed = _Packed(
            [round(second * 100) for second in thin.seconds],
            _tenths(thin.estimated),
            {name: _tenths(values) for name, values in thin.zones.items()},
        )
        body = zlib.compress(msgspec.msgpack.encode(packed))
        if len(body) <= _MOST_BYTES or points <= 2:
            return body
        points = max(2, min(points, len(thin.seconds)) * 3 // 4)


def unpack(id: str, body: bytes) -> BoardTrace:  # noqa: A002
    """Read back what `pack` made."""
    packed = _decoder.decode(zlib.decompress(body))
    zones = {name: _degrees(values) for name, values in packed.zones.items()}
    return BoardTrace(id, [second / 100 for second in packed.hundredths], _degrees(packed.estimated), zones)


def thinned(trace: BoardTrace, most: int) -> BoardTrace:
    """Keep at most `most` points (2 or more) evenly, the first and the last among them."""
    count = len(trace.seconds)
    if count <= most:
        return trace
    places = [i * (count - 1) // (most - 1) for i in range(most)]
    zones = {name: [values[i] for i in places] for name, values in trace.zones.items()}
    return BoardTrace(trace.id, [trace.seconds[i] for i in places], [trace.estimated[i] for i in places], zones)


def _tenths(values: Sequence[float | None]) -> list[int | None]:
    return [round(value * 10) if value is not None and abs(value) < _HIGHEST else None for value in values]


def _degrees(values: Sequence[int | None]) -> list[float | None]:
    return [None if value is None else value / 10 for value in values]
