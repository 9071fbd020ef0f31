"""History as the agent has it: of measured values the rows of the last minutes, of events the journal.

Nothing is kept here. A continuation point holds where to go on, sealed, so that no client can make it grow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import blake2b
from secrets import token_bytes
from typing import Any, NamedTuple

import msgspec
from asyncua import ua

from edgeagent.errors import CommandRefused
from edgeagent.publish.opcua.event_filter import Refused, check_event_filter
from edgeagent.publish.opcua.event_history import EventHistory, Span
from edgeagent.publish.opcua.happenings import wanted_fields
from edgeagent.publish.opcua.methods import STATUS
from edgeagent.publish.opcua.port import AgentPort, HistoricRow, ServedMachine
from edgeagent.publish.opcua.times import given, ns
from edgeagent.publish.opcua.values import data_value, stamped

MOST_VALUES = 999
"""Of one node in an answer: the port gives 1000 rows at once, of which the last one says that there are more."""

_MOST_IN_ALL = 10_000
"""Of all nodes of a request in an answer."""

_REST_NS = 999
"""What a time of a client may leave out: it came from us without what is less than a microsecond."""

_SEAL_BYTES = 16
_ALWAYS_NS = 1 << 62
_C = ua.StatusCodes


class Point(NamedTuple):
    """A value with a history."""

    machine: ServedMachine
    column: int


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """Where to go on: of values a time in ns, of events a sequence; and where it ends."""

    node: str
    next: int
    end_ns: int
    is_backward: bool


_decoder = msgspec.msgpack.Decoder(_Place)


class _Found(NamedTuple):
    """A value of the history, and the time at which one goes on to read it."""

    time_ns: int
    value: ua.DataValue


class _Refused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class History:
    """In place of asyncua's HistoryManager.

    Args:
        point: NodeId → the value whose history it has; None for another node.
        notifier: NodeId → the machines whose events it tells; None for a node that tells none.
        session: the session that asks at this moment, as the agent knows it.
    """

    def __init__(
        self, port: AgentPort, point: Callable[[ua.NodeId], Point | None],
        notifier: Callable[[ua.NodeId], Sequence[str] | None], session: Callable[[], int | None], events: EventHistory,
    ) -> None:  # fmt: skip
        self._port = port
        self._point = point
        self._notifier = notifier
        self._session = session
        self._events = events
        self._key = token_bytes(32)

    async def init(self) -> None:
        """Nothing to begin with."""

    async def stop(self) -> None:
        """Nothing to end."""

    async def read_history(self, params: ua.HistoryReadParameters) -> list[ua.HistoryReadResult]:
        """Answer HistoryRead."""
        if params.ReleaseContinuationPoints:
            return [ua.HistoryReadResult() for _ in params.NodesToRead]
        most = max(1, min(MOST_VALUES, _MOST_IN_ALL // max(1, len(params.NodesToRead))))
        return [await self._read(params.HistoryReadDetails, node, most) for node in params.NodesToRead]

    def update_history(self, params: ua.HistoryUpdateParameters) -> list[ua.HistoryUpdateResult]:
        """Refuse: what was measured stays."""
        refused = ua.StatusCode(ua.UInt32(_C.BadHistoryOperationUnsupported))
        return [ua.HistoryUpdateResult(refused) for _ in params.HistoryUpdateDetails]

    async def _read(self, details: Any, node: ua.HistoryReadValueId, most: int) -> ua.HistoryReadResult:
        try:
            if isinstance(details, ua.ReadRawModifiedDetails) and not details.IsReadModified:
                return await self._read_values(details, node, most)
            if isinstance(details, ua.ReadEventDetails):
                return await self._read_events(details, node, most)
            return _failed(_C.BadHistoryOperationUnsupported)
        except _Refused as refused:
            return _failed(refused.status)
        except CommandRefused as refused:
            return _failed(STATUS.get(refused.kind, _C.BadInternalError))

    async def _read_values(
        self, details: ua.ReadRawModifiedDetails, node: ua.HistoryReadValueId, most: int
    ) -> ua.HistoryReadResult:  # fmt: skip
        its = self._point(node.NodeId)
        if its is None:
            raise _Refused(_C.BadHistoryOperationUnsupported)
        is_first = not node.ContinuationPoint
        place = self._begin(details, node, details.NumValuesPerNode)
        wanted = min(details.NumValuesPerNode or most, most)
        rows = await self._port.history(its.machine.id, (its.column,), place.next, place.end_ns, wanted + 1)
        found = [_Found(row.time_ns, _historic(its, row)) for row in rows]
        if details.ReturnBounds:
            found = _with_bounds(found, place, details, is_first, is_last=len(rows) <= wanted)
        values, more = [each.value for each in found[:wanted]], found[wanted:]
        point = self._sealed(place, more[0].time_ns) if more else None
        status = _C.Good if values else _C.GoodNoData
        return ua.HistoryReadResult(_status(status), point, ua.HistoryData(DataValues=values))

    async def _read_events(
        self, details: ua.ReadEventDetails, node: ua.HistoryReadValueId, most: int
    ) -> ua.HistoryReadResult:  # fmt: skip
        machines = self._notifier(node.NodeId)
        if machines is None:
            raise _Refused(_C.BadHistoryOperationUnsupported)
        try:
            check_event_filter(details.Filter)
        except Refused:
            raise _Refused(_C.BadEventFilterInvalid) from None
        place = self._begin(details, node, details.NumValuesPerNode, is_time=False)
        wanted = min(details.NumValuesPerNode or most, most)
        since = None if node.ContinuationPoint else self._since(details, place.is_backward)
        span = Span(since, place.next, place.end_ns, place.is_backward)
        found, following = await self._events.read(machines, span, details.Filter, wanted, self._session())
        fields = wanted_fields(details.Filter.SelectClauses)
        lists = [ua.HistoryEventFieldList(EventFields=event.to_event_fields(fields)) for event in found]
        point = None if following is None else self._sealed(place, following)
        status = _C.Good if lists else _C.GoodNoData
        return ua.HistoryReadResult(_status(status), point, ua.HistoryEvent(Events=lists))

    def _begin(
        self, details: Any, node: ua.HistoryReadValueId, number: int, is_time: bool = True
    ) -> _Place:  # fmt: skip
        """Where to read from, and until when; both ends of what is read are included.

        Raises:
            _Refused: neither two times nor one and a number are given; or the continuation point is none of ours.
        """
        name = node.NodeId.to_string()
        if node.ContinuationPoint:
            return self._opened(name, node.ContinuationPoint)
        start, end = given(details.StartTime), given(details.EndTime)
        if (start is None or end is None) and (not number or start is end):
            raise _Refused(_C.BadInvalidTimestampArgument)
        is_backward = start is None or (end is not None and end < start)
        return _Place(name, self._since(details, is_backward) if is_time else 0, _end_ns(start, end), is_backward)

    def _since(self, details: Any, is_backward: bool) -> int:
        start = given(details.StartTime) or given(details.EndTime)
        assert start is not None
        return ns(start) + (_REST_NS if is_backward else 0)

    def _sealed(self, place: _Place, following: int) -> bytes:
        body = msgspec.msgpack.encode(msgspec.structs.replace(place, next=following))
        return self._seal(body) + body

    def _opened(self, node: str, point: bytes) -> _Place:
        body = point[_SEAL_BYTES:]
        if point[:_SEAL_BYTES] == self._seal(body):
            place = _decoder.decode(body)
            if place.node == node:
                return place
        raise _Refused(_C.BadContinuationPointInvalid)

    def _seal(self, body: bytes) -> bytes:
        return blake2b(body, key=self._key, digest_size=_SEAL_BYTES).digest()


def _end_ns(start: datetime | None, end: datetime | None) -> int:
    if start is None:
        return 0
    return _ALWAYS_NS if end is None else ns(end) + (0 if end < start else _REST_NS)


def _historic(its: Point, row: HistoricRow) -> ua.DataValue:
    point = its.machine.points[its.column]
    return data_value(point, row.values[0], row.qualities[0], row.time_ns)


def _with_bounds(
    found: list[_Found], place: _Place, details: ua.ReadRawModifiedDetails, is_first: bool, is_last: bool
) -> list[_Found]:  # fmt: skip
    """Say where nothing was measured at an end of the time that was asked for."""
    start, end = given(details.StartTime), given(details.EndTime)
    if is_first and start is not None and (not found or found[0].value.SourceTimestamp != start):
        found = [_Found(place.next, _not_found(start)), *found]
    if is_last and end is not None and (not found or found[-1].value.SourceTimestamp != end):
        found = [*found, _Found(place.end_ns, _not_found(end))]
    return found


def _not_found(time: datetime) -> ua.DataValue:
    return stamped(ua.Variant(), _status(_C.BadBoundNotFound), time, None)


def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))


def _failed(code: int) -> ua.HistoryReadResult:
    return ua.HistoryReadResult(_status(code))
