"""Alarms as conditions, as a client hears, refreshes and acknowledges them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.subscription import Subscription

from tests.publish.opcua.fakes import VIEWER
from tests.publish.opcua.ovens import Body, Oven, event, refuse

At = Callable[[Body], None]
FIELDS = ("ConditionId", "EventId", "EventType", "SourceName", "Message", "Severity", "Retain", "ActiveState/Id",
          "AckedState/Id", "ConditionName", "ClientUserId", "AlarmId", "Time")  # fmt: skip


class Alarm:
    """An alarm that a test lets come and go."""

    def __init__(self, code: str, number: int = 1) -> None:
        its = event("Alarm.Raised")["alarm"]
        self.told = its | {"id": f"01M804PMVW9X92MCC7GM{code}{number:02}", "code": code, "text": f"Alarm {code}"}
        self.key = f"RO0001/alarms/{code}"

    def data(self, by: str | None = None) -> dict[str, Any]:
        return {"alarm": self.told, "by": by}


class Heard:
    """Takes the events of a subscription."""

    subscription: Subscription
    item: int

    def __init__(self) -> None:
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def event_notification(self, its: Any) -> None:
        self.events.put_nowait(dict(zip(FIELDS, (field.Value for field in its.event_fields), strict=True)))

    async def next(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.events.get(), 20)

    async def refreshed(self) -> list[dict[str, Any]]:
        """What was told between the marks of a refresh; what waited before it comes first."""
        found = []
        while (told := await self.next())["EventType"] != ua.NodeId(ua.ObjectIds.RefreshEndEventType):
            found.append(told)
        types = [each["EventType"] for each in found]
        return found[types.index(ua.NodeId(ua.ObjectIds.RefreshStartEventType)) + 1 :]


def wanted(of_type: int | None = None) -> ua.EventFilter:
    def clause(name: str) -> ua.SimpleAttributeOperand:
        if name == "ConditionId":
            return ua.SimpleAttributeOperand(ua.NodeId(ua.ObjectIds.ConditionType), [], ua.AttributeIds.NodeId)
        path = [ua.QualifiedName(part) for part in name.split("/")]
        return ua.SimpleAttributeOperand(ua.NodeId(ua.ObjectIds.BaseEventType), path, ua.AttributeIds.Value)

    its = ua.EventFilter(SelectClauses=[clause(name) for name in FIELDS])
    if of_type is not None:
        operand = ua.LiteralOperand(Value=ua.Variant(ua.NodeId(of_type), ua.VariantType.NodeId))
        its.WhereClause.Elements = [ua.ContentFilterElement(ua.FilterOperator.OfType, [operand])]
    return its


@asynccontextmanager
async def listening(oven: Oven, node: Any = None, of_type: int | None = None) -> AsyncIterator[Heard]:
    heard = Heard()
    heard.subscription = await oven.client.create_subscription(10, heard)
    heard.item = await heard.subscription.subscribe_events(node or oven.client.nodes.server, evfilter=wanted(of_type))
    yield heard
    await heard.subscription.delete()


async def acknowledge(oven: Oven, condition: ua.NodeId, event_id: Any, comment: Any = None) -> str:
    request = ua.CallMethodRequest(condition, ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge), [
        event_id if isinstance(event_id, ua.Variant) else ua.Variant(event_id, ua.VariantType.ByteString),
        comment or ua.Variant(ua.LocalizedText("seen"), ua.VariantType.LocalizedText)])  # fmt: skip
    [result] = await oven.client.uaclient.call([request])
    return str(result.StatusCode.name)


async def refresh(oven: Oven, subscription: int, item: int | None = None) -> str:
    methods = ua.ObjectIds.ConditionType_ConditionRefresh, ua.ObjectIds.ConditionType_ConditionRefresh2
    method = methods[item is not None]
    given = [ua.Variant(each, ua.VariantType.UInt32) for each in (subscription, item) if each is not None]
    request = ua.CallMethodRequest(ua.NodeId(ua.ObjectIds.ConditionType), ua.NodeId(method), given)
    [result] = await oven.client.uaclient.call([request])
    return str(result.StatusCode.name)


def test_an_alarm_is_told_as_it_comes_is_acknowledged_and_goes(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        alarm = Alarm("E101")
        async with listening(oven) as heard:
            await oven.tell("Alarm.Raised", alarm.data(), "2026-11-21T22:47:46.300Z")
            raised = await heard.next()
            assert raised["EventType"] == oven.model.node_ids.of_type("MachineAlarmType")
            assert raised["ConditionId"] == oven.node(alarm.key).nodeid
            said = {name: raised[name] for name in ("SourceName", "Severity", "Retain", "ActiveState/Id",
                    "AckedState/Id", "ConditionName", "AlarmId")}  # fmt: skip
            assert said == {
                "SourceName": "hood", "Severity": 800, "Retain": True, "ActiveState/Id": True, "AckedState/Id": False,
                "ConditionName": "E101", "AlarmId": alarm.told["id"],
            }  # fmt: skip
            assert raised["Message"].Text == "Alarm E101"
            assert raised["Time"].isoformat() == "2026-11-21T22:47:46.300000+00:00"
            await oven.tell("Alarm.Acknowledged", alarm.data("mes"))
            seen = await heard.next()
            assert (seen["AckedState/Id"], seen["ActiveState/Id"], seen["Retain"]) == (True, True, True)
            assert seen["ClientUserId"] == "mes"
            await oven.tell("Alarm.Cleared", alarm.data("machine"))
            gone = await heard.next()
            assert (gone["AckedState/Id"], gone["ActiveState/Id"], gone["Retain"]) == (True, False, False)
            assert len({raised["EventId"], seen["EventId"], gone["EventId"]}) == 3

    at_oven(body)


def test_an_alarm_that_ended_unseen_is_retained_until_somebody_acknowledges_it(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        alarm = Alarm("E102")
        async with listening(oven) as heard:
            await oven.tell("Alarm.Raised", alarm.data())
            await oven.tell("Alarm.Cleared", alarm.data("machine"))
            await heard.next()
            gone = await heard.next()
            assert (gone["ActiveState/Id"], gone["Retain"]) == (False, True)
            assert await oven.node(f"{alarm.key}/ActiveState/Id").read_value() is False
            await oven.tell("Alarm.Acknowledged", alarm.data("mes"))
            assert (await heard.next())["Retain"] is False
            with pytest.raises(ua.UaStatusCodeError):
                await oven.node(alarm.key).read_browse_name()

    at_oven(body)


def test_a_condition_is_a_node_below_the_machines_alarms(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        alarm = Alarm("E103")
        await oven.tell("Alarm.Raised", alarm.data())
        names = [(await each.read_browse_name()).Name for each in await oven.node("RO0001/alarms").get_children()]
        assert "E103" in names
        node = oven.node(alarm.key)
        assert await node.read_type_definition() == oven.model.node_ids.of_type("MachineAlarmType")
        assert await oven.node(f"{alarm.key}/Retain").read_value() is True
        assert (await oven.node(f"{alarm.key}/AckedState").read_value()).Text == "Unacknowledged"
        methods = await node.get_children(ua.ObjectIds.HasComponent, ua.NodeClass.Method)
        assert [each.nodeid.Identifier for each in methods] == [
            ua.ObjectIds.AcknowledgeableConditionType_Acknowledge]  # fmt: skip

    at_oven(body)


def test_alarms_that_stood_before_the_process_began_are_there(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        assert await oven.node("RO0001/alarms/E217/ActiveState/Id").read_value() is True
        assert await oven.node("RO0001/alarms/E002/SourceName").read_value() == "machine"

    at_oven(body)


def test_a_refresh_tells_all_retained_conditions_between_its_marks(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        alarm = Alarm("E104")
        await oven.tell("Alarm.Raised", alarm.data())
        async with listening(oven) as heard:
            assert await refresh(oven, heard.subscription.subscription_id) == "Good"
            found = await heard.refreshed()
            assert {"E217", "E002", "E104"} <= {each["ConditionName"] for each in found}
            assert all(each["Retain"] for each in found)
            assert await refresh(oven, heard.subscription.subscription_id, heard.item) == "Good"
            assert {each["EventId"] for each in await heard.refreshed()} == {each["EventId"] for each in found}

    at_oven(body)


def test_a_refresh_of_what_is_not_the_callers_is_refused(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        async with listening(oven) as heard:
            number = heard.subscription.subscription_id
            assert await refresh(oven, 99_999_999) == "BadSubscriptionIdInvalid"
            assert await refresh(oven, number, 99_999) == "BadMonitoredItemIdInvalid"
            oven.foreign.add(number)
            assert await refresh(oven, number) == "BadSubscriptionIdInvalid"
            assert heard.events.empty()

    at_oven(body)


def test_a_caller_acknowledges_in_its_own_name(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        alarm = Alarm("E105")
        oven.port.answers["Alarm.Acknowledge"] = {}
        async with listening(oven) as heard:
            await oven.tell("Alarm.Raised", alarm.data())
            raised = await heard.next()
            oven.port.asked.clear()
            assert await acknowledge(oven, raised["ConditionId"], raised["EventId"]) == "Good"
            calls = [each for each in oven.port.asked if each[0] == "Alarm.Acknowledge"]
            assert [(asked["id"], session) for _, asked, session in calls] == [(alarm.told["id"], oven.session)]
            await oven.tell("Alarm.Acknowledged", alarm.data("mes"))
            seen = await heard.next()
            status = await acknowledge(oven, seen["ConditionId"], seen["EventId"])
            assert status == "BadConditionBranchAlreadyAcked"

    at_oven(body)


def test_who_may_not_acknowledge_is_refused(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        alarm = Alarm("E106")
        oven.port.answers["Alarm.Acknowledge"] = refuse("forbidden")
        async with listening(oven) as heard:
            await oven.tell("Alarm.Raised", alarm.data())
            raised = await heard.next()
            oven.session = (await oven.port.open("127.0.0.1", VIEWER)).session
            assert await acknowledge(oven, raised["ConditionId"], raised["EventId"]) == "BadUserAccessDenied"
            oven.session = None
            assert await acknowledge(oven, raised["ConditionId"], raised["EventId"]) == "BadUserAccessDenied"
            assert await oven.node(f"{alarm.key}/AckedState/Id").read_value() is False

    at_oven(body)


def test_an_acknowledgement_of_what_is_not_there_reaches_nobody(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        alarm = Alarm("E107")
        await oven.tell("Alarm.Raised", alarm.data())
        condition = oven.node(alarm.key).nodeid
        oven.port.asked.clear()
        assert await acknowledge(oven, condition, b"0123456789abcdef") == "BadEventIdUnknown"
        assert await acknowledge(oven, oven.node("RO0001").nodeid, b"0123456789abcdef") == "BadNodeIdUnknown"
        assert await acknowledge(oven, condition, ua.Variant("text", ua.VariantType.String)) == "BadInvalidArgument"
        assert await acknowledge(oven, condition, b"", ua.Variant(1)) == "BadInvalidArgument"
        assert not [each for each in oven.port.asked if each[0] == "Alarm.Acknowledge"]

    at_oven(body)


def test_an_alarm_that_comes_again_is_the_same_condition_with_another_event(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        first, second = Alarm("E108", 1), Alarm("E108", 2)
        async with listening(oven) as heard:
            await oven.tell("Alarm.Raised", first.data())
            await oven.tell("Alarm.Cleared", first.data())
            await oven.tell("Alarm.Raised", second.data())
            told = [await heard.next() for _ in range(3)]
            assert len({each["ConditionId"] for each in told}) == 1
            assert told[2]["AlarmId"] == second.told["id"]
            status = await acknowledge(oven, told[0]["ConditionId"], told[0]["EventId"])
            assert status == "BadEventIdUnknown"

    at_oven(body)


def test_what_was_told_already_is_not_told_again(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        alarm = Alarm("E109")
        async with listening(oven) as heard:
            for topic in ("Alarm.Raised", "Alarm.Raised", "Alarm.Cleared", "Alarm.Cleared"):
                await oven.tell(topic, alarm.data())
            await oven.tell("Alarm.Acknowledged", Alarm("E109", 7).data())
            await oven.tell("Alarm.Raised", Alarm("E110").data())
            names = [(await heard.next())["ConditionName"] for _ in range(3)]
            assert names == ["E109", "E109", "E110"]

    at_oven(body)


@pytest.mark.parametrize(("of_type", "is_heard"), [
    (ua.ObjectIds.BaseEventType, True), (ua.ObjectIds.ConditionType, True), (ua.ObjectIds.AlarmConditionType, True),
    (ua.ObjectIds.SystemEventType, False),
])  # fmt: skip
def test_a_filter_by_type_lets_derived_types_pass(at_oven: At, of_type: int, is_heard: bool) -> None:
    async def body(oven: Oven) -> None:
        alarm = Alarm(f"F{of_type % 1000:03}")
        async with listening(oven, of_type=of_type) as heard, listening(oven, oven.node("RO0001")) as other:
            await oven.tell("Alarm.Raised", alarm.data())
            await other.next()
            assert await refresh(oven, heard.subscription.subscription_id) == "Good"
            await oven.tell("Alarm.Cleared", alarm.data())
            await other.next()
            if is_heard:
                assert (await heard.next())["ConditionName"] == alarm.told["code"]
            else:
                assert (await heard.next())["ConditionName"] is None

    at_oven(body)


def test_a_refresh_delivers_every_condition_however_many_are_retained(at_oven: At) -> None:
    """More than wait for an item, and more than go into a message; what happens meanwhile is told as well."""

    async def body(oven: Oven) -> None:
        codes = [f"R{number:03}" for number in range(230)]
        for code in codes:
            await oven.tell("Alarm.Raised", Alarm(code).data())
        async with listening(oven) as heard:
            number = heard.subscription.subscription_id
            assert await refresh(oven, number) == "Good"
            assert await refresh(oven, number) == "BadRefreshInProgress"
            await oven.tell("Alarm.Raised", Alarm("R900").data())
            found = await heard.refreshed()
            assert {*codes, "E217", "E002", "R900"} <= {each["ConditionName"] for each in found}
            assert ua.NodeId(ua.ObjectIds.EventQueueOverflowEventType) not in {each["EventType"] for each in found}
            await oven.tell("Alarm.Cleared", Alarm("R000").data())
            await oven.tell("Alarm.Acknowledged", Alarm("R000").data())
            for _ in range(2):
                assert (await heard.next())["ConditionName"] == "R000"
            assert await refresh(oven, number, heard.item) == "Good"
            again = {each["ConditionName"] for each in await heard.refreshed()}
            assert "R000" not in again
            assert len(again) >= 230
        for code in [*codes[1:], "R900"]:
            await oven.tell("Alarm.Cleared", Alarm(code).data())
            await oven.tell("Alarm.Acknowledged", Alarm(code).data())

    at_oven(body)


@pytest.mark.parametrize(("method", "given"), [
    (ua.ObjectIds.ConditionType_AddComment, [b"0123456789abcdef", ua.LocalizedText("seen")]),
    (ua.ObjectIds.ConditionType_Enable, []), (ua.ObjectIds.ConditionType_Disable, []),
    (ua.ObjectIds.AcknowledgeableConditionType_Confirm, [b"0123456789abcdef", ua.LocalizedText("seen")]),
    (ua.ObjectIds.AlarmConditionType_ShelvingState_OneShotShelve, []),
    (ua.ObjectIds.AlarmConditionType_ShelvingState_TimedShelve, [1000.0]),
    (ua.ObjectIds.AlarmConditionType_ShelvingState_Unshelve, []),
    (ua.ObjectIds.AlarmConditionType_Silence, []), (ua.ObjectIds.AlarmConditionType_Suppress, []),
])  # fmt: skip
def test_what_a_condition_does_not_offer_is_no_method_of_it(at_oven: At, method: int, given: list[Any]) -> None:
    async def body(oven: Oven) -> None:
        alarm = Alarm(f"M{method % 1000:03}")
        await oven.tell("Alarm.Raised", alarm.data())
        condition = oven.node(alarm.key)
        offered = await condition.get_children(ua.ObjectIds.HasComponent, ua.NodeClass.Method)
        assert ua.NodeId(method) not in {each.nodeid for each in offered}
        request = ua.CallMethodRequest(condition.nodeid, ua.NodeId(method), [ua.Variant(each) for each in given])
        [result] = await oven.client.uaclient.call([request])
        assert result.StatusCode.name == "BadMethodInvalid"
        assert await oven.node(f"{alarm.key}/AckedState/Id").read_value() is False
        assert (await oven.node(f"{alarm.key}/EnabledState").read_value()).Text == "Enabled"

    at_oven(body)
