"""Live values: each change written once, with what its quality is in OPC UA and when it was measured."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from asyncua import ua
from asyncua.server.address_space import AttributeValue

from edgeagent.model.points import Point, Quality
from edgeagent.publish.opcua.port import Change, Shown
from edgeagent.publish.opcua.times import when

_AT_ONCE = 20
"""Values that are written before others may go on: each goes to every client that monitors it."""

_LOWEST, _HIGHEST = -(2**31), 2**31 - 1
"""Of an Int32."""

_STATUS = {
    Quality.GOOD: ua.StatusCodes.Good,
    Quality.UNCERTAIN: ua.StatusCodes.Uncertain,
    Quality.STALE: ua.StatusCodes.UncertainLastUsableValue,
    Quality.BAD: ua.StatusCodes.Bad,
}

_log = logging.getLogger(__name__)


def status(quality: int, has_value: bool, is_measured: bool = True) -> ua.StatusCode:
    """What a quality is in OPC UA; whatever has no value is bad."""
    code = _STATUS[Quality(quality)] if has_value else ua.StatusCodes.Bad
    return ua.StatusCode(ua.UInt32(code if is_measured else ua.StatusCodes.BadWaitingForInitialData))


def variant_type(point: Point) -> ua.VariantType:
    """The type of a point's value: of whole numbers Int32, where its range says that they fit."""
    if point.is_text:
        return ua.VariantType.String
    if point.is_bit:
        return ua.VariantType.Boolean
    fits = all(limit is not None and _LOWEST <= limit <= _HIGHEST for limit in (point.low, point.high))
    return ua.VariantType.Int32 if point.decimals == 0 and fits else ua.VariantType.Double


def data_value(point: Point, value: Shown, quality: int, time_ns: int, now: datetime | None = None) -> ua.DataValue:
    """One value as it is sent; null where it is bad, without a time where it was never measured."""
    code = status(quality, value is not None, bool(time_ns))
    measured = when(time_ns) if time_ns else None
    return stamped(_NULL if code.is_bad() else variant(point, value), code, measured, now)


def stamped(
    value: ua.Variant, code: ua.StatusCode, source: datetime | None, server: datetime | None
) -> ua.DataValue:  # fmt: skip
    """A value with its times."""
    return ua.DataValue(value, code, source, server)  # type: ignore[arg-type]  # asyncua's DateTime is a datetime


def variant(point: Point, value: Shown) -> ua.Variant:
    """A value in its point's type."""
    kind = variant_type(point)
    if kind is ua.VariantType.Double:
        value = float(value)  # type: ignore[arg-type]
    return ua.Variant(value, kind)


_NULL = ua.Variant()
_BAD = ua.StatusCode(ua.UInt32(ua.StatusCodes.Bad))


async def put(place: AttributeValue, value: ua.DataValue) -> None:
    """Write a value that nobody changes afterwards, and tell whoever monitors it."""
    place.value = value
    for handle, tell in tuple(place.datachange_callbacks.items()):
        if handle in place.datachange_callbacks:
            try:
                await tell(handle, value)
            except Exception:  # noqa: BLE001  a client whose subscription just ended must not keep the value from the others
                _log.exception("a value could not be told to a subscription")


class Values:
    """Writes what changed, on the loop, and lets others go on in between; of each value the newest alone."""

    def __init__(self) -> None:
        self._points: dict[str, tuple[Sequence[Point], Sequence[AttributeValue]]] = {}
        self._told: dict[str, dict[int, Change]] = {}
        self._waiting: dict[str, set[int]] = {}
        self._is_in_doubt = False
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def add(self, machine: str, points: Sequence[Point], places: Sequence[AttributeValue]) -> None:
        """Know where the values of a machine are; the index of both is the column."""
        self._points[machine] = points, places
        self._told[machine] = {}
        self._waiting[machine] = set()

    def take(self, machine: str, changes: Iterable[Change]) -> None:
        """Take changes, to be written soon."""
        told, waiting = self._told[machine], self._waiting[machine]
        for change in changes:
            told[change[0]] = change
            waiting.add(change[0])
        self._wake()

    def doubt(self, is_in_doubt: bool) -> None:
        """While nobody knows whether the agent still tells what changes, no value is better than stale."""
        if is_in_doubt != self._is_in_doubt:
            self._is_in_doubt = is_in_doubt
            for machine, told in self._told.items():
                self._waiting[machine] |= told.keys()
            self._wake()

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write(), name="OPC UA values")

    async def stop(self) -> None:
        """Write nothing any more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def written(self) -> None:
        """Wait until nothing waits to be written."""
        await self._idle.wait()

    def _wake(self) -> None:
        self._news.set()
        self._idle.clear()

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            for machine, waiting in self._waiting.items():
                self._waiting[machine] = set()
                await self._write_all(machine, waiting)
            if not self._news.is_set():
                self._idle.set()

    async def _write_all(self, machine: str, columns: Iterable[int]) -> None:
        now = datetime.now(UTC)
        (points, places), told = self._points[machine], self._told[machine]
        for number, column in enumerate(columns, start=1):
            _, value, quality, time_ns = told[column]
            if self._is_in_doubt:
                quality = max(quality, Quality.STALE)
            try:
                made = data_value(points[column], value, quality, time_ns, now)
            except Exception:  # noqa: BLE001  supervised: what cannot be shown is bad, and keeps no other value back
                _log.exception("%s/%s cannot be shown as %r", machine, points[column].path, value)
                made = stamped(_NULL, _BAD, None, now)
            await put(places[column], made)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
