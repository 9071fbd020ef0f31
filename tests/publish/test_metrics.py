"""What Prometheus, probes and support see, over real sockets; and that the page on metrics tells each."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from edgeagent import __version__
from edgeagent.agent import Agent
from edgeagent.clock import Clock
from edgeagent.config import load
from edgeagent.health import Health
from edgeagent.loop_lag import LoopLag
from edgeagent.publish.observe import exposition, metrics
from edgeagent.publish.observe.observed import Observed
from edgeagent.publish.observe.pages import Pages
from edgeagent.publish.tally import Tally
from edgeagent.publish.transports.console import console_of
from edgeagent.publish.transports.http import HttpServer
from edgeagent.publish.transports.listening import Places
from edgeagent.simulate import TcpServer
from edgeagent.store import Archive, Database
from edgeagent.tools.console import ask
from firmware_iface import catalog
from firmware_iface.simulated.build import simulated
from tests.publish.serving import request

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
PROCESS = {
    "process_virtual_memory_bytes", "process_resident_memory_bytes", "process_start_time_seconds",
    "process_cpu_seconds_total", "process_open_fds", "process_max_fds",
}  # fmt: skip


@asynccontextmanager
async def agent(folder: Path, oven_is_on: bool = True) -> AsyncIterator[tuple[Agent, str]]:
    """A running agent with a simulated oven of its own, and the address of its pages."""
    clock = Clock()
    described = catalog.builtin("reflow10")
    oven = TcpServer({described.device.unit: simulated(described, seed=3)}, clock)
    port = await oven.start()
    if not oven_is_on:
        await oven.stop()
    (folder / "agent.toml").write_text(
        '[agent]\nstore = "store.sqlite3"\n[openapps.http]\nport = 0\n[openapps.lines]\nport = 0\n'
        f'[[machines]]\nid = "RO0001"\n[[machines.sources]]\n'
        f'kind = "modbus-tcp"\nmap = "reflow10"\nhost = "127.0.0.1"\nport = {port}\n')
    running = Agent(*load(folder / "agent.toml"), folder / "store.sqlite3", clock)
    await running.start()
    try:
        yield running, running.addresses["HTTP"].removesuffix("/rpc")
    finally:
        await running.stop()
        if oven_is_on:
            await oven.stop()


async def get(address: str, path: str, **more: object) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as client, client.get(address + path, **more) as answer:  # type: ignore[arg-type]
        return answer.status, answer.headers["Content-Type"], await answer.text()


def samples(text: str) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


async def scraped(address: str) -> dict[str, list[Sample]]:
    status, kind, text = await get(address, "/metrics")
    assert (status, kind) == (200, exposition.CONTENT_TYPE)
    return samples(text)


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def only(found: dict[str, list[Sample]], name: str, **labels: str) -> float:
    values = [each.value for each in found.get(name, []) if labels.items() <= each.labels.items()]
    assert len(values) == 1, (name, labels, values)
    return values[0]


def test_metrics_tell_of_machine_source_store_loop_and_connections(tmp_path: Path) -> None:
    async def main() -> None:
        async with agent(tmp_path) as (running, address):
            unit = running.units[0]
            await until(lambda: unit.status().connected and unit.qualities()[0] > 100)
            reader, writer = await asyncio.open_connection(*running.addresses["TCP lines"].split(":"))
            writer.write(request("Event.Subscribe", topics=["*"]) + b"\n")
            await reader.readline()
            await asyncio.sleep(0.6)
            assert "edgeagent_source_writes_total" not in await scraped(address)
            await running.reaches["RO0001"].write("zone/1/top/setpoint", 100.0)
            found = await scraped(address)
            writer.close()
            assert only(found, "edgeagent_machine_connected", machine="RO0001") == 1
            state = {each.labels["state"]: each.value for each in found["edgeagent_machine_state"]}
            assert state[unit.status().state] == 1
            assert sum(state.values()) == 1
            values = {each.labels["quality"]: each.value for each in found["edgeagent_values"]}
            assert sum(values.values()) == len(unit.machine.points)
            assert values["good"] > 100
            assert only(found, "edgeagent_boards_inside", machine="RO0001", lane="1") == 0
            polls = only(found, "edgeagent_source_poll_duration_seconds_count")
            assert 0 < polls <= only(found, "edgeagent_source_reads_total")
            assert only(found, "edgeagent_source_poll_duration_seconds_sum") > 0
            assert only(found, "edgeagent_source_beat_lateness_seconds_bucket", le="+Inf") >= polls
            assert only(found, "edgeagent_event_loop_lag_seconds_count") >= 1
            assert only(found, "edgeagent_event_loop_longest_lag_seconds") >= 0
            assert only(found, "edgeagent_store_database_bytes") == (tmp_path / "store.sqlite3").stat().st_size
            assert only(found, "edgeagent_store_commits_total") > 0
            assert only(found, "edgeagent_store_lag_seconds") >= 0
            last = only(found, "edgeagent_journal_last_sequence")
            assert 1 <= only(found, "edgeagent_journal_committed_sequence") <= last
            assert only(found, "edgeagent_connections", transport="lines") == 1
            assert only(found, "edgeagent_subscriptions", transport="lines") == 1
            assert only(found, "edgeagent_connections", transport="http") == 1
            assert only(found, "edgeagent_build_info", version=__version__) == 1
            assert 10e6 < only(found, "process_resident_memory_bytes") < 1e9
            assert "edgeagent_source_errors_total" not in found
            assert "edgeagent_consumer_lag_events" not in found
            assert only(found, "edgeagent_source_writes_total", machine="RO0001", result="done") == 1

    asyncio.run(main())


def test_an_oven_that_is_off_is_told_and_the_agent_is_ready(tmp_path: Path) -> None:
    async def main() -> None:
        async with agent(tmp_path, oven_is_on=False) as (_, address):
            async with asyncio.timeout(10):
                while "edgeagent_source_errors_total" not in await scraped(address):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            status, kind, text = await get(address, "/readyz")
            assert (status, kind) == (200, "application/json")
            assert json.loads(text) == {"status": "ready", "parts": {
                "store": "ok", "store's writer": "ok", "audit": "ok", "restore": "ok", "recipes": "ok",
                "disk": "ok", "room on the disk": "ok", "store's damage": "ok",
                "machine RO0001": "does not answer", "source 1 of RO0001": "ok", "users": "ok", "retention": "ok",
                "console": "ok", "HTTP": "ok", "TCP lines": "ok"}}
            assert (await get(address, "/healthz"))[0] == 200
            found = await scraped(address)
            assert only(found, "edgeagent_source_errors_total", kind="unreachable") >= 1
            assert only(found, "edgeagent_values", quality="bad") == 157
            assert only(found, "edgeagent_machine_connected") == 0
            assert only(found, "edgeagent_source_poll_duration_seconds_count") == 0

    asyncio.run(main())


def test_a_restore_that_was_refused_is_told_until_it_is_deleted_and_the_agent_is_ready(tmp_path: Path) -> None:
    async def main() -> None:
        async with agent(tmp_path, oven_is_on=False):
            pass
        (tmp_path / "store.sqlite3.restore").write_bytes(b"no database")
        async with agent(tmp_path, oven_is_on=False) as (_, address):
            status, _, text = await get(address, "/readyz")
            assert status == 200
            refused = tmp_path / "store.sqlite3.restore-refused"
            assert f"{refused} could not be taken up" in json.loads(text)["parts"]["restore"]
            refused.unlink()
            assert json.loads((await get(address, "/readyz"))[2])["parts"]["restore"] == "ok"

    asyncio.run(main())


def test_a_store_that_does_not_write_makes_the_agent_unready_and_its_lag_grows(tmp_path: Path) -> None:
    async def main() -> None:
        async with agent(tmp_path, oven_is_on=False) as (running, address):
            other = sqlite3.connect(tmp_path / "store.sqlite3", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            running._database._writer.execute("PRAGMA busy_timeout = 10")
            running.units[0].save()
            await until(lambda: running._database.health().failing is not None)
            status, _, text = await get(address, "/readyz")
            assert status == 503
            assert json.loads(text)["status"] == "notReady"
            assert "locked" in json.loads(text)["parts"]["store"]
            found = await scraped(address)
            assert only(found, "edgeagent_store_failing") == 1
            assert only(found, "edgeagent_store_waiting_writes") >= 1
            assert only(found, "edgeagent_store_lag_seconds") > 0
            other.execute("ROLLBACK")
            other.close()
            await until(lambda: running._database.health().failing is None)
            assert (await get(address, "/readyz"))[0] == 200

    asyncio.run(main())


def test_only_a_vital_part_makes_health_fail_and_faults_are_cut(tmp_path: Path) -> None:
    async def main() -> None:
        health = Health()
        health.add("store", lambda: "full")
        assert (await pages(health).healthz()).status == 200
        health.add("poller", lambda: "hangs " * 1000, is_vital=True)
        page = await pages(health).healthz()
        told = json.loads(page.body)
        assert (page.status, told["status"], list(told["parts"])) == (503, "failed", ["poller"])
        assert len(told["parts"]["poller"]) == 300

    def pages(health: Health) -> Pages:
        return Pages(health, None, dict, list)  # type: ignore[arg-type]

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_pages_are_shown_to_this_computer_by_its_name_and_to_no_foreign_page(tmp_path: Path, path: str) -> None:
    async def main() -> None:
        async with agent(tmp_path, oven_is_on=False) as (_, address):
            assert (await get(address, path))[0] == 200
            assert (await get(address, path, headers={"Host": "oven.example"}))[0] == 403
            assert (await get(address, path, headers={"Origin": "http://evil.example"}))[0] == 403
            async with aiohttp.ClientSession() as client:
                async with client.head(address + path) as answer:
                    assert (answer.status, await answer.read()) == (200, b"")
                async with client.post(address + path) as answer:
                    assert answer.status == 405
            assert only(await scraped(address), "edgeagent_requests_forbidden_total", transport="http") == 2

    asyncio.run(main())


def test_support_holds_logs_frames_values_and_metrics(tmp_path: Path) -> None:
    async def main() -> None:
        async with agent(tmp_path) as (running, _):
            await until(lambda: running.units[0].status().connected)
            told = await asyncio.to_thread(ask, console_of(tmp_path / "store.sqlite3"), "Support.Get", {})
            assert {"version", "health", "readiness", "machines", "journal", "store", "logs", "frames",
                    "metrics"} == told.keys()
            (wire, lines), = told["frames"].items()
            assert wire == running._configuration.machines[0].sources[0].host + f":{wire.rpartition(':')[2]}"
            assert " sent 00 01 00 00 00 06 01" in lines[0]
            assert len(told["machines"][0]["values"]) == 157
            assert "edgeagent_build_info" in told["metrics"]

    asyncio.run(main())


def test_consumers_are_told_by_name_and_connections_refused_are_counted(tmp_path: Path) -> None:
    async def main() -> None:
        database = Database(tmp_path / "edge.db")
        database.open()
        archive = await Archive.open(database, Clock())
        tally = Tally()
        observed = Observed((), (), database, archive.journal, tally, {"http": lambda: (1, 0)}, LoopLag(),
                            lambda: [("mes", 7), ("a \"quoted\"\nname", 0)])
        pages = Pages(Health(), observed, dict, list)
        server = HttpServer(None, pages=pages.all(), tally=tally, places=Places(1))  # type: ignore[arg-type]
        port = await server.start("127.0.0.1", 0)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: server.load() == (1, 0))
        refused, closing = await asyncio.open_connection("127.0.0.1", port)
        assert b" 503 " in await refused.readline()
        closing.close()
        found = samples((await pages.metrics()).body.decode())
        assert {each.labels["consumer"]: each.value for each in found["edgeagent_consumer_lag_events"]} == {
            "mes": 7, 'a "quoted"\nname': 0}
        assert only(found, "edgeagent_connections_refused_total", transport="http") == 1
        assert "edgeagent_event_loop_longest_lag_seconds" not in found
        writer.close()
        await server.stop()
        await asyncio.to_thread(database.close)

    asyncio.run(main())


def table() -> str:
    """The table of docs/metrics.md."""
    rows = [f"| `{each.name}{ {'counter': '_total', 'info': '_info'}.get(each.kind, '')}` | {each.kind} | "
            f"{', '.join(f'`{label}`' for label in each.labels)} | {each.text} |" for each in metrics.METRICS]
    return "\n".join(["| name | kind | labels | what it tells |", "|---|---|---|---|", *rows])


def test_the_page_on_metrics_tells_each_and_no_other() -> None:
    text = PAGE.read_text()
    assert table() in text, f"write this into docs/metrics.md:\n{table()}"
    for name in PROCESS:
        assert f"`{name}`" in text


def test_what_is_served_is_what_the_page_tells(tmp_path: Path) -> None:
    async def main() -> None:
        async with agent(tmp_path, oven_is_on=False) as (_, address):
            text = (await get(address, "/metrics"))[2]
            served = {family.name for family in text_string_to_metric_families(text)}
            told = {each.name + ("_info" if each.kind == "info" else "") for each in metrics.METRICS}
            assert served == told | {name.removesuffix("_total") for name in PROCESS}

    asyncio.run(main())


def test_the_library_is_not_imported_before_metrics_are_asked_for() -> None:
    program = "import sys; import edgeagent.service, edgeagent.agent; assert 'prometheus_client' not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", program], check=True)
