"""All parts of the process together: what it shows where numbers would be those of two nodes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeagent.publish.opcua.serving import Serving
from tests.publish.opcua.clients import Application
from tests.publish.opcua.conftest import Run
from tests.publish.opcua.fakes import FakePort, served, settings
from tests.publish.opcua.ovens import Oven


def test_the_order_of_the_machines_gives_no_number_another_meaning(
    tmp_path: Path, application: Application, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr("edgeagent.publish.opcua.node_ids._END", (1 << 20) + (1 << 18))
    shutil.copytree(application.folder / "server" / "own", tmp_path / "own")

    async def meanings(*machines: str) -> dict[int, str]:
        port = FakePort(settings(tmp_path), [served(machine) for machine in machines])
        Oven(port)  # lets it answer
        serving = Serving(port)
        await serving.start()
        node_ids = serving._model.node_ids
        found = dict(node_ids._taken)
        assert all(node_ids.of_node(name).Identifier == number for number, name in found.items())
        assert len(machines) == 1 or serving._model._contested
        await serving.stop()
        return {number: name for number, name in found.items() if "/alarms/" not in name}  # which come and go

    async def body() -> None:
        alone, before, after = [await meanings(*ids) for ids in (
            ("RO0002",), ("RO0002", "RO0001"), ("RO0001", "RO0002"))]  # fmt: skip
        assert before == after
        assert len(alone) > 500
        assert {number: alone[number] for number in alone.keys() & after.keys() if alone[number] != after[number]} == {}

    run(body())
