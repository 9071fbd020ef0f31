"""The contract: whole, valid, and what it tells by example is what the agent says."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from edgeagent.errors import CommandRefused
from edgeagent.model.callers import NO_ROLE, Caller
from edgeagent.model.events import TOPICS
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.functions.forms import CommandParameters
from edgeagent.model.functions.glossary import REFUSALS
from edgeagent.publish.openapps.openrpc import document
from edgeagent.publish.openapps.refusals import refusals
from tests.publish.day import Day, day
from tests.publish.said import GOLDEN, golden, said

META_SCHEMA = Path(os.environ.get("OPENRPC_META_SCHEMA", "node_modules/@open-rpc/meta-schema"))
DOCUMENT: dict[str, Any] = json.loads(msgspec.json.encode(document(FUNCTIONS, "0.1.0")))
METHODS = {it["name"]: it for it in DOCUMENT["methods"]}
Refused = tuple[str, dict[str, Any], str]


def check(instance: Any, schema: dict[str, Any]) -> None:
    """Hold an instance against a schema of the document, and let no member pass that the schema does not tell."""
    jsonschema.Draft7Validator({**schema, "components": closed(DOCUMENT["components"])}).validate(instance)


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return more | {key: closed(part) for key, part in schema.items()}


def test_every_function_is_described() -> None:
    assert list(METHODS) == list(FUNCTIONS)
    for name, method in METHODS.items():
        assert method["x-role"] == FUNCTIONS[name].role
        assert method["x-needs-remote"] == FUNCTIONS[name].needs_remote
        names = [field.encode_name for field in msgspec.structs.fields(FUNCTIONS[name].parameters)]
        assert [parameter["name"] for parameter in method["params"]] == names
        for parameter in method["params"]:
            assert parameter.get("description"), f"{name}: describe {parameter['name']} in glossary.py or in its type"


def test_every_function_and_event_has_an_example_that_fits_its_schema() -> None:
    for name, method in METHODS.items():
        assert method["examples"], f"{name} has no example: run python -m tests.publish.said"
        (example,) = method["examples"]
        schemas = {it["name"]: it["schema"] for it in method["params"]}
        for given in example["params"]:
            check(given["value"], schemas[given["name"]])
        assert {it["name"] for it in example["params"]} >= {it["name"] for it in method["params"] if it["required"]}
        check(example["result"]["value"], method["result"]["schema"])
    for name, event in DOCUMENT["x-events"].items():
        check(event["example"], {"$ref": "#/components/schemas/Notification"})
        check(event["example"]["data"], event["data"])
        assert ("sequence" in event["example"]) == event["durable"] == TOPICS[name].durable


def test_the_examples_are_what_the_agent_says_and_the_whole_answers_fit_as_well() -> None:
    told = said()
    assert golden(told) == GOLDEN.read_text(encoding="utf-8"), "run python -m tests.publish.said and look at the change"
    for name, (_, result) in told.functions.items():
        check(result, METHODS[name]["result"]["schema"])
    for message in told.events:
        check(message["params"], {"$ref": "#/components/schemas/Notification"})
        check(message["params"]["data"], DOCUMENT["x-events"][message["method"]]["data"])
    for message in told.functions["Event.Read"][1]["events"]:
        check(message["data"], DOCUMENT["x-events"][message["method"]]["data"])


LATER = {"stream": "the stream", "sequence": 1_000_000}
"""A place that the stream has not reached."""

PROVOKING: dict[str, list[tuple[Any, str]]] = {
    "machine": [("nobody", "notFound")],
    "machines": [(["nobody"], "notFound")],
    "object": [("nothing", "notFound")],
    "objects": [(["nothing"], "notFound")],
    "id": [("nobody", "notFound")],
    "job": [("nobody", "notFound")],
    "name": [("nobody", "notFound")],
    "subscription": [("none", "notFound")],
    "from": [
        ({"stream": "0" * 16, "sequence": 1}, "notFound"),
        (LATER, "outOfRange"),
    ],
    "since": [("0001-01-01T00:00:00Z", "outOfRange")],
    "until": [("0001-01-01T00:00:00Z", "outOfRange")],
}
"""A value of a parameter that cannot be, and the kind of the refusal."""

OF_ONE: list[Refused] = [
    ("Event.Acknowledge", {"consumer": "nobody"}, "notFound"),
    ("Event.Acknowledge", {"stream": "0" * 16}, "notFound"),
    ("Event.Acknowledge", {"sequence": 1_000_000}, "outOfRange"),
    ("Event.DeleteConsumer", {"consumer": "nobody"}, "notFound"),
    ("Recipe.Get", {"version": 99}, "notFound"),
    ("Session.Authenticate", {"token": "wrong"}, "unauthenticated"),
]
"""What a function makes of a parameter that others take otherwise, or that only it has."""

BY_THEMSELVES = {
    ("Event.Subscribe", "invalidRequest"), ("Event.Unsubscribe", "invalidRequest"),
    ("Event.Subscribe", "tooMany"), ("Event.Read", "tooMany"),
    ("Session.Authenticate", "tooMany"),
}  # fmt: skip
"""Provoked by tests of their own: over HTTP nothing can be pushed (test_openapps), bounds (there, test_delivery),
wrong tokens (test_authentication)."""

WITHOUT_RIGHTS = (
    Caller("loopback", NO_ROLE, "lines", "here"),
    Caller("mes", NO_ROLE, "lines", "here", frozenset(), is_authenticated=True),
)


async def kind(lived: Day, name: str, params: dict[str, Any]) -> str | None:
    answer = await lived.call(name, params)
    told: str | None = answer["error"]["data"]["kind"] if "error" in answer else None
    return told


async def of_rights(lived: Day, name: str, caller: Caller) -> set[str]:
    """What a caller without any rights is refused for them."""
    try:
        is_command = name in COMMANDS
        asks = {} if is_command else lived.asks(name)
        await lived.functions.call(name, msgspec.json.encode(asks), caller)
    except CommandRefused as refused:
        return {refused.kind} & {"unauthenticated", "forbidden"}
    return set()


COMMANDS = [name for name, it in FUNCTIONS.items()
            if issubclass(it.parameters, CommandParameters) or name == "Command.Stop"]
OF_COMMANDS = {
    "notRemote", "interlocked", "outOfRange", "unreachable", "notConfirmed", "expired", "tooMany", "notFound",
}  # fmt: skip
"""What a command can be refused for beside its parameters: provoked check by check in tests/control."""


def test_every_refusal_that_is_told_can_be_provoked(tmp_path: Path) -> None:
    async def main() -> None:
        async with day(tmp_path) as lived:
            for name, method in METHODS.items():
                told = {it["$ref"].rpartition("/")[2] for it in method["errors"]}
                is_command = name in COMMANDS
                asks = {} if is_command else lived.asks(name)
                assert await kind(lived, name, {"nonsense": 1}) == "invalidParameters"
                assert await kind(lived, name, {"long": "x" * 70_000}) == "tooLarge"
                provoked = {"invalidParameters", "tooLarge", "internal"}
                for parameter in () if is_command else method["params"]:
                    for value, wanted in PROVOKING.get(parameter["name"], []):
                        given = {parameter["name"]: value}
                        if value == LATER:
                            given = {"from": LATER | {"stream": lived.archive.journal.stream}}
                        assert await kind(lived, name, asks | given) == wanted, (name, parameter)
                        provoked.add(wanted)
                for _, given, wanted in (it for it in OF_ONE if it[0] == name):
                    assert await kind(lived, name, asks | given) == wanted, (name, given)
                    provoked.add(wanted)
                for caller in WITHOUT_RIGHTS:
                    provoked |= await of_rights(lived, name, caller)
                provoked |= {wanted for of, wanted in BY_THEMSELVES if of == name}
                if is_command:
                    provoked |= OF_COMMANDS & told
                assert told - {"busy"} == provoked, f"{name}: say what it refuses in refusals.py, and provoke it here"
            await busy_where_it_is_told(lived, tmp_path)

    asyncio.run(main())


async def busy_where_it_is_told(lived: Day, folder: Path) -> None:
    """Take the tables away: those that read them are busy, the others answer."""
    with sqlite3.connect(folder / "edge.db") as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if not table.startswith("sqlite_"):
                connection.execute(f"DROP TABLE {table}")
    connection.close()
    for name in [name for name in METHODS if name not in ("Event.Unsubscribe", *COMMANDS)]:
        told = "busy" in refusals(FUNCTIONS[name], ())
        asks = lived.asks(name)
        found = await kind(lived, name, asks | {"from": "beginning"} if "from" in asks else asks)
        assert found == ("busy" if told else None), f"{name}: busy belongs in refusals.py where it reads records"


def test_every_kind_of_refusal_is_explained() -> None:
    errors = DOCUMENT["components"]["errors"]
    assert errors.keys() == REFUSALS.keys()
    assert len({it["code"] for it in errors.values()}) == len(errors)


def references(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(references, part.values()))
    return set().union(*map(references, part)) if isinstance(part, list) else set()


def test_the_document_is_whole_without_anybody_elses_schema() -> None:
    assert DOCUMENT["openrpc"] == "1.3.2"
    assert DOCUMENT["info"].keys() >= {"title", "version"}
    assert len({it["name"] for it in DOCUMENT["methods"]}) == len(DOCUMENT["methods"])
    for method in DOCUMENT["methods"]:
        assert method.keys() >= {"name", "params", "result", "errors", "examples"}
        assert method["paramStructure"] == "by-name"
        names = [it["name"] for it in method["params"]]
        assert len(set(names)) == len(names)
        assert method["result"].keys() == {"name", "schema"}
        for it in [*(it["schema"] for it in method["params"]), method["result"]["schema"]]:
            jsonschema.Draft7Validator.check_schema(it)
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft7Validator.check_schema(schema)
    found = references(DOCUMENT)
    assert found
    for reference in found:
        part = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]
        assert part
    used = {it.rpartition("/")[2] for it in found if "/schemas/" in it}
    assert DOCUMENT["components"]["schemas"].keys() - used == {"Notification", "Refusal"}


def test_the_document_fits_the_meta_schema_of_openrpc() -> None:
    index = META_SCHEMA / "index.js"
    if not index.is_file():
        pytest.skip("npm install @open-rpc/meta-schema, and name its folder in OPENRPC_META_SCHEMA")
    text = index.read_text(encoding="utf-8")
    schema, _ = json.JSONDecoder().raw_decode(text, text.index("{", text.rindex("openrpcDocument =")))
    validator = jsonschema.Draft7Validator(of_draft_7(schema))
    validator.validate(DOCUMENT)
    broken = DOCUMENT | {"methods": [{key: it for key, it in DOCUMENT["methods"][0].items() if key != "params"}]}
    assert not validator.is_valid(broken)


def of_draft_7(schema: Any) -> Any:
    """Replace references to a meta-schema that lies on a server elsewhere."""
    if isinstance(schema, list):
        return [of_draft_7(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("https://meta.json-schema.tools"):
        text = reference.endswith("/properties/$ref")
        return {"type": "string"} if text else {"$ref": "http://json-schema.org/draft-07/schema#"}
    return {
        key: "http://json-schema.org/draft-07/schema#" if key == "$schema" and isinstance(it, str) else of_draft_7(it)
        for key, it in schema.items()
    }
