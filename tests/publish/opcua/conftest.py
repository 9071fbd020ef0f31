from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edgeagent.publish.opcua.certificates import own_certificate
from tests.publish.opcua.clients import Application
from tests.publish.opcua.guarded import Guarded, guarded

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
