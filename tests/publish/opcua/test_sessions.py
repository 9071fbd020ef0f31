"""Whose a session is, what it may, and when it ends: tried over real connections, right and wrong."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyNone

from edgeagent.publish.opcua import identities
from edgeagent.publish.opcua.folders import fingerprint
from tests.publish.opcua import fakes
from tests.publish.opcua.clients import (
    POLICIES,
    Application,
    Wire,
    activate,
    connected,
    create_session,
    secured,
    session,
)  # fmt: skip
from tests.publish.opcua.conftest import Run, Serve
from tests.publish.opcua.fakes import OPERATOR, VIEWER
from tests.publish.opcua.guarded import monitor, read, status, subscribe


async def until(condition: Any) -> None:
    """Wait for something; the test's own time-out is the end of it."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  what is waited for is in the server, which tells nobody
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy_serves_a_user_of_the_agent(serve: Serve, run: Run, policy: str) -> None:
    async def test() -> None:
        async with serve() as its, connected(its.server, its.application, policy=policy) as client:
            assert await client.get_node(its.temperature.nodeid).read_value() == 240.5
            assert [each.user for each in its.port.opened.values()] == ["mes"]

    run(test())


def test_the_endpoints_are_encrypted_and_take_no_anonymous_user(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            endpoints = await Client(its.url).connect_and_get_server_endpoints()
            assert {each.SecurityPolicyUri.rpartition("#")[2] for each in endpoints} == set(POLICIES)
            assert {each.SecurityMode for each in endpoints} == {ua.MessageSecurityMode.SignAndEncrypt}
            kinds = {token.TokenType for each in endpoints for token in each.UserIdentityTokens}
            assert kinds == {ua.UserTokenType.UserName, ua.UserTokenType.Certificate}
            assert all(each.ServerCertificate == its.der for each in endpoints)

    run(test())


@pytest.mark.parametrize(("user", "password"), [("mes", "wrong"), ("mes", VIEWER), ("admin", ""), ("Admin", "x")])
def test_wrong_credentials_are_refused_by_the_agent(serve: Serve, run: Run, user: str, password: str) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.channel()
            refused = await session(wire, its.application, its.der, user, password)
            assert status(refused) in ("BadUserAccessDenied", "BadIdentityTokenInvalid")
            assert status(await wire.ask(read(its.temperature))) == "BadSessionNotActivated"
            assert not its.port.opened
            await wire.close()

    run(test())


def test_nobody_in_particular_comes_in_only_where_this_is_allowed(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            with pytest.raises(ua.uaerrors.BadIdentityTokenRejected):
                async with connected(its.server, its.application, user=None):
                    pass

    run(test())


def test_nobody_in_particular_reads_and_writes_nothing(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(anonymous_reading=True) as its, connected(its.server, its.application, user=None) as client:
            assert await client.get_node(its.temperature.nodeid).read_value() == 240.5
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await client.get_node(its.writable.nodeid).write_value("hello")
            assert await its.writable.read_value() == ""
            [identity] = its.port.opened.values()
            assert (identity.role, identity.is_authenticated) == ("viewer", False)

    run(test())


def test_anonymous_reading_is_for_this_computer_alone() -> None:
    assert identities._is_here("127.0.0.1")
    assert identities._is_here("::ffff:127.0.0.1")
    assert not identities._is_here("192.168.0.7")
    assert not identities._is_here("")


def test_a_session_is_nobody_elses(serve: Serve, run: Run) -> None:
    """Neither with its token, nor over another channel, nor by a request for it that fails."""

    async def test() -> None:
        async with serve() as its:
            own = await its.wire()
            other = await its.channel()
            assert status(await other.ask(read(its.temperature), own.token)) == "BadSessionIdInvalid"
            taken = activate(other, its.der, bytes(32))
            assert status(await other.ask(taken, own.token)) == "BadSessionIdInvalid"
            assert status(await other.ask(read(its.temperature), own.token)) == "BadSessionIdInvalid"
            assert status(await own.ask(read(its.temperature))) == "Good"
            for wire in (own, other):
                await wire.close()

    run(test())


def test_a_request_needs_the_token_of_its_session(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            for token in (ua.NodeId(), ua.NodeId(1000), ua.NodeId(bytes(32))):
                assert status(await wire.ask(read(its.temperature), token)) == "BadSessionIdInvalid"
            assert status(await wire.ask(read(its.temperature))) == "Good"
            await wire.close()

    run(test())


def test_session_tokens_cannot_be_guessed(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wires = [await its.wire() for _ in range(3)]
            tokens = {bytes(wire.token.Identifier) for wire in wires}
            assert len(tokens) == 3
            assert {len(token) for token in tokens} == {32}
            numbers = [int.from_bytes(token, "big") for token in tokens]
            assert all((one ^ other).bit_count() > 64 for one in numbers for other in numbers if one != other)
            for wire in wires:
                await wire.close()

    run(test())


def test_an_activation_that_is_not_signed_by_the_client_is_refused(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.channel()
            created = await wire.ask(create_session(its.application))
            wire.token = created.Parameters.AuthenticationToken
            request = activate(wire, its.der, created.Parameters.ServerNonce)
            request.Parameters.ClientSignature.Signature = bytes(256)
            assert status(await wire.ask(request)) == "BadApplicationSignatureInvalid"
            assert status(await wire.ask(read(its.temperature))) == "BadSessionNotActivated"
            await wire.close()

    run(test())


def test_a_channel_without_security_tells_the_endpoints_and_nothing_else(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await Wire.to(its.url)
            await wire.greet()
            await wire.open()
            assert isinstance(await wire.ask(ua.GetEndpointsRequest()), ua.GetEndpointsResponse)
            assert isinstance(await wire.ask(ua.FindServersRequest()), ua.FindServersResponse)
            for request in (create_session(its.application), read(its.temperature), ua.RegisterServerRequest()):
                assert status(await wire.ask(request)) == "BadSecurityModeInsufficient"
            assert not its.server.iserver.sessions
            await wire.close()

    run(test())


def test_a_client_finds_the_server_by_the_name_that_it_calls_it_by(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await Wire.to(its.url)
            await wire.greet()
            await wire.open()
            here = "opc.tcp://oven-7:4840"
            found = await wire.ask(ua.FindServersRequest(Parameters=ua.FindServersParameters(EndpointUrl=here)))
            [server] = found.Servers
            assert (server.ApplicationUri, server.DiscoveryUrls) == ("urn:test:edgeagent", [here])
            for uri, count in (("urn:test:edgeagent", 1), ("urn:test:another", 0)):
                asked = ua.FindServersParameters(EndpointUrl=here, ServerUris=[uri])
                assert len((await wire.ask(ua.FindServersRequest(Parameters=asked))).Servers) == count
            for profile, count in (("uatcp-uasc-uabinary", 3), ("https-uabinary", 0)):
                uri = f"http://opcfoundation.org/UA-Profile/Transport/{profile}"
                request = ua.GetEndpointsRequest(Parameters=ua.GetEndpointsParameters(here, ProfileUris=[uri]))
                told = (await wire.ask(request)).Endpoints
                assert [each.EndpointUrl for each in told] == [here] * count
            await wire.close()

    run(test())


@pytest.mark.parametrize("mode", [ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.None_])
def test_a_channel_that_is_not_encrypted_is_refused(serve: Serve, run: Run, mode: ua.MessageSecurityMode) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await Wire.to(its.url)
            await wire.greet()
            assert status(await wire.open(secured(its.application, its.der), mode=mode)) == "BadSecurityModeRejected"
            assert await wire.is_ended()
            await wire.close()

    run(test())


def test_nothing_is_taken_before_the_channel_is_open(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await Wire.to(its.url)
            await wire.greet()
            wire.channel.security_policy = SecurityPolicyNone()
            wire.request(create_session(its.application))
            assert await wire.is_ended()
            await wire.close()

    run(test())


def test_subscriptions_and_items_belong_to_their_session(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(has_machines=True) as its:
            own, other = await its.wire(), await its.wire("panel", VIEWER)
            made = await own.ask(subscribe())
            number = made.Parameters.SubscriptionId
            items = await own.ask(monitor(number, its.temperature))
            item = items.Results[0].MonitoredItemId
            for request in foreign(number, item, its):
                answer = await other.ask(request)
                told = {status(answer), *[each.name for each in results(answer)]}
                assert told & {"BadSubscriptionIdInvalid", "BadNoSubscription"}, (request, told)
            assert list(its.subscriptions) == [number]
            assert len(its.subscriptions[number].monitored_item_srv) == 1
            assert its.subscriptions[number].session_id == next(
                each.session_id for each in its.server.iserver.sessions if each.auth_token == own.token
            )
            for wire in (own, other):
                await wire.close()

    run(test())


def foreign(subscription: int, item: int, its: Any) -> list[Any]:
    """Requests that name somebody's subscription."""
    delete = ua.DeleteSubscriptionsRequest()
    delete.Parameters.SubscriptionIds = [subscription]
    modify = ua.ModifySubscriptionRequest()
    modify.Parameters.SubscriptionId = subscription
    silence = ua.SetPublishingModeRequest()
    silence.Parameters.SubscriptionIds, silence.Parameters.PublishingEnabled = [subscription], False
    transfer = ua.TransferSubscriptionsRequest()
    transfer.Parameters.SubscriptionIds = [subscription]
    again = ua.RepublishRequest()
    again.Parameters.SubscriptionId, again.Parameters.RetransmitSequenceNumber = subscription, 1
    mode = ua.SetMonitoringModeRequest()
    mode.Parameters.SubscriptionId, mode.Parameters.MonitoredItemIds = subscription, [item]
    drop = ua.DeleteMonitoredItemsRequest()
    drop.Parameters.SubscriptionId, drop.Parameters.MonitoredItemIds = subscription, [item]
    change = ua.ModifyMonitoredItemsRequest()
    change.Parameters.SubscriptionId = subscription
    change.Parameters.ItemsToModify = [ua.MonitoredItemModifyRequest(item)]
    acknowledge = ua.PublishRequest()
    acknowledge.Parameters.SubscriptionAcknowledgements = [ua.SubscriptionAcknowledgement(subscription, 1)]
    calls = [
        call(ua.ObjectIds.Server, ua.ObjectIds.Server_GetMonitoredItems, subscription),
        call(ua.ObjectIds.Server, ua.ObjectIds.Server_ResendData, subscription),
        call(ua.ObjectIds.ConditionType, ua.ObjectIds.ConditionType_ConditionRefresh, subscription),
    ]
    add = monitor(subscription, its.profile)
    return [delete, modify, silence, transfer, again, mode, drop, change, acknowledge, add, *calls]


def call(owner: int, method: int, *numbers: int) -> ua.CallRequest:
    arguments = [ua.Variant(number, ua.VariantType.UInt32) for number in numbers]
    request = ua.CallRequest()
    request.Parameters.MethodsToCall = [ua.CallMethodRequest(ua.NodeId(owner), ua.NodeId(method), arguments)]
    return request


def results(answer: Any) -> list[ua.StatusCode]:
    listed = getattr(answer, "Results", None) or getattr(getattr(answer, "Parameters", None), "Results", None) or []
    return [getattr(each, "StatusCode", each) for each in listed]


def test_subscription_numbers_do_not_count_up(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            numbers = [(await wire.ask(subscribe())).Parameters.SubscriptionId for _ in range(4)]
            assert len(set(numbers)) == 4
            assert all(abs(one - other) > 1 for one, other in itertools.pairwise(numbers))
            await wire.close()

    run(test())


def test_a_client_that_is_cut_off_leaves_nothing_behind(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            number = (await wire.ask(subscribe())).Parameters.SubscriptionId
            await wire.ask(monitor(number, its.temperature, its.profile))
            assert (len(its.subscriptions), its.server.items) == (1, 2)
            wire.writer.transport.abort()
            await until(lambda: not its.server.iserver.sessions and not its.subscriptions)
            assert its.port.ended == [1]
            assert its.server.items == 0
            await until(lambda: its.server.connections == 0)

    run(test())


def test_a_session_ends_when_the_agent_says_so(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire, stays = await its.wire(), await its.wire("panel", VIEWER)
            its.port.revoke(1)
            ended = await wire.answer()
            assert isinstance(ended, ua.ErrorMessage)
            assert "revoked" in str(ended.Reason)
            await until(lambda: len(its.server.iserver.sessions) == 1)
            assert status(await stays.ask(read(its.temperature))) == "Good"
            for each in (wire, stays):
                await each.close()

    run(test())


def test_a_session_that_asks_for_nothing_ends(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            [served] = its.server.iserver.sessions
            assert served.session_timeout == its.port.settings.bounds.session_timeout_s
            served._last_activity -= served.session_timeout + 1
            assert await wire.is_ended()
            await until(lambda: not its.server.iserver.sessions)
            await wire.close()

    run(test())


def test_methods_are_told_who_calls(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wires = [await its.wire(), await its.wire("panel", VIEWER), await its.wire()]
            request = ua.CallRequest()
            asked = ua.CallMethodRequest(its.oven.nodeid, its.who.nodeid, [])
            request.Parameters.MethodsToCall = [asked] * 3
            for _ in range(4):
                answers = await asyncio.gather(*[wire.ask(request) for wire in wires])
                for number, answer in enumerate(answers, 1):
                    assert [each.OutputArguments[0].Value for each in answer.Results] == [number] * 3
            for wire in wires:
                await wire.close()

    run(test())


def test_nodes_are_added_and_changed_by_nobody_outside(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its, connected(its.server, its.application) as client:
            with pytest.raises(ua.uaerrors.BadServiceUnsupported):
                await client.nodes.objects.add_variable(ua.NodeId(77, 2), "Mine", 1.0)
            with pytest.raises(ua.uaerrors.BadServiceUnsupported):
                await client.delete_nodes([client.get_node(its.temperature.nodeid)])
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await client.get_node(its.temperature.nodeid).write_value(1.0)
            name = ua.DataValue(ua.Variant(ua.LocalizedText("Mine")))
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await client.get_node(its.temperature.nodeid).write_attribute(ua.AttributeIds.DisplayName, name)
            assert await its.temperature.read_value() == 240.5

    run(test())


def test_an_application_is_the_one_of_its_certificate(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.channel()
            request = create_session(its.application)
            request.Parameters.ClientDescription.ApplicationUri = "urn:somebody:else"
            assert status(await wire.ask(request)) == "BadCertificateUriInvalid"
            await wire.close()

    run(test())


def test_a_nonce_that_can_be_guessed_is_not_signed(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.channel()
            asking = create_session(its.application)
            asking.Parameters.ClientNonce = bytes(31)
            assert status(await wire.ask(asking)) == "BadNonceInvalid"
            assert not its.server.iserver.sessions
            await wire.close()

    run(test())


@pytest.mark.parametrize("is_known", [True, False])
def test_a_user_comes_in_by_certificate(
    serve: Serve, run: Run, application: Application, is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_known:
        monkeypatch.setattr(fakes, "FINGERPRINT", fingerprint(application.own.der))

    async def test() -> None:
        async with serve() as its:
            client = await application.client(its.url, its.der, user=None)
            await client.load_client_certificate(application.own.der)
            await client.load_private_key(application.folder / "own" / "key.pem")
            if is_known:
                async with client:
                    assert [each.user for each in its.port.opened.values()] == ["chief"]
                return
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                async with client:
                    pass
            assert its.port.wrong_tokens == 1

    run(test())


def test_a_password_encrypted_for_another_session_is_refused(serve: Serve, run: Run) -> None:
    """With the nonce of this session it is taken; its old RSA 1.5 form is not."""
    from asyncua.crypto import uacrypto

    async def test() -> None:
        async with serve() as its:
            key = uacrypto.x509_from_der(its.der).public_key()
            for nonce, algorithm, encrypt, told in (
                ("own", "rsa-oaep", uacrypto.encrypt_rsa_oaep, "Good"),
                ("old", "rsa-oaep", uacrypto.encrypt_rsa_oaep, "BadIdentityTokenInvalid"),
                ("own", "rsa-1_5", uacrypto.encrypt_rsa15, "BadIdentityTokenInvalid"),
            ):
                wire = await its.channel()
                created = await wire.ask(create_session(its.application))
                wire.token = created.Parameters.AuthenticationToken
                request = activate(wire, its.der, created.Parameters.ServerNonce)
                secret = OPERATOR.encode() + (created.Parameters.ServerNonce if nonce == "own" else bytes(32))
                encrypted = encrypt(key, len(secret).to_bytes(4, "little") + secret)
                request.Parameters.UserIdentityToken = ua.UserNameIdentityToken(
                    "username", "mes", encrypted, f"http://www.w3.org/2001/04/xmlenc#{algorithm}"
                )
                assert status(await wire.ask(request)) == told
                await wire.close()

    run(test())
