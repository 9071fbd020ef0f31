"""An agent as the OPC UA process sees it, without an agent: it stands still until a test says something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgeagent.errors import CommandRefused
from edgeagent.model.callers import ANYBODY, NO_ROLE
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.functions.machines import LaneDescription, MachineDescription, ZoneDescription
from edgeagent.model.machine import Machine
from edgeagent.publish.opcua.port import Bounds, Change, HistoricRow, Identity, OpcuaSettings, ServedMachine, Shown
from edgeagent.publish.openapps.machines import describe
from firmware_iface import catalog

OPERATOR, VIEWER, STARTER = "operator-token", "viewer-token", "starter-token"
"""Tokens that the fake agent knows; the users are called mes, panel and starter, who has a list of functions."""

FINGERPRINT = "ab" * 32
"""Of the one certificate that the fake agent knows; its user is an administrator, chief."""

NOW_NS = 1_795_298_000_000_000_000

_MOST_ASKED = 1000

Answer = Callable[[dict[str, Any], int | None], Any]


def served(machine: str = "RO0001", map_name: str = "reflow10") -> ServedMachine:
    """A machine of a map that comes with the agent."""
    its = Machine(machine, (catalog.builtin(map_name),))
    description = MachineDescription(
        id=machine, manufacturer=its.map.manufacturer, model=its.map.model, serial_number="4711", kind=its.map.kind,
        map=its.map.id, fingerprint=its.map.fingerprint,
        lanes=tuple(LaneDescription(lane.number, lane.inlet_mm, lane.outlet_mm) for lane in its.map.lanes),
        zones=tuple(
            ZoneDescription(zone.number, zone.kind, zone.start_mm, zone.length_mm,
                            tuple(dict.fromkeys(path.rpartition("/")[0] for path in zone.temperatures + zone.measures)))
            for zone in its.map.zones
        ),
        instruments=(),
    )  # fmt: skip
    historic = tuple(point.index for point in its.points if point.kind == "measured" and not point.is_text)
    return ServedMachine(description, describe(its).objects, its.points, its.groups, historic)


def settings(folder: Path, bounds: Bounds | None = None, anonymous_reading: bool = False) -> OpcuaSettings:
    """A server on a free port of this computer."""
    return OpcuaSettings(
        host="127.0.0.1", port=0, application_uri="urn:test:edgeagent", folder=str(folder), version="0.0.0",
        anonymous_reading=anonymous_reading, bounds=bounds or Bounds(),
    )  # fmt: skip


class FakePort:
    """Implements `AgentPort`.

    Attributes:
        asked: (function, parameters, session) of the last calls.
        answers: function → what it answers: a value, or a callable of parameters and session that may raise
            CommandRefused and may be a coroutine function; a function that is not here is refused as notFound.
        opened: session → identity, for those that are open. ended: sessions that were closed.
        turned: (address, reason) of clients that were turned away.
        holds: whether the agent was to wait, each time that this changed.
        rows: machine → its history, oldest first, every row with all columns of `historic` in order.
    """

    def __init__(self, settings: OpcuaSettings, machines: Sequence[ServedMachine] | None = None) -> None:
        self.settings = settings
        self.machines = tuple(machines if machines is not None else (served(),))
        self.on_values: Callable[[str, Sequence[Change]], None] = lambda *_: None
        self.on_event: Callable[[dict[str, Any]], None] = lambda _: None
        self.on_ended: Callable[[int, str], None] = lambda *_: None
        self.asked: list[tuple[str, dict[str, Any], int | None]] = []
        self.answers: dict[str, Any] = {}
        self.opened: dict[int, Identity] = {}
        self.ended: list[int] = []
        self.turned: list[tuple[str, str]] = []
        self.rows: dict[str, list[HistoricRow]] = {}
        self.stream = "00000000000000f1"
        self.sequence = 0
        self.followed_after: int | None = None
        self.holds: list[bool] = []
        self.wrong_tokens = 0

    def follow(self, after: int) -> None:
        self.followed_after = after
        for machine in self.machines:
            self.on_values(machine.id, [(point.index, None, 3, 0) for point in machine.points])

    def hold(self, is_held: bool) -> None:
        self.holds.append(is_held)

    async def call(self, function: str, parameters: dict[str, Any], session: int | None) -> Any:
        self.asked.append((function, parameters, session))
        del self.asked[:-_MOST_ASKED]
        if session is not None and session not in self.opened:
            raise CommandRefused("unauthenticated", "This session is over.")
        if function not in self.answers:
            raise CommandRefused("notFound", f"The fake agent does not answer {function}.")
        try:
            msgspec.convert(parameters, FUNCTIONS[function].parameters)
        except msgspec.ValidationError as error:
            raise CommandRefused("invalidParameters", f"{function}: {error}") from None
        answer = self.answers[function]
        if callable(answer):
            answer = answer(parameters, session)
        if isinstance(answer, Awaitable):
            answer = await answer
        return msgspec.to_builtins(answer)

    async def open(
        self, address: str, token: str | None = None, fingerprint: str | None = None, expires_s: float | None = None,
        user: str | None = None,
    ) -> Identity:  # fmt: skip
        number = len(self.opened) + len(self.ended) + 1
        if token is None and fingerprint is None:
            if not self.settings.anonymous_reading:
                raise CommandRefused("unauthenticated", "Everybody must say who it is.")
            identity = Identity(number, ANYBODY, "viewer")
        elif token == OPERATOR and user in (None, "mes"):
            identity = Identity(number, "mes", "operator", None, True)
        elif token == VIEWER and user in (None, "panel"):
            identity = Identity(number, "panel", "viewer", None, True)
        elif token == STARTER and user in (None, "starter"):
            identity = Identity(number, "starter", NO_ROLE, ("Recipe.Start",), True)
        elif token is None and fingerprint == FINGERPRINT:
            identity = Identity(number, "chief", "administrator", None, True)
        else:
            self.wrong_tokens += 1
            raise CommandRefused("unauthenticated", "The token is refused: no user has this token.")
        self.opened[number] = identity
        return identity

    def close(self, session: int) -> None:
        if self.opened.pop(session, None):
            self.ended.append(session)

    def turned_away(self, address: str, reason: str) -> None:
        self.turned.append((address, reason))

    async def history(
        self, machine: str, columns: Sequence[int], since_ns: int, until_ns: int, limit: int
    ) -> tuple[HistoricRow, ...]:  # fmt: skip
        its = next((each for each in self.machines if each.id == machine), None)
        if its is None or not set(columns) <= set(its.historic):
            raise CommandRefused("notFound", f"There is no such history of {machine}.")
        places = [its.historic.index(column) for column in columns]
        low, high = sorted((since_ns, until_ns))
        found = [
            HistoricRow(row.time_ns, tuple(row.values[p] for p in places), tuple(row.qualities[p] for p in places))
            for row in self.rows.get(machine, ()) if low <= row.time_ns <= high
        ]  # fmt: skip
        return tuple((found if since_ns <= until_ns else found[::-1])[: min(limit, 1000)])

    # What a test says

    def tell(
        self, method: str, data: dict[str, Any], machine: str = "RO0001", time: str = "2026-11-21T21:53:00.123Z"
    ) -> None:
        """Let a durable event happen."""
        self.sequence += 1
        self.on_event({
            "method": method, "stream": self.stream, "sequence": self.sequence, "previous": self.sequence - 1,
            "time": time, "clock": "trusted", "machine": machine, "data": data,
        })  # fmt: skip

    def change(
        self, path: str, value: Shown, quality: int = 0, time_ns: int = NOW_NS, machine: str = "RO0001"
    ) -> None:  # fmt: skip
        """Let a value change."""
        its = next(each for each in self.machines if each.id == machine)
        column = next(point.index for point in its.points if point.path == path)
        self.on_values(machine, [(column, value, quality, time_ns)])

    def revoke(self, session: int, reason: str = "The user mes was revoked; authenticate anew.") -> None:
        """Let the agent end a session."""
        if self.opened.pop(session, None):
            self.ended.append(session)
            self.on_ended(session, reason)
