"""Following the agent's events: it comes back after the agent was away, and misses nothing."""

from __future__ import annotations

import json
import select
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeagent.errors import AgentRefused, AgentUnreachable
from edgeagent.tools.asking import ask, result_of
from edgeagent.tools.websocket import WebSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edgeagent.tools.asking import Address

_SILENCE_S = 30.0
"""Three heartbeats."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 2.0
"""Between two attempts to find an agent that went away."""


class Notification(NamedTuple):
    """A notification: as it came, and read."""

    text: bytes
    method: str
    params: dict[str, Any]


class Following:
    """The notifications of one agent, from a place on, without end.

    Args:
        begin: "now", "beginning", or a sequence of the agent's stream.
        output: descriptor that the notifications are written to.
        say: takes what a person should know, in a sentence.
    """

    def __init__(
        self, address: Address, topics: Sequence[str], machine: str | None, begin: str | int, output: int,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._address = address
        self._wanted = {"topics": list(topics)} | ({"machines": [machine]} if machine else {})
        self._begin = begin
        self._output = output
        self._say = say
        self._stream = ""
        self._next = 0
        self._told: int | None = None

    def notifications(self) -> Iterator[Notification]:
        """Everything that is told, but heartbeats.

        Raises:
            AgentUnreachable: there was no agent at the start.
            AgentRefused: it refuses the topics, the machine or the place, or takes the right to hear of them away.
            BrokenPipeError: nobody reads the output any more.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                with closing(WebSocket(self._address, _SILENCE_S, self._output)) as connection:
                    self._subscribe(connection)
                    pause_s = _FIRST_PAUSE_S
                    while True:
                        told = _read(connection.receive())
                        self._note(told)
                        if told.method != "Event.Heartbeat":
                            yield told
                        if told.method == "Event.SubscriptionEnded":
                            raise AgentRefused(told.params["data"]["reason"], "unauthenticated", {})
            except AgentUnreachable as error:
                if not self._stream:
                    raise
                if pause_s == _FIRST_PAUSE_S:
                    self._say(f"{error}; waiting for the agent to come back")
            self._rest(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _subscribe(self, connection: WebSocket) -> None:
        came_back = bool(self._stream)
        try:
            answer = self._asked(connection, self._place())
        except AgentRefused as refused:
            if came_back and refused.more.get("retry"):
                raise AgentUnreachable(str(refused)) from None
            if not came_back or "stream" not in refused.more:
                raise
            self._say("the agent has begun a new stream of events; it is followed from its beginning")
            self._told = None
            answer = self._asked(connection, "beginning")
            came_back = False
        self._stream, self._next = answer["stream"], answer["nextSequence"]
        if came_back:
            self._say(f"the agent is back; going on at event {self._next}")

    def _place(self) -> str | dict[str, Any]:
        """Where to begin, as the agent takes it."""
        if self._stream:
            return {"stream": self._stream, "sequence": self._next}
        if isinstance(self._begin, str):
            return self._begin
        stream = ask(self._address, "Event.Read", {"from": "now"})["stream"]
        return {"stream": stream, "sequence": self._begin}

    def _asked(self, connection: WebSocket, place: str | dict[str, Any]) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": 1, "method": "Event.Subscribe", "params": {**self._wanted, "from": place}}
        connection.send(json.dumps(request).encode())
        result: dict[str, Any] = result_of("Event.Subscribe", json.loads(connection.receive()))
        return result

    def _note(self, told: Notification) -> None:
        """Keep where the stream stands; tell what is missing in it."""
        if told.method == "Event.Heartbeat":
            self._next = told.params["data"]["lastSequence"] + 1
        elif told.method == "Event.Gap":
            self._told = max(gap["to"] for gap in told.params["data"]["ranges"])
            self._next = self._told + 1
        elif "sequence" in told.params:
            if self._told is not None and told.params["previous"] > self._told:
                self._say(f"events after {self._told} and up to {told.params['previous']} are missing")
            self._told = told.params["sequence"]
            self._next = self._told + 1

    def _rest(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._output, 0)
        if poll.poll(seconds * 1000):
            raise BrokenPipeError


def _read(text: bytes) -> Notification:
    message = json.loads(text)
    return Notification(text, message["method"], message["params"])
