"""Bad input of every kind, made by chance from a seed: messages, frames, lines, HTTP requests and files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import msgpack

from edgeagent.publish.openapps.examples import examples

ASKED = [(name, asked.params) for name, asked in examples().functions.items()]
NASTY: list[Any] = [
    None, True, False, 0, -1, 1, 0.1, -0.0, 1e308, -1e308, 5e-324, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1,
    10**400, "", " ", "\x00", "\ud7ff", "￿", "💥", "NaN", "null", "../../etc/passwd", "'; DROP TABLE jobs; --", "%s%n",
    "a" * 300, "RO0001", "zone/3/top", "2026-11-21T21:53:00.123Z", "9999-99-99T99:99:99Z", "edgeagent_" + "0" * 49,
    [], {}, [None], [[]], {"": None}, {"machine": "RO0001"}, ["Board.*"] * 50, [0] * 200,
    {str(n): n for n in range(50)},
]  # fmt: skip
NAMES = ("machine", "requestId", "notAfter", "id", "value", "object", "name", "recipe", "settings", "token", "limit",
         "cursor", "from", "jsonrpc", "method", "params", "", "__class__", "constructor")  # fmt: skip
TEXTS = ("NaN", "Infinity", "-Infinity", "1e999", "1e-999", "-", "01", "1.", "0x1", "1" * 5000, '"\\ud800"',
         '"\\u0000"', "[" * 99, "tru", "{]", '"', "/**/1", "1,", "")  # fmt: skip

Chance = random.Random


def nasty(chance: Chance) -> Any:
    """A value that hardly anything expects; nobody else has the same object."""
    return deepcopy(chance.choice(NASTY))


def request(chance: Chance) -> dict[str, Any]:
    name, params = chance.choice(ASKED)
    return {"jsonrpc": "2.0", "id": chance.choice((1, "a", 2.5, None)), "method": name, "params": deepcopy(params)}


def mutated(chance: Chance) -> dict[str, Any]:
    """A request of which some members are others than they should be."""
    message = request(chance)
    for _ in range(chance.randint(1, 3)):
        _spoil(message if chance.random() < 0.25 else message.get("params"), chance)
    return message


def _spoil(value: Any, chance: Chance) -> None:
    while isinstance(value, dict) and value and chance.random() < 0.4:
        inner = value[chance.choice(list(value))]
        if not isinstance(inner, dict | list):
            break
        value = inner
    if isinstance(value, dict):
        if value and chance.random() < 0.7:
            key = chance.choice(list(value))
            if chance.random() < 0.2:
                del value[key]
            else:
                value[key] = nasty(chance)
        else:
            value[chance.choice(NAMES)] = nasty(chance)
    elif isinstance(value, list) and value:
        value[chance.randrange(len(value))] = nasty(chance)


def flipped(data: bytes, chance: Chance) -> bytes:
    """Bytes of which some are others, are missing, or are there twice."""
    spoilt = bytearray(data)
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(spoilt) + 1)
        match chance.choice((0, 0, 0, 1, 2, 3)):
            case 0:
                spoilt[at : at + 1] = bytes((chance.choice((chance.randrange(256), chance.randrange(32, 127))),))
            case 1:
                del spoilt[at : at + chance.randint(1, 8)]
            case 2:
                spoilt[at:at] = spoilt[at : at + chance.randint(1, 16)]
            case _:
                spoilt[at:at] = chance.choice(TEXTS).encode()
    return bytes(spoilt)


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def deep(chance: Chance) -> bytes:
    opens = chance.choice((b"[", b'{"a":', b'[{"params":', b'{"jsonrpc":"2.0","id":1,"method":"Status.Get","params":['))
    return opens * chance.choice((10, 100, 500, 1000, 5000)) + chance.choice((b"", b"1", b"]" * 1000))


def numbers(chance: Chance) -> bytes:
    number = chance.choice((
        "9" * chance.choice((20, 400, 4000)), f"{chance.randint(-9, 9)}e{chance.randint(-400, 400)}",
        f"-{chance.random()}e{chance.randint(0, 99)}", *TEXTS[:9],
    ))  # fmt: skip
    name, key = chance.choice((
        ("Configuration.SetObjectParameter", "value"), ("Status.RequestRemote", "minutes"), ("Event.Read", "limit"),
        ("Board.ConfirmEmpty", "lane"), ("Recipe.Start", "version"),
    ))  # fmt: skip
    more = {"object": "zone/3/top", "name": "setpoint", "reason": "x", "from": "beginning"}
    members = "".join(f',"{each}":"{text}"' for each, text in more.items() if chance.random() < 0.7)
    return f'{{"jsonrpc":"2.0","id":{number},"method":"{name}","params":{{"{key}":{number}{members}}}}}'.encode()


def batch(chance: Chance) -> bytes:
    calls = range(chance.randint(1, 8))
    return encoded([mutated(chance) if chance.random() < 0.8 else nasty(chance) for _ in calls])


def not_utf8(chance: Chance) -> bytes:
    text = bytearray(encoded(mutated(chance)))
    bad = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x28\xa1", b"\x80")
    text[(at := chance.randrange(len(text))) : at] = chance.choice(bad)
    return bytes(text)


MESSAGES: dict[str, Callable[[Chance], bytes]] = {
    "random bytes": lambda chance: chance.randbytes(chance.randint(0, 200)),
    "as they should be": lambda chance: encoded(request(chance)),
    "changed members": lambda chance: encoded(mutated(chance)),
    "changed bytes": lambda chance: flipped(encoded(request(chance)), chance),
    "no UTF-8": not_utf8,
    "deeply nested": deep,
    "odd numbers": numbers,
    "batches": batch,
}
"""Kind → one JSON message, more or less."""

PACKED: dict[str, Callable[[Chance], bytes]] = {
    "MessagePack, random": lambda chance: chance.randbytes(chance.randint(0, 200)),
    "MessagePack, members": lambda chance: _packed(mutated(chance)),
    "MessagePack, bytes": lambda chance: flipped(_packed(request(chance)), chance),
    "MessagePack, nested": lambda chance: (
        chance.choice((b"\x91", b"\x81\xa1a", b"\xdd\x00\x00\x00\x01")) * chance.choice((50, 600, 5000))),
}  # fmt: skip


def _packed(value: Any) -> bytes:
    try:
        packed: bytes = msgpack.packb(value)
    except (OverflowError, ValueError, UnicodeEncodeError):
        packed = msgpack.packb({"jsonrpc": "2.0", "id": 1, "method": "Status.Get", "params": {"machine": b"\xff"}})
    return packed


def http(chance: Chance, host: str) -> bytes:
    """A request over HTTP, more or less; without a token that anybody has."""
    body = MESSAGES[chance.choice(list(MESSAGES))](chance)[:20_000]
    method = chance.choice(("POST", "POST", "GET", "PUT", "post", ""))
    path = chance.choice(("/rpc", "/rpc", "/", "//rpc"))
    head = (f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n")  # fmt: skip
    if chance.random() < 0.3:
        head += chance.choice(("Authorization: Bearer x\r\n", "Authorization: Basic eDp4\r\n", "Origin: http://evil\r\n",
                               "Upgrade: websocket\r\n", "Content-Encoding: gzip\r\n", "Expect: 100-continue\r\n",
                               "A" * 9000 + ": 1\r\n", "Transfer-Encoding: chunked\r\n"))  # fmt: skip
    size = len(body) if chance.random() < 0.9 else chance.choice((0, 1, len(body) // 2, -1, 10**20))
    whole = f"{head}Content-Length: {size}\r\nConnection: close\r\n\r\n".encode() + body
    return flipped(whole, chance) if chance.random() < 0.2 else whole
