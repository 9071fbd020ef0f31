"""A typed client of the edge agent; Python 3.11, standard library only.

Calls go over HTTP, one connection each. Events come over TCP, one JSON message per line.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
import types
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, fields, is_dataclass  # noqa: F401  the records below use field
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_SILENCE_S = 30.0
"""A connection that says nothing for so long is dead; the agent sends a heartbeat every 10 s."""


class AgentError(Exception):
    """The agent refused a call.

    Attributes:
        code: of JSON-RPC. kind: its name. reason: a sentence for people.
        machine: which one refused. retry: whether the same call may go well later.
    """

    def __init__(self, code: int, kind: str, reason: str, machine: str | None, retry: bool) -> None:
        super().__init__(f"{kind}: {reason}")
        self.code = code
        self.kind = kind
        self.reason = reason
        self.machine = machine
        self.retry = retry


@dataclass(frozen=True)
class OtherEvent:
    """An event that a newer agent sends and this client does not know."""

    method: str
    stream: str
    time: str
    clock: Literal["trusted", "untrusted"]
    machine: str | None
    data: Any
    sequence: int | None = None
    previous: int | None = None


_EVENTS: dict[str, type[Any]] = {}
"""The classes of events by their names on the wire."""


class Wire:
    """The way to one agent.

    Args:
        token: says who asks.
        ca: PEM file of the CA of the agent's certificate; with one, or with `tls`, TLS is spoken.
        tls: in place of `ca`, for example with a client certificate.
    """

    def __init__(
        self, host: str = "127.0.0.1", http_port: int = 8480, tcp_port: int = 8481, timeout_s: float = 30.0,
        token: str | None = None, ca: str | None = None, tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._token = token
        self._tls = tls or (ssl.create_default_context(cafile=ca) if ca else None)
        self._host = host
        self._http_port = http_port
        self._tcp_port = tcp_port
        self._timeout_s = timeout_s

    def _call(self, method: str, parameters: dict[str, Any], result: Any) -> Any:
        """Ask over HTTP; raises AgentError, or ConnectionError where there is no answer."""
        request = _request(method, parameters)
        patience = self._timeout_s + (parameters.get("waitMs") or 0) / 1000
        header = {"Content-Type": "application/json"}
        if self._token is not None:
            header["Authorization"] = f"Bearer {self._token}"
        with closing(self._http(patience)) as connection:
            try:
                connection.request("POST", "/rpc", request, header)
                answer = json.loads(connection.getresponse().read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise ConnectionError(f"{self._host}:{self._http_port} does not answer: {error}") from error
        return _decode(result, _result(answer))

    def _http(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._http_port, timeout=timeout_s)
        return http.client.HTTPSConnection(self._host, self._http_port, timeout=timeout_s, context=self._tls)

    def _events(self, wanted: dict[str, Any], retry_s: float | None) -> Iterator[Any]:
        """Subscribe over TCP; after a lost connection go on where it broke, a consumer after what is acknowledged."""
        has_cursor = wanted.get("consumer") is not None
        while True:
            try:
                for message in self._messages(_request("Event.Subscribe", wanted)):
                    if "method" not in message:
                        answer = _result(message)
                        place = {"stream": answer["stream"], "sequence": answer["nextSequence"]}
                        wanted = {**wanted, "from": "cursor" if has_cursor else place}
                        continue
                    yield _event({"method": message["method"], **message["params"]})
                    if message["method"] == "Event.SubscriptionEnded":
                        return
                    if not has_cursor and (reached := _reached(message["params"])):
                        wanted["from"]["sequence"] = max(wanted["from"]["sequence"], reached + 1)
                lost: Exception = ConnectionError("the agent closed the connection")
            except OSError as error:
                lost = error
            except AgentError as error:
                if not error.retry:
                    raise
                lost = error
            if retry_s is None:
                raise lost
            time.sleep(retry_s)

    def _messages(self, request: bytes) -> Iterator[dict[str, Any]]:
        with self._tcp() as connection, connection.makefile("rb") as lines:
            if self._token is not None:
                connection.sendall(_request("Session.Authenticate", {"token": self._token}) + b"\n")
                if not (line := lines.readline()).endswith(b"\n"):
                    raise ConnectionError("the agent closed the connection")
                _result(json.loads(line))
            connection.sendall(request + b"\n")
            for line in lines:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def _tcp(self) -> socket.socket:
        connection = socket.create_connection((self._host, self._tcp_port), _SILENCE_S)
        if self._tls is None:
            return connection
        try:
            return self._tls.wrap_socket(connection, server_hostname=self._host)
        except BaseException:
            connection.close()
            raise


def _request(method: str, parameters: dict[str, Any]) -> bytes:
    given = {name: _encode(value) for name, value in parameters.items() if value is not None}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": given}).encode()


def _result(answer: dict[str, Any]) -> Any:
    if "error" not in answer:
        return answer["result"]
    error = answer["error"]
    told = error.get("data") or {}
    raise AgentError(
        error["code"], told.get("kind", "internal"), told.get("reason", error["message"]), told.get("machine"),
        told.get("retry", False),
    )  # fmt: skip


def _reached(told: dict[str, Any]) -> int | None:
    """The last sequence that an event, a heartbeat or a gap leaves behind."""
    data = told["data"]
    last: int | None = told.get("sequence", data.get("lastSequence"))
    if last is None and "ranges" in data:
        last = max((gap["to"] for gap in data["ranges"]), default=None)
    return last


def _event(told: dict[str, Any]) -> Any:
    return _decode(_EVENTS.get(told["method"], OtherEvent), told)


@cache
def _members(record: type[Any]) -> list[tuple[str, str, Any]]:
    """Name in Python, name on the wire and type of each member."""
    hints = get_type_hints(record)
    return [(it.name, it.metadata.get("wire", it.name), hints[it.name]) for it in fields(record)]


def _decode(wanted: Any, value: Any) -> Any:
    """Read plain JSON as a type; members that it does not know are left out."""
    origin, parts = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        return _decode_one_of(parts, value)
    if isinstance(value, list) and origin is list:
        return [_decode(parts[0], it) for it in value]
    if isinstance(value, dict) and origin is dict:
        return {key: _decode(parts[1], it) for key, it in value.items()}
    if isinstance(value, dict) and isinstance(wanted, type) and is_dataclass(wanted):
        given = {name: _decode(kind, value[wire]) for name, wire, kind in _members(wanted) if wire in value}
        return wanted(**given)
    return value


def _decode_one_of(kinds: tuple[Any, ...], value: Any) -> Any:
    """Read plain JSON as one of several types; of several records only events can be told apart."""
    if isinstance(value, dict):
        kinds = tuple(kind for kind in kinds if is_dataclass(kind) or get_origin(kind) is dict)
        return _event(value) if len(kinds) > 1 else _decode(kinds[0], value) if kinds else value
    lists = [kind for kind in kinds if get_origin(kind) is list]
    return _decode(lists[0], value) if lists else value


def _encode(value: Any) -> Any:
    """Write a record as plain JSON, without members that are None."""
    if is_dataclass(value) and not isinstance(value, type):
        members = ((wire, getattr(value, name)) for name, wire, _ in _members(type(value)))
        return {wire: _encode(it) for wire, it in members if it is not None}
    if isinstance(value, list | tuple):
        return [_encode(it) for it in value]
    return value
