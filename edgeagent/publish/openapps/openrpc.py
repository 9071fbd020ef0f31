"""The OpenRPC document, made from the same types that the functions use."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import msgspec

from edgeagent.model.events import TOPICS
from edgeagent.model.functions import PROFILE_VERSION, Function
from edgeagent.model.functions.glossary import PARAMETERS, REFUSALS
from edgeagent.model.terms import ClockTerm
from edgeagent.publish.jsonrpc import CODES, WORTH_A_RETRY
from edgeagent.publish.openapps.examples import Asked, Examples, examples
from edgeagent.publish.openapps.refusals import refusals

_SCHEMAS = "#/components/schemas/"
_SHORT = "as the agent of a simulated oven answered; lists are cut to two entries"


class Refusal(msgspec.Struct):
    """The `data` of an error: its kind, a sentence for people, and whether the same call may go well later."""

    kind: str
    reason: str
    machine: str | None
    retry: bool


class Notification(msgspec.Struct):
    """The parameters of an event; those that are not kept (durable false) have neither sequence nor previous."""

    stream: str
    time: str
    clock: ClockTerm
    machine: str | None
    data: Any
    sequence: int | None = None
    previous: int | None = None


def document(functions: Mapping[str, Function], version: str) -> dict[str, Any]:
    """Describe functions as an OpenRPC 1.3.2 document.

    Args:
        version: of the agent.
    """
    said = examples()
    types = [it for function in functions.values() for it in (function.parameters, function.result)]
    types += [topic.data for topic in TOPICS.values()]
    schemas, components = msgspec.json.schema_components(
        [*types, Refusal, Notification], ref_template=_SCHEMAS + "{name}"
    )
    components = {name: _draft7(schema) for name, schema in components.items()}
    pairs = iter(schemas)
    methods = [
        _method(function, components[next(pairs)["$ref"].removeprefix(_SCHEMAS)], next(pairs), said)
        for function in functions.values()
    ]
    for function in functions.values():
        components.pop(function.parameters.__name__, None)
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": "Edge agent of a soldering machine",
            "version": version,
            "description": f"OpenApps profile {PROFILE_VERSION}. Events are notifications of the server, see x-events.",
        },
        "servers": [{"name": "HTTP", "url": "http://127.0.0.1:8480/rpc"}],
        "methods": methods,
        "x-events": _events(pairs, said),
        "components": {
            "schemas": components,
            "errors": {
                kind: {"code": code, "message": REFUSALS[kind], "data": {"kind": kind, "retry": kind in WORTH_A_RETRY}}
                for kind, code in CODES.items()
            },
        },
    }


def _method(function: Function, parameters: dict[str, Any], result: dict[str, Any], said: Examples) -> dict[str, Any]:
    """Describe one function; its parameters stand in it, not in the components."""
    properties = parameters["properties"]
    asked = said.functions.get(function.name)
    return {
        "name": function.name,
        "tags": [{"name": function.name.partition(".")[0]}],
        "summary": function.text,
        "description": parameters["description"],
        "paramStructure": "by-name",
        "params": [_parameter(name, schema, parameters) for name, schema in properties.items()],
        "result": {"name": "result", "schema": _draft7(result)},
        "errors": [{"$ref": f"#/components/errors/{kind}"} for kind in refusals(function, tuple(properties))],
        "examples": [_example(asked)] if asked else [],
        "x-role": function.role,
        "x-needs-remote": function.needs_remote,
    }


def _parameter(name: str, schema: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    described = {"name": name, "required": name in parameters.get("required", ()), "schema": schema}
    text = schema.get("description") or PARAMETERS.get(name)
    return {"name": name, "description": text, **described} if text else described


def _example(asked: Asked) -> dict[str, Any]:
    return {
        "name": "at a simulated oven",
        "description": _SHORT,
        "params": [{"name": name, "value": value} for name, value in asked.params.items()],
        "result": {"name": "result", "value": asked.result},
    }


def _events(schemas: Any, said: Examples) -> dict[str, Any]:
    return {
        name: {
            "summary": topic.text,
            "durable": topic.durable,
            "data": next(schemas),
            "example": said.events.get(name),
        }
        for name, topic in TOPICS.items()
    }


def _draft7(schema: Any) -> Any:
    """Write a schema as JSON Schema draft 7, which is what OpenRPC takes, and its texts as JSON calls things."""
    if isinstance(schema, list | tuple):
        return [_draft7(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    written = {key: _draft7(part) for key, part in schema.items()}
    if isinstance(text := written.get("description"), str):
        written["description"] = inspect.cleandoc(text).replace("None ", "null ")
    if "prefixItems" in written:
        written["additionalItems"] = written.pop("items", False)
        written["items"] = written.pop("prefixItems")
    return written
