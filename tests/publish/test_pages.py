"""Who may see which page, on the agent's own computer too, and what the console tells of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edgeagent.config import HttpTable, LinesTable, OpenAppsTable
from edgeagent.store.audit.segments import raw_lines, segment_files
from tests.journeys.floor import Floor, floor

PROBES = ("/healthz", "/readyz")
PAGES = (*PROBES, "/metrics", "/support")
ROLES = ("viewer", "operator", "engineer", "administrator")


async def statuses(it: Floor, token: str | None) -> dict[str, int]:
    """What each page answers to somebody on this computer."""
    assert it.agent is not None
    found = {}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = it.agent.addresses["HTTP"].removesuffix("/rpc")
    async with aiohttp.ClientSession(headers=headers) as session:
        for page in PAGES:
            for method in ("GET", "HEAD"):
                async with session.request(method, address + page) as answer:
                    assert found.setdefault(page, answer.status) == answer.status, method
                    if answer.status != 200 and method == "GET":
                        assert set(await answer.json()) == {"jsonrpc", "error", "id"}
                    if answer.status == 401:
                        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    return found


def outlets(anonymous: Any) -> OpenAppsTable:
    return OpenAppsTable(http=HttpTable(port=0, anonymous=anonymous), lines=LinesTable(port=0))


@pytest.mark.parametrize("anonymous", [None, "viewer", "none"])
def test_support_is_for_administrators_and_metrics_for_viewers_and_only_probes_are_for_anybody(
    tmp_path: Path, anonymous: str | None
) -> None:
    async def main() -> None:
        async with floor(tmp_path, openapps=outlets(anonymous)) as it:
            well, known = dict.fromkeys(PAGES, 200), 401 if anonymous == "none" else 200
            nobody = well | {"/metrics": known, "/support": 401}
            assert await statuses(it, None) == nobody, "also where there is no user yet"
            for role in ROLES:
                it.knows(role, role=role)
            it.knows("listed", functions=("Status.Get", "Event.Read"))
            assert await statuses(it, None) == nobody
            for role in ROLES:
                wanted = well | ({} if role == "administrator" else {"/support": 403})
                assert await statuses(it, it.tokens[role]) == wanted, role
            assert await statuses(it, it.tokens["listed"]) == well | {"/metrics": 403, "/support": 403}
            it.edits(lambda users: tuple(user for user in users if user.name != "administrator"))
            revoked = await statuses(it, it.tokens["administrator"])
            assert revoked == well | {"/metrics": 401, "/support": 401}

    asyncio.run(main())


def test_a_users_file_that_is_damaged_opens_no_page_to_anybody(tmp_path: Path) -> None:
    async def main() -> None:
        async with floor(tmp_path) as it:
            it.knows("boss", role="administrator")
            (tmp_path / "users.json").write_text("{")
            assert (await statuses(it, None))["/support"] == 401
            assert (await statuses(it, it.tokens["boss"]))["/support"] == 401

    asyncio.run(main())


def test_whoever_is_refused_a_page_is_in_the_audit_record(tmp_path: Path) -> None:
    async def main() -> None:
        async with floor(tmp_path) as it:
            it.knows("anna", role="engineer")
            await statuses(it, it.tokens["anna"])
            await statuses(it, None)

    asyncio.run(main())
    told = b"".join(line for file in segment_files(tmp_path / "store.sqlite3") for line in raw_lines(file))
    assert b"anna may not see /support" in told
    assert b"loopback may not see /support" in told


def test_the_console_tells_what_the_page_shows(tmp_path: Path) -> None:
    async def main() -> None:
        async with floor(tmp_path) as it:
            token = it.knows("boss", role="administrator")
            assert it.agent is not None
            address = it.agent.addresses["HTTP"].replace("/rpc", "/support")
            headers = {"Authorization": f"Bearer {token}"}
            async with aiohttp.ClientSession(headers=headers) as session, session.get(address) as answer:
                shown = json.loads(await answer.read())
            async with it.console() as console:
                told = (await console.call("Support.Get"))["result"]
            assert told.keys() == shown.keys()
            assert told["frames"].keys() == shown["frames"].keys()
            async with it.caller("http", token) as caller:
                assert (await caller.call("Support.Get"))["error"]["data"]["kind"] == "methodNotFound"

    asyncio.run(main())
