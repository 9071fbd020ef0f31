"""Pages for probes, Prometheus and support: /healthz, /readyz, /metrics, /support; and who may see each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from edgeagent import __version__
from edgeagent.clock import iso
from edgeagent.health import Health
from edgeagent.model.callers import Caller
from edgeagent.publish.access import Handler
from edgeagent.publish.observe.observed import Observed

if TYPE_CHECKING:
    from edgeagent.publish.observe.metrics import Reading

_MOST_FAULT = 300
"""Characters of a fault that are shown."""


class Page(NamedTuple):
    """What is shown, with an HTTP status."""

    status: int
    content_type: str
    body: bytes


class View(NamedTuple):
    """A page that is made anew whenever somebody looks.

    Attributes:
        show: makes it.
        role: what whoever looks must have.
        is_for_probes: on the agent's own computer everybody sees it.
    """

    show: Callable[[], Awaitable[Page]]
    role: str
    is_for_probes: bool = False


Frames = Mapping[str, Sequence[tuple[int, bool, bytes]]]
"""Wire → wall time (ns), whether it was sent, and the bytes of each frame."""


class Pages:
    """Shows how the agent is.

    Args:
        frames: gives the last frames of each wire. recent: gives the newest lines of the log.
    """

    def __init__(
        self, health: Health, observed: Observed, frames: Callable[[], Frames], recent: Callable[[], Sequence[str]]
    ) -> None:
        self._health = health
        self._observed = observed
        self._frames = frames
        self._recent = recent
        self._turn = asyncio.Lock()
        """Metrics and support are made one at a time."""

    def all(self) -> dict[str, View]:
        """Path → page."""
        return {
            "/healthz": View(self.healthz, "viewer", is_for_probes=True),
            "/readyz": View(self.readyz, "viewer", is_for_probes=True),
            "/metrics": View(self.metrics, "viewer"),
            "/support": View(self.support, "administrator"),
        }

    def console(self) -> dict[str, Handler]:
        """What of it the console answers."""
        return {"Support.Get": self._get_support}

    async def healthz(self) -> Page:
        """Whether the process lives: 503 when only a new start helps."""
        return _health("ok", "failed", *self._health.alive())

    async def readyz(self) -> Page:
        """Whether the agent can do its work; a machine that does not answer is told and does not make it unready."""
        return _health("ready", "notReady", *self._health.ready())

    async def metrics(self) -> Page:
        """All metrics as text."""
        async with self._turn:
            readings = _read(self._observed)
            return await asyncio.to_thread(_metrics, readings)

    async def support(self) -> Page:
        """All that is known now, as one JSON object."""
        async with self._turn:
            machines, journal = self._observed.machines, self._observed.journal
            readings = _read(self._observed)
            told = {
                "version": __version__,
                "health": self._health.alive()[1],
                "readiness": self._health.ready()[1],
                "machines": [{"status": machine.status(), "values": machine.values(None), "alarms": machine.alarms(),
                              "boards": machine.boards()} for machine in machines],
                "journal": {"stream": journal.stream, "first": journal.first_sequence, "last": journal.last_sequence,
                            "committed": journal.committed_sequence},
                "store": self._observed.database.health(),
                "logs": self._recent(),
            }  # fmt: skip
            return await asyncio.to_thread(_support, told, self._frames(), readings)


    async def _get_support(self, _: object, __: Caller) -> msgspec.Raw:
        return msgspec.Raw((await self.support()).body.rstrip())


def _health(well: str, unwell: str, is_well: bool, parts: Mapping[str, str | None]) -> Page:
    told = {name: (fault or "ok")[:_MOST_FAULT] for name, fault in parts.items()}
    return _json({"status": well if is_well else unwell, "parts": told}, 200 if is_well else 503)


def _read(observed: Observed) -> list[Reading]:
    from edgeagent.publish.observe import metrics  # noqa: PLC0415  most agents are never asked

    return metrics.read(observed)


def _metrics(readings: Sequence[Reading]) -> Page:
    from edgeagent.publish.observe import exposition  # noqa: PLC0415  see its first line

    return Page(200, exposition.CONTENT_TYPE, exposition.text(readings))


def _support(told: Mapping[str, object], frames: Frames, readings: Sequence[Reading]) -> Page:
    lines = {
        wire: [f"{iso(wall_ns)} {'sent' if is_sent else 'heard'} {data.hex(' ')}" for wall_ns, is_sent, data in passed]
        for wire, passed in frames.items()
    }
    return _json({**told, "frames": lines, "metrics": _metrics(readings).body.decode()})


def _json(told: object, status: int = 200) -> Page:
    return Page(status, "application/json", msgspec.json.encode(told) + b"\n")
