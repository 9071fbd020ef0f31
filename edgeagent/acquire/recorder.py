"""Records the wires of a running agent: bytes as they passed, failures, and every beat as replay needs it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from edgeagent.acquire.source import always
from edgeagent.clock import boot_id
from edgeagent.errors import MachineError
from edgeagent.recording.entries import Beat, Directed, Failure, Kept, Memory, Part, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgeagent.acquire.plan import GroupPlan
    from edgeagent.acquire.source import Allows, Block, Source, Words
    from edgeagent.clock import Clock
    from edgeagent.model.machine import Machine
    from edgeagent.model.recipes import StoredRecipe
    from edgeagent.model.samples import Row
    from edgeagent.recording.writer import RecordingWriter
    from edgeagent.store import Checkpoint


class Recorder:
    """Turns what happens on the wires into entries of a recording; on the event loop only."""

    def __init__(self, writer: RecordingWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._parts: dict[tuple[str, int], list[Part]] = {}

    def wire(self, name: str, is_sent: bool, data: bytes) -> None:
        """Bytes pass on a wire."""
        if data:
            self._writer.add(Wire(name, is_sent, bytes(data), self._clock.monotonic_ns(), self._clock.wall_ns()))

    def failed(self, name: str, error: MachineError) -> None:
        """A question or a connection failed."""
        now, wall = self._clock.monotonic_ns(), self._clock.wall_ns()
        self._writer.add(Failure(name, error.cause, str(error), now, wall))

    def watch(self, machine: Machine, groups: Iterable[GroupPlan]) -> None:
        """Take what these plans decode from now on."""
        for group in groups:
            group.on_decode = partial(self._decoded, (machine.id, group.index), group)

    def _decoded(
        self, place: tuple[str, int], group: GroupPlan, answers: Sequence[bytes], monotonic_ns: int, wall_ns: int
    ) -> None:
        self._parts.setdefault(place, []).extend(
            Part(planned.block.table, planned.block.address, planned.block.count, data, monotonic_ns, wall_ns)
            for planned, data in zip(group.blocks, answers, strict=True)
        )

    def beat(self, machine: Machine, index: int, row: Row, now_ns: int, wall_ns: int) -> None:
        """A group's beat is told at this moment."""
        group = machine.groups[index]
        parts = self._parts.pop((machine.id, index), [])
        self._writer.add(Beat(machine.id, group.source, group.name, tuple(parts), row.times[index], row.stamps[index],
                              now_ns, wall_ns, self._clock.trusted))

    def directed(self, machine: str, said: str, arguments: bytes, now_ns: int, wall_ns: int) -> None:
        """The control room tells a machine something at this moment."""
        self._writer.add(Directed(machine, said, arguments, now_ns, wall_ns, self._clock.trusted))

    def taken_up(
        self, name: str, saved: Checkpoint | None, history: Sequence[tuple[int, bytes]], now_ns: int, wall_ns: int
    ) -> None:
        """A machine, or the agent itself, goes on at this moment where a checkpoint stands, or anew with None."""
        self._writer.add(Memory(
            name, saved.body if saved else None, saved.saved_wall_ns if saved else 0,
            saved.saved_monotonic_ns if saved else 0, bool(saved and saved.boot and saved.boot == boot_id()),
            tuple(history), now_ns, wall_ns, self._clock.trusted,
        ))  # fmt: skip

    def recipe(self, recipe: StoredRecipe) -> None:
        """A version of a recipe is kept."""
        self._writer.add(Kept(msgspec.json.encode(recipe)))


class RecordedSource:
    """A source whose failures are recorded."""

    def __init__(self, source: Source, recorder: Recorder) -> None:
        self.name = source.name
        self._source = source
        self._recorder = recorder

    @property
    def connected(self) -> bool:
        """Whether requests can be sent now."""
        return self._source.connected

    async def connect(self) -> None:
        """Open the way to the device; raises Unreachable."""
        try:
            await self._source.connect()
        except MachineError as error:
            self._recorder.failed(self.name, error)
            raise

    async def read(self, block: Block, is_urgent: bool = False) -> bytes:
        """Ask once; raises Unreachable, Silent, BadAnswer, Refused."""
        try:
            return await self._source.read(block, is_urgent)
        except MachineError as error:
            self._recorder.failed(self.name, error)
            raise

    async def write(self, words: Words, allows: Allows = always) -> None:
        """Write once; raises NotWritable, Unreachable, Silent, BadAnswer, Refused, and what `allows` raises."""
        try:
            await self._source.write(words, allows)
        except MachineError as error:
            self._recorder.failed(self.name, error)
            raise

    def close(self) -> None:
        """Close the way."""
        self._source.close()
