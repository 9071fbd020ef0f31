"""Services that common clients use, as a client sees them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from asyncua import Node, ua

from edgeagent.publish.opcua import events
from edgeagent.publish.opcua.happenings import Happening
from edgeagent.publish.opcua.port import Bounds
from edgeagent.publish.opcua.services import reading
from tests.publish.opcua.clients import Wire, activate, connected, create_session
from tests.publish.opcua.conftest import Run, Serve
from tests.publish.opcua.guarded import monitor, read, status, subscribe
from tests.publish.opcua.test_sessions import call, until


async def value_of(wire: Wire, node: Node, part: str | None = None) -> ua.DataValue:
    [value] = (await wire.ask(read(node, part=part))).Results
    return value


def browse(node: Node, most: int) -> ua.BrowseRequest:
    request = ua.BrowseRequest()
    request.Parameters.RequestedMaxReferencesPerNode = most
    wanted = ua.BrowseDescription(node.nodeid, ua.BrowseDirection.Forward)
    wanted.ReferenceTypeId, wanted.IncludeSubtypes = ua.NodeId(ua.ObjectIds.HierarchicalReferences), True
    wanted.ResultMask = 63
    request.Parameters.NodesToBrowse = [wanted]
    return request


def go_on(*points: bytes, release: bool = False) -> ua.BrowseNextRequest:
    request = ua.BrowseNextRequest()
    request.Parameters.ContinuationPoints, request.Parameters.ReleaseContinuationPoints = list(points), release
    return request


def test_browsing_goes_on_where_it_stopped(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(variables=20) as its:
            wire = await its.wire()
            [whole] = (await wire.ask(browse(its.oven, 0))).Results
            assert whole.ContinuationPoint is None
            assert len(whole.References) == 24
            [page] = (await wire.ask(browse(its.oven, 10))).Results
            found = list(page.References)
            assert len(found) == 10
            while page.ContinuationPoint:
                [page] = (await wire.ask(go_on(page.ContinuationPoint))).Parameters.Results
                assert len(page.References) <= 10
                found += page.References
            assert [each.NodeId for each in found] == [each.NodeId for each in whole.References]
            await wire.close()

    run(test())


def test_a_view_that_there_is_not_is_unknown(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            request = browse(its.oven, 0)
            request.Parameters.View.ViewId = its.oven.nodeid
            told = await wire.ask(request)
            assert told.ResponseHeader.ServiceResult.name == "BadViewIdUnknown"
            await wire.close()

    run(test())


def test_an_answer_that_the_session_cannot_take_is_too_large(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(variables=600) as its:
            wire = await its.channel()
            request = create_session(its.application)
            request.Parameters.MaxResponseMessageSize = 8192
            created = (await wire.ask(request)).Parameters
            wire.token = created.AuthenticationToken
            assert isinstance(await wire.ask(activate(wire, its.der, created.ServerNonce)), ua.ActivateSessionResponse)
            told = await wire.ask(browse(its.oven, 0))
            assert told.ResponseHeader.ServiceResult.name == "BadResponseTooLarge"
            [page] = (await wire.ask(browse(its.oven, 10))).Results
            assert len(page.References) == 10
            await wire.close()

    run(test())


def test_a_continuation_point_is_used_once_and_by_its_session_alone(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(variables=20) as its:
            wire, other = await its.wire(), await its.wire()
            [page] = (await wire.ask(browse(its.oven, 5))).Results
            bad = ua.StatusCodes.BadContinuationPointInvalid
            [stolen] = (await other.ask(go_on(page.ContinuationPoint))).Parameters.Results
            assert stolen.StatusCode.value == bad
            [released] = (await wire.ask(go_on(page.ContinuationPoint, release=True))).Parameters.Results
            assert (released.StatusCode.value, released.References) == (0, [])
            [again] = (await wire.ask(go_on(page.ContinuationPoint))).Parameters.Results
            assert again.StatusCode.value == bad
            for each in (wire, other):
                await each.close()

    run(test())


def test_continuation_points_are_bounded_and_the_oldest_gives_way(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(variables=20) as its:
            wire = await its.wire()
            points = [(await wire.ask(browse(its.oven, 5))).Results[0].ContinuationPoint for _ in range(12)]
            told = [(await wire.ask(go_on(point))).Parameters.Results[0].StatusCode.is_good() for point in points]
            assert told == [False] * 2 + [True] * 10
            await wire.close()

    run(test())


def test_a_part_of_an_array_is_read(serve: Serve, run: Run) -> None:
    whole = [float(each) for each in range(10)]

    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            for part, value in {"2": whole[2:3], "1:3": whole[1:4], "8:20": whole[8:], None: whole}.items():
                assert (await value_of(wire, its.profile, part)).Value.Value == value
            await wire.close()

    run(test())


def test_a_wrong_index_range_says_what_is_wrong(serve: Serve, run: Run) -> None:
    invalid, nothing = "BadIndexRangeInvalid", "BadIndexRangeNoData"
    cases = {
        "10": nothing, "3:1": invalid, "1:1": invalid, "a": invalid, "-1": invalid, "1:2,0": nothing,
        "0,0,0,0": invalid, "9" * 40: invalid,
    }  # fmt: skip

    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            for part, told in cases.items():
                value = await value_of(wire, its.profile, part)
                assert value.StatusCode.name == told
                assert value.Value is None or value.Value.Value is None
            await wire.close()

    run(test())


def test_parts_of_texts_and_of_more_dimensions() -> None:
    def part(content: Any, index_range: str) -> Any:
        value = ua.DataValue(ua.Variant(content))
        return reading.shown(value, ua.TimestampsToReturn.Neither, reading.parsed(index_range)).Value.Value

    assert part("Preheat", "0:2") == "Pre"
    assert part([[1, 2, 3], [4, 5, 6]], "0:1,1:2") == [[2, 3], [5, 6]]
    assert part(["SAC305", "SN100C"], "1,0:1") == ["SN"]
    assert part(b"\x01\x02\x03", "1") == b"\x02"


def test_the_timestamps_are_those_that_were_asked_for(serve: Serve, run: Run) -> None:
    kinds = ua.TimestampsToReturn

    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            for stamps in reading.TIMESTAMPS:
                request = read(its.temperature)
                request.Parameters.TimestampsToReturn = stamps
                [value] = (await wire.ask(request)).Results
                assert (value.SourceTimestamp is not None) is (stamps in (kinds.Source, kinds.Both))
                assert (value.ServerTimestamp is not None) is (stamps in (kinds.Server, kinds.Both))
            await wire.close()

    run(test())


@pytest.mark.parametrize("age", [-1.0, float("nan")])
def test_an_age_that_is_none_is_refused(serve: Serve, run: Run, age: float) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            request = read(its.temperature)
            request.Parameters.MaxAge = age
            assert status(await wire.ask(request)) == "BadMaxAgeInvalid"
            await wire.close()

    run(test())


async def next_change(wire: Wire, subscription: int) -> list[ua.MonitoredItemNotification]:
    """The next message's values; keep-alives are passed over."""
    while True:
        published = await wire.ask(ua.PublishRequest())
        assert isinstance(published, ua.PublishResponse), published
        assert published.Parameters.SubscriptionId == subscription
        for each in published.Parameters.NotificationMessage.NotificationData:
            return list(each.MonitoredItems)


def test_a_subscription_tells_changes_of_parts_as_asked_for(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            number = (await wire.ask(subscribe(50))).Parameters.SubscriptionId
            request = monitor(number, its.profile, part="0:1")
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
            await wire.ask(request)
            [first] = await next_change(wire, number)
            assert first.Value.Value.Value == [0.0, 1.0]
            assert (first.Value.ServerTimestamp, first.Value.SourceTimestamp is None) == (None, False)
            await its.profile.write_value([7.0, *range(1, 10)], ua.VariantType.Double)
            [second] = await next_change(wire, number)
            assert second.Value.Value.Value == [7.0, 1.0]
            await its.profile.write_value([7.0, 1.0, 99.0], ua.VariantType.Double)
            await its.profile.write_value([8.0, 1.0, 99.0], ua.VariantType.Double)
            assert [each.Value.Value.Value for each in await next_change(wire, number)] == [[8.0, 1.0]]
            await wire.close()

    run(test())


def test_a_subscription_can_be_modified(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            number = (await wire.ask(subscribe(60_000))).Parameters.SubscriptionId
            await wire.ask(monitor(number, its.temperature))
            await next_change(wire, number)  # the first message is sent at once
            await its.temperature.write_value(241.0)
            request = ua.ModifySubscriptionRequest()
            asked = request.Parameters
            asked.SubscriptionId, asked.RequestedPublishingInterval = number, 100.0
            asked.RequestedLifetimeCount, asked.RequestedMaxKeepAliveCount = 300, 20
            revised = (await wire.ask(request)).Parameters
            assert (revised.RevisedPublishingInterval, revised.RevisedMaxKeepAliveCount) == (100.0, 20)
            assert revised.RevisedLifetimeCount == 300
            [change] = await next_change(wire, number)
            assert change.Value.Value.Value == 241.0
            await wire.close()

    run(test())


def test_intervals_are_revised_to_what_is_served(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            for interval in (-1.0, 0.0, 1.0, 1e12, float("nan"), float("inf")):
                revised = (await wire.ask(subscribe(interval, keep_alive=2**32 - 1, lifetime=0))).Parameters
                assert 50 <= revised.RevisedPublishingInterval <= 15_000
                assert revised.RevisedMaxKeepAliveCount * revised.RevisedPublishingInterval <= 15_000
                assert revised.RevisedLifetimeCount >= 3 * revised.RevisedMaxKeepAliveCount
            await wire.close()

    run(test())


def test_monitored_items_can_be_listed_and_sent_again(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            number = (await wire.ask(subscribe(50))).Parameters.SubscriptionId
            made = await wire.ask(monitor(number, its.temperature, its.profile))
            request = call(ua.ObjectIds.Server, ua.ObjectIds.Server_GetMonitoredItems, number)
            [listed] = (await wire.ask(request)).Results
            numbers, handles = (each.Value for each in listed.OutputArguments)
            assert numbers == [each.MonitoredItemId for each in made.Results]
            assert handles == [0, 1]
            assert len(await next_change(wire, number)) == 2
            [again] = (await wire.ask(call(ua.ObjectIds.Server, ua.ObjectIds.Server_ResendData, number))).Results
            assert again.StatusCode.is_good()
            assert len(await next_change(wire, number)) == 2
            await wire.close()

    run(test())


def test_methods_of_the_server_check_their_arguments(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            for given, told in (((), "BadArgumentsMissing"), ((1, 2), "BadTooManyArguments")):
                request = call(ua.ObjectIds.Server, ua.ObjectIds.Server_GetMonitoredItems, *given)
                assert (await wire.ask(request)).Results[0].StatusCode.name == told
            await wire.close()

    run(test())


def test_the_server_tells_its_state_its_bounds_and_who_uses_it(serve: Serve, run: Run) -> None:
    async def test() -> None:
        bounds = Bounds(operations=321, sessions=7)
        async with serve(bounds=bounds) as its, connected(its.server, its.application) as client:

            async def told(name: str) -> Any:
                return await client.get_node(ua.NodeId(getattr(ua.ObjectIds, f"Server_{name}"))).read_value()

            assert await told("ServerCapabilities_ServerProfileArray") == []
            assert await told("ServerCapabilities_OperationLimits_MaxNodesPerRead") == 321
            assert await told("ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall") == 321
            assert await told("ServerCapabilities_MaxBrowseContinuationPoints") == 10
            assert await told("ServerCapabilities_LocaleIdArray") == ["en"]
            assert await told("ServerStatus_State") == ua.ServerState.Running
            assert await told("ServerStatus_BuildInfo_ProductName") == "edgeagent"
            assert await told("ServerDiagnostics_EnabledFlag") is True
            summary = "ServerDiagnostics_ServerDiagnosticsSummary"
            await until(lambda: its.server._summary._told and its.server._summary._told.CurrentSessionCount)
            whole = await told(summary)
            assert (whole.CurrentSessionCount, whole.CumulatedSessionCount) == (1, 1)

    run(test())


def test_too_many_values_for_their_queue_say_that_some_are_missing(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            number = (await wire.ask(subscribe(100))).Parameters.SubscriptionId
            await wire.ask(monitor(number, its.temperature, queue=3))
            await next_change(wire, number)
            for value in range(6):
                await its.temperature.write_value(float(value))
            changes = await next_change(wire, number)
            assert [each.Value.Value.Value for each in changes] == [3.0, 4.0, 5.0]
            assert [each.Value.StatusCode.value for each in changes] == [0x480, 0, 0]
            await wire.close()

    run(test())


def test_many_values_come_in_several_messages(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(variables=25) as its:
            wire = await its.wire()
            request = subscribe(50)
            request.Parameters.MaxNotificationsPerPublish = 10
            number = (await wire.ask(request)).Parameters.SubscriptionId
            await wire.ask(monitor(number, *its.many))
            sizes = [len(await next_change(wire, number)) for _ in range(3)]
            assert sorted(sizes) == [5, 10, 10]
            await wire.close()

    run(test())


def event_item(subscription: int, where: list[ua.ContentFilterElement], selected: int = 1) -> Any:
    request = monitor(subscription)
    item = ua.MonitoredItemCreateRequest()
    item.ItemToMonitor = ua.ReadValueId(ua.NodeId(ua.ObjectIds.Server), ua.AttributeIds.EventNotifier)
    item.MonitoringMode = ua.MonitoringMode.Reporting
    operand = ua.SimpleAttributeOperand(
        ua.NodeId(ua.ObjectIds.BaseEventType), [ua.QualifiedName("Message")], ua.AttributeIds.Value)
    item.RequestedParameters.Filter = ua.EventFilter([operand] * selected, ua.ContentFilter(where))
    request.Parameters.ItemsToCreate = [item]
    return request


def test_an_item_for_events_keeps_the_names_of_its_fields_alone(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            number = (await wire.ask(subscribe())).Parameters.SubscriptionId
            request = event_item(number, [], 5)
            base, value = ua.NodeId(ua.ObjectIds.BaseEventType), ua.AttributeIds.Value
            names = ["Message", "", "x" * 65, "\u00e9", "ActiveState"]
            clauses = [ua.SimpleAttributeOperand(base, [ua.QualifiedName(name)], value) for name in names]
            request.Parameters.ItemsToCreate[0].RequestedParameters.Filter.SelectClauses = clauses
            [made] = (await wire.ask(request)).Results
            assert made.StatusCode.is_good()
            [item] = its.subscriptions[number].monitored_item_srv._monitored_items.values()
            assert item.filter is None
            assert item.fields == ("Message", "", "", "", "ActiveState")
            await wire.close()

    run(test())


def test_a_subscription_leaves_no_logger_behind(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            before = set(logging.root.manager.loggerDict)
            wire = await its.wire()
            number = (await wire.ask(subscribe())).Parameters.SubscriptionId
            assert number in its.subscriptions
            assert not {each for each in set(logging.root.manager.loggerDict) - before if str(number) in each}
            await wire.close()

    run(test())


def element(*indices: int) -> ua.ContentFilterElement:
    return ua.ContentFilterElement(ua.FilterOperator.And, [ua.ElementOperand(index) for index in indices])


def test_others_go_on_while_many_items_are_told_of_an_event(
    serve: Serve, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    async def test() -> None:
        monkeypatch.setattr(events, "SLICE_S", -1.0)
        async with serve() as its:
            wire = await its.wire()
            number = (await wire.ask(subscribe())).Parameters.SubscriptionId
            for _ in range(10):
                [made] = (await wire.ask(event_item(number, []))).Results
                assert made.StatusCode.is_good()
            happened = Happening([ua.NodeId(ua.ObjectIds.BaseEventType)], {})
            telling = asyncio.ensure_future(events.Events(its.server.iserver.subscription_service).tell(happened))
            rounds = 0
            while not telling.done():
                rounds += 1
                await asyncio.sleep(0)
            await telling
            assert rounds >= 10
            await wire.close()

    run(test())


def negated(index: int) -> ua.ContentFilterElement:
    return ua.ContentFilterElement(ua.FilterOperator.Not, [ua.ElementOperand(index)])


def one_of(value: Any, times: int) -> ua.ContentFilterElement:
    literal = ua.LiteralOperand(ua.Variant(value))
    return ua.ContentFilterElement(ua.FilterOperator.InList, [literal, *[literal] * times])


def test_a_filter_that_would_not_end_is_refused(serve: Serve, run: Run) -> None:
    async def test() -> None:
        leaf = ua.ContentFilterElement(ua.FilterOperator.IsNull, [ua.LiteralOperand(ua.Variant(1))])
        far = ua.SimpleAttributeOperand(
            ua.NodeId(ua.ObjectIds.BaseEventType), [ua.QualifiedName("a")] * 9, ua.AttributeIds.Value)
        cases: dict[str, tuple[list[ua.ContentFilterElement], int]] = {
            "itself": ([element(0, 0)], 1),
            "in a circle": ([element(1, 1), element(0, 0)], 1),
            "beyond": ([element(1, 7), leaf], 1),
            "without end": ([*[element(index + 1, index + 1) for index in range(30)], leaf], 1),
            "nothing": ([], 0),
            "too many": ([], 101),
            "elements that nothing uses": ([leaf] * 101, 1),
            "operands": ([one_of("x", 200)], 1),
            "nested": ([*[negated(index + 1) for index in range(16)], leaf], 1),
            "too few operands": ([element(1), leaf], 1),
            "a long text": ([one_of("x" * 8193, 1)], 1),
            "an array": ([one_of([1.0, 2.0], 1)], 1),
            "a long path": ([ua.ContentFilterElement(ua.FilterOperator.IsNull, [far])], 1),
        }
        async with serve() as its:
            wire = await its.wire()
            number = (await wire.ask(subscribe())).Parameters.SubscriptionId
            for name, (where, selected) in cases.items():
                [told] = (await wire.ask(event_item(number, where, selected))).Results
                assert told.StatusCode.name.startswith("BadMonitoredItemFilter"), name
            request = event_item(number, [])
            request.Parameters.ItemsToCreate[0].RequestedParameters.Filter.SelectClauses = [far]
            [told] = (await wire.ask(request)).Results
            assert told.StatusCode.name == "BadMonitoredItemFilterUnsupported"
            for where in ([element(1, 1), leaf], [one_of(ua.NodeId(2041), 150)]):
                [good] = (await wire.ask(event_item(number, where))).Results
                assert good.StatusCode.is_good(), "as many types as a client of ours names"
            await wire.close()

    run(test())


@pytest.mark.parametrize(
    ("kind", "width", "told"),
    [(ua.DeadbandType.Absolute, 5.0, "Good"), (ua.DeadbandType.Percent, 5.0, "BadMonitoredItemFilterUnsupported"),
     (ua.DeadbandType.Percent, 100.5, "BadDeadbandFilterInvalid"), (7, 5.0, "BadMonitoredItemFilterUnsupported"),
     (ua.DeadbandType.Absolute, float("nan"), "BadDeadbandFilterInvalid")],
)  # fmt: skip
def test_a_deadband_holds_or_is_refused(
    serve: Serve, run: Run, kind: ua.DeadbandType, width: float, told: str
) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            number = (await wire.ask(subscribe(50))).Parameters.SubscriptionId
            request = monitor(number, its.temperature)
            request.Parameters.ItemsToCreate[0].RequestedParameters.Filter = ua.DataChangeFilter(
                ua.DataChangeTrigger.StatusValue, kind, width)
            [made] = (await wire.ask(request)).Results
            assert made.StatusCode.name == told
            if told == "Good":
                await next_change(wire, number)
                for value in (242.0, 244.0, 246.0):  # each within 5 of the one before, the last not of the one told
                    await its.temperature.write_value(value)
                assert [each.Value.Value.Value for each in await next_change(wire, number)] == [246.0]
            await wire.close()

    run(test())


def test_an_items_queue_and_handle_can_be_modified(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            number = (await wire.ask(subscribe(50))).Parameters.SubscriptionId
            [made] = (await wire.ask(monitor(number, its.temperature))).Results
            request = ua.ModifyMonitoredItemsRequest()
            request.Parameters.SubscriptionId = number
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            parameters = ua.MonitoringParameters(ClientHandle=77, QueueSize=10**6)
            request.Parameters.ItemsToModify = [
                ua.MonitoredItemModifyRequest(made.MonitoredItemId, parameters), ua.MonitoredItemModifyRequest(1),
            ]
            changed, missing = (await wire.ask(request)).Results
            assert changed.RevisedQueueSize == its.port.settings.bounds.queue
            assert missing.StatusCode.name == "BadMonitoredItemIdInvalid"
            await until(lambda: its.subscriptions[number].monitored_item_srv.handles() == [(made.MonitoredItemId, 77)])
            await wire.close()

    run(test())


def test_what_is_not_served_says_so(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            for kind in (
                ua.SetTriggeringRequest, ua.QueryFirstRequest, ua.QueryNextRequest, ua.AddNodesRequest,
                ua.HistoryUpdateRequest, ua.CancelRequest,
            ):  # fmt: skip
                assert status(await wire.ask(kind())) == "BadServiceUnsupported"
            assert status(await wire.ask(ua.ReadRequest())) == "BadNothingToDo"
            await wire.close()

    run(test())


def test_asyncuas_own_client_browses_and_subscribes(serve: Serve, run: Run) -> None:
    class Heard:
        def __init__(self) -> None:
            self.values: list[Any] = []

        def datachange_notification(self, node: Node, value: Any, data: Any) -> None:
            self.values.append(value)

    async def test() -> None:
        async with serve(variables=5) as its, connected(its.server, its.application) as client:
            children = await client.get_node(its.oven.nodeid).get_children()
            assert {child.nodeid for child in children} >= {node.nodeid for node in its.many}
            heard = Heard()
            subscription = await client.create_subscription(50, heard)
            await subscription.subscribe_data_change([client.get_node(its.temperature.nodeid)])
            await until(lambda: heard.values == [240.5])
            await its.temperature.write_value(241.0)
            await until(lambda: heard.values == [240.5, 241.0])
            await subscription.delete()

    run(test())
