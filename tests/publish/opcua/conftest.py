"""A server for each test that is about the server, and one oven for all tests of a module: it takes a while to make."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edgeagent.publish.opcua.certificates import own_certificate
from tests.publish.opcua.clients import Application
from tests.publish.opcua.fakes import OPERATOR
from tests.publish.opcua.guarded import Guarded, guarded
from tests.publish.opcua.ovens import Body, Oven, serving

Serve = Callable[..., AbstractAsyncContextManager[Guarded]]
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    """A client application; beside it the key that all servers of the tests have, for a key takes time to make."""
    folder = tmp_path_factory.mktemp("application")
    own_certificate(folder / "server", "urn:test:edgeagent", ("127.0.0.1",), datetime.now(UTC))
    return Application(folder)


@pytest.fixture
def serve(tmp_path: Path, application: Application) -> Serve:
    """Run a server: `async with serve() as its`."""

    def begun(**options: Any) -> AbstractAsyncContextManager[Guarded]:
        return guarded(tmp_path / "pki", application, **options)

    return begun


@pytest.fixture
def run() -> Run:
    """Run a test's coroutine; a task that is left over fails it."""

    def all_of(test: Coroutine[Any, Any, None]) -> None:
        async def whole() -> None:
            before = asyncio.all_tasks()
            await test
            left = asyncio.all_tasks() - before
            assert not left, left

        asyncio.run(whole())

    return all_of


@pytest.fixture(scope="module")
def _served(
    tmp_path_factory: pytest.TempPathFactory, application: Application
) -> Iterator[tuple[asyncio.Runner, Oven]]:
    with asyncio.Runner() as runner:
        context = serving(tmp_path_factory.mktemp("opcua"), application)
        oven = runner.run(context.__aenter__())
        yield runner, oven
        runner.run(context.__aexit__(None, None, None))


@pytest.fixture
def at_oven(_served: tuple[asyncio.Runner, Oven]) -> Callable[[Body], None]:
    """Lets a client do something at an oven, as an operator; what happened in tests before has happened."""
    runner, oven = _served

    def begin(body: Body) -> None:
        async def main() -> None:
            oven.session = (await oven.port.open("127.0.0.1", OPERATOR)).session
            oven.port.asked.clear()
            oven.foreign.clear()
            await asyncio.wait_for(body(oven), 60)

        runner.run(main())

    return begin
