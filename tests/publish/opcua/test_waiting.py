"""Events that a client does not take: they are bounded, and who missed some is told so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncua import ua

from edgeagent.publish.opcua.happenings import Happening, base_fields
from edgeagent.publish.opcua.nodes import standard
from edgeagent.publish.opcua.port import Bounds
from edgeagent.publish.opcua.services.waiting import Share, WaitingEvents, weight_of
from edgeagent.publish.opcua.sessions import MOST_LISTENING
from tests.publish.opcua.clients import Wire
from tests.publish.opcua.conftest import Run, Serve
from tests.publish.opcua.guarded import Guarded, status, subscribe
from tests.publish.opcua.ovens import event
from tests.publish.opcua.test_services import event_item

OVERFLOW = "Events are missing here"


def happening(text: str) -> Happening:
    node = standard(ua.ObjectIds.Server)
    return Happening((node,), base_fields(b"", node, "", "2026-11-21T22:50:00.000Z", text, 1))


def told(_: int, its: Happening) -> ua.EventFieldList:
    return ua.EventFieldList(7, [its.fields["Message"]])


def texts(events: list[ua.EventFieldList]) -> list[str]:
    return [fields.EventFields[0].Value.Text for fields in events]


def fields(text: str) -> ua.EventFieldList:
    return told(0, happening(text))


def test_the_oldest_events_of_a_full_item_give_way_and_this_is_said_once() -> None:
    share = Share(10_000)
    waiting = WaitingEvents(told, share)
    for number in range(6):
        waiting.put(1, fields(str(number)), 3)
    waiting.put(2, fields("other"), 3)
    taken = waiting.take(100)
    assert texts(taken) == [OVERFLOW, "3", "4", "5", "other"]
    assert not waiting
    assert share.left == 10_000 - sum(map(weight_of, taken)), "what was sent is counted until it is given back"


@pytest.mark.parametrize("text", ["a", "a" * 1000])
def test_what_waits_has_a_weight_and_never_more_than_its_share(text: str) -> None:
    share = Share(5_000)
    waiting = WaitingEvents(told, share)
    for number in range(200):
        waiting.put(number % 4, fields(f"{number}{text}"), 100)
        assert share.left >= 0
    items = [waiting.take(1000)]
    assert texts(items[0]).count(OVERFLOW) == 4, "each item says that it misses some, though nothing else of it waits"
    assert len(items[0]) > 4


def test_an_item_that_goes_gives_back_its_part() -> None:
    share = Share(5_000)
    waiting = WaitingEvents(told, share)
    for number in range(10):
        waiting.put(1, fields(str(number)), 5)
    waiting.refresh(1, iter([(fields("again"), True)]))
    waiting.forget(1)
    assert share.left == 5_000
    assert not waiting
    assert waiting.take(10) == []


def test_a_refresh_is_made_as_it_is_taken_after_what_waits() -> None:
    made = []

    def events() -> Any:
        for number in range(250):
            made.append(number)
            yield (fields(f"again {number}") if number % 10 != 8 else None), number == 249

    waiting = WaitingEvents(told, Share(1_000_000))
    waiting.put(1, fields("first"), 5)
    waiting.refresh(1, events())
    assert texts(waiting.take(3)) == ["first", "again 0", "again 1"]
    assert made == [0, 1]
    waiting.put(1, fields("meanwhile"), 5)
    assert texts(waiting.take(1000))[0] == "meanwhile"
    assert waiting.is_refreshing(1)
    while waiting:
        assert len(waiting.take(1000)) <= 50
    assert made == list(range(250))
    assert not waiting.is_refreshing(1)


@asynccontextmanager
async def behind(serve: Serve, event_bytes: int, boards: int) -> AsyncIterator[tuple[Guarded, Wire, int]]:
    """A client that listens at the Server object with some items, and takes nothing while boards come."""
    async with serve(bounds=Bounds(event_bytes=event_bytes, queue=100_000), has_machines=True) as its:
        wire = await its.wire()
        number = (await wire.ask(subscribe(50))).Parameters.SubscriptionId
        for _ in range(4):
            [made] = (await wire.ask(event_item(number, []))).Results
            assert made.StatusCode.is_good()
        assert its.model is not None
        for _ in range(boards):
            its.port.tell("Board.ProcessCompleted", event("Board.ProcessCompleted"))
            await its.model.settled()
        yield its, wire, number
        await wire.close()


def test_a_client_that_takes_nothing_costs_its_share_and_hears_that_events_are_missing(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with behind(serve, 20_000, 200) as (its, wire, number):
            events = its.subscriptions[number].events
            assert 0 <= events.share.left < 1000
            heard: list[str] = []
            while len(heard) < 4 or events:
                published = await wire.ask(ua.PublishRequest())
                assert status(published) == "Good"
                for each in published.Parameters.NotificationMessage.NotificationData:
                    heard += texts(each.Events)
            assert heard.count(OVERFLOW) == 4
            assert 10 < len(heard) < 150
            delete = ua.DeleteSubscriptionsRequest()
            delete.Parameters.SubscriptionIds = [number]
            assert status(await wire.ask(delete)) == "Good"
            assert events.share.left == 20_000

    run(test())


def test_items_that_wait_for_events_are_bounded(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(has_machines=True) as its:
            wire = await its.wire()
            number = (await wire.ask(subscribe(50))).Parameters.SubscriptionId
            request = event_item(number, [])
            request.Parameters.ItemsToCreate *= MOST_LISTENING + 2
            told = [each.StatusCode.name for each in (await wire.ask(request)).Results]
            assert told == ["Good"] * MOST_LISTENING + ["BadTooManyMonitoredItems"] * 2
            await wire.close()

    run(test())
