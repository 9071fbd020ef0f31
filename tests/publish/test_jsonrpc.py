from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.errors import StoreError, Unreachable
from edgeagent.model.callers import Caller
from edgeagent.model.functions import Function, Nothing
from edgeagent.publish.access import Access
from edgeagent.publish.jsonrpc import MOST_ANSWERS, MOST_CALLS, MOST_PARAMETERS, Dispatcher

CASES = json.loads((Path(__file__).parent.parent / "golden" / "jsonrpc_cases.json").read_text(encoding="utf-8"))
VIEWER = Caller("test", "viewer", "test", "nowhere", is_authenticated=True)


class Subtract(msgspec.Struct, forbid_unknown_fields=True):
    minuend: float
    subtrahend: float


class Numbers(msgspec.Struct, forbid_unknown_fields=True):
    a: float = 0
    b: float = 0
    c: float = 0
    d: float = 0
    e: float = 0


class Count(msgspec.Struct, forbid_unknown_fields=True):
    number: int


async def count(it: Count, _: Caller) -> int:
    return it.number


async def subtract(it: Subtract, _: Caller) -> float:
    return it.minuend - it.subtrahend


async def add(it: Numbers, _: Caller) -> float:
    return it.a + it.b + it.c + it.d + it.e


async def get_data(_: Nothing, __: Caller) -> list[Any]:
    return ["hello", 5]


async def nothing(_: Any, __: Caller) -> None:
    return None


async def boom(_: Nothing, __: Caller) -> None:
    raise RuntimeError("a secret")


async def typeerr(_: Nothing, __: Caller) -> None:
    raise TypeError("a secret")


async def store(_: Nothing, __: Caller) -> None:
    raise StoreError("/var/lib is full")


async def silent(_: Nothing, __: Caller) -> None:
    raise Unreachable("192.168.0.1:502 refuses")


async def large(_: Nothing, __: Caller) -> str:
    return "x" * (1 << 20)


TABLE: dict[str, tuple[Any, Any, str]] = {
    "subtract": (subtract, Subtract, "viewer"), "sum": (add, Numbers, "viewer"), "update": (nothing, Numbers, "viewer"),
    "notify_hello": (nothing, Numbers, "viewer"), "notify_sum": (nothing, Numbers, "viewer"),
    "get_data": (get_data, Nothing, "viewer"), "nothing": (nothing, Nothing, "viewer"),
    "boom": (boom, Nothing, "viewer"), "typeerr": (typeerr, Nothing, "viewer"), "store": (store, Nothing, "viewer"),
    "silent": (silent, Nothing, "viewer"), "large": (large, Nothing, "viewer"),
    "count": (count, Count, "viewer"),
    "forbidden": (nothing, Nothing, "engineer"),
}  # fmt: skip
DISPATCHER = Dispatcher(
    Access(
        {name: Function(name, role, False, struct, Any, "") for name, (_, struct, role) in TABLE.items()},
        {name: handler for name, (handler, _, _) in TABLE.items()},
    )
)


def answer(message: bytes) -> bytes | None:
    return asyncio.run(DISPATCHER.answer(message, VIEWER))


def essence(response: Any) -> Any:
    """What the table fixes of an answer: its code, its result, its id; all else is checked for being there."""
    if isinstance(response, list):
        return [essence(each) for each in response]
    assert response.pop("jsonrpc") == "2.0"
    if "error" in response:
        error = response["error"]
        assert error["message"]
        assert error["data"].keys() >= {"kind", "reason", "machine", "retry"}
        response["error"] = error["code"]
    return response


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_table_holds(case: dict[str, Any]) -> None:
    got = answer(case["sent"].encode())
    assert (None if got is None else essence(json.loads(got))) == case["received"]


@pytest.mark.parametrize(
    "ident", ["1", "1.0", "1e3", "-0", "12345678901234567890123456789", '"\\u00e9"', '"é"', '""', "null"]
)
def test_an_id_comes_back_as_it_was_written(ident: str) -> None:
    got = answer(b'{"jsonrpc":"2.0","method":"nothing","id":%b}' % ident.encode())
    assert got == b'{"jsonrpc":"2.0","result":null,"id":%b}' % ident.encode()


def test_deep_nesting_is_a_parse_error() -> None:
    for deep in (b"[" * 100_000, b'{"a":' * 100_000, b'{"params":' + b"[" * 100_000 + b"]" * 100_000 + b"}"):
        assert json.loads(answer(deep) or b"")["error"]["code"] == -32700


@pytest.mark.parametrize("message", [b'{"jsonrpc":"2.0","method":"nothing","id":"\xff"}', b'{"x":"\xc3"}', b'["\xff"]'])
def test_invalid_utf_8_is_a_parse_error_wherever_it_stands(message: bytes) -> None:
    assert json.loads(answer(message) or b"")["error"]["code"] == -32700


def test_a_batch_has_a_largest_size() -> None:
    call = b'{"jsonrpc":"2.0","method":"nothing","id":1}'
    assert len(json.loads(answer(b"[" + b",".join([call] * MOST_CALLS) + b"]") or b"")) == MOST_CALLS
    refused = json.loads(answer(b"[" + b",".join([call] * (MOST_CALLS + 1)) + b"]") or b"")
    assert refused["error"]["code"] == -32011
    assert refused["id"] is None


def test_the_answers_to_a_batch_have_a_largest_size() -> None:
    call = b'{"jsonrpc":"2.0","method":"large","id":1}'
    got = answer(b"[" + b",".join([call] * 100) + b"]") or b""
    assert len(got) < MOST_ANSWERS + (1 << 15)
    answers = json.loads(got)
    assert len(answers) == 100
    assert "result" in answers[0]
    assert {each["error"]["code"] for each in answers[1:]} == {-32011}


def test_a_number_that_cannot_be_kept_is_a_wrong_parameter_of_its_own_request() -> None:
    call = b'{"jsonrpc":"2.0","id":5,"method":"sum","params":{"a":1e400}}'
    got = json.loads(answer(call) or b"")
    assert (got["error"]["code"], got["id"]) == (-32602, 5)
    assert [each["id"] for each in json.loads(answer(b"[" + call + b"," + call + b"]") or b"")] == [5, 5]
    assert answer(call.replace(b'"id":5,', b"")) is None


@pytest.mark.parametrize(("number", "taken"), [("5.0", 5), ("5e0", 5), ("-5.0", -5), ("5.5", None), ('"5"', None)])
def test_a_whole_number_is_an_integer_however_it_is_written(number: str, taken: int | None) -> None:
    got = json.loads(answer(b'{"jsonrpc":"2.0","id":1,"method":"count","params":[%b]}' % number.encode()) or b"")
    assert got.get("result") == taken
    assert got.get("error", {}).get("code") == (-32602 if taken is None else None)


def test_parameters_have_a_largest_size() -> None:
    call = b'{"jsonrpc":"2.0","id":1,"method":"sum","params":[%b1]}' % (b"1," * MOST_PARAMETERS)
    assert json.loads(answer(call) or b"")["error"]["code"] == -32011


def test_an_unexpected_error_tells_the_peer_a_number_and_the_log_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        got = answer(b'{"jsonrpc":"2.0","method":"boom","id":1}') or b""
    assert b"secret" not in got
    incident = json.loads(got)["error"]["message"].split()[-1].rstrip(".")
    assert incident in caplog.text
    assert "a secret" in caplog.text


@pytest.mark.parametrize(("method", "code"), [("store", -32010), ("silent", -32007)])
def test_foreign_errors_are_translated_and_worth_a_retry(method: str, code: int) -> None:
    error = json.loads(answer(b'{"jsonrpc":"2.0","method":"%b","id":1}' % method.encode()) or b"")["error"]
    assert (error["code"], error["data"]["retry"]) == (code, True)


def test_wrong_parameters_are_named_with_their_path() -> None:
    got = answer(b'{"jsonrpc":"2.0","method":"subtract","params":{"minuend":"x","subtrahend":1},"id":1}') or b""
    assert "$.minuend" in json.loads(got)["error"]["message"]


def test_a_function_without_handler_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="lonely"):
        Access({"lonely": Function("lonely", "viewer", False, Nothing, Any, "")}, {})


@given(st.binary(max_size=200))
def test_no_bytes_break_the_dispatcher(message: bytes) -> None:
    got = answer(message)
    assert got is None or json.loads(got)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["jsonrpc", "method", "params", "id"]), inner),
    max_leaves=20,
)


@given(JSON)
def test_no_json_breaks_the_dispatcher(message: Any) -> None:
    got = answer(json.dumps(message).encode())
    assert got is None or json.loads(got)


def test_a_store_that_takes_or_gives_nothing_is_told_as_that_without_its_place() -> None:
    error = json.loads(answer(b'{"jsonrpc":"2.0","id":1,"method":"store"}') or b"")["error"]
    assert error["message"] == "The records cannot be read or written now; ask again."
    assert (error["data"]["kind"], error["data"]["retry"]) == ("busy", True)
