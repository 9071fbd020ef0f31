"""asyncua's own server steps over the light space: the same nodes, events, methods and alarms as over its own."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from asyncua import Server, ua
from asyncua.server.internal_server import InternalServer

from edgeagent.publish.opcua.standard.server import LazyServer

NEVER_THE_SAME = {
    ua.NodeId(number)
    for number in (
        ua.ObjectIds.Server_ServerStatus,
        ua.ObjectIds.Server_ServerStatus_StartTime,
        ua.ObjectIds.Server_ServerStatus_CurrentTime,
        ua.ObjectIds.Server_ServerStatus_BuildInfo,
        ua.ObjectIds.Server_ServerStatus_BuildInfo_BuildDate,
    )
}


@asynccontextmanager
async def begun(internal):
    internal.bind_condition_methods = True
    internal.disabled_clock = True
    server = Server(iserver=internal)
    await server.init()
    await internal.start()
    yield server
    await internal.stop()


async def fill(server):
    """What an outlet does with a space: types and instances of its own, an alarm, events, a method, a name."""
    index = await server.register_namespace("urn:test")
    oven = await server.nodes.objects.add_object(ua.NodeId(1, index), "Oven")
    await oven.add_variable(ua.NodeId(2, index), "Temperature", 20.0)
    kind = await server.nodes.base_event_type.add_object_type(ua.NodeId(3, index), "BoardCompletedType")
    await kind.add_property(ua.NodeId(4, index), "Barcode", "")
    await oven.add_object(
        ua.NodeId(5, index), "Deviation", server.get_node(ua.ObjectIds.ExclusiveDeviationAlarmType).nodeid
    )
    for event_type in (kind.nodeid, ua.NodeId(ua.ObjectIds.ExclusiveDeviationAlarmType)):
        await server.get_event_generator(event_type, oven)
    await server.nodes.objects.write_attribute(
        ua.AttributeIds.DisplayName, ua.DataValue(ua.Variant(ua.LocalizedText("All")))
    )
    gone = await oven.add_object(ua.NodeId(1000, index), "Gone")
    await server.delete_nodes([gone])


def described(space):
    found = {}
    for nodeid in list(space.keys()):
        node = space[nodeid]
        attributes = {
            number: (attribute.value.Value, attribute.value.StatusCode)
            for number, attribute in node.attributes.items()
            if nodeid not in NEVER_THE_SAME or number != ua.AttributeIds.Value
        }
        found[nodeid] = (attributes, node.references, node.call is None)
    return found


def test_a_server_over_it_ends_with_the_same_nodes_as_over_asyncua_s_own():
    async def filled(internal):
        async with begun(internal) as server:
            await fill(server)
            return described(internal.aspace)

    ours, theirs = asyncio.run(filled(LazyServer())), asyncio.run(filled(InternalServer()))
    assert ours.keys() == theirs.keys()
    assert [nodeid for nodeid in theirs if ours[nodeid] != theirs[nodeid]] == []


@pytest.fixture(scope="module")
def light():
    """A process that makes a server, subscribes, calls and browses, and says what it imported and kept."""
    return subprocess.run([sys.executable, "-W", "error", "-c", _PROCESS], capture_output=True, text=True, check=False)


_PROCESS = """
import asyncio, sys
from pathlib import Path
from asyncua import ua
from asyncua.server.server import Server
from edgeagent.publish.opcua.standard.server import LazyServer

async def main():
    internal = LazyServer()
    internal.bind_condition_methods = True
    server = Server(iserver=internal)
    await server.init()
    await internal.start()
    generator = await server.get_event_generator(ua.ObjectIds.ExclusiveDeviationAlarmType)
    await generator.trigger(message="too hot")
    before = resident_mb()
    for nodeid in list(internal.aspace.keys()):
        wanted = ua.BrowseDescription(nodeid, ua.BrowseDirection.Both, IncludeSubtypes=False, ResultMask=63)
        [found] = internal.view_service.browse(ua.BrowseParameters(NodesToBrowse=[wanted]))
        assert found.References
    print(resident_mb() - before, len(internal.aspace.nodes.changed))
    await internal.stop()

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

asyncio.run(main())
print(*(name for name in sys.modules if "standard_address_space" in name))
"""


def test_asyncua_s_own_generated_address_space_is_never_imported(light):
    assert (light.stdout.splitlines()[1:], light.stderr, light.returncode) == ([""], "", 0)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_full_browse_of_the_address_space_takes_little_memory(light):
    grown_mb, in_memory = light.stdout.splitlines()[0].split()
    assert float(grown_mb) < 6
    assert int(in_memory) < 200


def test_retained_alarms_are_sent_again_on_condition_refresh():
    class Heard(asyncio.Queue):
        def event_notification(self, event):
            self.put_nowait((event.EventType.Identifier, event.Message.Text if event.Message else None))

        def status_change_notification(self, status): ...

    async def refreshed():
        async with begun(LazyServer()) as server:
            generator = await server.get_event_generator(ua.ObjectIds.ExclusiveDeviationAlarmType)
            generator.event.Retain = True
            generator.event.NodeId = ua.NodeId(5, 2)
            generator.event.Message = ua.LocalizedText("too hot")
            await generator.trigger()
            heard = Heard()
            subscription = await server.create_subscription(10, heard)
            await subscription.subscribe_events()
            internal = server.iserver
            for nodeid in list(internal.aspace.keys())[:600]:
                assert internal.aspace.get(nodeid) is not None
            call = ua.CallMethodRequest(
                ua.NodeId(ua.ObjectIds.ConditionType),
                ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh),
                [ua.Variant(subscription.subscription_id, ua.VariantType.UInt32)],
            )
            [answer] = await internal.isession.call([call])
            answer.StatusCode.check()
            async with asyncio.timeout(60):
                sent = [await heard.get() for _ in range(3)]
            await subscription.delete()
            return sent

    start, alarm, end = asyncio.run(refreshed())
    assert (start[0], end[0]) == (ua.ObjectIds.RefreshStartEventType, ua.ObjectIds.RefreshEndEventType)
    assert alarm == (ua.ObjectIds.ExclusiveDeviationAlarmType, "too hot")


def test_a_method_that_is_linked_to_a_type_s_node_is_called():
    async def called():
        async with begun(LazyServer()) as server:

            async def acknowledge(parent, *arguments):
                return [ua.Variant(len(arguments), ua.VariantType.Int32)]

            method = ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge)
            server.link_method(server.get_node(method), acknowledge)
            for nodeid in list(server.iserver.aspace.keys())[-600:]:
                assert server.iserver.aspace.get(nodeid) is not None
            call = ua.CallMethodRequest(ua.NodeId(ua.ObjectIds.Server), method, [ua.Variant(b"1"), ua.Variant("seen")])
            return await server.iserver.isession.call([call])

    [answer] = asyncio.run(called())
    assert answer.StatusCode.is_good()
    assert [output.Value for output in answer.OutputArguments] == [2]
