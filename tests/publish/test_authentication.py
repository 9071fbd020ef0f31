"""Who may what over real sockets: tokens, roles, lists of functions, and what becomes of lost rights."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from msgspec.structs import replace

from edgeagent.errors import CommandRefused
from edgeagent.model.callers import NO_ROLE
from edgeagent.model.tokens import digest, new_token
from edgeagent.model.users import Certificate, Token, User
from edgeagent.publish.authentication import Authentication, SignIn, caller_of
from edgeagent.publish.throttle import FREE
from edgeagent.publish.transports.admission import Admission
from edgeagent.store.users import KnownUsers, change
from tests.publish.known import MES, TOKEN, Known
from tests.publish.serving import Served, request, serving

Run = Callable[[Coroutine[Any, Any, None]], None]
NOW = datetime.now(UTC)
JSON = {"Content-Type": "application/json"}


def user(name: str, token: str, **more: Any) -> User:
    made = Token(id=digest(name)[:8], sha256=digest(token), created=NOW, expires=more.pop("expires", None))
    return User(name=name, tokens=(made,), created=NOW, **more)


async def post(served: Served, method: str, token: str | None = None, scheme: str = "Bearer", **params: Any) -> Any:
    """Status, headers and body of an answer."""
    header = JSON | ({} if token is None else {"Authorization": f"{scheme} {token}"})
    async with aiohttp.ClientSession() as session, session.post(
        f"http://127.0.0.1:{served.http_port}/rpc", data=request(method, **params), headers=header
    ) as answer:
        return answer.status, answer.headers, await answer.json()


def kind(answer: Any) -> str:
    return str(answer["error"]["data"]["kind"])


def test_a_request_shows_its_token_and_a_wrong_one_is_refused_with_401(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            assert (await post(served, "Status.Get"))[0] == 200
            assert (await post(served, "Status.Get", TOKEN, "bearer"))[0] == 200
            for token, scheme in ((new_token(), "Bearer"), ("", "Bearer"), (TOKEN[:-1], "Bearer"), (TOKEN, "Basic")):
                status, headers, body = await post(served, "Status.Get", token, scheme)
                assert (status, body["error"]["code"], kind(body)) == (401, -32001, "unauthenticated")
                assert headers["WWW-Authenticate"] == 'Bearer realm="edgeagent", error="invalid_token"'
                assert token not in body["error"]["message"] or not token

    asyncio.run(main())


def test_over_a_line_a_token_counts_from_the_next_call_on(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        power, token = new_token(), new_token()
        known = Known((user("power", power, functions=("Board.Get",)), user("boss", token, role="administrator",
                       expires=NOW + timedelta(days=30))))  # fmt: skip
        async with serving(tmp_path, known=known) as served:
            line = await served.connect()
            assert (await line.ask("Session.Authenticate", token=token)) == {
                "user": "boss", "role": "administrator", "functions": None,
                "expires": (NOW + timedelta(days=30)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            }  # fmt: skip
            assert kind(await line.call("Session.Authenticate", token=new_token())) == "unauthenticated"
            assert "consumers" in await line.ask("Event.Consumers")
            assert (await line.ask("Session.Authenticate", token=power))["functions"] == ["Board.Get"]
            assert kind(await line.call("Status.Get")) == "forbidden"
            assert kind(await line.call("Board.Get", id="none")) == "notFound"
            assert (await line.ask("rpc.discover"))["openrpc"]
            await line.close()
        assert served.delivery.notices.tally.authentications == {"right": 2, "wrong": 1}

    run(main())


def test_who_must_say_who_it_is_gets_nothing_else_over_any_transport(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, anonymous=NO_ROLE) as served, aiohttp.ClientSession() as session:
            line = await served.connect()
            for method in ("rpc.discover", "Status.Get", "Event.Subscribe"):
                answer = await line.call(method, **({"topics": ["*"]} if method == "Event.Subscribe" else {}))
                assert kind(answer) == "unauthenticated"
                status, headers, body = await post(served, method)
                assert (status, kind(body)) == (401, "unauthenticated")
                assert headers["WWW-Authenticate"] == 'Bearer realm="edgeagent"'
            line.write(b"x" * 20_000 + b"\n")
            assert kind(await line.message()) == "tooLarge"
            await line.ask("Session.Authenticate", token=TOKEN)
            assert await line.ask("Status.Get")
            line.write(request("Board.Get", id="x" * 20_000) + b"\n")
            assert kind(await line.message()) == "invalidParameters"
            await line.close()
            url = f"http://127.0.0.1:{served.http_port}/rpc"
            async with session.ws_connect(url) as socket:
                await socket.send_bytes(b"")
                await socket.receive()
                await socket.send_str(request("Status.Get").decode())
                assert kind(await socket.receive_json()) == "unauthenticated"
                await socket.send_str(request("Session.Authenticate", token=TOKEN).decode())
                assert (await socket.receive_json())["result"]["user"] == "mes"
                await socket.send_str(request("Status.Get").decode())
                assert "result" in await socket.receive_json()
            async with session.ws_connect(url, headers={"Authorization": f"Bearer {TOKEN}"}) as socket:
                await socket.send_str(request("Status.Get").decode())
                assert "result" in await socket.receive_json()
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(url, headers={"Authorization": "Bearer no"})
            assert refused.value.status == 401

    run(main())


def test_who_does_not_say_who_it_is_keeps_no_place(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with (
            serving(tmp_path, anonymous=NO_ROLE, sign_in_s=0.05) as served, aiohttp.ClientSession() as session,
        ):  # fmt: skip
            line = await served.connect()
            assert kind(await line.message()) == "unauthenticated"
            assert await line.message() is None
            await line.close()
            async with session.ws_connect(f"http://127.0.0.1:{served.http_port}/rpc") as socket:
                assert (await socket.receive()).data == aiohttp.WSCloseCode.POLICY_VIOLATION
            await served.left(0)
            while served.http._upgrade.load()[0]:  # type: ignore[union-attr]  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    run(main())


async def lost(served: Served, line: Any, reason: str) -> None:
    """A connection that lost its rights: the subscription ended with a reason, the next call is refused."""
    ended = await line.message()
    while ended["method"] != "Event.SubscriptionEnded":
        ended = await line.message()
    assert reason in ended["params"]["data"]["reason"]
    assert ended["params"]["data"]["consumer"] is None
    served.happen(3)
    assert kind(await line.call("Status.Get")) in ("unauthenticated", "forbidden")


@pytest.mark.parametrize(("become", "reason"), [
    (lambda mes: replace(mes, revoked=NOW), "The user mes was revoked"),
    (lambda mes: replace(mes, tokens=()), "was revoked; authenticate anew"),
    (lambda mes: replace(mes, tokens=(replace(mes.tokens[0], expires=NOW),)), "this token has expired"),
    (lambda mes: replace(mes, role=None, functions=("Board.Get",)), "is not among the functions of the user mes"),
    (None, "was revoked; authenticate anew"),
])  # fmt: skip
def test_who_loses_its_rights_hears_no_more_and_its_next_call_is_refused(
    tmp_path: Path, become: Callable[[User], User] | None, reason: str, run: Run
) -> None:
    async def main() -> None:
        known = Known((MES,))
        async with serving(tmp_path, known=known) as served:
            line = await served.connect()
            await line.ask("Session.Authenticate", token=TOKEN)
            await line.ask("Event.Subscribe", topics=["*"], **{"from": "beginning"})
            served.happen(2)
            assert [(await line.message())["params"]["sequence"] for _ in range(2)] == [1, 2]
            known.become(*(() if become is None else (become(MES),)))
            await lost(served, line, reason)
            await line.close()

    run(main())


def test_the_next_call_is_refused_although_nobody_looked_meanwhile(tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "users.json"
        change(file, lambda _: (MES,))
        async with serving(tmp_path, known=KnownUsers(file)) as served:  # type: ignore[arg-type]
            line = await served.connect()
            await line.ask("Session.Authenticate", token=TOKEN)
            assert await line.ask("Status.Get")
            assert (await post(served, "Status.Get", TOKEN))[0] == 200
            change(file, lambda _: ())
            assert kind(await line.call("Status.Get")) == "unauthenticated"
            assert (await post(served, "Status.Get", TOKEN))[0] == 401
            change(file, lambda _: (MES,))
            assert kind(await line.call("Status.Get")) == "unauthenticated"
            await line.ask("Session.Authenticate", token=TOKEN)
            assert await line.ask("Status.Get")
            file.write_text("damaged")
            assert kind(await line.call("Status.Get")) == "unauthenticated"
            await line.close()

    asyncio.run(main())


def test_a_role_that_changes_counts_from_the_next_call_on(tmp_path: Path) -> None:
    async def main() -> None:
        known = Known((replace(MES, role=None, functions=("Status.Get",)),))
        async with serving(tmp_path, known=known) as served:
            line = await served.connect()
            await line.ask("Session.Authenticate", token=TOKEN)
            assert kind(await line.call("Recipe.List")) == "forbidden"
            known.become(MES)
            assert await line.ask("Recipe.List")
            await line.close()

    asyncio.run(main())


def test_a_websocket_of_somebody_unknown_sends_little_until_it_says_who_it_is(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        known = Known((MES,))
        async with serving(tmp_path, anonymous=NO_ROLE, known=known) as served, aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{served.http_port}/rpc"
            large = request("Status.Get") + b" " * (64 << 10)
            async with session.ws_connect(url) as socket:
                assert kind(await asked(socket, request("Status.Get"))) == "unauthenticated"
                await socket.send_str(large.decode())
                assert (await socket.receive(10)).type is WSMsgType.CLOSE
                assert socket.close_code == 1009
            async with session.ws_connect(url) as socket:
                await asked(socket, request("Session.Authenticate", token=TOKEN))
                assert "result" in await asked(socket, large)
                known.become()
                assert kind(await asked(socket, request("Status.Get"))) == "unauthenticated"
                await socket.send_str(large.decode())
                assert (await socket.receive(10)).type is WSMsgType.CLOSE
            async with session.ws_connect(url) as socket:
                assert kind(await asked(socket, request("Status.Get"))) == "unauthenticated", "others are served"

    run(main())


async def asked(socket: aiohttp.ClientWebSocketResponse, message: bytes) -> Any:
    await socket.send_str(message.decode())
    return await socket.receive_json(timeout=10)


def test_who_is_revoked_while_it_waits_for_events_is_told_at_once_and_hears_none(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        known = Known((MES,))
        async with serving(tmp_path, known=known) as served:
            line = await served.connect()
            await line.ask("Session.Authenticate", token=TOKEN)
            waits = {"from": "now", "waitMs": 60_000}
            asked = asyncio.create_task(post(served, "Event.Read", TOKEN, **waits))
            batch = b"[%b,%b]\n" % (request("Event.Read", **waits), request("Recipe.List", 2))
            line.write(batch)
            await asyncio.sleep(0.2)
            known.become()
            assert kind((await asyncio.wait_for(asked, 30))[2]) == "unauthenticated"
            assert [kind(answer) for answer in await line.message()] == ["unauthenticated"] * 2
            await line.close()

    run(main())


def test_whoever_does_not_come_in_is_told_to_the_audit_and_from_where() -> None:
    told: list[SignIn] = []
    authentication = Authentication(Known((MES,)), audit=told.append)
    door = Admission(authentication, NO_ROLE)
    for _ in range(FREE + 1):
        with pytest.raises(CommandRefused):
            door.identified(f"Bearer {new_token()}", "http", "192.0.2.7")
    for header in (None, "Basic bWVzOm1lcw=="):
        with pytest.raises(CommandRefused):
            door.caller(header, "http", "192.0.2.8", None)
    assert authentication.by_certificate(Certificate("ab" * 32, "mes", NOW), "lines", "192.0.2.9:1") is None
    assert {(each.user, each.peer) for each in told[: FREE + 1]} == {(None, "192.0.2.7")}
    faults = [each.fault for each in told[FREE:]]
    assert faults == [
        "too many wrong tokens came from there, so this one was not looked at", "a request did not say whose it is",
        "it showed something else than a token", "no user has this certificate (certificate abababababababab)",
    ]  # fmt: skip


def test_who_shows_a_token_with_each_request_is_told_of_once_an_hour_from_each_address() -> None:
    told: list[SignIn] = []
    now = [0.0]
    authentication = Authentication(Known((MES,)), audit=told.append, monotonic=lambda: now[0])
    door = Admission(authentication)
    for address in ("192.0.2.7", "192.0.2.7", "192.0.2.8"):
        door.caller(f"Bearer {TOKEN}", "http", address, None)
    assert [(each.user, each.peer, each.fault) for each in told] == [
        ("mes", "192.0.2.7", None), ("mes", "192.0.2.8", None)]
    now[0] += 3600.0
    door.caller(f"Bearer {TOKEN}", "http", "192.0.2.7", None)
    assert len(told) == 3
    for number in range(3000):
        authentication.came(authentication.by_token(TOKEN, "http", "::1"), "http", str(number))
    assert len(authentication._seen) <= 1024


def test_a_page_that_misleads_a_browser_is_told_to_the_audit(tmp_path: Path) -> None:
    async def main() -> None:
        told: list[SignIn] = []
        async with serving(tmp_path) as served:
            served.authentication._audit = told.append
            for header in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
                async with aiohttp.ClientSession() as session, session.post(
                    f"http://127.0.0.1:{served.http_port}/rpc", data=request("Status.Get"), headers=JSON | header
                ) as answer:
                    assert answer.status == 403
        assert [(each.peer, "evil.example" in (each.fault or ""), each.function) for each in told] == [
            ("127.0.0.1", True, None)] * 2

    asyncio.run(main())


def test_an_address_that_guesses_is_slowed_down_and_told_how_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            for _ in range(FREE):
                assert (await post(served, "Status.Get", new_token()))[0] == 401
            status, headers, body = await post(served, "Status.Get", TOKEN)
            assert (status, kind(body), body["error"]["data"]["retry"]) == (429, "tooMany", True)
            assert headers["Retry-After"] == str(body["error"]["data"]["retryAfterS"]) == "1"
            assert (await post(served, "Status.Get"))[0] == 200, "who needs no token is not slowed down"
            while (await post(served, "Status.Get", TOKEN))[0] == 429:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            assert (await post(served, "Status.Get", new_token()))[0] == 401
            assert (await post(served, "Status.Get", TOKEN))[0] == 200, "a right token begins the count anew"
            counted = served.delivery.notices.tally.authentications
            assert (counted["wrong"], counted["right"], counted["slowed"] > 0) == (11, 2, True)

    asyncio.run(main())
    assert "127.0.0.1 sent 10 wrong tokens" in caplog.text
    assert TOKEN not in caplog.text


CARD = Certificate("ab" * 32, "mes.plant", NOW + timedelta(days=1))
HAD = User(name="mes", role="engineer", created=NOW, fingerprints=(CARD.fingerprint,))


@pytest.mark.parametrize(("had", "becomes", "is_over"), [
    (HAD, (HAD,), False),
    (HAD, (replace(HAD, revoked=NOW),), True),
    (HAD, (), True),
    (HAD, (replace(HAD, fingerprints=()),), True),
    (HAD, (replace(HAD, fingerprints=("cd" * 32,)),), True),
    (HAD, (replace(HAD, fingerprints=()), replace(HAD, name="other")), True),
    (replace(HAD, fingerprints=(), common_names=("mes.plant",)), (replace(HAD, fingerprints=()),), True),
    (replace(HAD, fingerprints=(), common_names=("mes.plant",)),
     (replace(HAD, fingerprints=(), common_names=("mes.plant",)),), False),
], ids=["nothing", "user revoked", "user gone", "certificate gone", "another certificate", "another user's now",
        "name gone", "still its name"])  # fmt: skip
def test_whoever_showed_a_certificate_may_nothing_once_the_file_has_it_no_more(had, becomes, is_over) -> None:
    known = Known((had,))
    authentication = Authentication(known)
    identity = authentication.by_certificate(CARD, "http", "192.0.2.7")
    assert identity is not None
    caller = caller_of(identity, "http", "192.0.2.7")
    assert authentication.as_now(caller).role == "engineer"
    known.become(*becomes)
    now = authentication.as_now(caller)
    assert (now.role, now.is_authenticated) == ((NO_ROLE, False) if is_over else ("engineer", True))


def test_whoever_showed_a_certificate_may_nothing_once_it_has_expired() -> None:
    now = [NOW]
    authentication = Authentication(Known((HAD,)), now=lambda: now[0])
    identity = authentication.by_certificate(CARD, "http", "192.0.2.7")
    assert identity is not None
    caller = caller_of(identity, "http", "192.0.2.7")
    assert authentication.as_now(caller).is_authenticated
    now[0] += timedelta(days=2)
    assert not authentication.as_now(caller).is_authenticated
