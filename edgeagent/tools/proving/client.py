"""A JSON-RPC client over TCP lines that uses nothing of the agent's code."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from edgeagent.errors import AgentRefused, AgentUnreachable

_MOST = 1 << 24
_PAGE = 1000
PATIENCE_S = 60.0


class Client:
    """One connection that asks; what is told on it is left alone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._id = 0

    @classmethod
    async def open(cls, address: tuple[str, int]) -> Client:
        """Connect; raises AgentUnreachable."""
        try:
            return cls(*await asyncio.open_connection(*address, limit=_MOST))
        except OSError as error:
            raise AgentUnreachable(f"{address[0]}:{address[1]} does not answer: {error}") from None

    async def call(self, method: str, **params: Any) -> Any:
        """The result of a function; raises AgentRefused, AgentUnreachable."""
        self._id += 1
        self._writer.write(request(self._id, method, params))
        while True:
            try:
                line = await asyncio.wait_for(self._reader.readline(), PATIENCE_S)
            except (OSError, TimeoutError) as error:
                raise AgentUnreachable(f"the agent did not answer {method}: {error!r}") from None
            if not line.endswith(b"\n"):
                raise AgentUnreachable("the agent closed the connection")
            answer = json.loads(line)
            if answer.get("id") != self._id:
                continue
            if "error" in answer:
                data = answer["error"].get("data") or {}
                raise AgentRefused(f"{method}: {answer['error']['message']}", data.get("kind", ""), data)
            return answer["result"]

    async def journal(
        self, since: dict[str, Any] | None = None
    ) -> tuple[str, list[dict[str, Any]], list[dict[str, int]]]:  # fmt: skip
        """All that the journal holds now: its stream, the events, the ranges that are gone.

        Args:
            since: a place, from which on what is gone is told too; the oldest event there is if None.
        """
        events: list[dict[str, Any]] = []
        gaps: list[dict[str, int]] = []
        place: object = since or "beginning"
        while True:
            page = await self.call("Event.Read", **{"from": place, "limit": _PAGE})
            events += page["events"]
            gaps += page["gaps"]
            if not page["events"] and not page["gaps"]:
                return page["stream"], events, gaps
            place = {"stream": page["stream"], "sequence": page["nextSequence"]}

    def close(self) -> None:
        """End the connection."""
        self._writer.close()


def request(number: int, method: str, params: dict[str, Any]) -> bytes:
    """A request as a line."""
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"
