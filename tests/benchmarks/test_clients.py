"""Every client and server of the benchmarks works: a figure of one that reads nothing would be worth nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.surroundings import beside_the_tests

HERE = Path(__file__).resolve().parent


@pytest.fixture
def benchmarks(monkeypatch):
    """The benchmarks find what stands beside them, as programs do."""
    monkeypatch.syspath_prepend(str(HERE))
    yield
    for name in ("bench_poll", "bench_serve", "fleet"):
        sys.modules.pop(name, None)


def test_every_benchmark_finds_what_it_measures():
    programs = [path.stem for path in HERE.glob("bench_*.py")]
    imports = "import sys; sys.path.append(sys.argv[1]); import " + ", ".join(programs)
    subprocess.run([sys.executable, "-P", "-c", imports, HERE], check=True, env=beside_the_tests())
    assert programs


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["asyncio", "pymodbus", "poller", "unit"])
def test_every_client_of_the_devices_reads_at_its_beat(benchmarks, tmp_path, kind):
    import bench_poll

    figures = bench_poll.measured(kind, None, tmp_path, 2, bench_poll.PERIOD_S, 2.0)
    assert figures["reads"] > 4


@pytest.mark.slow
def test_the_whole_agent_reads_the_devices():
    command = [sys.executable, HERE / "bench_poll.py", "agent", "2", "1"]
    lines = subprocess.check_output(command, text=True).splitlines()
    assert [line.split(",")[0].strip() for line in lines] == ["200 points"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["agent", "bare"])
@pytest.mark.parametrize("way", ["http", "lines", "websocket"])
def test_every_server_answers(benchmarks, kind, way):
    import bench_serve

    assert asyncio.run(bench_serve.measured(kind, "ask", way, "0.5")) > 0
