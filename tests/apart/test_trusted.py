"""Whose certificates OPC UA trusts is in the audit record, whoever changed the folder and whether the agent ran."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from edgeagent.apart import trusted
from edgeagent.apart.trusted import TrustedClients
from edgeagent.clock import Clock
from edgeagent.publish.opcua.folders import Change, fingerprint, note
from edgeagent.store import Audit, Checkpoints
from edgeagent.store.audit.segments import segment_files
from tests.store.samples import with_store


def entries(store: Path) -> list[dict[str, Any]]:
    lines = [line for file in segment_files(store) for line in file.read_text().splitlines()]
    return [entry for entry in (json.loads(line)["entry"] for line in lines) if entry["kind"] == "users"]


def life(folder: Path, *happens: Any) -> list[dict[str, Any]]:
    """One life of the agent: after each of these, wait until the record has one entry more; return what is new."""
    store = folder / "s.db"

    async def main(database: Any) -> None:
        clock = Clock()
        audit = await Audit.open(database, clock)
        clients = TrustedClients(folder / "pki", Checkpoints(database, clock), audit, clock)
        running = asyncio.create_task(clients.run())
        for happen in happens:
            count = len(entries(store))
            happen()
            async with asyncio.timeout(30):
                while len(entries(store)) == count:  # noqa: ASYNC110  a thread writes it
                    await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await audit.close()

    before = len(entries(store))
    with_store(store, main)
    return entries(store)[before:]


def test_every_change_of_who_is_trusted_is_told_once_with_who_did_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(trusted, "_LOOK_S", 0.01)
    pki, der = tmp_path / "pki", b"a certificate"
    file, digest = pki / "trusted" / "one.der", fingerprint(der)

    def trust() -> None:
        (pki / "trusted").mkdir(parents=True, exist_ok=True)
        note(pki, digest, Change("anna", "CN=line 4"))
        file.write_bytes(der)

    def reject() -> None:
        note(pki, digest, Change("bert", "CN=line 4"))
        file.unlink()

    [first, last] = life(tmp_path, trust, reject)
    assert (first["who"], first["transport"], first["values"]) == ("anna", "local", {"certificate": digest})
    assert first["reason"] == "the OPC UA server trusts the certificate of CN=line 4"
    assert (last["who"], last["reason"]) == ("bert", "the OPC UA server trusts the certificate of CN=line 4 no longer")
    trust()
    [told] = life(tmp_path, lambda: None)
    assert told["who"] == "anna", "what was changed while the agent did not run is told as it begins"
    (pki / "changes.json").write_text("damaged")
    [by_hand] = life(tmp_path, file.unlink)
    assert (by_hand["who"], by_hand["outcome"]) == ("", "done")
