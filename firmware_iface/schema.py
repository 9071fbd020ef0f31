"""The JSON Schema of the map language, for editors: made from its keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from firmware_iface import map_keys
from firmware_iface.map_keys import MAX_LISTED, MAX_TEXT, REQUIRED, Key

Schema = dict[str, Any]


def schema_text() -> str:
    """The schema (draft 2020-12) as JSON that ends with a line feed; of one map language always the same text.

    It judges every key by itself. What only the whole file can tell (two points at one address, a path that is no
    point, a text without a length) is left to `catalog.load`.
    """
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:edgeagent:register-map",
        "title": "Register map",
        "description": "What the registers of a machine or instrument mean.",
        **_table(map_keys.MAP),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _table(keys: Iterable[Key]) -> Schema:
    by_name = {key.name: key for key in keys}
    schema: Schema = {"type": "object", "additionalProperties": False}
    if required := [key.name for key in by_name.values() if key.default is REQUIRED]:
        schema["required"] = required
    schema["properties"] = {name: _key(key) for name, key in by_name.items()}
    if "defaults" in by_name:
        _share(schema, by_name["defaults"])
    return schema


def _share(schema: Schema, defaults: Key) -> None:
    """What the shared keys of a table give, its points need not."""
    properties = schema["properties"]
    del properties["defaults"]["required"]
    point = properties["points"]["additionalProperties"]
    schema["allOf"] = [
        {
            "if": {"not": {"required": ["defaults"], "properties": {"defaults": {"required": [name]}}}},
            "then": {"properties": {"points": {"additionalProperties": {"required": [name]}}}},
        }
        for name in point.pop("required")
    ]


def _key(key: Key) -> Schema:
    schema: Schema = {"description": f"{key.text} (a {key.role})" if key.role else key.text}
    schema |= _list(key) if key.kind in _ITEMS else _SINGLE[key.kind](key)
    if key.default not in (REQUIRED, None, (), {}, ""):
        schema["default"] = key.default
    return schema


def _list(key: Key) -> Schema:
    least = {"minItems": 1} if key.default is REQUIRED else {}
    return {"type": "array", **least, "maxItems": MAX_LISTED, "items": _SINGLE[_ITEMS[key.kind]](key)}


def _number(kind: str, key: Key) -> Schema:
    limits = {"minimum": key.low, "maximum": key.high}
    return {"type": kind} | {name: limit for name, limit in limits.items() if limit is not None}


def _text(key: Key) -> Schema:
    return {"type": "string", **({"enum": list(key.choices)} if key.choices else {"maxLength": MAX_TEXT})}


def _whole(pattern: str) -> Schema:
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def _match(key: Key) -> Schema:
    one = _number("number", key)
    listed = {"type": "array", "minItems": 1, "maxItems": MAX_LISTED, "items": one}
    return {"anyOf": [one, _text(key), listed]}


def _numbers(key: Key) -> Schema:
    sizes = {"minProperties": 1, "maxProperties": MAX_LISTED}
    names = {"propertyNames": {"pattern": f"^(?:{map_keys.PATH})$"}}
    return {"type": "object", **sizes, **names, "additionalProperties": _number("number", key)}


def _named(key: Key) -> Schema:
    names = {"propertyNames": {"pattern": f"^(?:{key.names})$"}} if key.names else {}
    return {"type": "object", **names, "additionalProperties": _table(key.keys)}


_SINGLE: dict[str, Callable[[Key], Schema]] = {
    "text": _text,
    "name": lambda key: _whole(map_keys.NAME),
    "document": lambda key: _whole(map_keys.NAME),
    "version": lambda key: _whole(map_keys.VERSION),
    "match": _match,
    "numbers": _numbers,
    "boolean": lambda key: {"type": "boolean"},
    "integer": lambda key: _number("integer", key),
    "number": lambda key: _number("number", key),
    "range": lambda key: {"type": "array", "minItems": 2, "maxItems": 2, "items": _number("number", key)},
    "path": lambda key: _whole(map_keys.PATH),
    "object": _text,
    "condition": lambda key: _whole(rf"\s*{map_keys.CONDITION}\s*"),
    "table": lambda key: _table(key.keys),
    "named": _named,
}
_ITEMS = {
    "integers": "integer", "texts": "text", "paths": "path", "objects": "object", "conditions": "condition",
    "tables": "table",
}  # fmt: skip
"""Kinds of lists, and what each of their entries is."""
