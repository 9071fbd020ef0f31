"""The JSON Schema of the configuration file, for editors: made from its tables."""

from __future__ import annotations

import inspect
import json
from typing import Any

import msgspec

from edgeagent.config.tables import Configuration

Schema = dict[str, Any]

def schema_text() -> str:
    """The schema (draft 2020-12) as JSON that ends with a line feed.

    It judges every key by itself. What only the whole file can tell (a line that no source is on, two machines of one
    name, a map that there is not) is left to `config.load`.
    """
    (top,), tables = msgspec.json.schema_components([Configuration], ref_template="#/$defs/{name}")
    whole = {name: _table(table) for name, table in tables.items()}
    configuration = whole.pop(top["$ref"].rpartition("/")[2])
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:edgeagent:configuration",
        **configuration,
        "$defs": whole,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _table(table: Schema) -> Schema:
    """A table, with its description in one piece."""
    del table["title"]
    return table | {
        "description": " ".join(inspect.cleandoc(table["description"]).split()),
        "properties": {name: _key(key) for name, key in table["properties"].items()},
    }


def _key(key: Schema) -> Schema:
    """A key as TOML has it: there is no null, and a table tells the defaults of its keys itself."""
    if "$ref" in key or key.get("default", ...) in (None, [], {}):
        key.pop("default", None)
    if "anyOf" not in key:
        return key
    choices = [choice for choice in key.pop("anyOf") if choice != {"type": "null"}]
    return key | (choices[0] if len(choices) == 1 else {"anyOf": choices})
