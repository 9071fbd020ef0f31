"""Values as they change: status, times, and told once each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import Node, ua
from asyncua.server.address_space import AttributeValue

from edgeagent.publish.opcua import standing
from edgeagent.publish.opcua.values import Values, data_value, put, variant_type
from tests.publish.opcua.fakes import NOW_NS, served
from tests.publish.opcua.ovens import Body, Oven, until

At = Callable[[Body], None]
PATH = "zone/1/top/temperature"
NODE = f"RO0001/{PATH}"
NOW = datetime.fromtimestamp(NOW_NS // 10**9, UTC)


class Heard:
    """Takes what a subscription tells."""

    def __init__(self) -> None:
        self.values: asyncio.Queue[tuple[Any, str, datetime | None]] = asyncio.Queue()

    def datachange_notification(self, _: Node, value: Any, data: Any) -> None:
        its = data.monitored_item.Value
        self.values.put_nowait((value, its.StatusCode.name, its.SourceTimestamp))


@pytest.mark.parametrize(("value", "quality", "status", "told"), [
    (242.3, 0, "Good", 242.3), (242.3, 1, "Uncertain", 242.3), (242.3, 2, "UncertainLastUsableValue", 242.3),
    (242.3, 3, "Bad", None), (None, 0, "Bad", None), (None, 2, "Bad", None),
])  # fmt: skip
def test_a_value_is_read_with_its_quality_and_when_it_was_measured(
    at_oven: At, value: float | None, quality: int, status: str, told: float | None
) -> None:
    async def body(oven: Oven) -> None:
        oven.port.change(PATH, value, quality)
        await oven.model.settled()
        read = await oven.node(NODE).read_data_value(raise_on_bad_status=False)
        assert (read.Value.Value, read.StatusCode.name, read.SourceTimestamp) == (told, status, NOW)

    at_oven(body)


def test_a_value_that_was_never_measured_says_so_and_has_no_time(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        oven.port.change(PATH, None, 3, 0)
        await oven.model.settled()
        read = await oven.node(NODE).read_data_value(raise_on_bad_status=False)
        assert (read.Value.Value, read.StatusCode.name) == (None, "BadWaitingForInitialData")
        assert read.SourceTimestamp is None

    at_oven(body)


def test_a_subscription_hears_each_change_once_also_of_the_quality_alone(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        heard = Heard()
        oven.port.change(PATH, 20.0)
        await oven.model.settled()
        subscription = await oven.client.create_subscription(10, heard)
        await subscription.subscribe_data_change(oven.node(NODE), queuesize=10)
        assert (await heard.values.get())[0] == 20.0
        later_ns = NOW_NS + 500_000_000
        for value, quality in ((21.5, 0), (21.5, 2), (None, 3), (22.0, 0)):
            oven.port.change(PATH, value, quality, later_ns)
            await oven.model.settled()
        got = [await heard.values.get() for _ in range(4)]
        assert [(value, status) for value, status, _ in got] == [
            (21.5, "Good"), (21.5, "UncertainLastUsableValue"), (None, "Bad"), (22.0, "Good")]  # fmt: skip
        assert got[0][2] == datetime.fromtimestamp(later_ns / 1e9, UTC)
        assert heard.values.empty()
        await subscription.delete()

    at_oven(body)


def test_of_many_changes_of_one_value_the_newest_is_written(at_oven: At) -> None:
    async def body(oven: Oven) -> None:
        for number in range(1000):
            oven.port.change(PATH, float(number))
        await oven.model.settled()
        assert await oven.node(NODE).read_value() == 999.0

    at_oven(body)


def test_a_subscription_that_fails_keeps_no_value_from_another() -> None:
    async def main() -> None:
        told: list[Any] = []
        place = AttributeValue(ua.DataValue())

        async def fail(*_: Any) -> None:
            place.datachange_callbacks.pop(2)
            raise RuntimeError("its client is gone")

        async def tell(handle: int, value: ua.DataValue) -> None:
            told.append((handle, value.Value.Value))  # type: ignore[union-attr]

        place.datachange_callbacks = {1: fail, 2: tell, 3: tell}
        await put(place, ua.DataValue(ua.Variant(1.0)))
        assert told == [(3, 1.0)]

    asyncio.run(main())


def test_values_let_others_go_on_while_they_are_written() -> None:
    async def main() -> None:
        machine = served()
        turns = 0
        places = [AttributeValue(ua.DataValue()) for _ in machine.points]
        values = Values()
        values.add("RO0001", machine.points, places)
        values.start()
        values.take("RO0001", [(point.index, None, 3, 0) for point in machine.points])
        done = asyncio.create_task(values.written())
        while not done.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > len(machine.points) // 25
        await values.stop()

    asyncio.run(main())


def test_a_whole_number_is_an_int32_where_its_range_says_that_it_fits() -> None:
    points = {point.path: point for point in served().points}
    assert variant_type(points["machine/state"]) is ua.VariantType.Int32
    assert variant_type(points["oxygen/1/concentration"]) is ua.VariantType.Int32
    assert variant_type(points["machine/uptime"]) is ua.VariantType.Double
    assert variant_type(points["recipe/name"]) is ua.VariantType.String
    assert variant_type(points["hood/closed"]) is ua.VariantType.Boolean
    value = data_value(points["machine/uptime"], 5_000_000_000, 0, NOW_NS)
    assert value.Value == ua.Variant(5e9, ua.VariantType.Double)


def test_values_are_stale_while_the_agent_does_not_answer(at_oven: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "_PATIENCE_S", 0.2)

    async def status(oven: Oven, key: str = NODE) -> str:
        read = await oven.node(key).read_data_value(raise_on_bad_status=False)
        return str(read.StatusCode.name)

    records = (
        "RO0001/status/State", "RO0001/lane/1/status/Boards", "RO0001/boards/last/Id",
        "RO0001/boards/results/Id", "RO0001/boards/inside/Id", "RO0001/recipes/running/Name",
        "RO0001/recipes/kept/Name",
    )  # fmt: skip

    async def body(oven: Oven) -> None:
        oven.port.change(PATH, 242.3)
        await oven.model.settled()
        assert await status(oven) == "Good"
        assert {await status(oven, key) for key in records} == {"Good"}
        before = await oven.node(records[0]).read_data_value()
        answers = asyncio.Event()
        answer = oven.port.answers["Status.Get"]

        async def slow(*_: Any) -> Any:
            await answers.wait()
            return answer

        oven.port.answers["Status.Get"] = slow
        state = oven.node("RO0001/MachineryItemState/CurrentState")
        await until(state, ua.LocalizedText("NotAvailable"))
        assert await status(oven) == "UncertainLastUsableValue"
        assert {await status(oven, key) for key in records} == {"UncertainLastUsableValue"}
        told = await oven.node(records[0]).read_data_value(raise_on_bad_status=False)
        assert (told.Value, told.SourceTimestamp) == (before.Value, before.SourceTimestamp)
        read = await oven.node(NODE).read_data_value(raise_on_bad_status=False)
        assert (read.Value.Value, read.SourceTimestamp) == (242.3, NOW)
        oven.port.change(PATH, 243.0)
        await oven.model.settled()
        assert await status(oven) == "UncertainLastUsableValue"
        oven.port.answers["Status.Get"] = answer
        answers.set()
        await until(state, ua.LocalizedText("NotExecuting"))
        await oven.model.settled()
        assert (await status(oven), await oven.node(NODE).read_value()) == ("Good", 243.0)
        await until(oven.node(records[-1]), bool)
        assert {await status(oven, key) for key in records} == {"Good"}

    at_oven(body)


def test_a_value_that_cannot_be_shown_is_bad_and_keeps_no_other_back(
    at_oven: At, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    async def body(oven: Oven) -> None:
        oven.port.change(PATH, "hot", time_ns=1 << 80)
        oven.port.change("hood/closed", True)
        await oven.model.settled()
        read = await oven.node(NODE).read_data_value(raise_on_bad_status=False)
        assert (read.Value.Value, read.StatusCode.name) == (None, "Bad")
        assert await oven.node("RO0001/hood/closed").read_value() is True
        assert "cannot be shown" in caplog.text

    at_oven(body)


def test_a_percent_deadband_is_of_the_range_of_its_value(at_oven: At) -> None:
    """conveyor/1/speed has a range from 0 to 300, so that 1 % of it is 3."""

    async def body(oven: Oven) -> None:
        async def measured(speed: float) -> None:
            oven.port.change("conveyor/1/speed", speed)
            await oven.model.settled()

        await measured(100.0)
        heard = Heard()
        subscription = await oven.client.create_subscription(10, heard)
        node = oven.node("RO0001/conveyor/1/speed")
        item = await subscription.deadband_monitor(node, 1.0, deadbandtype=ua.DeadbandType.Percent)
        assert (await asyncio.wait_for(heard.values.get(), 20))[0] == 100.0
        for speed in (102.0, 98.0, 103.0, 103.5):  # the last one alone is more than 3 away
            await measured(speed)
        assert (await asyncio.wait_for(heard.values.get(), 20))[0] == 103.5
        await measured(100.6)
        await measured(100.4)
        assert (await asyncio.wait_for(heard.values.get(), 20))[0] == 100.4
        await subscription.unsubscribe(item)
        without_range = oven.node("RO0001/scanner/1/count")
        with pytest.raises(ua.uaerrors.BadMonitoredItemFilterUnsupported):
            await subscription.deadband_monitor(without_range, 1.0, deadbandtype=ua.DeadbandType.Percent)
        await subscription.delete()

    at_oven(body)
