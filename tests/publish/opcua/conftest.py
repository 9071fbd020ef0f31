"""One oven for all tests of a module: a server takes a while to make."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.publish.opcua.ovens import OPERATOR, Body, Oven, serving


@pytest.fixture(scope="module")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Oven]]:
    with asyncio.Runner() as runner:
        context = serving(tmp_path_factory.mktemp("opcua"))
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
