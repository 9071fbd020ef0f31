"""TLS on real sockets: what is spoken, who is trusted, and what becomes of those who do not finish a handshake."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edgeagent.model.callers import NO_ROLE
from edgeagent.model.users import User
from edgeagent.publish.transports import handshakes
from edgeagent.publish.transports.tls import TlsFault, TlsFiles, server_context
from edgeagent.tools import keys
from edgeagent.tools.clients import runtime
from edgeagent.tools.users import fingerprint
from tests.publish.known import MES, TOKEN, Known
from tests.publish.serving import Served, request, serving

Run = Callable[[Coroutine[Any, Any, None]], None]
NOW = datetime.now(UTC)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA with what it signed, in `ours`, and another with the same names in `theirs`."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        keys.init(folder / name, [], "panel", 10)
    return folder


def files(made: Path, **more: Any) -> TlsFiles:
    return TlsFiles(made / "ours/server.pem", made / "ours/server.key", **more)


def trusting(made: Path, ca: str = "ours", client: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=made / ca / "ca.pem")
    if client is not None:
        context.load_cert_chain(made / client / "client.pem", made / client / "client.key")
    return context


async def status_of(served: Served, context: ssl.SSLContext, **header: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(
        f"https://localhost:{served.http_port}/rpc", data=request("Status.Get"), ssl=context,
        headers={"Content-Type": "application/json", **header},
    ) as answer:  # fmt: skip
        return answer.status, await answer.json()


def test_every_transport_speaks_it_and_asks_for_users_beneath(made: Path, tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        context, bearer = trusting(made), {"Authorization": f"Bearer {TOKEN}"}
        async with (
            serving(tmp_path, context=server_context(files(made)), anonymous=NO_ROLE) as served,
            aiohttp.ClientSession() as session,
        ):
            assert (await status_of(served, context))[0] == 401
            assert (await status_of(served, context, **bearer))[0] == 200
            url, page = (f"{scheme}://localhost:{served.http_port}" for scheme in ("wss", "https"))
            async with session.ws_connect(f"{url}/rpc", ssl=context, headers=bearer, origin=page) as it:
                await it.send_str(request("Status.Get").decode())
                assert "result" in await it.receive_json()
            line = await served.connect(context)
            await line.ask("Session.Authenticate", token=TOKEN)
            await line.ask("Event.Subscribe", topics=["*"], **{"from": "beginning"})
            served.happen(200)
            assert [(await line.message())["params"]["sequence"] for _ in range(200)] == list(range(1, 201))
            large = await line.call("Board.Get", id="x" * 60_000)
            assert large["error"]["data"]["kind"] == "invalidParameters"
            await line.close()
            await served.left(0)

    run(main())


def test_another_ca_a_wrong_name_and_an_older_version_are_not_spoken_with(
    made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, run: Run
) -> None:
    older = trusting(made)
    older.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        older.minimum_version = older.maximum_version = ssl.TLSVersion.TLSv1_1
    newer = trusting(made)
    newer.minimum_version = newer.maximum_version = ssl.TLSVersion.TLSv1_2

    async def main() -> None:
        async with serving(tmp_path, context=server_context(files(made))) as served:
            for context in (trusting(made, "theirs"), older):
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await asyncio.open_connection("localhost", served.lines_port, ssl=context)
            with pytest.raises(ssl.SSLCertVerificationError, match="oven1"):
                await asyncio.open_connection(
                    "127.0.0.1", served.lines_port, ssl=trusting(made), server_hostname="oven1.factory")
            _, writer = await asyncio.open_connection("localhost", served.lines_port, ssl=newer)
            spoken = writer.get_extra_info("ssl_object")
            assert (spoken.version(), spoken.compression()) == ("TLSv1.2", None)
            writer.transport.abort()
            while served.delivery.notices.tally.handshakes["lines"] < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    run(main())
    assert "a TLS handshake failed" in caplog.text
    assert "Traceback" not in caplog.text


def test_who_speaks_no_tls_is_cut_off_and_the_next_is_served(made: Path, tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, context=server_context(files(made))) as served:
            for port in (served.lines_port, served.http_port):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /rpc HTTP/1.1\r\nHost: localhost\r\n\r\n")
                with suppress(ConnectionResetError):
                    assert b"HTTP" not in await asyncio.wait_for(reader.read(), 10)
                writer.close()
            assert (await status_of(served, trusting(made)))[0] == 200
            while served.delivery.notices.tally.handshakes != {"lines": 1, "http": 1}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    run(main())


def test_handshakes_that_nobody_finishes_take_no_place_and_give_way(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(handshakes, "MOST", 4)

    async def main() -> None:
        async with serving(tmp_path, context=server_context(files(made)), most=1) as served:
            idle = [await asyncio.open_connection("127.0.0.1", served.lines_port) for _ in range(12)]
            pending = served.lines._listener._server._pending  # type: ignore[union-attr]
            counted = served.delivery.notices.tally.handshakes
            while counted["lines"] < 8:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert len(pending) == 4
            line = await served.connect(trusting(made))
            assert await line.ask("Status.Get")
            await line.close()
            for _, writer in idle:
                writer.close()
            while pending:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    run(main())


def test_one_address_has_few_handshakes_at_a_time_and_each_has_its_time(made: Path, run: Run) -> None:
    async def main() -> None:
        failed: list[int] = []
        server = handshakes.SecureServer(asyncio.Protocol, server_context(files(made)), lambda: failed.append(1), 0.2)
        await server.start("127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(handshakes.MOST_OF_ONE + 2)]
        for reader, writer in idle:
            with suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
        assert len(failed) == len(idle)
        assert not server._of_one
        assert server.is_serving()
        server.close()
        assert not server.is_serving()
        await asyncio.sleep(0)

    run(main())


def panel(made: Path, **more: Any) -> User:
    return User(name="panel", role="viewer", created=NOW, **more)


def test_a_client_certificate_says_who_it_is_where_its_ca_is_ours(made: Path, tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        known = Known((panel(made, fingerprints=(fingerprint(made / "ours/client.pem"),)), MES))
        context = server_context(files(made, client_ca=made / "ours/ca.pem"))
        async with serving(tmp_path, context=context, anonymous=NO_ROLE, known=known) as served:
            its = trusting(made, client="ours")
            assert (await status_of(served, its))[0] == 200
            line = await served.connect(its)
            assert await line.ask("Event.Subscribe", topics=["*"])
            with pytest.raises((ssl.SSLError, ConnectionError, aiohttp.ClientError)):
                await status_of(served, trusting(made, client="theirs"))
            known.become(MES)
            assert (await line.message())["method"] == "Event.SubscriptionEnded"
            assert (await line.call("Status.Get"))["error"]["data"]["kind"] == "unauthenticated"
            assert (await status_of(served, its))[0] == 401, "the certificate of an unknown user"
            assert (await status_of(served, its, Authorization=f"Bearer {TOKEN}"))[0] == 200
            known.become(panel(made, common_names=("panel",)))
            assert (await status_of(served, its))[0] == 200
            await line.close()
            await served.left(0)

    run(main())


def test_without_the_required_certificate_nothing_is_spoken(made: Path, tmp_path: Path) -> None:
    async def main() -> None:
        required = files(made, client_ca=made / "ours/ca.pem", is_client_certificate_required=True)
        async with serving(tmp_path, context=server_context(required)) as served:
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await status_of(served, trusting(made))
            assert (await status_of(served, trusting(made, client="ours")))[0] == 200

    asyncio.run(main())


def test_the_python_client_sends_its_token_over_tls(made: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path, context=server_context(files(made)), anonymous=NO_ROLE) as served:
            place = {"host": "localhost", "http_port": served.http_port, "tcp_port": served.lines_port}
            wire = runtime.Wire(**place, token=TOKEN, ca=str(made / "ours/ca.pem"))  # type: ignore[arg-type]
            assert (await asyncio.to_thread(wire._call, "Status.Get", {}, Any))["machines"]
            served.happen()
            told = wire._events({"topics": ["*"], "from": "beginning"}, None)
            assert (await asyncio.to_thread(next, told)).sequence == 1
            await asyncio.to_thread(told.close)  # type: ignore[attr-defined]
            unknown = runtime.Wire(**place, token="no", ca=str(made / "ours/ca.pem"))  # type: ignore[arg-type]
            with pytest.raises(runtime.AgentError, match="unauthenticated"):
                await asyncio.to_thread(unknown._call, "Status.Get", {}, Any)
            with pytest.raises(runtime.AgentError, match="unauthenticated"):
                await asyncio.to_thread(next, unknown._events({"topics": ["*"]}, None))
            stranger = runtime.Wire(**place, token=TOKEN, ca=str(made / "theirs/ca.pem"))  # type: ignore[arg-type]
            with pytest.raises(ConnectionError, match="certificate"):
                await asyncio.to_thread(stranger._call, "Status.Get", {}, Any)
            await served.left(0)

    asyncio.run(main())


def test_files_that_cannot_be_used_are_named_with_the_key_the_reason_and_the_mend(made: Path, tmp_path: Path) -> None:
    def fault(**wrong: Path) -> TlsFault:
        with pytest.raises(TlsFault) as caught:
            server_context(files(made)._replace(**wrong))
        assert caught.value.mend
        return caught.value

    key = tmp_path / "server.key"
    key.write_bytes((made / "ours/server.key").read_bytes())
    key.chmod(0o644)
    assert (fault(key=key).key, fault(key=key).mend[:9]) == ("key", "chmod 600")
    key.chmod(0o640)
    server_context(files(made)._replace(key=key))
    assert fault(key=tmp_path / "none").reason.endswith("No such file or directory")
    assert "is not the key of" in fault(key=made / "theirs/server.key").reason
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    text.chmod(0o600)
    assert fault(certificate=text).key == "certificate"
    assert fault(client_ca=text).key == "client_ca"
    assert fault(client_ca=tmp_path / "none").key == "client_ca"
    locked = tmp_path / "locked.key"
    locked.write_bytes(_locked(made / "ours/server.key"))
    locked.chmod(0o600)
    assert "password" in fault(key=locked).reason


def _locked(key: Path) -> bytes:
    from cryptography.hazmat.primitives import serialization

    private = serialization.load_pem_private_key(key.read_bytes(), None)
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(os.urandom(8)))  # fmt: skip
