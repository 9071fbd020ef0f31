"""The agent as it is at the other end of the socket: the port, spoken in frames."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from edgeagent.errors import CommandRefused
from edgeagent.model.events import TOPICS
from edgeagent.publish.opcua.frames import Channel
from edgeagent.publish.opcua.port import Change, HistoricRow, Identity, Load, OpcuaSettings, ServedMachine

_MOST_LOGGED = 2000
"""Characters of one message of the log."""

_KNOWN = ("kind", "reason", "machine", "retry")


class AgentLink:
    """Implements `AgentPort`.

    Attributes:
        over: done once the agent is gone, with the reason.
        log_level: of the agent.
    """

    settings: OpcuaSettings
    machines: tuple[ServedMachine, ...]
    _channel: Channel

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.on_values: Callable[[str, Sequence[Change]], None] = lambda *_: None
        self.on_event: Callable[[dict[str, Any]], None] = lambda _: None
        self.on_ended: Callable[[int, str], None] = lambda *_: None
        self.over: asyncio.Future[str] = loop.create_future()
        self.log_level = logging.INFO
        self._begun: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def over_socket(cls, end: socket.socket) -> AgentLink:
        """Take over the inherited socket; wait until the agent has said what is to be served.

        Raises:
            ConnectionError: it went before.
        """
        link = cls()
        link._channel = await Channel.over(end, link)
        await link._begun
        return link

    async def end(self) -> None:
        """Let go of the agent."""
        await self._channel.close()

    # What the port says

    def follow(self, after: int) -> None:
        """See `AgentPort`."""
        self._channel.tell("follow", after)

    def hold(self, is_held: bool) -> None:
        """See `AgentPort`."""
        self._channel.hold(is_held)

    async def call(self, function: str, parameters: dict[str, Any], session: int | None) -> Any:
        """See `AgentPort`."""
        message = {"jsonrpc": "2.0", "method": function, "params": parameters, "id": 1}
        answer = msgspec.json.decode(await self._channel.call("rpc", msgspec.json.encode(message), session))
        if "error" not in answer:
            return answer["result"]
        data = answer["error"]["data"]
        more = {name: value for name, value in data.items() if name not in _KNOWN}
        raise CommandRefused(data["kind"], data["reason"], data["machine"], **more)

    async def open(
        self, address: str, token: str | None = None, fingerprint: str | None = None, expires_s: float | None = None,
        user: str | None = None,
    ) -> Identity:  # fmt: skip
        """See `AgentPort`."""
        identity = await self._channel.call("open", address, token, fingerprint, expires_s, user)
        return msgspec.convert(identity, Identity)

    def close(self, session: int) -> None:
        """See `AgentPort`."""
        self._channel.tell("close", session)

    def turned_away(self, address: str, reason: str) -> None:
        """See `AgentPort`."""
        self._channel.tell("turned away", address, reason)

    async def history(
        self, machine: str, columns: Sequence[int], since_ns: int, until_ns: int, limit: int
    ) -> tuple[HistoricRow, ...]:  # fmt: skip
        """See `AgentPort`."""
        rows = await self._channel.call("history", machine, tuple(columns), since_ns, until_ns, limit)
        return msgspec.convert(rows, tuple[HistoricRow, ...])

    # What only the process itself says

    def listening(self, endpoint: str) -> None:
        """Clients can connect from now on."""
        self._channel.tell("listening", endpoint)

    def failed(self, reason: str) -> None:
        """Nobody can connect, and the process gives up: a clause, "cannot listen ..."."""
        self._channel.tell("failed", reason)

    def report(self, load: Load) -> None:
        """Say how it is; the agent ends a process that says nothing."""
        self._channel.tell("load", load)

    def log(self, level: int, logger: str, message: str) -> None:
        """Let the agent log something; it is lost where the agent does not keep up."""
        if self._channel.keeps_up:
            self._channel.tell("log", level, logger, message[:_MOST_LOGGED])

    # What the agent says

    async def asked(self, name: str, _: list[Any]) -> Any:
        """Refuse: the agent only tells."""
        raise CommandRefused("methodNotFound", f"Nothing of the name {name!r} can be asked here.")

    def told(self, name: str, arguments: list[Any]) -> None:
        """Take a notice."""
        if name == "values":
            machine, changes = arguments
            self.on_values(machine, [tuple(change) for change in changes])
        elif name == "event":
            self._event(*arguments)
        elif name == "ended":
            self.on_ended(*arguments)
        elif name == "begin":
            settings, machines, self.log_level = arguments
            self.settings = msgspec.convert(settings, OpcuaSettings)
            self.machines = msgspec.convert(machines, tuple[ServedMachine, ...])
            self._begun.set_result(None)
        else:
            raise ValueError(f"nobody knows {name!r} here")

    def gone(self, reason: str) -> None:
        """The agent is gone."""
        if not self._begun.done():
            self._begun.set_exception(ConnectionError(reason))
        if not self.over.done():
            self.over.set_result(reason)

    def _event(self, message: bytes) -> None:
        notification = msgspec.json.decode(message)
        topic = TOPICS.get(notification["method"])
        if topic is not None and topic.durable:
            self.on_event({"method": notification["method"], **notification["params"]})
