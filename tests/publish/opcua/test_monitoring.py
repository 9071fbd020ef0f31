"""Changed values reach clients as before, byte for byte, without a copy and an encoding for each of them."""

import asyncio
import inspect
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC

import pytest
from asyncua import ua
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemService, MonitoredItemValues
from asyncua.ua.ua_binary import struct_to_binary

from edgeagent.publish.opcua import monitoring
from edgeagent.publish.opcua.server import UaServer
from edgeagent.publish.opcua.services.subscriptions import UaSubscription
from edgeagent.publish.opcua.standard.space import LazySpace
from tests.publish.opcua.clients import Application, connected
from tests.publish.opcua.fakes import FakePort, settings

CURRENT_TIME = ua.NodeId(2258)


def test_the_library_still_needs_it():
    assert "copy.deepcopy" in inspect.getsource(MonitoredItemValues.set_current_datavalue)
    told = inspect.getsource(MonitoredItemService.datachange_callback)
    assert "set_current_datavalue" in told
    assert "_is_data_changed" in told
    assert "ua.DataChangeNotification()" in inspect.getsource(InternalSubscription._pop_triggered_datachanges)


def value(shown, kind=ua.VariantType.Double, status=ua.StatusCodes.Good):
    return ua.DataValue(
        ua.Variant(shown, kind), ua.StatusCode(status), ua.DateTime(2030, 1, 2), ua.DateTime(2030, 1, 3)
    )


class Listening:
    """A subscription of a client, or of this process, with one item over an address space of its own."""

    def __init__(self, data_filter=None, mode=ua.MonitoringMode.Reporting, is_ours=False, kind=UaSubscription):
        self.space = LazySpace()
        data = ua.CreateSubscriptionResult(SubscriptionId=1, RevisedPublishingInterval=1000.0)
        ask = None if is_ours else lambda subscription: None
        self.subscription = kind(data, self.space, print, ua.NodeId(1), request_callback=ask, max_queue_size=100)
        self.wanted = ua.MonitoredItemCreateRequest(
            ua.ReadValueId(CURRENT_TIME, ua.AttributeIds.Value),
            mode,
            ua.MonitoringParameters(ClientHandle=7, QueueSize=10, Filter=data_filter),
        )

    async def heard(self, *values):
        """Write these, and give back the message that would be sent."""
        attribute = self.space[CURRENT_TIME].attributes[ua.AttributeIds.Value]
        attribute.value = value(0.0)
        items = self.subscription.monitored_item_srv
        [made] = await items.create_monitored_items(ua.CreateMonitoredItemsParameters(1, ItemsToCreate=[self.wanted]))
        made.StatusCode.check()
        for written in values:
            status = await self.space.write_attribute_value(CURRENT_TIME, ua.AttributeIds.Value, written)
            status.check()
        return self.subscription._pop_publish_result()


def numbers(result):
    """The values of a message to a subscriber in this process."""
    [notification] = result.NotificationMessage.NotificationData
    return [item.Value.Value.Value for item in notification.MonitoredItems]


VALUES = [
    value(20.5),
    value(21.0, status=ua.StatusCodes.UncertainLastUsableValue),
    value(21.0, status=ua.StatusCodes.UncertainLastUsableValue),
    value(None, ua.VariantType.Null, ua.StatusCodes.BadNoCommunication),
    value(22.0),
]


@pytest.mark.parametrize("data_filter", [None, ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValue)])
def test_a_message_has_the_bytes_that_asyncua_would_send(data_filter):
    ours = asyncio.run(Listening(data_filter).heard(*VALUES))
    theirs = asyncio.run(Listening(data_filter, kind=InternalSubscription).heard(*VALUES))
    [encoded], [notification] = (each.NotificationMessage.NotificationData for each in (ours, theirs))
    assert encoded.count == len(notification.MonitoredItems) == 5
    ours.NotificationMessage.PublishTime = theirs.NotificationMessage.PublishTime
    assert struct_to_binary(ours) == struct_to_binary(theirs)


def test_only_changes_of_value_or_status_are_told():
    again = ua.DataValue(ua.Variant(20.5, ua.VariantType.Double), SourceTimestamp=ua.DateTime(2031, 1, 1))
    told = asyncio.run(Listening(is_ours=True).heard(value(20.5), again, value(20.5, status=0x408F0000), value(1.0)))
    assert numbers(told) == [0.0, 20.5, 20.5, 1.0]


def deadband(width, kind=ua.DeadbandType.Absolute, trigger=ua.DataChangeTrigger.StatusValue):
    return ua.DataChangeFilter(Trigger=trigger, DeadbandType=kind, DeadbandValue=width)


def test_a_slow_drift_leaves_a_deadband_at_last():
    written = [value(number / 10) for number in range(1, 31)]
    told = asyncio.run(Listening(deadband(1.0), is_ours=True).heard(*written))
    assert numbers(told) == [0.0, 1.1, 2.2]


UNCERTAIN = ua.StatusCodes.UncertainLastUsableValue
STATUS, WITH_TIME = ua.DataChangeTrigger.Status, ua.DataChangeTrigger.StatusValueTimestamp
LATER = ua.DataValue(ua.Variant(1.0, ua.VariantType.Double), SourceTimestamp=ua.DateTime(2031, 1, 1))


@pytest.mark.parametrize(
    ("now", "data_filter", "told"),
    [
        (value(1.5), deadband(1.0), False),
        (value(2.5), deadband(1.0), True),
        (value(float("nan")), deadband(1.0), True),
        (value(1.0, status=UNCERTAIN), deadband(1.0), True),
        (value(None, ua.VariantType.Null, ua.StatusCodes.Bad), deadband(1.0), True),
        (value(None, ua.VariantType.Null), deadband(1.0), True),
        (value("warm", ua.VariantType.String), deadband(1.0), True),
        (value(1.5), deadband(50, ua.DeadbandType.Percent), True),
        (value(1.0), deadband(50, ua.DeadbandType.Percent), False),
        (value(5.0), deadband(0, ua.DeadbandType.None_, STATUS), False),
        (value(1.0, status=UNCERTAIN), deadband(0, ua.DeadbandType.None_, STATUS), True),
        (LATER, None, False),
        (LATER, deadband(0, ua.DeadbandType.None_, WITH_TIME), True),
        (LATER, deadband(1.0, trigger=WITH_TIME), False),
        (value(1.5), ua.EventFilter(), True),
    ],
)
def test_a_client_is_told_what_its_filter_lets_through(now, data_filter, told):
    assert monitoring.is_told(value(1.0), now, data_filter) is told
    assert monitoring.is_told(None, now, data_filter) is True


@pytest.mark.parametrize(
    ("last", "now", "told"),
    [([1.0, 2.0], [1.5, 2.5], False), ([1.0, 2.0], [1.0, 4.0], True), ([1.0], [1.0, 1.0], True)],
)
def test_a_list_leaves_a_deadband_with_any_of_its_elements(last, now, told):
    assert monitoring.is_told(value(last), value(now), deadband(1.0)) is told


def test_an_error_ends_the_whole_subscription_with_its_status():
    async def ended():
        listening = Listening()
        await listening.heard()
        await listening.subscription.monitored_item_srv.datachange_callback(
            201, value(1.0), ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown)
        )
        return listening.subscription._pop_publish_result().NotificationMessage.NotificationData

    [notification] = asyncio.run(ended())
    assert notification.Status.value == ua.StatusCodes.BadNodeIdUnknown


def test_a_disabled_item_is_told_nothing():
    told = asyncio.run(Listening(mode=ua.MonitoringMode.Disabled).heard(value(1.0), value(2.0)))
    assert told.NotificationMessage.NotificationData == []


def test_a_list_that_is_changed_in_place_is_a_change():
    async def heard():
        listening = Listening(is_ours=True)
        await listening.heard()
        listed = [1.0, 2.0]
        attribute = listening.space[CURRENT_TIME].attributes[ua.AttributeIds.Value]
        attribute.value = None
        for last in (2.0, 3.0):
            listed[1] = last
            written = ua.DataValue(ua.Variant(listed, ua.VariantType.Double))
            await listening.space.write_attribute_value(CURRENT_TIME, ua.AttributeIds.Value, written)
        return listening.subscription._pop_publish_result()

    [notification] = asyncio.run(heard()).NotificationMessage.NotificationData
    assert len(notification.MonitoredItems) == 2


GOOD, NOW = ua.StatusCode(ua.StatusCodes.Good), ua.DateTime(2030, 1, 2, tzinfo=UTC)


def number(*rest):
    return ua.DataValue(ua.Variant(1.0, ua.VariantType.Double), *rest)


@pytest.mark.parametrize(
    "written",
    [
        value(20.5),
        value(-1e300, status=0x408F0000),
        value(float("inf")),
        value(7, ua.VariantType.Int32),
        value(7),
        value([1.0, 2.0]),
        value("warm", ua.VariantType.String),
        value(None, ua.VariantType.Null, ua.StatusCodes.Bad),
        number(),
        number(None, NOW, NOW),
        number(GOOD, ua.DateTime(1500, 1, 1), ua.DateTime(9999, 12, 31, 23, 59, 59)),
        number(GOOD, NOW, NOW, 5, 7),
    ],
)
def test_a_value_is_encoded_as_asyncua_does(written):
    assert monitoring._encoding(written) == struct_to_binary(written)


def test_no_more_encodings_are_kept_than_its_bound():
    for number in range(3 * monitoring._MOST_ENCODED):
        assert monitoring._encoding(value(float(number))) == struct_to_binary(value(float(number)))
        assert len(monitoring._encoded) <= monitoring._MOST_ENCODED


@asynccontextmanager
async def running(folder, application):
    application.is_trusted_by(folder)
    server = UaServer(FakePort(settings(folder)))
    await server.init()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def test_two_clients_hear_the_same_values_over_their_sockets(tmp_path):
    async def heard():
        application = Application(tmp_path / "client")
        async with running(tmp_path / "server", application) as server, AsyncExitStack() as stack:
            temperature = await server.nodes.objects.add_variable(ua.NodeId(1, 2), "Temperature", 0.0)
            queues = [
                await listening(await stack.enter_async_context(connected(server, application)), temperature.nodeid)
                for _ in range(2)
            ]
            told = []
            async with asyncio.timeout(60):
                for number in range(1, 4):
                    await server.write_attribute_value(temperature.nodeid, value(float(number)))
                    told.append([await queue.get() for queue in queues])
            return told

    async def listening(client, nodeid):
        class Heard(asyncio.Queue):
            def datachange_notification(self, node, shown, data):
                self.put_nowait((shown, data.monitored_item.Value.SourceTimestamp.year))

        queue = Heard()
        subscription = await client.create_subscription(50, queue)
        await subscription.deadband_monitor(client.get_node(nodeid), 0.5, ua.DeadbandType.Absolute)
        assert (await queue.get())[0] == 0.0
        return queue

    assert asyncio.run(heard()) == [[(float(number), 2030)] * 2 for number in (1, 2, 3)]
