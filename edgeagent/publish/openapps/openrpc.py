"""The OpenRPC document, made from the same types that the functions use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from edgeagent.model.events import TOPICS
from edgeagent.model.functions import PROFILE_VERSION, Function
from edgeagent.publish.jsonrpc import CODES

_OF_EVERY = ("invalidParameters", "internal", "forbidden", "outOfRange", "notFound", "tooMany", "busy", "tooLarge")
_OF_COMMANDS = ("notRemote", "interlocked", "unreachable", "notConfirmed", "expired")


def document(functions: Mapping[str, Function], version: str) -> dict[str, Any]:
    """Describe functions as an OpenRPC 1.3.2 document.

    Args:
        version: of the agent.
    """
    structs = [function.parameters for function in functions.values()]
    results = [function.result for function in functions.values()]
    data = [topic.data for topic in TOPICS.values()]
    schemas, components = msgspec.json.schema_components(
        [*structs, *results, *data], ref_template="#/components/schemas/{name}"
    )
    of_parameters = schemas[: len(structs)]
    of_results = schemas[len(structs) : len(structs) + len(results)]
    of_data = schemas[len(structs) + len(results) :]
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": "Edge agent of a soldering machine",
            "version": version,
            "description": f"OpenApps profile {PROFILE_VERSION}. Events are notifications of the server, see x-events.",
        },
        "methods": [
            _method(function, components[parameters["$ref"].rpartition("/")[2]], result)
            for function, parameters, result in zip(functions.values(), of_parameters, of_results, strict=True)
        ],
        "x-events": {
            name: {"summary": topic.text, "durable": topic.durable, "data": schema}
            for (name, topic), schema in zip(TOPICS.items(), of_data, strict=True)
        },
        "components": {
            "schemas": components,
            "errors": {kind: {"code": code, "message": kind} for kind, code in CODES.items()},
        },
    }


def _method(function: Function, parameters: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    required = parameters.get("required", ())
    errors = _OF_EVERY + (_OF_COMMANDS if function.needs_remote else ())
    return {
        "name": function.name,
        "summary": function.text,
        "paramStructure": "by-name",
        "params": [
            {"name": name, "required": name in required, "schema": schema}
            for name, schema in parameters["properties"].items()
        ],
        "result": {"name": "result", "schema": result},
        "errors": [{"$ref": f"#/components/errors/{kind}"} for kind in errors],
        "x-role": function.role,
    }
