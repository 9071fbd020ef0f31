"""Events of the agent as a client hears them, with the fields of their types."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import Node, ua

from edgeagent.model.events import TOPICS
from edgeagent.publish.opcua.own_types import ALARM, EVENT_TYPES, type_name
from tests.publish.opcua.ovens import EXAMPLES, Body, Oven, event

At = Callable[[Body], None]
TOLD = [topic for topic, its in TOPICS.items() if its.durable and type_name(topic) != ALARM]


class Heard:
    """Takes the events of a subscription."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()

    def event_notification(self, its: Any) -> None:
        self.events.put_nowait(its)

    async def next(self) -> Any:
        return await asyncio.wait_for(self.events.get(), 20)


@pytest.mark.parametrize("topic", TOLD)
def test_every_event_has_its_type_and_the_fields_of_its_data(at_oven: At, topic: str) -> None:
    async def body(oven: Oven) -> None:
        heard = Heard()
        its_type = oven.type(type_name(topic))
        data = EXAMPLES["events"][topic]["data"] if topic in EXAMPLES["events"] else None
        assert data is not None, f"nobody has told {topic} yet"
        subscription = await oven.client.create_subscription(10, heard)
        await subscription.subscribe_events(oven.node("RO0001"), its_type)
        await oven.tell(topic, data, "2026-11-21T21:53:00.123Z")
        told = await heard.next()
        assert told.EventType == its_type.nodeid
        assert told.Time == datetime(2026, 11, 21, 21, 53, 0, 123_000, tzinfo=UTC)
        assert (told.SourceName, told.Machine, told.Stream) == ("RO0001", "RO0001", oven.port.stream)
        assert told.Sequence == str(oven.port.sequence)
        assert told.SourceNode == oven.node("RO0001").nodeid
        for field in EVENT_TYPES[type_name(topic)].fields:
            assert getattr(told, field.name) == field.plain(data), field.name
        await subscription.delete()

    at_oven(body)


def test_a_completed_board_is_told_with_what_its_record_says(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        heard = Heard()
        subscription = await oven.client.create_subscription(10, heard)
        await subscription.subscribe_events(oven.client.nodes.server, oven.type("BoardProcessCompletedEventType"))
        await oven.tell("Board.ProcessCompleted")
        told = await heard.next()
        record = event("Board.ProcessCompleted")["board"]
        assert (told.BoardId, told.BoardVerdictProcess) == (record["id"], record["verdict"]["process"])
        assert told.BoardProfilePeak == record["profile"]["peak"]
        assert json.loads(told.BoardBarcodes) == record["barcodes"]
        assert told.BoardVerdictReasons == record["verdict"]["reasons"]
        assert told.BoardLengthMm == record["lengthMm"]
        assert told.Message.Text.startswith("A board left")
        await subscription.delete()

    at_oven(body)


def test_the_server_and_the_machine_tell_the_same_events(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        heard = [Heard(), Heard()]
        subscriptions = []
        for node, one in zip((oven.client.nodes.server, oven.node("RO0001")), heard, strict=True):
            subscriptions.append(await oven.client.create_subscription(10, one))
            await subscriptions[-1].subscribe_events(node, oven.type("AgentEventType"))
        await oven.tell("Recipe.Started")
        at_server, at_machine = [await one.next() for one in heard]
        assert at_server.EventId == at_machine.EventId
        notifiers = await oven.client.nodes.server.get_referenced_nodes(ua.ObjectIds.HasNotifier)
        assert oven.node("RO0001") in notifiers
        for subscription in subscriptions:
            await subscription.delete()

    at_oven(body)


def test_a_filter_on_a_field_is_kept(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        heard = Heard()
        subscription = await oven.client.create_subscription(10, heard)
        its_type = oven.type("RecipeStartedEventType")
        operand = ua.SimpleAttributeOperand(its_type.nodeid, [ua.QualifiedName("Recipe", 4)], ua.AttributeIds.Value)
        element = ua.ContentFilterElement(ua.FilterOperator.Equals, [
            operand, ua.LiteralOperand(Value=ua.Variant("SAC305-B"))])  # fmt: skip
        wanted = ua.EventFilter([operand], ua.ContentFilter([element]))
        await subscription.subscribe_events(oven.client.nodes.server, evfilter=wanted)
        await oven.tell("Recipe.Started", event("Recipe.Started") | {"recipe": "SAC305-A"})
        await oven.tell("Status.ControlChanged")
        await oven.tell("Recipe.Started", event("Recipe.Started") | {"recipe": "SAC305-B"})
        assert (await heard.next()).Recipe == "SAC305-B"
        assert heard.events.empty()
        await subscription.delete()

    at_oven(body)


def test_a_client_that_names_every_type_that_there_is_hears_of_all(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        heard = Heard()
        subscription = await oven.client.create_subscription(10, heard)
        await subscription.subscribe_events()
        for topic in ("Board.ProcessCompleted", "Recipe.Started"):
            await oven.tell(topic)
            assert (await heard.next()).EventType == oven.type(type_name(topic)).nodeid
        await subscription.delete()

    at_oven(body)


def test_an_event_that_cannot_be_understood_keeps_no_other_back(at_oven: At, caplog: pytest.LogCaptureFixture) -> None:
    async def body(oven: Oven) -> None:
        heard = Heard()
        subscription = await oven.client.create_subscription(10, heard)
        await subscription.subscribe_events(oven.client.nodes.server, oven.type("AgentEventType"))
        oven.port.on_event({"method": "Recipe.Started", "stream": "x", "sequence": 1, "machine": "RO0001"})
        await oven.tell("Recipe.Started")
        assert (await heard.next()).EventType == oven.type("RecipeStartedEventType").nodeid
        assert "could not be told" in caplog.text
        await subscription.delete()

    at_oven(body)


def test_every_event_type_can_be_browsed_with_its_fields(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        base = Node(oven.client.uaclient, ua.NodeId(ua.ObjectIds.BaseEventType))
        below = await base.get_children(ua.ObjectIds.HasSubtype)
        assert oven.type("AgentEventType") in below
        for name, its in EVENT_TYPES.items():
            found = {(await each.read_browse_name()).Name for each in await oven.type(name).get_properties()}
            assert found == {field.name for field in its.fields}

    at_oven(body)


def test_events_that_come_faster_than_they_are_told_wait_at_the_agent(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        oven.port.holds.clear()
        for _ in range(250):
            oven.port.tell("Board.Lost", event("Board.Lost"))
        assert oven.port.holds == [True]
        await oven.model.settled()
        assert oven.port.holds == [True, False]

    at_oven(body)
