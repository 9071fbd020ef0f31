"""Begins a recording: the configuration and its maps go first, so that it can be understood anywhere."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import edgeagent
from edgeagent.acquire.recorder import Recorder
from edgeagent.agent import Agent
from edgeagent.clock import Clock
from edgeagent.config import HttpTable, LinesTable, OpenAppsTable, map_file
from edgeagent.recording.entries import VERSION, Header, MapText
from edgeagent.recording.writer import RecordingWriter
from edgeagent.tools.stopping import until
from firmware_iface import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeagent.config import Configuration
    from firmware_iface.registers import RegisterMap

Maps = dict[str, "tuple[RegisterMap, ...]"]


@contextmanager
def recorder(
    path: Path | None, megabytes: float, file: Path, configuration: Configuration, maps: Maps, clock: Clock
) -> Iterator[Recorder | None]:
    """Record to a file until the end of the block; None where there is no path.

    Args:
        file: the configuration's file.

    Raises:
        RecordingError: the path cannot be recorded to.
    """
    if path is None:
        yield None
        return
    writer = RecordingWriter(path, _header(file, configuration, maps, clock), round(megabytes * 1e6))
    try:
        yield Recorder(writer, clock)
    finally:
        writer.close()
        told = "" if writer.ended == "closed" else f"; it ended early: {writer.ended}"
        print(f"{path}: {writer.entries} entries, {writer.size / 1e6:.1f} MB{told}", file=sys.stderr)


async def record(
    path: Path, megabytes: float, file: Path, configuration: Configuration, maps: Maps, seconds: float | None,
    stop: asyncio.Event,
) -> None:  # fmt: skip
    """Run the agent without outlets and with a passing store, and record, for some seconds or until `stop` is set."""
    clock = clock_of(configuration)
    quiet = OpenAppsTable(HttpTable(enabled=False), LinesTable(enabled=False))
    with (recorder(path, megabytes, file, configuration, maps, clock) as recording,
          tempfile.TemporaryDirectory(prefix="edgeagent-record-") as folder):  # fmt: skip
        agent = Agent(msgspec.structs.replace(configuration, openapps=quiet), maps, Path(folder) / "store.sqlite3",
                      clock, recording)
        await agent.start()
        try:
            await until(stop, asyncio.sleep(seconds) if seconds else asyncio.Event().wait())
        finally:
            await agent.stop()


def clock_of(configuration: Configuration) -> Clock:
    """The clock that a configuration asks for."""
    simulation = configuration.simulation
    return Clock(simulation.speed, round(simulation.origin.timestamp() * 1e9) if simulation.origin else 0)


def _header(file: Path, configuration: Configuration, maps: Maps, clock: Clock) -> Header:
    texts = {}
    for table in configuration.machines:
        for source, register_map in zip(table.sources, maps[table.id], strict=True):
            path = map_file(file, source.map)
            text = path.read_text(encoding="utf-8") if path else catalog.builtin_text(source.map)
            texts[source.map] = MapText(text, register_map.fingerprint)
    return Header(VERSION, edgeagent.__version__, clock.wall_ns(), str(file), file.read_text(encoding="utf-8"), texts)
