"""An independent client asks a server for what others of its kind ask for, served or not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edgeagent.publish.opcua.trust import TrustList, wall_time
from tests.journeys.test_opcua import POLICIES, independent
from tests.publish.opcua.clients import Application
from tests.publish.opcua.fakes import OPERATOR
from tests.publish.opcua.guarded import guarded


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    folder = tmp_path_factory.mktemp("application")
    Application(folder / "server", "urn:test:edgeagent")
    return Application(folder)


def test_an_independent_client_has_percent_deadbands_and_hears_what_is_not_served(
    tmp_path: Path, application: Application
) -> None:
    async def body() -> None:
        async with independent() as client, guarded(tmp_path / "pki", application, has_machines=True) as its:
            way = {"do": "connect", "endpoint": its.url, "pki": str(tmp_path / "node"), "uri": "urn:test:journey",
                   "policy": POLICIES[0], "user": "mes", "password": OPERATOR}  # fmt: skip
            assert "error" in await client.answer(**way)
            trust = TrustList(tmp_path / "pki")
            [knocked] = [each for each in trust.known(wall_time()) if each.state == "rejected"]
            trust.trust(knocked.fingerprint, wall_time())
            await client.ask(**way)
            assert its.model is not None
            ids = {path: its.model.node_ids.of_node(f"RO0001/{path}").to_string()
                   for path in ("conveyor/1/speed", "scanner/1/count")}  # fmt: skip
            its.port.change("conveyor/1/speed", 100.0)
            await its.model.settled()
            hearing = asyncio.create_task(client.ask(do="subscribe", ids=[ids["conveyor/1/speed"]], count=2, percent=1))
            while not its.server.items:  # noqa: ASYNC110  another process asks
                await asyncio.sleep(0.05)
            for speed in (101.0, 102.9, 103.1):  # the range is 0 to 300
                its.port.change("conveyor/1/speed", speed)
                await its.model.settled()
            assert [each["value"] for each in await hearing] == [100.0, 103.1]
            refused = await client.answer(do="subscribe", ids=[ids["scanner/1/count"]], count=1, percent=1)
            assert "BadMonitoredItemFilterUnsupported" in refused["error"]
            told = await client.ask(do="unserved")
            assert all("BadServiceUnsupported" in each for each in told.values()), told
            await client.ask(do="end")

    asyncio.run(body())
