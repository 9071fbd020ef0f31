"""Nodes come and go; what was written, linked, added or is monitored stays."""

import pytest
from asyncua import ua
from asyncua.server.address_space import AttributeService, NodeData, ViewService

from edgeagent.publish.opcua.standard.records import Records
from edgeagent.publish.opcua.standard.space import LazyNodeManagement, LazySpace

OBJECTS, SERVER, SERVER_STATUS, CURRENT_TIME = (ua.NodeId(number) for number in (85, 2253, 2256, 2258))
CONDITION_REFRESH = ua.NodeId(3875)
VALUE = ua.AttributeIds.Value


@pytest.fixture
def space():
    return LazySpace(passing=16)


def browse_others(space):
    """Ask for more nodes than may pass, none of which a test names."""
    for number in Records().identifiers[-50:]:
        assert space[ua.NodeId(number)].nodeid == ua.NodeId(number)


def value_of(space, nodeid, attribute=VALUE):
    return space.read_attribute_value(nodeid, attribute).Value.Value


def item(name="Oven", number=1, parent=OBJECTS):
    return ua.AddNodesItem(
        RequestedNewNodeId=ua.NodeId(number, 2),
        BrowseName=ua.QualifiedName(name, 2),
        NodeClass=ua.NodeClass.Object,
        ParentNodeId=parent,
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.Organizes),
        TypeDefinition=ua.NodeId(ua.ObjectIds.BaseObjectType),
        NodeAttributes=ua.ObjectAttributes(DisplayName=ua.LocalizedText(name)),
    )


def test_a_full_browse_leaves_no_more_nodes_in_memory_than_may_pass(space):
    everything = list(space.keys())
    for nodeid in everything:
        assert space[nodeid].nodeid == nodeid
    assert len(space.nodes.changed) == 16
    assert len(space.nodes) == len(everything) > 6000


def test_a_node_that_was_looked_at_again_outlives_the_others(space):
    first = space[SERVER]
    for number in Records().identifiers[:15]:
        space.get(ua.NodeId(number))
    assert space[SERVER] is first
    for number in Records().identifiers[15:30]:
        space.get(ua.NodeId(number))
    assert space[SERVER] is first


async def written(space, nodeid, attribute, variant):
    status = await space.write_attribute_value(nodeid, attribute, ua.DataValue(variant))
    assert status.is_good()


@pytest.mark.parametrize("nodeid", [CURRENT_TIME, SERVER_STATUS])
def test_what_was_written_stays(space, nodeid, run):
    run(written(space, nodeid, VALUE, ua.Variant(ua.DateTime(2030, 1, 2))))
    browse_others(space)
    assert value_of(space, nodeid) == ua.DateTime(2030, 1, 2)


def test_a_new_name_is_the_same_at_every_neighbour_later_too(space, run):
    run(written(space, SERVER_STATUS, ua.AttributeIds.DisplayName, ua.Variant(ua.LocalizedText("State"))))
    browse_others(space)
    names = {reference.NodeId: reference.DisplayName.Text for reference in space[SERVER].references}
    assert names[SERVER_STATUS] == "State"


def test_what_was_added_is_found_from_the_standard_node_above_it(space):
    management = LazyNodeManagement(space)
    [added] = management.add_nodes([item()])
    added.StatusCode.check()
    browse_others(space)
    [found] = [reference for reference in space[OBJECTS].references if reference.NodeId == ua.NodeId(1, 2)]
    assert (found.BrowseName.Name, found.TypeDefinition) == ("Oven", ua.NodeId(ua.ObjectIds.BaseObjectType))
    assert space[ua.NodeId(1, 2)].references[0].NodeId == OBJECTS
    assert ua.NodeId(1, 2) in list(space.keys())


def test_a_reference_that_was_taken_away_stays_away(space):
    management = LazyNodeManagement(space)
    gone = ua.DeleteReferencesItem(OBJECTS, ua.NodeId(ua.ObjectIds.Organizes), True, SERVER, DeleteBidirectional=True)
    assert management.delete_references([gone])[0].is_good()
    browse_others(space)
    assert SERVER not in [reference.NodeId for reference in space[OBJECTS].references]
    assert OBJECTS not in [reference.NodeId for reference in space[SERVER].references]


def test_a_deleted_node_is_gone_from_all_that_referred_to_it(space):
    management = LazyNodeManagement(space)
    management.add_nodes([item(), item("Zone", 2, parent=ua.NodeId(1, 2))])
    before = len(space.nodes)
    browse_others(space)
    in_memory = space.nodes.changed
    deletion = ua.DeleteNodesParameters([ua.DeleteNodesItem(ua.NodeId(2, 2), DeleteTargetReferences=True)])
    assert management.delete_nodes(deletion)[0].is_good()
    assert space.nodes.changed == [node for node in in_memory if node.nodeid != ua.NodeId(2, 2)]
    assert ua.NodeId(2, 2) not in space
    assert [reference.NodeId for reference in space[ua.NodeId(1, 2)].references][1:] == [ua.NodeId(58)]
    assert len(space.nodes) == before - 1


def test_a_deleted_standard_node_does_not_come_back(space):
    management = LazyNodeManagement(space)
    deletion = ua.DeleteNodesParameters([ua.DeleteNodesItem(CURRENT_TIME, DeleteTargetReferences=True)])
    assert management.delete_nodes(deletion)[0].is_good()
    browse_others(space)
    assert CURRENT_TIME not in space
    assert space.get(CURRENT_TIME) is None
    assert CURRENT_TIME not in [reference.NodeId for reference in space[SERVER_STATUS].references]


def test_a_method_keeps_what_it_calls(space):
    def call() -> None: ...

    space.add_method_callback(CONDITION_REFRESH, call)
    browse_others(space)
    assert space[CONDITION_REFRESH].call is call


def test_a_value_made_on_demand_stays(space):
    answer = ua.DataValue(ua.Variant(7, ua.VariantType.UInt32))
    space.set_attribute_value_callback(CURRENT_TIME, VALUE, lambda nodeid, attribute: answer)
    space.set_attribute_value_setter(SERVER_STATUS, VALUE, print)
    browse_others(space)
    assert space.read_attribute_value(CURRENT_TIME, VALUE) is answer
    assert space[SERVER_STATUS].attributes[VALUE].value_setter is print


def test_a_monitored_node_stays_until_nobody_monitors_it(space, run):
    heard = []

    async def changed(handle, value):
        heard.append(value.Value.Value)

    handles = []
    for number in [*Records().identifiers[2000:2300], CURRENT_TIME.Identifier]:
        nodeid = ua.NodeId(number)
        if VALUE in space[nodeid].attributes:
            _, handle = space.add_datachange_callback(nodeid, VALUE, changed)
            handles.append(handle)
    browse_others(space)
    assert len(space.nodes.changed) == 16 + len(handles) > 16 + 50
    run(written(space, CURRENT_TIME, VALUE, ua.Variant(ua.DateTime(2030, 1, 2))))
    assert heard == [ua.DateTime(2030, 1, 2)]

    for handle in handles:
        space.delete_datachange_callback(handle)
    assert len(space.nodes.changed) == 16 + 1
    assert value_of(space, CURRENT_TIME) == ua.DateTime(2030, 1, 2)
    assert CURRENT_TIME in {node.nodeid for node in space.nodes.changed}


def test_one_of_two_that_monitor_a_node_may_leave(space):
    async def changed(handle, value): ...

    _, first = space.add_datachange_callback(CURRENT_TIME, VALUE, changed)
    _, second = space.add_datachange_callback(CURRENT_TIME, VALUE, changed)
    space.delete_datachange_callback(first)
    browse_others(space)
    assert list(space[CURRENT_TIME].attributes[VALUE].datachange_callbacks) == [second]


def test_subtypes_are_found_from_the_top_with_few_nodes_in_memory(space):
    references = ViewService(space)._get_sub_ref(ua.NodeId(ua.ObjectIds.References))
    events = ViewService(space)._get_sub_ref(ua.NodeId(ua.ObjectIds.BaseEventType))
    assert ua.NodeId(ua.ObjectIds.HasEffectDisable) in set(references)
    assert ua.NodeId(ua.ObjectIds.ExclusiveDeviationAlarmType) in set(events)


def test_what_nobody_knows_is_said_to_be_unknown(space, run):
    unknown = ua.NodeId(4_000_000)
    assert unknown not in space
    assert "Server" not in space.nodes
    with pytest.raises(KeyError):
        space[unknown]
    with pytest.raises(KeyError):
        del space[unknown]
    read = AttributeService(space).read(ua.ReadParameters(NodesToRead=[ua.ReadValueId(unknown, VALUE)]))
    assert read[0].StatusCode.value == ua.StatusCodes.BadNodeIdUnknown


def test_nodes_of_ours_are_numbered_beyond_those_that_are_there(space):
    space[ua.NodeId(9, 2)] = NodeData(ua.NodeId(9, 2))
    assert space.generate_nodeid(2) == ua.NodeId(10, 2)
    assert space.generate_nodeid(0) == ua.NodeId(20001)
