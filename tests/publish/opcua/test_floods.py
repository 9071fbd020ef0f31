"""Floods against our own server in a process of its own: it stays small, and lets new clients in."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncua import ua

from tests.publish.opcua.clients import Application
from tests.publish.opcua.conftest import Run, Serve
from tests.publish.opcua.floods import KINDS
from tests.publish.opcua.guarded import read
from tests.publish.opcua.test_sessions import until
from tests.surroundings import beside_the_tests

ROOT = Path(__file__).parents[3]
SECONDS = 14.0


def test_a_flood_of_calls_does_not_hold_up_a_new_client(serve: Serve, run: Run) -> None:
    """It has its answer while most of the calls that came before it still wait."""

    async def test() -> None:
        async with serve() as its:
            wires = [await its.wire() for _ in range(4)]
            request = ua.CallRequest()
            request.Parameters.MethodsToCall = [ua.CallMethodRequest(its.oven.nodeid, its.who.nodeid)] * 1000
            for wire in wires:
                for _ in range(5):
                    wire.request(request)
            await until(lambda: its.calls)
            fresh = await its.wire()
            assert isinstance(await fresh.ask(read(its.temperature)), ua.ReadResponse)
            assert its.calls < 10_000
            for wire in (fresh, *wires):
                await wire.close()

    run(test())


class Heard:
    """Hears, and does nothing."""

    def datachange_notification(self, *_: object) -> None:
        """A value."""


class Alone:
    """The server in its process."""

    def __init__(self, folder: Path, application: Application) -> None:
        self.folder = folder
        self.application = application
        command = [sys.executable, "-P", "-m", "tests.publish.opcua.guarded", str(folder), str(application.folder)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=beside_the_tests())
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.certificate = folder / "own" / "certificate.der"

    def resident_mb(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096 / 1e6

    def processor_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def flood(self, kind: str, seconds: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "tests.publish.opcua.floods", kind, self.url]
        arguments = (str(self.application.folder), str(self.certificate), str(seconds))
        return subprocess.Popen([*command, *arguments], cwd=ROOT, text=True, env=beside_the_tests())

    async def connect_s(self) -> float:
        """How long a new client takes to connect, and to read one value."""
        client = await self.application.client(self.url, self.certificate.read_bytes())
        begun = time.monotonic()
        async with client:
            await client.get_node(ua.NodeId(2, 2)).read_value()
            return time.monotonic() - begun

    async def ordinary(self) -> None:
        """What a client does."""
        client = await self.application.client(self.url, self.certificate.read_bytes())
        async with client:
            oven = client.get_node(ua.NodeId(1, 2))
            children = await oven.get_children()
            await asyncio.gather(*[child.read_browse_name() for child in children])
            await oven.call_method(ua.NodeId(5, 2))
            subscription = await client.create_subscription(50, Heard())
            await subscription.subscribe_data_change(children[:100])
            await subscription.delete()

    def stop(self) -> None:
        self.process.communicate("", timeout=30)


@pytest.fixture
def alone(tmp_path: Path, application: Application) -> Iterator[Alone]:
    folder = tmp_path / "pki"
    folder.mkdir()
    shutil.copytree(application.folder / "server" / "own", folder / "own")
    its = Alone(folder, application)
    yield its
    its.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_server_stays_small_and_open(alone: Alone, kind: str) -> None:
    async def test() -> None:
        for _ in range(20):
            await alone.ordinary()
        before = alone.resident_mb()
        begun, used = time.monotonic(), alone.processor_s()
        flood = alone.flood(kind, SECONDS)
        during, peak = [], before
        while flood.poll() is None:
            try:
                during.append(await alone.connect_s())
            except (OSError, ua.UaError, TimeoutError):
                during.append(float("inf"))
            peak = max(peak, alone.resident_mb())
            await asyncio.sleep(0.3)
        assert flood.returncode == 0
        share = (alone.processor_s() - used) / (time.monotonic() - begun)
        at_once = await alone.connect_s()
        await asyncio.sleep(8)  # the memory of those that left is given back within seconds
        after = min([await alone.connect_s() for _ in range(5)])
        during.sort()
        print(
            f"| {kind} | {before:.0f} / {peak:.0f} / {alone.resident_mb():.0f} | {share:.0%} "
            f"| {during[len(during) // 2]:.2f} / {during[-1]:.2f} ({len(during)}) | {at_once:.2f} / {after:.2f} |"
        )
        assert alone.process.poll() is None
        assert alone.resident_mb() <= 1.1 * before
        assert after < 1.0

    asyncio.run(test())
