"""What clients can make grow is bounded, whether they have a session or not."""

from __future__ import annotations

import asyncio
import struct
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary, uatcp_to_binary

from edgeagent.publish.opcua import connections, requests
from edgeagent.publish.opcua.port import Bounds
from tests.publish.opcua.clients import Wire, connected, create_session, secured, session
from tests.publish.opcua.conftest import Run, Serve
from tests.publish.opcua.guarded import monitor, read, status, subscribe
from tests.publish.opcua.test_sessions import until

WRONG_STARTS = {
    "rubbish": b"GET / HTTP/1.1\r\n\r\n",
    "a message of no size": b"HELF" + struct.pack("<I", 8),
    "a size below its header": b"MSGF" + struct.pack("<I", 3),
    "a size beyond any": b"HELF" + struct.pack("<I", 0xFFFFFFFF) + bytes(64),
    "a channel before the greeting": b"OPNF" + struct.pack("<II", 132, 0) + bytes(120),
    "a message before the channel": b"MSGF" + struct.pack("<IIIII", 40, 0, 0, 1, 1) + bytes(16),
    "an answer": b"ACKF" + struct.pack("<I", 28) + bytes(20),
    "a greeting that ends too soon": b"HELF" + struct.pack("<I", 12) + bytes(4),
}


def test_what_is_no_greeting_ends_the_connection_alone(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            for name, content in WRONG_STARTS.items():
                wire = await Wire.to(its.url)
                wire.send(content)
                assert await wire.is_ended(), name
                await wire.close()
            await until(lambda: its.server.connections == 0)
            async with connected(its.server, its.application) as client:
                assert await client.get_node(its.temperature.nodeid).read_value() == 240.5

    run(test())


def test_a_buffer_too_small_for_answers_is_refused(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            for size in (0, 1, 8191):
                wire = await Wire.to(its.url)
                assert isinstance(await wire.greet(size), ua.ErrorMessage)
                assert await wire.is_ended()
                await wire.close()

    run(test())


def test_before_there_is_a_session_little_is_held(serve: Serve, run: Run) -> None:
    """Pieces of one message are taken up to the size that a login needs."""

    async def test() -> None:
        async with serve() as its:
            for is_secure in (True, False):
                wire = await its.channel() if is_secure else await plain(its.url)
                piece = bytes(20_000)
                for _ in range(4):
                    wire.send(pieces(wire, piece))
                assert status(await wire.answer()) in ("BadRequestTooLarge", "BadTcpMessageTooLarge")
                assert await wire.is_ended()
                await wire.close()

    run(test())


async def plain(url: str) -> Wire:
    wire = await Wire.to(url)
    await wire.greet()
    await wire.open()
    return wire


def pieces(wire: Wire, body: bytes) -> bytes:
    """A chunk after which others follow."""
    channel = wire.channel
    from asyncua.common.connection import MessageChunk

    chunk = MessageChunk(channel.security_policy.symmetric_cryptography, body, ua.MessageType.SecureMessage,
                         ua.ChunkType.Intermediate)  # fmt: skip
    channel._sequence_number += 1
    chunk.SequenceHeader.SequenceNumber, chunk.SequenceHeader.RequestId = channel._sequence_number, 77
    chunk.SecurityHeader.TokenId = channel.security_token.TokenId
    chunk.MessageHeader.ChannelId = channel.security_token.ChannelId
    return chunk.to_binary()


def test_a_message_beyond_the_bounds_ends_the_connection(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(bounds=Bounds(message_bytes=100_000, chunks=4)) as its:
            for size in (30_000, 1_000):  # too much altogether; too many pieces
                wire = await its.wire()
                for _ in range(6):
                    wire.send(pieces(wire, bytes(size)))
                assert status(await wire.answer()) == "BadRequestTooLarge"
                assert await wire.is_ended()
                await wire.close()

    run(test())


def test_who_does_not_log_in_leaves_in_time(serve: Serve, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LOGIN_S", 0.0)

    async def test() -> None:
        async with serve() as its:
            silent, channel = await Wire.to(its.url), await Wire.to(its.url)
            assert await silent.is_ended()
            assert await channel.is_ended()
            for wire in (silent, channel):
                await wire.close()

    run(test())


def test_of_those_without_a_session_the_oldest_makes_room(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(bounds=Bounds(connections=8)) as its:
            own = await its.wire()
            channel = await its.channel()
            idle = [await Wire.to(its.url) for _ in range(20)]
            await until(lambda: its.server.connections <= 5)
            async with connected(its.server, its.application) as client:
                assert await client.get_node(its.temperature.nodeid).read_value() == 240.5
            assert status(await own.ask(read(its.temperature))) == "Good"
            created = await channel.ask(create_session(its.application))  # its certificate is trusted: it stays
            assert status(created) == "Good"
            for wire in (own, channel, *idle):
                await wire.close()

    run(test())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a computer has one loopback address")
def test_the_address_with_most_of_them_makes_room_first(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(bounds=Bounds(connections=8)) as its:
            waits = await plain(its.url)
            many = [await Wire.to(its.url, "127.0.0.2") for _ in range(20)]
            await until(lambda: its.server._door.left >= 17)
            assert isinstance(await waits.ask(ua.GetEndpointsRequest()), ua.GetEndpointsResponse)
            for wire in (waits, *many):
                await wire.close()

    run(test())


def test_sessions_are_bounded(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(bounds=Bounds(sessions=2)) as its:
            wires = [await its.wire(), await its.wire()]
            third = await its.channel()
            assert status(await third.ask(create_session(its.application))) == "BadTooManySessions"
            await wires.pop().close()
            await until(lambda: len(its.server.iserver.sessions) == 1)
            assert isinstance(await session(third, its.application, its.der), ua.ActivateSessionResponse)
            for wire in (*wires, third):
                await wire.close()

    run(test())


def test_a_connection_has_one_session(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.channel()
            for _ in range(5):  # one that was never activated gives way to the next
                assert status(await wire.ask(create_session(its.application))) == "Good"
            assert len(its.server.iserver.sessions) == 1
            await session(wire, its.application, its.der)
            assert status(await wire.ask(create_session(its.application))) == "BadTooManySessions"
            close = ua.CloseSessionRequest()
            assert isinstance(await wire.ask(close), ua.CloseSessionResponse)
            assert not its.server.iserver.sessions
            await session(wire, its.application, its.der)
            assert status(await wire.ask(read(its.temperature))) == "Good"
            await wire.close()

    run(test())


def test_subscriptions_and_items_are_bounded(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(bounds=Bounds(subscriptions=2, items=5), variables=4) as its:
            wire = await its.wire()
            first, second, third = [await wire.ask(subscribe()) for _ in range(3)]
            assert status(third) == "BadTooManySubscriptions"
            numbers = [each.Parameters.SubscriptionId for each in (first, second)]
            made = [await wire.ask(monitor(number, *its.many)) for number in numbers]
            told = [item.StatusCode.name for each in made for item in each.Results]
            assert told == ["Good"] * 5 + ["BadTooManyMonitoredItems"] * 3
            assert its.server.items == 5
            other = await its.wire()  # the bound is each session's own
            assert status(await other.ask(subscribe())) == "Good"
            for each in (wire, other):
                await each.close()

    run(test())


def test_operations_of_one_request_are_bounded(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(bounds=Bounds(operations=10)) as its:
            wire = await its.wire()
            for count, told in ((10, "Good"), (11, "BadTooManyOperations")):
                reading = read(its.temperature)
                reading.Parameters.NodesToRead *= count
                assert status(await wire.ask(reading)) == told
                calling = ua.CallRequest()
                calling.Parameters.MethodsToCall = [ua.CallMethodRequest(its.oven.nodeid, its.who.nodeid)] * count
                assert status(await wire.ask(calling)) == told
            assert its.calls == 10
            many = read(its.temperature)
            many.Parameters.NodesToRead *= 10_000
            assert status(await wire.ask(many)) == "BadEncodingLimitsExceeded"  # it is not even taken apart
            await wire.close()

    run(test())




def write(node: Any, *values: ua.Variant) -> ua.WriteRequest:
    request = ua.WriteRequest()
    request.Parameters.NodesToWrite = [
        ua.WriteValue(node.nodeid, ua.AttributeIds.Value, None, ua.DataValue(value)) for value in values
    ]
    return request


def test_messages_that_are_no_request_are_answered_by_a_fault(serve: Serve, run: Run) -> None:
    """However they are nested, cut off or wrong: the session goes on."""

    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            good = struct_to_binary(with_token(write(its.writable, ua.Variant("hello")), wire))
            text = struct.pack("<i", 5) + b"hello"
            assert text in good
            cases = {
                "nested": deep_variant(wire, its, 5_000),
                "cut off": good[:-7],
                "a negative length": good.replace(text, b"\xfe\xff\xff\xffhello"),
                "a length beyond the end": good.replace(text, b"\xff\xff\xff\x7fhello"),
            }
            for name, body in cases.items():
                wire.message(body)
                answer = await wire.answer()
                assert status(answer) in ("BadDecodingError", "BadEncodingLimitsExceeded"), (name, answer)
            wire.message(good.replace(b"hello", b"\xff\xfe\xfd\xfc\xfb"))
            assert (await wire.answer()).Results[0].name == "BadTypeMismatch"
            assert status(await wire.ask(read(its.temperature))) == "Good"
            assert await its.writable.read_value() == ""
            await wire.close()

    run(test())


def with_token(request: Any, wire: Wire) -> Any:
    request.RequestHeader.AuthenticationToken = wire.token
    return request


def deep_variant(wire: Wire, its: Any, depth: int) -> bytes:
    """A WriteRequest whose value is a Variant of a Variant, and so on; made as bytes, for it is too deep to be made."""
    marker = 0x7A7B7C7D
    whole = struct_to_binary(with_token(write(its.writable, ua.Variant(marker, ua.VariantType.UInt32)), wire))
    place = whole.index(bytes([7]) + struct.pack("<I", marker))
    return whole[:place] + bytes([0x80 | 24, 1, 0, 0, 0]) * depth + whole[place:]


def test_an_array_that_is_only_declared_is_not_made(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            marker = 0x7A7B7C7D
            whole = struct_to_binary(with_token(write(its.writable, ua.Variant(marker, ua.VariantType.UInt32)), wire))
            place = whole.index(bytes([7]) + struct.pack("<I", marker))
            declared = bytes([7 | 0xC0]) + struct.pack("<iI", 1, 1) + struct.pack("<iii", 2, 1000, 900)
            wire.message(whole[:place] + declared + whole[place + 5 :])
            assert status(await wire.answer()) == "BadDecodingError"
            await wire.close()

    run(test())


def test_paths_are_followed_within_bounds(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            step = ua.RelativePathElement(ua.NodeId(ua.ObjectIds.Organizes), False, True, ua.QualifiedName("Objects"))
            for count, told in ((0, "BadNothingToDo"), (1, "Good"), (2, "BadNoMatch"), (400, "BadTooManyOperations")):
                request = ua.TranslateBrowsePathsToNodeIdsRequest()
                path = ua.BrowsePath(ua.NodeId(ua.ObjectIds.RootFolder), ua.RelativePath([step] * count))
                request.Parameters.BrowsePaths = [path]
                [result] = (await wire.ask(request)).Results
                assert result.StatusCode.name == told
            await wire.close()

    run(test())


def test_publish_requests_are_bounded_and_the_oldest_is_answered(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            assert status(await wire.ask(ua.PublishRequest())) == "BadNoSubscription"
            await wire.ask(subscribe(60_000))
            for _ in range(40):
                wire.request(ua.PublishRequest())
            told = [status(await wire.answer()) for _ in range(28)]
            assert told.count("BadTooManyPublishRequests") >= 27
            await wire.close()

    run(test())


def test_publish_requests_that_nothing_can_answer_any_more_are_answered_so(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            deleting = ua.DeleteSubscriptionsRequest()
            for ending, told in ((deleting, "BadNoSubscription"), (ua.CloseSessionRequest(), "BadSessionClosed")):
                made = (await wire.ask(subscribe(15_000))).Parameters.SubscriptionId
                deleting.Parameters.SubscriptionIds = [made]
                assert status(await wire.ask(ua.PublishRequest())) == "Good"
                for request in (ua.PublishRequest(), ua.PublishRequest(), ending):
                    wire.request(request)
                assert sorted([status(await wire.answer()) for _ in range(3)]) == sorted([told, told, "Good"])
            await wire.close()

    run(test())


def test_who_does_not_read_is_not_answered_any_more(serve: Serve, run: Run) -> None:
    """Answers that nobody takes are not made: the next request waits, and then its sender."""

    async def test() -> None:
        async with serve() as its:
            wire, other = await its.wire(), await its.wire()
            wire.writer.transport.pause_reading()
            request = read(its.profile)
            request.Parameters.NodesToRead *= 500
            held: list[Any] = []
            async with asyncio.timeout(60):
                while not held:
                    wire.request(request)
                    await asyncio.sleep(0.005)
                    held = [each for each in its.server._door.connections if not each._writable.is_set()]
            for _ in range(200):
                wire.request(request)
            await asyncio.sleep(0.1)
            assert held[0].transport.get_write_buffer_size() < 2_000_000
            assert len(held[0]._held) < 400_000
            assert status(await other.ask(read(its.temperature))) == "Good"
            wire.writer.transport.abort()
            await other.close()

    run(test())


def test_the_channel_is_renewed_by_its_own_client_alone(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            wrong = await Wire.to(its.url)
            await wrong.greet()
            renewed = await wrong.open(secured(its.application, its.der), ua.SecurityTokenRequestType.Renew)
            assert isinstance(renewed, ua.ErrorMessage)
            again = await wire.open(wire.channel.security_policy)  # a second one, instead of a renewal
            assert isinstance(again, ua.ErrorMessage)
            await wrong.close()
            await wire.close()

    run(test())


def test_a_channel_whose_keys_are_not_renewed_ends(
    serve: Serve, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    now = 0.0
    monkeypatch.setattr(requests, "time", SimpleNamespace(monotonic=lambda: now))

    async def test() -> None:
        nonlocal now
        async with serve() as its:
            wire, renewing = await its.wire(), await its.wire()
            now = 3600.0
            opened = await renewing.open(renewing.channel.security_policy, ua.SecurityTokenRequestType.Renew)
            assert isinstance(opened, ua.OpenSecureChannelResponse)
            assert status(await wire.ask(read(its.temperature))) == "Good"
            now = 3600.0 * 1.25 + 1
            assert await wire.is_ended()
            assert status(await renewing.ask(read(its.temperature))) == "Good"
            await wire.close()
            await renewing.close()

    run(test())


def test_a_second_greeting_ends_the_connection(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            wire.send(uatcp_to_binary(ua.MessageType.Hello, ua.Hello()))
            assert await wire.is_ended()
            await until(lambda: not its.server.iserver.sessions)
            await wire.close()

    run(test())
