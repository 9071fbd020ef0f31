"""`edgeagent replay FILE`: a recording through the whole agent, as fast as it goes, with the events of then."""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgeagent import config
from edgeagent.acquire.replay import ReplayClock, ReplaySource
from edgeagent.changes import ITSELF, tell_changes
from edgeagent.clock import boot_id
from edgeagent.errors import RecordingError
from edgeagent.model.recipes import StoredRecipe
from edgeagent.recording.entries import Beat, Directed, Kept, Memory
from edgeagent.recording.reader import Recording
from edgeagent.store import Checkpoint, Checkpoints, Database, Journal
from edgeagent.store.checkpoints import put
from edgeagent.unit import Unit
from firmware_iface import catalog

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence

    from edgeagent.config import Configuration
    from edgeagent.model.boards import RecipeName
    from edgeagent.model.events import StoredEvent
    from edgeagent.model.machine import Judging
    from firmware_iface.registers import RegisterMap

_AHEAD = 100
"""Events that wait for the disk before the next beat is played."""
_ROWS = 500
"""Rows of history written at a time."""


async def replay(file: Path, configuration: Path | None, store: Path | None, stop: asyncio.Event) -> None:
    """Play a recording and print its events as JSON lines; what is to be said of it goes to standard error.

    Raises:
        RecordingError, ConfigError, StoreError: it cannot be played; the events before that are printed.
    """
    recording = Recording(file)
    with database(store) as path:
        player = Replay(recording, configuration, path, _print)
        try:
            await player.run(stop)
        finally:
            sys.stdout.flush()
            for doubt in player.doubts():
                print(doubt, file=sys.stderr)
            print(f"{player.beats} beats played; the recording ended: {recording.ended or 'not reached'}",
                  file=sys.stderr)


def _print(events: Sequence[StoredEvent]) -> None:
    for event in events:
        body = event.body.decode()
        sys.stdout.write(f'{{"sequence":{event.sequence},"topic":"{event.topic}",{body}}}\n')


class Replay:
    """Plays one recording.

    Args:
        file: a configuration to play it with instead of the recorded one. store: where the database is made.
        tell: called with the events, in order, when they are on disk.
    """

    def __init__(
        self, recording: Recording, file: Path | None, store: Path, tell: Callable[[Sequence[StoredEvent]], None]
    ) -> None:
        self._recording = recording
        self._configuration, self._maps = recorded_configuration(recording) if file is None else config.load(file)
        self._tell = tell
        self._clock = ReplayClock()
        self._committed: list[StoredEvent] = []
        self._database = Database(store)
        self._units: dict[str, Unit] = {}
        self._sources: dict[tuple[str, int], ReplaySource] = {}
        self._judging: dict[tuple[str, RecipeName], Judging] = {}
        self._strangers = 0
        self.beats = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Play to the end, or until `stop` is set.

        Raises:
            RecordingError: it is damaged, or of other machines than the configuration's. StoreError: the database.
        """
        self._database.open()
        try:
            journal = await Journal.open(self._database, self._clock)
            journal.on_commit.append(self._committed.extend)
            checkpoints = Checkpoints(self._database, self._clock)
            try:
                for entry in self._recording.entries():
                    if stop.is_set():
                        break
                    if isinstance(entry, Memory):
                        await self._take_up(entry, journal, checkpoints)
                    elif isinstance(entry, Kept):
                        recipe = msgspec.json.decode(entry.body, type=StoredRecipe)
                        self._judging[recipe.machine, recipe.key] = recipe.judging
                    elif isinstance(entry, Beat):
                        self._play(entry)
                    elif isinstance(entry, Directed):
                        self._direct(entry)
                    if journal.last_sequence > journal.committed_sequence + _AHEAD:
                        await self._settle(journal)
            finally:
                await self._settle(journal)
            for unit in self._units.values():
                unit.save()
            await self._database.write(lambda _: None)
        finally:
            self._database.close()

    async def _settle(self, journal: Journal) -> None:
        await journal.settled(journal.last_sequence)
        told = self._committed.copy()
        self._committed.clear()
        self._tell(told)

    def doubts(self) -> Iterator[str]:
        """What of the recording could not be played with this configuration."""
        if self._strangers:
            yield f"{self._strangers} boards that were booked out by hand are not inside when it is played so"
        for (machine, index), source in self._sources.items():
            for group in sorted(source.unknown):
                yield f"{machine}: source {index + 1} has no group {group} any more; its beats were left out"
            for group in sorted(source.uncovered):
                yield (f"{machine}: group {group} wants registers of source {index + 1} that were not recorded; its "
                       "points were bad then")  # fmt: skip

    async def _take_up(self, memory: Memory, journal: Journal, checkpoints: Checkpoints) -> None:
        """Put the machine's memory where it was found then, and take the machine up from there."""
        self._clock.show(memory.monotonic_ns, memory.wall_ns, memory.trusted)
        if memory.body is not None:
            boot = boot_id() if memory.is_same_boot else "another boot"
            saved = Checkpoint(memory.body, memory.saved_wall_ns, memory.saved_monotonic_ns, boot)
            await self._database.write(lambda connection: put(connection, (memory.name, saved)))
        for first in range(0, len(memory.history), _ROWS):
            for time_ns, row in memory.history[first:first + _ROWS]:
                checkpoints.record(memory.name, time_ns, row)
            await self._database.write(lambda _: None)
        if memory.name == ITSELF:
            await tell_changes(self._configuration, self._maps, journal, checkpoints, self._clock,
                               self._recording.header.agent)
            return
        table = next((table for table in self._configuration.machines if table.id == memory.name), None)
        if table is None:
            raise RecordingError(f"the recording is of machine {memory.name}, which the configuration has not")
        unit = Unit(table, self._maps[table.id], self._clock, journal, checkpoints, lambda *_: None,
                    judged_by=lambda machine, recipe: self._judging.get((machine, recipe)))
        await unit.resume()
        self._units[table.id] = unit
        listened_to = {line.id for line in self._configuration.lines if not line.master}
        for index, source in enumerate(table.sources):
            is_listened_to = isinstance(source, config.ModbusRtuTable) and source.line in listened_to
            self._sources[table.id, index] = ReplaySource(unit.machine, index, unit.row, is_listened_to, unit.beat)

    def _direct(self, entry: Directed) -> None:
        """Tell a machine again what the control room told it, at the moment of then."""
        self._clock.show(entry.monotonic_ns, entry.wall_ns, entry.trusted)
        unit = self._units.get(entry.machine)
        if unit is None:
            raise RecordingError(f"the recording has machine {entry.machine}, which the configuration has not")
        try:
            unit.directed(entry.said, entry.arguments)
        except KeyError:
            self._strangers += 1

    def _play(self, beat: Beat) -> None:
        self._clock.show(beat.monotonic_ns, beat.wall_ns, beat.trusted)
        source = self._sources.get((beat.machine, beat.source))
        if source is None:
            raise RecordingError(f"the recording has source {beat.source + 1} of machine {beat.machine}, which the "
                                 "configuration has not")
        source.play(beat)
        self.beats += 1


def recorded_configuration(recording: Recording) -> tuple[Configuration, dict[str, tuple[RegisterMap, ...]]]:
    """The configuration with which a recording was made, and its maps.

    Raises:
        ConfigError: this version of the agent does not take them any more.
    """
    header = recording.header
    with tempfile.TemporaryDirectory(prefix="edgeagent-replay-") as folder:
        file = Path(folder) / Path(header.file).name
        file.write_text(header.configuration, encoding="utf-8")

        def find(_: Path, name: str) -> RegisterMap:
            path = Path(folder) / f"{name.replace('/', '_').removesuffix('.toml')}.map.toml"
            path.write_text(header.maps[name].text, encoding="utf-8")
            return catalog.load(path)

        return config.load(file, find)


@contextmanager
def database(path: Path | None) -> Iterator[Path]:
    """Where the replay's database is: a new file that is kept, or one that goes away with the block.

    Raises:
        RecordingError: the file exists already.
    """
    if path is not None:
        if path.exists():
            raise RecordingError(f"{path} exists already; a replay begins a new database")
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="edgeagent-replay-") as folder:
        yield Path(folder) / "store.sqlite3"
