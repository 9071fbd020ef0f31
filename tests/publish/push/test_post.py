"""One POST over a real socket: TLS, tokens, and answers of every kind, each with a reason in words."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from edgeagent.config import PushTable
from edgeagent.publish.push.access import Access, AccessFault
from edgeagent.publish.push.answer import Answer
from edgeagent.publish.push.post import Poster
from edgeagent.publish.transports.tls import TlsFiles, server_context
from edgeagent.tools import keys
from tests.publish.push.mes import Hasty, Mes, Post, an_mes, line_to, until

Run = Callable[[Coroutine[Any, Any, None]], None]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA with what it signed, in `ours`, and another with the same names in `theirs`."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        keys.init(folder / name, [], "agent", 10)
    return folder


def table(url: str, **more: Any) -> PushTable:
    return msgspec.convert({"name": "mes", "url": url} | more, PushTable)


@asynccontextmanager
async def poster(url: str, folder: Path = Path(), timeout_s: float = 20.0, **more: Any) -> AsyncIterator[Poster]:
    it = Poster(url, Access(table(url, **more), folder), timeout_s)
    try:
        yield it
    finally:
        await it.close()


@asynccontextmanager
async def raw(serve: Serve) -> AsyncIterator[str]:
    """Somebody who speaks no HTTP of aiohttp's making; its address."""
    tasks = set[asyncio.Task[Any]]()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def says(text: bytes, then: Serve | None = None) -> Serve:
    """Reads a request's head and body of two bytes, answers, and does something more."""
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n[]")
        writer.write(text)
        await writer.drain()
        if then is not None:
            await then(reader, writer)

    return serve


async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"y" * 10_000)
        await writer.drain()
        await asyncio.sleep(0)


async def sleep(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


HEAD = b"HTTP/1.1 %b\r\nContent-Length: 1000000000\r\n\r\n"
ODD = {
    "not HTTP": (says(b"hello, who is there?\r\n\r\n"), "stopped", "is not HTTP"),
    "nothing": (says(b""), "stopped", "ended the connection before it answered"),
    "a header without end": (says(b"HTTP/1.1 200 OK\r\nX: ", babble), "stopped", "is not HTTP"),
    "taken, and a body without end": (says(HEAD % b"200 OK", babble), "taken", ""),
    "taken, and a body that breaks off": (says(HEAD % b"200 OK"), "taken", ""),
    "stopped, and a body without end": (says(HEAD % b"503 Away", babble), "stopped", "HTTP 503: service unavailable"),
    "rejected, and a body that breaks off": (says(HEAD % b"422 No" + b"what?"), "rejected", "HTTP 422"),
    "a status of nobody's": (says(b"HTTP/1.1 799 What\r\nContent-Length: 0\r\n\r\n"), "stopped", "no meaning"),
    "silence": (sleep, "stopped", "did not answer in 0.5 s"),
    "half a head": (says(b"HTTP/1.1 200 OK\r\n", sleep), "stopped", "did not answer in 0.5 s"),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_answer_has_its_outcome_and_a_reason(case: str, run: Run, monkeypatch: Any) -> None:
    serve, outcome, reason = ODD[case]
    monkeypatch.setattr("edgeagent.publish.push.post._ANSWER_S", 0.3)

    async def main() -> None:
        timeout_s = 0.5 if "0.5" in reason else 20.0
        async with raw(serve) as url, poster(url, timeout_s=timeout_s) as it:
            answer = await it.post(b"[]")
            assert answer.outcome == outcome, answer
            assert reason in answer.reason
            assert len(answer.said) <= 200

    run(main())


@pytest.mark.parametrize(("url", "reason"), [
    ("http://127.0.0.1:1/", "nobody listens there"), ("http://nobody.invalid/", "its name is not known here (DNS)"),
])  # fmt: skip
def test_nobody_there_is_told_in_words(url: str, reason: str, run: Run) -> None:
    async def main() -> None:
        async with poster(url) as it:
            assert (await it.post(b"[]")).reason == reason

    run(main())


def test_a_connection_that_ended_while_it_rested_is_no_fault_of_the_mes(run: Run) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(b"HTTP/1.1 204 No\r\n\r\n")(reader, writer)
        await reader.readuntil(b"\r\n\r\n")  # and is gone in the middle of the next one

    async def main() -> None:
        async with raw(once) as url, poster(url) as it:
            assert [(await it.post(b"[]")).outcome for _ in range(5)] == ["taken"] * 5

    run(main())


def test_an_answer_that_holds_the_token_is_told_without_it(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        secret(tmp_path / "t", "abc123")
        echo = lambda post: web.Response(status=403, text=f"not with {post.headers['Authorization']}")  # noqa: E731
        async with an_mes(echo) as mes, poster(url_of(mes), tmp_path, token="file:t") as it:
            answer = await it.post(b"[]")
            assert answer.said == "not with Bearer …"

    run(main())


def test_no_part_of_the_token_is_told_where_an_answer_is_cut_within_it(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        secret(tmp_path / "t", "abc123" * 20)
        for status in (403, 307):
            def echo(post: Post, status: int = status) -> web.Response:
                token = post.headers["Authorization"].removeprefix("Bearer ")
                return web.Response(status=status, text=f"{'x' * 190} {token}",
                                    headers={"Location": f"/{'x' * 150}?token={token}"})

            async with an_mes(echo) as mes, poster(url_of(mes), tmp_path, token="file:t") as it:
                answer = await it.post(b"[]")
                assert answer.said.endswith("…")

    run(main())


def test_what_others_say_is_cut_and_holds_no_control_characters(run: Run) -> None:
    async def main() -> None:
        async with (an_mes(lambda _: web.Response(status=500, body=b"\x1b[2J\x00\xff" + b"z" * 100_000)) as mes,
                    poster(url_of(mes)) as it):  # fmt: skip
            answer = await it.post(b"[]")
            assert answer.said.isprintable()
            assert len(answer.said) == 200

    run(main())


def test_an_mes_that_compresses_what_it_may_is_understood(run: Run) -> None:
    def compressed(_: Post) -> web.Response:
        response = web.Response(status=422, text="no lane 2 here")
        response.enable_compression()  # as far as the request accepts it
        return response

    async def main() -> None:
        async with an_mes(compressed) as mes, poster(url_of(mes)) as it:
            assert (await it.post(b"[]")).said == "no lane 2 here"

    run(main())


def test_a_redirect_is_not_followed(run: Run) -> None:
    async def main() -> None:
        async with an_mes() as other:
            there = url_of(other)
            async with (an_mes(lambda _: web.Response(status=308, headers={"Location": there})) as mes,
                        poster(url_of(mes)) as it):  # fmt: skip
                answer = await it.post(b"[]")
                assert (answer.outcome, answer.said) == ("stopped", there)
                assert "not followed" in answer.reason
            assert not other.posts

    run(main())


def test_no_proxy_of_the_environment_and_no_cookie_is_taken(run: Run, monkeypatch: Any) -> None:
    async def main() -> None:
        async with an_mes() as proxy, an_mes(lambda _: web.Response(headers={"Set-Cookie": "a=b"})) as mes:
            monkeypatch.setenv("http_proxy", url_of(proxy))
            async with poster(url_of(mes)) as it:
                for _ in range(2):
                    assert (await it.post(b"[]")).outcome == "taken"
            assert not proxy.posts
            assert not any("Cookie" in post.headers for post in mes.posts)

    run(main())


def test_a_token_is_sent_and_a_new_one_counts_at_once_also_for_a_line_that_waits_long(
    tmp_path: Path, run: Run
) -> None:
    async def main() -> None:
        class Long(Hasty):
            def failed(self, asked_s: float | None = None) -> float:
                return 3600.0

        def knows(post: Post) -> int:
            return 204 if post.headers.get("Authorization") == "Bearer new" else 401

        token = secret(tmp_path / "mes.token", "old")
        async with an_mes(knows) as mes, line_to(mes, tmp_path, Long(), token="file:mes.token") as it:
            it.happen(1)
            await until(lambda: it.line.state == "stopped")
            assert "does not know the token" in it.line.fault()
            secret(token, "new")
            await until(lambda: mes.taken == [1])

    run(main())


def test_a_token_of_which_somebody_mends_the_rights_counts_at_once(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        class Long(Hasty):
            def failed(self, asked_s: float | None = None) -> float:
                return 3600.0

        token = secret(tmp_path / "mes.token", "good")
        token.chmod(0o644)
        async with an_mes() as mes, line_to(mes, tmp_path, Long(), token="file:mes.token") as it:
            it.happen(1)
            await until(lambda: it.line.state == "stopped")
            assert "chmod 600" in it.line.fault()
            token.chmod(0o600)
            async with asyncio.timeout(20):
                await until(lambda: mes.taken == [1])

    run(main())


@pytest.mark.parametrize(("content", "mode", "reason"), [
    ("", 0o600, "does not hold a token"), ("two words", 0o600, "does not hold a token"),
    ("tökén", 0o600, "does not hold a token"), ("good", 0o644, "may be read or changed by others"),
    (None, 0, "cannot be read"),
])  # fmt: skip
def test_a_token_that_cannot_be_used_stops_the_line_before_anything_is_sent(
    tmp_path: Path, content: str | None, mode: int, reason: str
) -> None:
    async def main() -> None:
        if content is not None:
            secret(tmp_path / "t", content).chmod(mode)
        async with an_mes() as mes, line_to(mes, tmp_path, token="file:t") as it:
            it.happen(1)
            await until(lambda: it.line.state == "stopped")
            assert reason in it.line.fault()
            assert "good" not in it.line.fault()
            assert not mes.posts
            secret(tmp_path / "t", "right").chmod(0o600)
            await until(lambda: mes.taken == [1])

    asyncio.run(main())


def test_tls_is_spoken_with_a_client_certificate_and_others_are_not_trusted(
    made: Path, tmp_path: Path, run: Run
) -> None:
    async def main() -> None:
        files = TlsFiles(made / "ours/server.pem", made / "ours/server.key", made / "ours/ca.pem", True)
        shown = {"certificate": "client.pem", "key": "file:client.key"}
        async with an_mes(context=server_context(files)) as mes:
            url = f"https://localhost:{mes.port}/events"
            async with poster(url, made / "ours", ca="ca.pem", **shown) as it:
                assert (await it.post(b"[]")).outcome == "taken"
                peer = mes.posts[0].request.transport
                assert peer is None or peer.get_extra_info("peercert")["subject"] == ((("commonName", "agent"),),)
            async with poster(url, made / "ours", ca="ca.pem") as it:
                assert "it may want a client certificate" in (await it.post(b"[]")).reason
            async with poster(url, made, ca="ours/ca.pem", certificate="theirs/client.pem",
                              key="file:theirs/client.key") as it:  # fmt: skip
                assert (await it.post(b"[]")).outcome == "stopped"
            async with poster(url, made / "theirs", ca="ca.pem", **shown) as it:
                assert "its certificate is not trusted" in (await it.post(b"[]")).reason
            async with poster(url, made / "ours", **shown) as it:
                assert "its certificate is not trusted" in (await it.post(b"[]")).reason
            async with poster(f"https://127.0.0.2:{mes.port}/", made / "ours", ca="ca.pem", **shown) as it:
                assert (await it.post(b"[]")).outcome == "stopped"
            assert len(mes.posts) == 1

    run(main())


def test_a_name_that_the_certificate_does_not_have_and_a_peer_without_tls_are_told(made: Path, run: Run) -> None:
    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made / "ours/client.pem", made / "ours/client.key")
        async with an_mes(context=context) as mes, poster(
            f"https://localhost:{mes.port}/", made / "ours", ca="ca.pem"
        ) as it:
            assert "its certificate is not trusted" in (await it.post(b"[]")).reason
        async with an_mes() as mes, poster(f"https://localhost:{mes.port}/", made / "ours", ca="ca.pem") as it:
            assert "TLS failed" in (await it.post(b"[]")).reason

    run(main())


needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is missing")


@pytest.mark.parametrize("has_folder", [pytest.param(True, marks=needs_openssl), False])
def test_without_a_ca_those_of_the_computer_are_trusted_also_where_the_service_hides_them(
    made: Path, tmp_path: Path, has_folder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit says SSL_CERT_FILE=/dev/null."""
    folder = tmp_path / "certs"
    folder.mkdir()
    if has_folder:
        subject = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", made / "ours/ca.pem"],
                                 capture_output=True, text=True, check=True).stdout.strip()
        (folder / f"{subject}.0").write_bytes((made / "ours/ca.pem").read_bytes())
    file = made / "ours/ca.pem" if not has_folder else made / "theirs/ca.pem"
    places = ssl.get_default_verify_paths()._replace(openssl_capath=str(folder), openssl_cafile=str(file))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: places)
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")

    async def main() -> None:
        files = TlsFiles(made / "ours/server.pem", made / "ours/server.key")
        async with an_mes(context=server_context(files)) as mes, poster(f"https://localhost:{mes.port}/") as it:
            assert (await it.post(b"[]")) == Answer("taken", status=204)

    asyncio.run(main())


def test_a_ca_that_changes_counts_from_the_next_try_on(made: Path, tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        files = TlsFiles(made / "ours/server.pem", made / "ours/server.key")
        ca = tmp_path / "ca.pem"
        ca.write_bytes((made / "theirs/ca.pem").read_bytes())
        async with (an_mes(context=server_context(files)) as mes,
                    line_to(mes, tmp_path, scheme="https", ca="ca.pem") as it):  # fmt: skip
            it.happen(1)
            await until(lambda: it.line.state == "stopped")
            assert "not trusted" in it.line.fault()
            ca.write_bytes((made / "ours/ca.pem").read_bytes())
            await until(lambda: mes.taken == [1])

    run(main())


@pytest.mark.parametrize(("more", "key"), [
    ({"ca": "nothing.pem"}, "ca"), ({"ca": "server.key"}, "ca"),
    ({"certificate": "client.pem", "key": "file:server.key"}, "certificate"),
    ({"certificate": "nothing.pem", "key": "file:client.key"}, "certificate"),
    ({"certificate": "client.pem", "key": "file:nothing"}, "key"),
    ({"certificate": "client.pem", "key": "credential:key"}, "key"),
    ({"token": "credential:key"}, "token"),
])  # fmt: skip
def test_files_that_cannot_be_used_are_named_by_their_key(
    made: Path, more: dict[str, str], key: str, monkeypatch: Any
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    access = Access(table("https://mes.factory/", **more), made / "ours")
    with pytest.raises(AccessFault) as caught:
        access.check()
    assert caught.value.key == key
    assert caught.value.mend
    access.stamp()


def secret(file: Path, content: str) -> Path:
    file.write_text(content)
    file.chmod(0o600)
    return file


def url_of(mes: Mes) -> str:
    return f"http://127.0.0.1:{mes.port}/events"
