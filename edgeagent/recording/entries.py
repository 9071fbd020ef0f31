"""What a recording is made of: arrays whose first element names the kind; all times in ns."""

from __future__ import annotations

import msgspec

VERSION = 2
"""2 has what the control room told; of earlier versions everything is still read."""
MOST_BYTES = 64 << 20
"""Of one entry; a longer one is not read."""


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    pass


class MapText(msgspec.Struct, frozen=True):
    """A register map as it was used."""

    text: str
    fingerprint: str


class Header(_Entry, frozen=True, tag="edgeagent recording"):
    """The first entry: everything that is needed to understand the others.

    Attributes:
        agent: version of the agent. file: name of the configuration's file; configuration: its text.
        maps: by the name in the configuration.
    """

    version: int
    agent: str
    wall_ns: int
    file: str
    configuration: str
    maps: dict[str, MapText]


class Memory(_Entry, frozen=True, tag="memory"):
    """What was remembered of a machine, or of the agent itself, when it was taken up, and when that was.

    Attributes:
        body: the checkpoint, None where there was none; saved_wall_ns, saved_monotonic_ns: when it was made.
        is_same_boot: the computer was not started since, so monotonic times compare.
        history: rows of history with their times.
        monotonic_ns, wall_ns, trusted: the clock when it was taken up.
    """

    name: str
    body: bytes | None
    saved_wall_ns: int
    saved_monotonic_ns: int
    is_same_boot: bool
    history: tuple[tuple[int, bytes], ...]
    monotonic_ns: int
    wall_ns: int
    trusted: bool


class Part(msgspec.Struct, frozen=True, array_like=True):
    """What one question brought: data of `count` registers or bits of a table from `address` on, and when."""

    table: str
    address: int
    count: int
    data: bytes
    monotonic_ns: int
    wall_ns: int


class Beat(_Entry, frozen=True, tag="beat"):
    """One beat of a read group.

    Attributes:
        source: its place in the machine.
        parts: what was decoded; empty for a missed beat.
        read_ns, read_wall_ns: the group's time in the row after it.
        monotonic_ns, wall_ns, trusted: the clock when the beat was told.
    """

    machine: str
    source: int
    group: str
    parts: tuple[Part, ...]
    read_ns: int
    read_wall_ns: int
    monotonic_ns: int
    wall_ns: int
    trusted: bool


class Kept(_Entry, frozen=True, tag="recipe"):
    """A version of a recipe that was kept when the recording began, or is from here on; body: as it is stored."""

    body: bytes


class Directed(_Entry, frozen=True, tag="directed"):
    """What the control room told a machine, as `Unit.directed` takes it; the arguments are JSON."""

    machine: str
    said: str
    arguments: bytes
    monotonic_ns: int
    wall_ns: int
    trusted: bool


class Wire(_Entry, frozen=True, tag="wire"):
    """Bytes as they passed: sent or heard; a wire is a port or a device's address."""

    wire: str
    is_sent: bool
    data: bytes
    monotonic_ns: int
    wall_ns: int


class Failure(_Entry, frozen=True, tag="failure"):
    """A question or a connection that failed, and why."""

    wire: str
    cause: str
    message: str
    monotonic_ns: int
    wall_ns: int


class End(_Entry, frozen=True, tag="end"):
    """The last entry of a recording that was ended on purpose."""

    reason: str


Entry = Header | Memory | Kept | Beat | Directed | Wire | Failure | End
