"""History as a client reads it: of values over the rows that the agent has, of events from its journal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import Node, ua

from edgeagent.publish.opcua import event_history
from edgeagent.publish.opcua.port import HistoricRow
from edgeagent.publish.opcua.times import ns, when
from tests.publish.opcua.fakes import NOW_NS
from tests.publish.opcua.ovens import Body, Oven, refuse

At = Callable[[Body], None]
PATH = "RO0001/zone/1/top/temperature"
STEP_NS = 100_000_001
"""Beats are never at whole microseconds."""


def time(row: int) -> datetime:
    """When a row was measured, as a client sees it."""
    return when(NOW_NS + row * STEP_NS)


async def fill(oven: Oven, rows: int = 2500) -> None:
    """Rows in which the value is the row's number; one of ten is uncertain, one of a hundred bad."""
    [machine] = oven.port.machines
    column = next(point.index for point in machine.points if f"RO0001/{point.path}" == PATH)
    place = machine.historic.index(column)
    width = len(machine.historic)

    def row(number: int) -> HistoricRow:
        is_bad = number % 100 == 50
        values = [None if is_bad or each != place else float(number) for each in range(width)]
        quality = 3 if is_bad else 1 if number % 10 == 5 else 0
        return HistoricRow(NOW_NS + number * STEP_NS, tuple(values), (quality,) * width)

    oven.port.rows["RO0001"] = [row(number) for number in range(rows)]


async def read(
    node: Node, start: datetime | None, end: datetime | None, most: int = 0, point: bytes | None = None,
    bounds: bool = False,
) -> ua.HistoryReadResult:  # fmt: skip
    epoch = ua.get_win_epoch()
    details = ua.ReadRawModifiedDetails(
        IsReadModified=False, StartTime=start or epoch, EndTime=end or epoch, NumValuesPerNode=most, ReturnBounds=bounds
    )
    return await _asked(node, details, point)


async def _asked(node: Node, details: Any, point: bytes | None = None) -> ua.HistoryReadResult:
    value = ua.HistoryReadValueId(NodeId=node.nodeid, ContinuationPoint=point)
    asked = ua.HistoryReadParameters(details, ReleaseContinuationPoints=False, NodesToRead=[value])
    [result] = await node.session.history_read(asked)
    return result


def values(result: ua.HistoryReadResult) -> list[Any]:
    return [each.Value.Value for each in result.HistoryData.DataValues]


def test_measured_values_say_that_they_have_a_history_and_others_that_they_have_none(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        [machine] = oven.port.machines
        for point in machine.points:
            node = oven.node(f"RO0001/{point.path}")
            is_historic = point.index in machine.historic
            assert (await node.read_attribute(ua.AttributeIds.Historizing)).Value.Value is is_historic
            assert (ua.AccessLevel.HistoryRead in await node.get_access_level()) is is_historic

    at_oven(body)


def test_rows_are_read_with_their_times_and_qualities_both_ends_included(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        await fill(oven)
        result = await read(oven.node(PATH), time(44), time(51))
        assert values(result) == [44.0, 45.0, 46.0, 47.0, 48.0, 49.0, None, 51.0]
        told = result.HistoryData.DataValues
        assert [each.SourceTimestamp for each in told] == [time(row) for row in range(44, 52)]
        assert [each.StatusCode.name for each in told[:2]] == ["Good", "Uncertain"]
        assert told[6].StatusCode.name == "Bad"
        assert result.ContinuationPoint is None

    at_oven(body)


def test_rows_are_read_newest_first_where_the_start_is_after_the_end(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        await fill(oven)
        assert values(await read(oven.node(PATH), time(4), time(1))) == [4.0, 3.0, 2.0, 1.0]

    at_oven(body)


@pytest.mark.parametrize(("start", "end", "expected"), [
    (time(7), None, [7.0, 8.0, 9.0]), (None, time(9), [9.0, 8.0, 7.0])])  # fmt: skip
def test_one_time_and_a_number_are_enough(at_oven: At, start: Any, end: Any, expected: list[float]) -> None:
    async def body(oven: Oven) -> None:
        await fill(oven)
        assert values(await read(oven.node(PATH), start, end, 3)) == expected

    at_oven(body)


@pytest.mark.parametrize(("first", "last"), [(0, 2499), (2499, 0)])
@pytest.mark.parametrize("most", [0, 700])
def test_everything_is_read_page_by_page_and_nothing_twice(at_oven: At, first: int, last: int, most: int) -> None:
    async def body(oven: Oven) -> None:
        await fill(oven)
        point, found, pages = None, [], 0
        while point is not None or not pages:
            result = await read(oven.node(PATH), time(first), time(last), most, point)
            found += [each.SourceTimestamp for each in result.HistoryData.DataValues]
            point, pages = result.ContinuationPoint, pages + 1
            assert len(result.HistoryData.DataValues) <= (most or 999)
        rows = range(2500) if first < last else range(2499, -1, -1)
        assert found == [time(row) for row in rows]
        assert pages == (4 if most else 3)

    at_oven(body)


def test_a_continuation_point_that_is_none_of_ours_is_refused(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        await fill(oven)
        point = (await read(oven.node(PATH), time(0), time(2000), 10)).ContinuationPoint
        assert len(point) < 200
        changed = bytes([point[0] ^ 1]) + point[1:]
        for node, wrong in ((PATH, b"x"), (PATH, changed), (PATH, b"\0" * 64), (PATH.replace("top", "bottom"), point)):
            result = await read(oven.node(node), time(0), time(2000), 10, wrong)
            assert result.StatusCode.name == "BadContinuationPointInvalid"

    at_oven(body)


@pytest.mark.parametrize(("start", "end", "most"), [
    (None, None, 0), (None, None, 5), (time(0), None, 0), (None, time(0), 0)])  # fmt: skip
def test_too_little_is_refused(at_oven: At, start: Any, end: Any, most: int) -> None:
    async def body(oven: Oven) -> None:
        result = await read(oven.node(PATH), start, end, most)
        assert result.StatusCode.name == "BadInvalidTimestampArgument"

    at_oven(body)


def test_bounds_say_where_nothing_was_measured(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        await fill(oven, 3)
        before, after = time(0) - timedelta(seconds=1), time(2) + timedelta(seconds=1)
        told = (await read(oven.node(PATH), before, after, bounds=True)).HistoryData.DataValues
        assert [each.StatusCode.name for each in told] == [
            "BadBoundNotFound", "Good", "Good", "Good", "BadBoundNotFound"]  # fmt: skip
        assert (told[0].SourceTimestamp, told[-1].SourceTimestamp) == (before, after)
        assert len(values(await read(oven.node(PATH), time(0), time(2), bounds=True))) == 3
        point, paged = None, []
        while point is not None or not paged:
            result = await read(oven.node(PATH), before, after, 2, point, bounds=True)
            paged.append([each.SourceTimestamp for each in result.HistoryData.DataValues])
            point = result.ContinuationPoint
        assert paged == [[before, time(0)], [time(1), time(2)], [after]]

    at_oven(body)


def test_a_time_without_rows_is_answered_so(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        await fill(oven)
        result = await read(oven.node(PATH), time(-100), time(-50))
        assert (result.StatusCode.name, values(result)) == ("GoodNoData", [])

    at_oven(body)


@pytest.mark.parametrize("key", ["RO0001/hood/closed", "RO0001/status/State", "RO0001"])
def test_what_has_no_history_says_so(at_oven: At, key: str) -> None:
    async def body(oven: Oven) -> None:
        assert (await read(oven.node(key), time(0), time(9))).StatusCode.name == "BadHistoryOperationUnsupported"

    at_oven(body)


def test_modified_and_processed_values_are_refused(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        modified = ua.ReadRawModifiedDetails(IsReadModified=True)
        for details in (modified, ua.ReadAtTimeDetails(), ua.ReadProcessedDetails()):
            assert (await _asked(oven.node(PATH), details)).StatusCode.name == "BadHistoryOperationUnsupported"

    at_oven(body)


def test_the_server_says_what_can_be_done_with_its_history(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        capabilities = oven.client.get_node(ua.NodeId(ua.ObjectIds.HistoryServerCapabilities))
        its = await capabilities.get_properties()
        told = {(await each.read_browse_name()).Name: await each.read_value() for each in its}
        assert (told.pop("MaxReturnDataValues"), told.pop("MaxReturnEventValues")) == (999, 999)
        assert {name for name, can in told.items() if can} == {
            "AccessHistoryDataCapability", "AccessHistoryEventsCapability"}  # fmt: skip
        assert None not in told.values()

    at_oven(body)


# Events

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)


def stamp(second: int) -> str:
    return (BEGIN + timedelta(seconds=second)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def at(second: int) -> datetime:
    return BEGIN + timedelta(seconds=second)


async def happen(oven: Oven, number: int = 250) -> None:
    """An event a second: every tenth a recipe, the others of the control state; nothing where they are there."""
    if oven.journal:
        return
    for second in range(number):
        topic = "Recipe.Started" if second % 10 == 0 else "Status.ControlChanged"
        await oven.tell(topic, time=stamp(second))


def chosen(*types: ua.NodeId) -> ua.EventFilter:
    base = ua.NodeId(ua.ObjectIds.BaseEventType)
    clauses = [
        ua.SimpleAttributeOperand(base, [ua.QualifiedName(name)], ua.AttributeIds.Value)
        for name in ("Time", "EventId", "EventType", "Sequence")
    ]
    its = ua.EventFilter(SelectClauses=clauses)
    if types:
        operand = ua.LiteralOperand(Value=ua.Variant(types[0], ua.VariantType.NodeId))
        its.WhereClause.Elements = [ua.ContentFilterElement(ua.FilterOperator.OfType, [operand])]
    return its


async def events(
    node: Node, start: datetime | None, end: datetime | None, most: int = 0, wanted: ua.EventFilter | None = None,
    point: bytes | None = None,
) -> ua.HistoryReadResult:  # fmt: skip
    epoch = ua.get_win_epoch()
    return await _asked(node, ua.ReadEventDetails(most, start or epoch, end or epoch, wanted or chosen()), point)


def seconds(result: ua.HistoryReadResult) -> list[int]:
    return [(each.EventFields[0].Value - BEGIN) // timedelta(seconds=1) for each in result.HistoryData.Events]


@pytest.mark.parametrize(("start", "end", "most", "expected"), [
    (at(5), at(8), 0, [5, 6, 7, 8]), (at(8), at(5), 0, [8, 7, 6, 5]), (at(240), None, 3, [240, 241, 242]),
    (None, at(9), 3, [9, 8, 7]), (at(-10), at(2), 0, [0, 1, 2]), (at(248), at(900), 0, [248, 249]),
    (at(900), at(248), 0, [249, 248]), (at(300), at(400), 0, []),
])  # fmt: skip
def test_events_of_the_journal_are_read_by_time(
    at_oven: At, start: Any, end: Any, most: int, expected: list[int]
) -> None:
    async def body(oven: Oven) -> None:
        await happen(oven)
        for node in (oven.client.nodes.server, oven.node("RO0001")):
            result = await events(node, start, end, most)
            assert seconds(result) == expected
            assert result.StatusCode.name == ("Good" if expected else "GoodNoData")

    at_oven(body)


@pytest.mark.parametrize(("first", "last"), [(0, 249), (249, 0)])
@pytest.mark.parametrize("most", [0, 60])
def test_all_events_are_read_page_by_page_and_none_twice(
    at_oven: At, monkeypatch: pytest.MonkeyPatch, first: int, last: int, most: int
) -> None:
    monkeypatch.setattr(event_history, "_PAGE", 20)
    monkeypatch.setattr(event_history, "_MOST_PAGES", 4)

    async def body(oven: Oven) -> None:
        await happen(oven)
        point, found, pages = None, [], 0
        while point is not None or not pages:
            result = await events(oven.node("RO0001"), at(first), at(last), most, point=point)
            found += seconds(result)
            point, pages = result.ContinuationPoint, pages + 1
        assert found == (list(range(250)) if first < last else list(range(249, -1, -1)))
        assert pages >= 4

    at_oven(body)


def test_a_filter_chooses_events_of_the_past_too(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        await happen(oven)
        wanted = chosen(oven.type("RecipeStartedEventType").nodeid)
        assert seconds(await events(oven.client.nodes.server, at(0), at(35), wanted=wanted)) == [0, 10, 20, 30]

    at_oven(body)


def test_a_filter_of_the_past_that_would_take_too_long_is_refused(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        await happen(oven)
        leaf = ua.ContentFilterElement(ua.FilterOperator.IsNull, [ua.LiteralOperand(ua.Variant(1))])
        doubling = [
            ua.ContentFilterElement(ua.FilterOperator.Or, [ua.ElementOperand(index + 1)] * 2) for index in range(10)
        ]
        for wanted in (
            ua.EventFilter(chosen().SelectClauses, ua.ContentFilter([*doubling, leaf])), ua.EventFilter(),
        ):  # fmt: skip
            result = await events(oven.client.nodes.server, at(0), at(1), wanted=wanted)
            assert result.StatusCode.name == "BadEventFilterInvalid"

    at_oven(body)


def test_events_of_the_past_are_read_with_the_rights_of_who_asks(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        await happen(oven)
        oven.port.asked.clear()
        await events(oven.client.nodes.server, at(0), at(5))
        assert {session for _, _, session in oven.port.asked} == {oven.session}
        answer, oven.port.answers["Event.Read"] = oven.port.answers["Event.Read"], refuse("forbidden")
        assert (await events(oven.client.nodes.server, at(0), at(5))).StatusCode.name == "BadUserAccessDenied"
        oven.port.answers["Event.Read"] = answer
        oven.session = None
        assert (await events(oven.client.nodes.server, at(0), at(5))).StatusCode.name == "BadUserAccessDenied"

    at_oven(body)


def test_what_tells_no_events_has_no_history_of_them(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        result = await events(oven.node("RO0001/boards"), at(0), at(5))
        assert result.StatusCode.name == "BadHistoryOperationUnsupported"

    at_oven(body)


def test_a_time_keeps_its_microseconds_both_ways() -> None:
    assert ns(when(1_795_298_000_123_456_789)) == 1_795_298_000_123_456_000
