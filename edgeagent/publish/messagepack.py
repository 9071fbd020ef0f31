"""MessagePack at the edge: one message becomes the JSON that the dispatcher takes, and back."""

from __future__ import annotations

import asyncio
import json
from functools import lru_cache
from typing import NoReturn

import msgpack  # type: ignore[import-untyped]
import msgspec
from msgspec import Raw

MOST_BYTES = 64 << 10
"""Of one message from a peer: 64 KiB of empty lists are 4 MB of objects, and take some milliseconds."""

_MOST_MEMBERS = 4096
"""Of one list or map: room is made for as many as are announced, in each of a thousand that are nested."""

_PIECE = 64 << 10
"""Bytes of JSON that are turned into MessagePack at once."""

_MOST_KEPT = 64
"""Notifications kept for the other peers that want the same one."""

_ARRAY, _MAP = b"\xdd", b"\xdf"
"""MessagePack's "array 32" and "map 32": a count of 32 bits follows."""

_pack = msgspec.msgpack.Encoder().encode


class NotMessagePack(ValueError):
    """What came is not one MessagePack message that JSON can say too."""


def unpacked(message: bytes) -> bytes:
    """Turn one MessagePack message of at most `MOST_BYTES` into JSON.

    Raises:
        NotMessagePack: malformed, too deep or followed by something; bytes, an extension, NaN, Infinity, or a key that
            is no string.
    """
    try:
        value = msgpack.unpackb(message, ext_hook=_refuse, max_array_len=_MOST_MEMBERS, max_map_len=_MOST_MEMBERS)
        return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except RecursionError:
        raise NotMessagePack("it is nested too deeply") from None
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise NotMessagePack(str(error) or "it is malformed") from None


@lru_cache(maxsize=_MOST_KEPT)
def packed(message: bytes) -> bytes:
    """Turn a JSON message into MessagePack; the same message is turned once."""
    return _packed(message)


async def packed_in_pieces(message: bytes) -> bytes:
    """Turn a JSON message of any size into MessagePack, sharing the loop with everybody else."""
    parts: list[bytes] = []
    await _in_pieces(message, parts)
    return b"".join(parts)


async def _in_pieces(message: bytes | Raw, parts: list[bytes]) -> None:
    first = memoryview(message)[0]
    if len(message) <= _PIECE or first not in b"{[":
        parts.append(_packed(message))
        return
    await asyncio.sleep(0)
    if first == ord("{"):
        members = msgspec.json.decode(message, type=dict[str, Raw])
        parts.append(_MAP + len(members).to_bytes(4, "big"))
        for name, value in members.items():
            parts.append(_pack(name))
            await _in_pieces(value, parts)
        return
    elements = msgspec.json.decode(message, type=list[Raw])
    parts.append(_ARRAY + len(elements).to_bytes(4, "big"))
    size = 0
    for element in elements:
        await _in_pieces(element, parts)
        size += len(element)
        if size > _PIECE:
            size = 0
            await asyncio.sleep(0)


def _packed(message: bytes | Raw) -> bytes:
    return _pack(msgspec.json.decode(message))


def _refuse(code: int, _: bytes) -> NoReturn:
    raise TypeError(f"it holds an extension of type {code}")
