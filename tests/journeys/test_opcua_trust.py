"""Who may come in over OPC UA: what is said at the console holds at once, and the audit record has it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from cryptography.hazmat.primitives import serialization

from edgeagent.publish.opcua.folders import fingerprint
from edgeagent.publish.opcua.node_ids import MACHINES_URI, TYPES_URI, NodeIds
from tests.journeys.test_opcua import POLICIES, Factory, factory, ids_of, independent, let_in, time_of
from tests.publish.opcua.clients import Application


def test_who_trusts_a_client_is_in_the_audit_record_also_where_the_agent_did_not_run(tmp_path: Path) -> None:
    async def body() -> None:
        async with factory(tmp_path) as its:
            token = await its.add_user("scada", "viewer")
            await its.refused("scada", token)
            await its.trust()
            digest = fingerprint(its.application.own.der)
            first = await told_of(its, digest, 1)
            assert (first["outcome"], first["reason"].endswith("no longer")) == ("done", False)
            assert first["who"], "the account that typed it"
            await its.plant.end_agent()
            await its.typed("opcua", "reject", digest)
            await its.start()
            last = await told_of(its, digest, 2)
            assert last["who"] == first["who"]
            assert last["reason"].endswith("no longer")
            await its.refused("scada", token)

    asyncio.run(body())


async def told_of(its: Factory, digest: str, count: int) -> dict[str, Any]:
    """The newest entry about a certificate, once there are so many."""
    async with asyncio.timeout(60):
        while True:
            lines = (await its.typed("audit", "export")).splitlines()
            told = [json.loads(line)["entry"] for line in lines]
            found = [each for each in told if (each.get("values") or {}).get("certificate") == digest]
            if len(found) >= count:
                assert len(found) == count
                return found[-1]
            await asyncio.sleep(0.2)


class Person:
    """Somebody with a key and a certificate, which the agent's user list knows, or not."""

    def __init__(self, its: Factory, name: str) -> None:
        self.its = its
        self.name = name
        self.card = Application(its.plant.folder / name, f"urn:test:{name}")
        self.pem = its.plant.folder / f"{name}.pem"
        self.pem.write_bytes(self.card.own.certificate.public_bytes(serialization.Encoding.PEM))
        self.key = its.plant.folder / name / "own" / "key.pem"

    async def becomes(self, role: str) -> None:
        await self.its.typed("users", "add", self.name, "--role", role, "--certificate", str(self.pem))

    async def client(self) -> Client:
        """asyncua's client, which shows the certificate in place of a user and a password."""
        client = await self.its.client("", "")
        client._username = client._password = None
        await client.load_client_certificate(self.card.own.der)
        await client.load_private_key(self.key)
        return client

    async def is_refused(self) -> None:
        with pytest.raises(ua.UaError) as caught:
            async with await self.client():
                pass
        assert type(caught.value).__name__ == "BadUserAccessDenied"


async def requested(client: Client, number: int) -> tuple[str, str]:
    """Ask for remote control, which needs an operator: status, and who asks as the agent says."""
    uris = await client.get_namespace_array()
    ids = NodeIds(uris.index(TYPES_URI), uris.index(MACHINES_URI))
    given = [ua.Variant("trial", ua.VariantType.String), ua.Variant(5, ua.VariantType.Int32),
             ua.Variant(f"r-{number}", ua.VariantType.String), ua.Variant("", ua.VariantType.String)]  # fmt: skip
    method = ids.of_node("RO0001/methods/Status.RequestRemote")
    [result] = await client.uaclient.call([ua.CallMethodRequest(ids.of_node("RO0001"), method, given)])
    answer = result.OutputArguments[2].Value if result.StatusCode.is_good() else ""
    return result.StatusCode.name, json.loads(answer)["pending"]["by"] if answer else ""


def test_a_user_shows_a_certificate_has_its_own_rights_and_loses_them_when_it_is_revoked(tmp_path: Path) -> None:
    async def body() -> None:
        async with factory(tmp_path) as its:
            shift, guest, nobody = (Person(its, name) for name in ("shift", "guest", "nobody"))
            await its.refused("nobody", "nothing")
            await its.trust()
            await nobody.is_refused()
            await shift.becomes("operator")
            await guest.becomes("viewer")
            async with await guest.client() as client:
                assert await time_of(client)
                assert (await requested(client, 1))[0] == "BadUserAccessDenied"
            async with await shift.client() as client:
                assert await requested(client, 2) == ("Good", "shift")
                await its.typed("users", "revoke", "shift")
                async with asyncio.timeout(60):
                    with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
                        while True:
                            await time_of(client)
                            await asyncio.sleep(0.1)
            await shift.is_refused()

    asyncio.run(body())


def test_an_independent_client_comes_in_by_its_users_certificate(tmp_path: Path) -> None:
    async def body() -> None:
        async with independent() as client, factory(tmp_path) as its, let_in(its, client):
            shift = Person(its, "shift")
            way = {"do": "connect", "endpoint": its.endpoint, "pki": str(tmp_path / "node"), "uri": "urn:test:journey",
                   "certificate": str(shift.pem), "key": str(shift.key)}  # fmt: skip
            assert "error" in await client.answer(**way, policy=POLICIES[0])
            await shift.becomes("operator")
            for policy in POLICIES:
                await client.ask(**way, policy=policy)
                ids = await ids_of(client)
                asked = {"do": "call", "object": ids.of_node("RO0001").to_string(),
                         "method": ids.of_node("RO0001/methods/Status.RequestRemote").to_string()}  # fmt: skip
                done = await client.ask(**asked, values=[
                    ["String", "trial"], ["Int32", 5], ["String", policy], ["String", ""]])  # fmt: skip
                assert done["status"] == "Good"
                await client.ask(do="end")
            await its.typed("users", "revoke", "shift")
            assert "error" in await client.answer(**way, policy=POLICIES[0])

    asyncio.run(body())
