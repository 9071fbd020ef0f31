"""What the library does that is done differently here: where one of these fails, a piece of ours can be taken out."""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer
from asyncua.server.address_space import AddressSpace, AttributeService, AttributeValue, NodeData, ViewService
from asyncua.server.binary_server_asyncio import OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.subscription_service import SubscriptionService
from asyncua.server.user_managers import PermissiveUserManager
from asyncua.ua.ua_binary import Primitives, struct_from_binary

NODE = ua.NodeId(1, 2)


def stock() -> InternalServer:
    return InternalServer(PermissiveUserManager())


def space_of_one() -> AddressSpace:
    space = AddressSpace()
    node = NodeData(NODE)
    node.attributes[ua.AttributeIds.Value] = AttributeValue(ua.DataValue(ua.Variant([1, 2, 3])))
    space[NODE] = node
    return space


class Socket(asyncio.Transport):
    """Notes whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_its_session_tokens_count_up_and_can_be_taken_up_elsewhere() -> None:
    server = stock()
    first, second = server.create_session("one", external=True), server.create_session("two", external=True)
    assert second.auth_token.Identifier == first.auth_token.Identifier + 1
    assert server.lookup_external_session(first.auth_token) is first


def test_its_users_may_be_anybody() -> None:
    assert PermissiveUserManager().get_user(stock(), username="admin", password="anything") is not None


def test_its_events_are_dropped_without_a_word() -> None:
    async def test() -> None:
        data = ua.CreateSubscriptionResult(SubscriptionId=1, RevisedPublishingInterval=1000.0)
        subscription = InternalSubscription(data, AddressSpace(), print, ua.NodeId(1), request_callback=lambda _: None)
        for number in range(3):
            await subscription.enqueue_event(7, ua.EventFieldList(number), 2)
        [told] = subscription._pop_publish_result().NotificationMessage.NotificationData
        assert [event.ClientHandle for event in told.Events] == [1, 2]

    asyncio.run(test())


def test_its_subscriptions_count_up_keep_loggers_and_cannot_be_modified() -> None:
    async def test() -> None:
        subscriptions = SubscriptionService(AddressSpace(), stock())
        asked = ua.CreateSubscriptionParameters(RequestedPublishingInterval=200.0)

        async def publish(*_: Any) -> None:
            """Nobody hears it."""

        made = [await subscriptions.create_subscription(asked, publish, ua.NodeId(1)) for _ in range(2)]
        numbers = [each.SubscriptionId for each in made]
        assert numbers == [78, 79]
        assert "asyncua.server.monitored_item_service.79" in logging.root.manager.loggerDict
        change = ua.ModifySubscriptionParameters(numbers[0], 1000.0)
        assert subscriptions.modify_subscription(change).RevisedPublishingInterval == 200.0
        await subscriptions.delete_subscriptions(numbers)

    asyncio.run(test())


def test_it_returns_all_references_and_has_no_browse_next() -> None:
    space = space_of_one()
    space[NODE].references.extend(ua.ReferenceDescription(NodeId=ua.NodeId(number, 2)) for number in range(20))
    asked = ua.BrowseParameters(RequestedMaxReferencesPerNode=2, NodesToBrowse=[ua.BrowseDescription(NODE)])
    asked.NodesToBrowse[0].BrowseDirection = ua.BrowseDirection.Both
    assert len(ViewService(space).browse(asked)[0].References) == 20
    session = InternalSession(stock(), space, SubscriptionService(space), "one")
    with pytest.raises(NotImplementedError):
        asyncio.run(session.browse_next(ua.BrowseNextParameters()))


def test_it_returns_the_whole_value_with_whatever_timestamps() -> None:
    asked = ua.ReadParameters(NodesToRead=[ua.ReadValueId(NODE, ua.AttributeIds.Value, "1:2")])
    asked.TimestampsToReturn = ua.TimestampsToReturn.Server
    [value] = AttributeService(space_of_one()).read(asked)
    assert (value.Value.Value, value.ServerTimestamp) == ([1, 2, 3], None)


def test_it_holds_a_message_of_any_declared_size_before_anybody_said_anything() -> None:
    async def test() -> None:
        server, transport = stock(), Socket()
        protocol = OPCUAProtocol(server, [], [], [], TransportLimits())
        protocol.connection_made(transport)
        protocol.data_received(b"HELF" + struct.pack("<I", 90_000_000) + bytes(1_000_000))
        assert len(protocol._buffer) > 1_000_000
        assert not transport.is_closed
        protocol.connection_lost(None)
        await asyncio.gather(*protocol.closing_tasks)

    asyncio.run(test())


def test_it_reads_backwards_where_a_length_is_negative() -> None:
    buffer = Buffer(Primitives.Int32.pack(-3) + b"rest")
    Primitives.Bytes.unpack(buffer)
    assert len(buffer) > 4


def test_it_takes_texts_that_are_none() -> None:
    text = struct_from_binary(ua.QualifiedName, Buffer(b"\x00\x00" + Primitives.Bytes.pack(b"\xff\xfe")))
    with pytest.raises(UnicodeEncodeError):
        text.Name.encode()
