"""Every metric: its name, what it tells, and where its numbers are; read when somebody asks, never before."""

from __future__ import annotations

import asyncio
import platform
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from edgeagent import __version__
from edgeagent.durations import Durations
from edgeagent.model.points import WORDS
from edgeagent.publish.observe.observed import Observed, ObservedReader
from edgeagent.store.sizes import Sizes, Usage
from firmware_iface.registers import MACHINE_STATES

Sample = tuple[tuple[str, ...], float | Durations]
"""Values of the labels, and the number; Durations of a histogram."""


class Metric(NamedTuple):
    """One metric; what is unknown has no sample.

    Attributes:
        name: as Prometheus shows it, without the "_total" of a counter.
        labels: none holds a board's id or a barcode; all are bounded by the configuration or by the agent.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    text: str
    labels: tuple[str, ...]
    read: Callable[[Observed], Iterable[Sample]]


def _one(number: Callable[[Observed], float | Durations | None]) -> Callable[[Observed], Iterator[Sample]]:
    """A metric without labels; None is unknown."""

    def read(observed: Observed) -> Iterator[Sample]:
        value = number(observed)
        if value is not None:
            yield (), value

    return read


def _of_source(
    number: Callable[[ObservedReader], float | Durations | None]
) -> Callable[[Observed], Iterator[Sample]]:
    def read(observed: Observed) -> Iterator[Sample]:
        for machine, reader in observed.readers:
            value = number(reader)
            if value is not None:
                yield (machine, reader.name), value

    return read


def _of_transport(number: Callable[[Observed, str], float]) -> Callable[[Observed], Iterator[Sample]]:
    return lambda observed: (((name,), number(observed, name)) for name in observed.transports)


def _states(observed: Observed) -> Iterator[Sample]:
    for machine in observed.machines:
        state = machine.status().state
        for name in MACHINE_STATES:
            yield (machine.machine.id, name), float(name == state)


def _boards(observed: Observed) -> Iterator[Sample]:
    for machine in observed.machines:
        for lane in machine.status().lanes:
            yield (machine.machine.id, str(lane.lane)), lane.boards


def _values(observed: Observed) -> Iterator[Sample]:
    for machine in observed.machines:
        for word, count in zip(WORDS, machine.qualities(), strict=True):
            yield (machine.machine.id, word), count


def _counted(counter: Callable[[ObservedReader], Counter[str]]) -> Callable[[Observed], Iterator[Sample]]:
    def read(observed: Observed) -> Iterator[Sample]:
        for machine, reader in observed.readers:
            for kind, count in counter(reader).items():
                yield (machine, reader.name, kind), count

    return read


def _size(observed: Observed, suffix: str) -> float | None:
    try:
        return Path(f"{observed.database.path}{suffix}").stat().st_size
    except OSError:
        return None


def _posts(observed: Observed) -> Iterator[Sample]:
    for line in observed.pushes:
        for outcome, count in line.posts.items():
            yield (line.name, outcome), count


def _sizes(observed: Observed) -> Sizes | None:
    return observed.retention.sizes if observed.retention else None


def _of_class(number: Callable[[Usage], float | None]) -> Callable[[Observed], Iterator[Sample]]:
    def read(observed: Observed) -> Iterator[Sample]:
        sizes = _sizes(observed)
        for name, usage in sizes.classes.items() if sizes else ():
            value = number(usage)
            if value is not None:
                yield (name,), value

    return read


_SOURCE = ("machine", "device")
_TRANSPORT = ("transport",)

METRICS = (
    Metric("edgeagent_build", "info", "Version of the agent and of Python.", ("version", "python"),
           lambda _: [((__version__, platform.python_version()), 1.0)]),

    Metric("edgeagent_machine_connected", "gauge", "1 while the machine answers.", ("machine",),
           lambda o: (((m.machine.id,), float(m.status().connected)) for m in o.machines)),
    Metric("edgeagent_machine_state", "gauge", "1 for the state that the machine is in, 0 for the others.",
           ("machine", "state"), _states),
    Metric("edgeagent_machine_alarms", "gauge", "Alarms that stand.", ("machine",),
           lambda o: (((m.machine.id,), len(m.alarms())) for m in o.machines)),
    Metric("edgeagent_boards_inside", "gauge", "Boards in the tunnel.", ("machine", "lane"), _boards),
    Metric("edgeagent_values", "gauge", "Values of the machine by their quality now.", ("machine", "quality"), _values),

    Metric("edgeagent_source_reads", "counter", "Requests that a device answered.", _SOURCE,
           _of_source(lambda r: r.reads)),
    Metric("edgeagent_source_errors", "counter", "Requests and beats that failed, by kind; a kind is there once it "
           "happened.", (*_SOURCE, "kind"), _counted(lambda r: r.errors)),
    Metric("edgeagent_source_writes", "counter", "Writes by what became of them: done, or why not; a result is there "
           "once it happened.", (*_SOURCE, "result"), _counted(lambda r: r.writes)),
    Metric("edgeagent_source_skipped_beats", "counter", "Beats that were too late to be read.", _SOURCE,
           _of_source(lambda r: r.skipped)),
    Metric("edgeagent_source_poll_duration_seconds", "histogram", "Time to read a whole group, connecting and waiting "
           "for the line included; of groups that were read.", _SOURCE, _of_source(lambda r: r.durations)),
    Metric("edgeagent_source_beat_lateness_seconds", "histogram", "How late beats began (jitter).", _SOURCE,
           _of_source(lambda r: r.lateness)),

    Metric("edgeagent_event_loop_lag_seconds", "histogram", "How late the event loop came back, twice a second.", (),
           _one(lambda o: o.loop_lag.durations)),
    Metric("edgeagent_event_loop_longest_lag_seconds", "gauge", "The longest lag of the last minute.", (),
           _one(lambda o: o.loop_lag.longest_s)),
    Metric("edgeagent_tasks", "gauge", "Tasks of the event loop.", (), _one(lambda _: len(asyncio.all_tasks()))),
    Metric("edgeagent_threads", "gauge", "Threads of the agent's own.", (), _one(lambda _: threading.active_count())),

    Metric("edgeagent_store_failing", "gauge", "1 while the disk refuses what is to be written.", (),
           _one(lambda o: float(o.database.health().failing is not None))),
    Metric("edgeagent_store_waiting_writes", "gauge", "Writes that are not on disk yet.", (),
           _one(lambda o: o.database.health().waiting)),
    Metric("edgeagent_store_lag_seconds", "gauge", "How long the oldest waiting write waits; 0 when none does.", (),
           _one(lambda o: o.database.health().lag_s)),
    Metric("edgeagent_store_writes", "counter", "Writes that are on disk.", (),
           _one(lambda o: o.database.health().writes)),
    Metric("edgeagent_store_commits", "counter", "Commits.", (), _one(lambda o: o.database.health().commits)),
    Metric("edgeagent_store_database_bytes", "gauge", "Size of the database file.", (), _one(lambda o: _size(o, ""))),
    Metric("edgeagent_store_wal_bytes", "gauge", "Size of the write-ahead log.", (), _one(lambda o: _size(o, "-wal"))),
    Metric("edgeagent_store_used_bytes", "gauge", "Bytes of the database file that hold something; looked at every ten "
           "minutes, as all that follows about what is kept.", (),
           _one(lambda o: sizes.used if (sizes := _sizes(o)) else None)),
    Metric("edgeagent_store_class_bytes", "gauge", "About how many bytes what is kept takes.", ("class",),
           _of_class(lambda usage: usage.bytes)),
    Metric("edgeagent_store_class_rows", "gauge", "How much is kept: events, records, traces.", ("class",),
           _of_class(lambda usage: usage.rows)),
    Metric("edgeagent_store_class_oldest_timestamp_seconds", "gauge", "When the oldest that is kept happened.",
           ("class",), _of_class(lambda usage: None if usage.oldest_ns is None else usage.oldest_ns / 1e9)),
    Metric("edgeagent_store_bytes_per_board", "gauge", "About what a board takes: record, events and trace.", (),
           _one(lambda o: sizes.bytes_per_board if (sizes := _sizes(o)) else None)),
    Metric("edgeagent_store_deleted_rows", "counter", "What retention deleted since the start.", ("class",),
           lambda o: (((name,), rows) for name, rows in o.retention.gone.items()) if o.retention else ()),
    Metric("edgeagent_store_over_limit", "gauge", "1 while more is kept than may be, because it must not be deleted.",
           (), _one(lambda o: float(o.retention.fault() is not None) if o.retention else None)),
    Metric("edgeagent_audit_failing", "gauge", "1 while the audit record cannot be written, and commands are refused.",
           (), _one(lambda o: None if o.audit is None else float(o.audit.failing is not None))),
    Metric("edgeagent_audit_broken", "gauge", "1 when the audit record was found changed or cut, until that is "
           "accepted.", (), _one(lambda o: None if o.audit is None else float(o.audit.broken is not None))),
    Metric("edgeagent_audit_entries", "counter", "Entries of the audit record that are on disk.", (),
           _one(lambda o: None if o.audit is None else o.audit.entries)),
    Metric("edgeagent_audit_failures", "counter", "Times that the disk refused the audit record.", (),
           _one(lambda o: None if o.audit is None else o.audit.failures)),
    Metric("edgeagent_audit_sequence", "gauge", "Newest entry of the audit record.", (),
           _one(lambda o: None if o.audit is None else o.audit.head.sequence)),
    Metric("edgeagent_journal_first_sequence", "gauge", "Oldest event kept.", (),
           _one(lambda o: o.journal.first_sequence)),
    Metric("edgeagent_journal_committed_sequence", "gauge", "Newest event on disk.", (),
           _one(lambda o: o.journal.committed_sequence)),
    Metric("edgeagent_journal_last_sequence", "gauge", "Newest number given to an event.", (),
           _one(lambda o: o.journal.last_sequence)),

    Metric("edgeagent_connections", "gauge", "Connections.", _TRANSPORT,
           _of_transport(lambda o, name: o.transports[name]()[0])),
    Metric("edgeagent_subscriptions", "gauge", "Subscriptions.", _TRANSPORT,
           _of_transport(lambda o, name: o.transports[name]()[1])),
    Metric("edgeagent_connections_refused", "counter", "Connections refused because there were too many.", _TRANSPORT,
           _of_transport(lambda o, name: o.tally.refused[name])),
    Metric("edgeagent_connections_cut", "counter", "Connections ended for what the peer did: it did not read, or spoke "
           "another protocol.", _TRANSPORT, _of_transport(lambda o, name: o.tally.cut[name])),
    Metric("edgeagent_requests_forbidden", "counter", "Requests refused for who asks: a strange Host or Origin.",
           _TRANSPORT, _of_transport(lambda o, name: o.tally.forbidden[name])),
    Metric("edgeagent_authentications", "counter", "Tokens that were sent: right, wrong, or not looked at because "
           "their address is slowed down.", ("result",),
           lambda o: (((result,), o.tally.authentications[result]) for result in ("right", "wrong", "slowed"))),
    Metric("edgeagent_handshakes_failed", "counter", "TLS handshakes that failed, or that there was no room for.",
           _TRANSPORT, _of_transport(lambda o, name: o.tally.handshakes[name])),
    Metric("edgeagent_opcua_sessions", "gauge", "Sessions of OPC UA clients.", (),
           _one(lambda o: o.opcua.load.sessions if o.opcua else None)),
    Metric("edgeagent_opcua_monitored_items", "gauge", "Monitored items of OPC UA clients.", (),
           _one(lambda o: o.opcua.load.items if o.opcua else None)),
    Metric("edgeagent_opcua_resident_bytes", "gauge", "Memory of the OPC UA process.", (),
           _one(lambda o: o.opcua.load.resident_bytes if o.opcua else None)),
    Metric("edgeagent_opcua_restarts", "counter", "Times that the OPC UA process was started anew.", (),
           _one(lambda o: o.opcua.restarts if o.opcua else None)),
    Metric("edgeagent_unknown_functions", "counter", "Calls of functions that there are not.", (),
           _one(lambda o: o.tally.unknown_functions)),
    Metric("edgeagent_telemetry_coalesced", "counter", "Telemetry messages that a newer one took the place of, because "
           "the peer was slow.", (), _one(lambda o: o.tally.coalesced)),
    Metric("edgeagent_events_lost", "counter", "Wanted events that were told to a subscriber as a gap.", (),
           _one(lambda o: o.tally.lost)),
    Metric("edgeagent_consumer_lag_events", "gauge", "Events of all topics after those that a durable consumer has "
           "acknowledged.",
           ("consumer",), lambda o: (((name,), lag) for name, lag in o.consumers())),

    Metric("edgeagent_push_stopped", "gauge", "1 while a push target takes no events.", ("target",),
           lambda o: (((line.name,), float(line.fault() is not None)) for line in o.pushes)),
    Metric("edgeagent_push_events", "counter", "Events that a push target took.", ("target",),
           lambda o: (((line.name,), line.delivered) for line in o.pushes)),
    Metric("edgeagent_push_posts", "counter", "POSTs by what came of them: taken, rejected for what was in them, or "
           "stopped; an outcome is there once it happened.", ("target", "outcome"), _posts),
    Metric("edgeagent_push_set_aside", "gauge", "Events that are set aside of a push target.", ("target",),
           lambda o: (((line.name,), len(line.set_aside())) for line in o.pushes)),
)  # fmt: skip
"""All metrics but those of the process, which prometheus-client names and reads."""

Reading = tuple[Metric, list[Sample]]


def read(observed: Observed) -> list[Reading]:
    """Read every metric; on the event loop."""
    return [(metric, [(labels, _now(value)) for labels, value in metric.read(observed)]) for metric in METRICS]


def _now(value: float | Durations) -> float | Durations:
    """The number, or a copy of what goes on counting."""
    return value.copy() if isinstance(value, Durations) else value
