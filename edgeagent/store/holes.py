"""What is told of the numbers between the events that can still be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgeagent.model.events import GapRange, Kind
from edgeagent.store.gone import lowest


def ranges(first: int, last: int, kept: Sequence[int], gone: Mapping[Kind, int], missing: int) -> list[GapRange]:
    """Make the gaps of a span, in order: one between two events, or more where some of it is unknown.

    Args:
        kept: numbers of the events that are told, in order.
        gone: bitmaps of wanted events that are not there any more; the lowest bit is `first`.
        missing: bitmap of the numbers of which nobody knows what they were.
    """
    if not missing and not any(gone.values()):
        return []
    found: list[GapRange] = []
    begin = 0
    for end in (*(sequence - first for sequence in kept), last - first + 1):
        found += _hole(first, begin, end, gone, missing)
        begin = end + 1
    return found


def _hole(first: int, begin: int, end: int, gone: Mapping[Kind, int], missing: int) -> Iterator[GapRange]:
    while begin < end:
        unknown = _within(missing, begin, end)
        until = lowest(unknown) if unknown else end
        yield from _known(first, begin, until, gone)
        if not unknown:
            return
        length = lowest(~(unknown >> until))
        yield GapRange(first + until, first + until + length - 1, length)
        begin = until + length


def _known(first: int, begin: int, end: int, gone: Mapping[Kind, int]) -> Iterator[GapRange]:
    inside = {kind: bits for kind, each in gone.items() if (bits := _within(each, begin, end))}
    if inside:
        low = min(map(lowest, inside.values()))
        high = max(bits.bit_length() - 1 for bits in inside.values())
        count = sum(bits.bit_count() for bits in inside.values())
        yield GapRange(first + low, first + high, count, tuple(sorted({topic for _, topic in inside})))


def _within(bits: int, begin: int, end: int) -> int:
    return bits & ((1 << end) - (1 << begin))
