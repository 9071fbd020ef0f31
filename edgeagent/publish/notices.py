"""The messages that events become: durable ones built once for all who want the same, passing ones without sequence."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec

from edgeagent.clock import Clock, iso
from edgeagent.model.events import GapRange, MeasuredValueChanged, StoredEvent
from edgeagent.model.samples import MeasuredValue
from edgeagent.publish.tally import Tally

TELEMETRY = "Status.MeasuredValueChanged"

_KEPT = 64
"""Built messages kept for the other subscriptions that want the same one."""


class Notices:
    """Builds notifications of one stream.

    Attributes:
        tally: what became of those that did not reach a peer.
    """

    def __init__(self, stream: str, clock: Clock) -> None:
        self.stream = stream
        self._clock = clock
        self._head = b'"stream":"%b","sequence":' % stream.encode()
        self._built: dict[tuple[int, int], bytes] = {}
        self.tally = Tally()

    def durable(self, event: StoredEvent, previous: int) -> bytes:
        """Build the message of an event on disk; `previous` is the sequence told before it, 0 for none."""
        key = (event.sequence, previous)
        built = self._built.get(key)
        if built is None:
            parameters = self.parameters(event, previous)
            built = b'{"jsonrpc":"2.0","method":"%b","params":{%b}}' % (event.topic.encode(), parameters)
            if len(self._built) >= _KEPT:
                del self._built[next(iter(self._built))]
            self._built[key] = built
        return built

    def parameters(self, event: StoredEvent, previous: int) -> bytes:
        """The members of a durable event's parameters, without braces."""
        return b'%b%d,"previous":%d,%b' % (self._head, event.sequence, previous, event.body)

    def passing(
        self, topic: str, data: msgspec.Struct, machine: str | None = None, time_ns: int | None = None
    ) -> bytes:
        """Build the message of something that is not kept: it has no sequence."""
        parameters: dict[str, Any] = {
            "stream": self.stream,
            "time": iso(self._clock.wall_ns() if time_ns is None else time_ns),
            "clock": "trusted" if self._clock.trusted else "untrusted",
            "machine": machine,
            "data": data,
        }
        return msgspec.json.encode({"jsonrpc": "2.0", "method": topic, "params": parameters})


class Telemetry:
    """Values of one machine that are told now; the message is built once for all sessions."""

    __slots__ = ("_message", "_time_ns", "machine", "values")

    def __init__(self, machine: str, values: tuple[MeasuredValue, ...], time_ns: int) -> None:
        self.machine = machine
        self.values = values
        self._time_ns = time_ns
        self._message: bytes | None = None

    def before(self, later: Telemetry) -> Telemetry:
        """Both together, the later value of each object and name."""
        newest = {(value.object, value.name): value for value in itertools.chain(self.values, later.values)}
        return Telemetry(self.machine, tuple(newest.values()), later._time_ns)

    def message(self, notices: Notices) -> bytes:
        """The notification."""
        if self._message is None:
            data = MeasuredValueChanged(self.values)
            self._message = notices.passing(TELEMETRY, data, self.machine, self._time_ns)
        return self._message


def in_order(events: Sequence[StoredEvent], gaps: Sequence[GapRange]) -> list[StoredEvent | GapRange]:
    """Events and what is missing between them, by sequence."""
    if not gaps:
        return list(events)
    both: list[StoredEvent | GapRange] = [*events, *gaps]
    return sorted(both, key=lambda it: it.from_ if isinstance(it, GapRange) else it.sequence)
