"""The port of this outlet: all that the OPC UA process sees of the agent, and all that it may ask of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from edgeagent.model.functions.machines import MachineDescription, ObjectDescription
from edgeagent.model.points import Point, ReadGroup

Policy = Literal["Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256"]
"""The security policies that are served, always with signature and encryption."""

Shown = float | bool | str | None
"""A value as people mean it, rounded to its point's decimals; None where there is none."""

Change = tuple[int, Shown, int, int]
"""Column, value, quality (`model.points.Quality`) and wall time (ns) at which it was measured; 0 before the first."""


class Bounds(msgspec.Struct, frozen=True):
    """What all clients together, or one of them, can make grow at most.

    Attributes:
        connections: sockets, whether they have a session or not. sessions: of all clients.
        subscriptions: of one session; items: monitored items of one session.
        queue: values that wait for one monitored item.
        event_bytes: events of one session that wait, or were sent and not acknowledged.
        message_bytes, chunks: of one message.
        operations: nodes, calls or items of one request.
        session_timeout_s: the longest time for which a session outlives its connection.
    """

    connections: int = 64
    sessions: int = 32
    subscriptions: int = 16
    items: int = 5000
    queue: int = 100
    event_bytes: int = 1 << 20
    message_bytes: int = 1 << 20
    chunks: int = 16
    operations: int = 1000
    session_timeout_s: int = 60


class OpcuaSettings(msgspec.Struct, frozen=True):
    """What the process is told as it begins.

    Attributes:
        host, port: the address to listen at; port 0 takes any free one.
        application_uri: of this server; the same in its certificate.
        names: hosts by which clients call this computer, for the certificate and the endpoints beside `host`.
        folder: of the server's certificate and key, and of the trusted and rejected certificates; absolute.
        anonymous_reading: who did not say who it is may read, and nothing else; at a loopback address only.
        version: of the agent.
    """

    host: str
    port: int
    application_uri: str
    folder: str
    version: str
    names: tuple[str, ...] = ()
    policies: tuple[Policy, ...] = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")
    anonymous_reading: bool = False
    bounds: Bounds = Bounds()
    product_uri: str = "urn:edgeagent:product"


class ServedMachine(msgspec.Struct, frozen=True):
    """A machine as it does not change while the process runs.

    Attributes:
        description: the answer of Configuration.GetMachine. objects: that of Configuration.GetObjects, by name.
        points: index = column of every change and of history. groups: index = `Point.group`.
        historic: columns of which there is a history, in order.
    """

    description: MachineDescription
    objects: tuple[ObjectDescription, ...]
    points: tuple[Point, ...]
    groups: tuple[ReadGroup, ...]
    historic: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """The machine's id."""
        return self.description.id


class Identity(msgspec.Struct, frozen=True):
    """Who opened a session, and what it may.

    Attributes:
        session: number by which the agent knows it; never used twice.
        role: one of `model.callers.ROLES`, or NO_ROLE where `functions` lists what it may.
    """

    session: int
    user: str
    role: str
    functions: tuple[str, ...] | None = None
    is_authenticated: bool = False


class HistoricRow(msgspec.Struct, frozen=True, array_like=True):
    """The columns that were asked for, in that order, at one wall time (ns), with their qualities."""

    time_ns: int
    values: tuple[Shown, ...]
    qualities: tuple[int, ...]


class Load(msgspec.Struct, frozen=True):
    """What the process has to do now."""

    connections: int = 0
    sessions: int = 0
    subscriptions: int = 0
    items: int = 0
    resident_bytes: int = 0


class AgentPort(Protocol):
    """The agent as the OPC UA process sees it; used on the event loop only.

    Attributes:
        on_values: machine, and every column whose value or quality changed, each with its newest value alone.
        on_event: a durable event as it is sent over JSON-RPC, in order: {method, stream, sequence, previous, time,
            clock, machine, data}.
        on_ended: the agent ended a session, and why: its user, token or certificate is revoked or expired.
    """

    settings: OpcuaSettings
    machines: tuple[ServedMachine, ...]
    on_values: Callable[[str, Sequence[Change]], None]
    on_event: Callable[[dict[str, Any]], None]
    on_ended: Callable[[int, str], None]

    def follow(self, after: int) -> None:
        """Begin to hear: all values of each machine at once, then changes; durable events beyond this sequence.

        Args:
            after: `sequence` of the Event.Snapshot that the address space was made from.
        """

    def hold(self, is_held: bool) -> None:
        """Let the agent wait with all that it tells and answers, or go on; nothing of it is lost."""

    async def call(self, function: str, parameters: dict[str, Any], session: int | None) -> Any:
        """Call a function of the catalogue; the answer as over JSON-RPC: dicts, lists, texts, numbers.

        Args:
            session: who asks; None for the agent's own reading, as a viewer.

        Raises:
            CommandRefused: with `kind`, `reason`, `machine` and `more` as over JSON-RPC; unauthenticated where the
                session is not known or was ended.
        """

    async def open(
        self, address: str, token: str | None = None, fingerprint: str | None = None, expires_s: float | None = None,
        user: str | None = None,
    ) -> Identity:  # fmt: skip
        """Let a client say who it is: by a token, by a certificate that it proved to have, or not at all.

        Args:
            address: of the client, without port: after many wrong tokens it is slowed down.
            user: the name that came with the token; another user's token is a wrong one. None for any.
            fingerprint: SHA-256 of the certificate (DER, hexadecimal). expires_s: its end, in seconds since 1970.

        Raises:
            CommandRefused: unauthenticated; tooMany while the address is slowed down.
        """

    def close(self, session: int) -> None:
        """A session is over."""

    def turned_away(self, address: str, reason: str) -> None:
        """Let the audit know of a client that was refused before it could say who it is."""

    async def history(
        self, machine: str, columns: Sequence[int], since_ns: int, until_ns: int, limit: int
    ) -> tuple[HistoricRow, ...]:
        """Read rows of the machine's ring, both ends included; newest first where `until_ns` is before `since_ns`.

        Returns:
            At most `limit` rows, and never more than 1000; go on at the last one's time + 1 (or - 1).

        Raises:
            CommandRefused: notFound for another machine or a column that is not in `historic`.
        """
