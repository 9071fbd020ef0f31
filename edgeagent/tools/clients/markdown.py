"""Writes the reference page of the contract, for those who write an MES."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from edgeagent.model.functions.glossary import REFUSALS, ROLES
from edgeagent.tools.clients.contract import Contract, Member, Record, Type, read
from edgeagent.tools.clients.pages import EXAMPLES, HOW_TO_SPEAK, HOW_TO_SUBSCRIBE


def write(document: Mapping[str, Any]) -> str:
    """Write the page of an OpenRPC document.

    Raises:
        ValueError: it does not come from an edge agent.
    """
    return "\n".join(_page(document, read(document))) + "\n"


def _page(document: Mapping[str, Any], contract: Contract) -> Iterator[str]:
    yield "# The agent for an MES: OpenApps"
    yield ""
    yield f"{contract.origin} `edgeagent client markdown` writes this page."
    yield ""
    yield HOW_TO_SPEAK
    yield "## Roles"
    yield ""
    yield "Each role may do what the one before it may."
    yield ""
    yield from _table(("Role", "May"), ROLES.items())
    yield from _errors(document)
    yield HOW_TO_SUBSCRIBE
    yield from _contents(document)
    yield "## Functions"
    yield ""
    yield EXAMPLES
    for method in document["methods"]:
        yield from _method(method, contract)
    yield "## Events"
    yield ""
    for name, event in document["x-events"].items():
        yield from _event(name, event, contract)
    yield "## Records"
    yield ""
    for record in sorted(contract.records):
        yield from _record(record)


def _errors(document: Mapping[str, Any]) -> Iterator[str]:
    yield "## Errors"
    yield ""
    yield "`error.code` is for programs, `error.message` and `error.data.reason` are the same sentence for people."
    yield "`error.data.kind` names the code, `error.data.machine` the machine where one refused, and `error.data.retry`"
    yield "says whether the same call may go well later."
    yield ""
    errors = document["components"]["errors"]
    rows = ((f"`{kind}`", it["code"], "yes" if it["data"]["retry"] else "no", REFUSALS.get(kind, it["message"]))
            for kind, it in errors.items())  # fmt: skip
    yield from _table(("Kind", "Code", "Retry", "Meaning"), rows)


def _contents(document: Mapping[str, Any]) -> Iterator[str]:
    yield "## Overview"
    yield ""
    for area, methods in groupby(document["methods"], key=lambda it: it["tags"][0]["name"]):
        yield f"- {area}: " + ", ".join(_link(it["name"]) for it in methods)
    yield "- Events: " + ", ".join(_link(name) for name in document["x-events"])
    yield ""


def _method(method: Mapping[str, Any], contract: Contract) -> Iterator[str]:
    call = contract.call(method["name"])
    yield f"### {call.name}"
    yield ""
    yield method["summary"]
    remote = ", needs remote control" if method["x-needs-remote"] else ""
    yield f"Role `{call.role}`{remote}. Refuses: {', '.join(f'`{kind}`' for kind in call.refusals)}."
    yield ""
    if call.parameters:
        schemas = {it["name"]: it["schema"] for it in method["params"]}
        rows = ((f"`{it.name}`", _type(it.type) + _bounds(schemas[it.name]), _need(it, schemas[it.name]), it.text)
                for it in call.parameters)  # fmt: skip
        yield from _table(("Parameter", "Type", "Left out", "Meaning"), rows)
    yield f"Answers {_type(call.result)}."
    yield ""
    for example in method["examples"]:
        asked = {it["name"]: it["value"] for it in example["params"]}
        request = {"jsonrpc": "2.0", "id": 1, "method": call.name, "params": asked}
        yield from _code(request)
        yield from _code({"jsonrpc": "2.0", "result": example["result"]["value"], "id": 1})


def _event(name: str, event: Mapping[str, Any], contract: Contract) -> Iterator[str]:
    data = {topic.name: topic.data for topic in contract.topics}[name]
    yield f"### {name}"
    yield ""
    kept = "kept, with a `sequence`" if event["durable"] else "not kept, without `sequence` and `previous`"
    yield f"Told when: {event['summary']}. It is {kept}. Data: {_to(data)}."
    yield ""
    yield from _code({"jsonrpc": "2.0", "method": name, "params": event["example"]})


def _record(record: Record) -> Iterator[str]:
    yield f"### Record {record.name}"
    yield ""
    yield record.text
    yield ""
    rows = ((f"`{it.name}`", _type(it.type), "always" if it.is_required else "may be missing") for it in record.members)
    yield from _table(("Member", "Type", "There"), rows)


def _need(parameter: Member, schema: Mapping[str, Any]) -> str:
    if parameter.is_required:
        return "never"
    default = schema.get("default")
    return "may be" if default is None else f"`{json.dumps(default)}`"


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    return "" if low is None or high is None else f", {low} to {high}"


def _type(kind: Type) -> str:
    return _bare(kind) + (" or null" if kind.is_nullable else "")


def _bare(kind: Type) -> str:
    match kind.kind:
        case "record":
            return _to(kind.name)
        case "words":
            return ", ".join(f'`"{word}"`' for word in kind.words)
        case "list":
            return f"list of {_type(kind.parts[0])}"
        case "map":
            return f"object of {_type(kind.parts[0])}"
        case "union":
            return " or ".join(_bare(part) for part in kind.parts)
    return kind.kind


def _link(name: str) -> str:
    return f"[{name}](#{name.lower().replace('.', '')})"


def _to(record: str) -> str:
    return f"[{record}](#record-{record.lower()})"


def _table(head: tuple[str, ...], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def _code(value: Any) -> Iterator[str]:
    yield "```json"
    yield _json(value)
    yield "```"
    yield ""


def _json(value: Any, indent: str = "", width: int = 110) -> str:
    """Write JSON with as much on a line as fits."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= width or not isinstance(value, dict | list) or not value:
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_json(it, inner)}" for key, it in value.items()]
        return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _json(it, inner) for it in value) + f"\n{indent}]"
