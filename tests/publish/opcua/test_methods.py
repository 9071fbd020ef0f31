"""Methods as a client calls them, over a real connection: names, types, refusals, and an answer at once."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Node, Server, ua
from msgspec import UNSET

from edgeagent.errors import CommandRefused
from edgeagent.model.functions import FUNCTIONS
from edgeagent.publish.jsonrpc import CODES
from edgeagent.publish.opcua.arguments import Argument, arguments
from edgeagent.publish.opcua.methods import STATUS, Methods, called
from edgeagent.publish.opcua.standard.server import LazyServer
from tests.publish.opcua.fakes import OPERATOR, FakePort, settings

JOB = {
    "id": "01M802F4D8TDX2Z6N0C4S5RM9E", "function": "Recipe.Start", "machine": "RO0001", "requestId": "4711",
    "by": "mes", "state": "running", "steps": [], "reason": None, "acceptedAt": "2026-11-21T22:10:20.000Z",
    "endedAt": None,
}  # fmt: skip
PAGE = Path(__file__).resolve().parents[3] / "docs" / "opcua.md"
TEXT, COUNT = ua.VariantType.String, ua.VariantType.Int32


def text(value: str | None) -> ua.Variant:
    return ua.Variant(value, TEXT)


def count(value: int) -> ua.Variant:
    return ua.Variant(value, COUNT)


START = (text("SAC305-A"), count(-1), text("4711"), text(""))
"""Name, version, request id, not after."""


class Called:
    """A machine's object with methods, on asyncua's own server, as a client sees it."""

    methods: Methods

    def __init__(self, port: FakePort, oven: Node) -> None:
        self.port = port
        self.oven = oven
        self.session: int | None = None

    async def call(self, function: str, *given: ua.Variant, owner: Node | None = None) -> ua.CallMethodResult:
        method = await self.oven.get_child(f"2:{function.replace('.', '')}")
        request = ua.CallMethodRequest((owner or self.oven).nodeid, method.nodeid, list(given))
        [result] = await self.oven.session.call([request])
        return result  # type: ignore[no-any-return]


def said(result: ua.CallMethodResult) -> tuple[str, ...]:
    return result.StatusCode.name, *(each.Value for each in result.OutputArguments)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Called]:
    port = FakePort(settings(folder))
    server = Server(iserver=LazyServer())
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:test")
    oven = await server.nodes.objects.add_object(ua.NodeId(1, index), ua.QualifiedName("RO0001", index))
    numbers: dict[str, ua.NodeId] = {}

    def node_id(key: str) -> ua.NodeId:
        assert key not in numbers
        return numbers.setdefault(key, ua.NodeId(100 + len(numbers), index))

    at = Called(port, oven)
    at.methods = Methods(port, lambda: at.session)
    await at.methods.add_to(oven, "RO0001", node_id)
    async with server:
        port_number = server.bserver._server.sockets[0].getsockname()[1]
        async with Client(f"opc.tcp://127.0.0.1:{port_number}", timeout=60) as client:
            at.oven = client.get_node(oven.nodeid)
            yield at
    await at.methods.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Called]]:
    """One server for all tests: it takes seconds to make."""
    with asyncio.Runner() as runner:
        context = serving(tmp_path_factory.mktemp("opcua"))
        at = runner.run(context.__aenter__())
        yield runner, at
        runner.run(context.__aexit__(None, None, None))


@pytest.fixture
def run(served: tuple[asyncio.Runner, Called]) -> Callable[[Callable[[Called], Coroutine[Any, Any, None]]], None]:
    runner, at = served
    at.port.asked.clear()
    at.port.answers.clear()
    at.methods.answers_within_s = 60.0

    def begin(body: Callable[[Called], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            at.session = (await at.port.open("127.0.0.1", OPERATOR)).session
            await body(at)

        runner.run(main())

    return begin


def test_every_function_is_a_method_a_node_or_a_service() -> None:
    names = {function.name for function in called()}
    assert "Recipe.Start" in names
    assert "Command.Stop" in names
    services = {name for name in FUNCTIONS if name.startswith(("rpc.", "Session.", "Event."))}
    assert len(names) + len(services) + 9 == len(FUNCTIONS)


def test_every_argument_of_every_method_is_named_and_described() -> None:
    for function in called():
        its = arguments(function)
        assert len({each.name for each in its}) == len(its)
        assert all(each.name[0].isupper() and each.text for each in its), function.name
        assert "machine" not in {each.key for each in its}


def test_every_kind_of_refusal_has_a_bad_status() -> None:
    assert STATUS.keys() == CODES.keys() - {"parse"}
    assert all(ua.StatusCode(status).is_bad() for status in STATUS.values())


def test_the_page_tells_every_status_of_a_refusal() -> None:
    rows = [row.split("|")[1:3] for row in PAGE.read_text().splitlines() if row.count("|") == 3]
    told = {kind.strip(): status for kinds, status in rows for kind in kinds.split(",")}
    for kind, status in STATUS.items():
        assert told[kind].split(";")[0].strip() == ua.StatusCode(status).name


def test_a_client_sees_what_a_method_takes_and_answers(run: Any) -> None:
    async def body(at: Called) -> None:
        method = await at.oven.get_child("2:RecipeStart")
        assert (await method.read_display_name()).Text == "Recipe.Start"
        assert "reads it back" in (await method.read_description()).Text
        told = await (await method.get_child("0:InputArguments")).read_value()
        assert [(each.Name, each.DataType.Identifier, each.ValueRank) for each in told] == [
            ("Name", 12, -1), ("Version", 6, -1), ("RequestId", 12, -1), ("NotAfter", 12, -1)]  # fmt: skip
        assert told[1].Description.Text.endswith("-1: left out")
        told = await (await method.get_child("0:OutputArguments")).read_value()
        assert [each.Name for each in told] == ["JobId", "State", "Answer", "Kind", "Reason"]

    run(body)


def test_a_command_goes_to_the_agent_as_its_caller_asked_and_answers_with_its_job(run: Any) -> None:
    async def body(at: Called) -> None:
        at.port.answers["Recipe.Start"] = JOB
        status, job, state, answer, kind, reason = said(await at.call("Recipe.Start", *START))
        assert (status, job, state, kind, reason) == ("Good", JOB["id"], "running", "", "")
        assert json.loads(answer) == JOB
        assert at.port.asked == [
            ("Recipe.Start", {"name": "SAC305-A", "requestId": "4711", "machine": "RO0001"}, at.session)]  # fmt: skip

    run(body)


def test_a_command_without_a_key_is_given_one_so_that_its_job_can_be_found(run: Any) -> None:
    async def body(at: Called) -> None:
        at.port.answers["Recipe.Start"] = JOB
        for _ in range(2):
            await at.call("Recipe.Start", text("SAC305-A"), count(4), text(""), text(None))
        keys = [parameters["requestId"] for _, parameters, _ in at.port.asked]
        assert len(set(keys)) == 2
        assert at.port.asked[0][1]["version"] == 4

    run(body)


def test_a_refusal_is_a_bad_status_with_its_reason_in_words(run: Any) -> None:
    def refuse(_: dict[str, Any], __: int | None) -> Any:
        raise CommandRefused("interlocked", "2 boards are inside.", "RO0001")

    async def body(at: Called) -> None:
        at.port.answers["Recipe.Start"] = refuse
        assert said(await at.call("Recipe.Start", *START)) == (
            "BadInvalidState", "", "refused", "", "interlocked", "2 boards are inside.")  # fmt: skip

    run(body)


def test_who_has_not_said_who_it_is_may_call_nothing_not_even_what_reads(run: Any) -> None:
    async def body(at: Called) -> None:
        at.session = None
        at.port.answers["Board.Get"] = {}
        assert said(await at.call("Board.Get", text("b1")))[0] == "BadUserAccessDenied"
        at.session = 4711
        assert said(await at.call("Board.Get", text("b1")))[0] == "BadUserAccessDenied"
        assert [session for _, _, session in at.port.asked] == [4711]

    run(body)


@pytest.mark.parametrize(("given", "place", "words"), [
    ((count(1), count(-1), text(""), text("")), 0, "Name: it is Int32, and must be String"),
    ((text("A"), ua.Variant(1, ua.VariantType.Int64), text(""), text("")), 1, "it is Int64, and must be Int32"),
    ((text("A"), ua.Variant(1.0, ua.VariantType.Double), text(""), text("")), 1, "it is Double"),
    ((ua.Variant(None, ua.VariantType.Null), count(-1), text(""), text("")), 0, "Name: it is null"),
    ((ua.Variant(["A"], TEXT), count(-1), text(""), text("")), 0, "Name: it must be one value, no array"),
    ((text("A"), count(-1), ua.Variant(True, ua.VariantType.Boolean), text("")), 2, "RequestId: it is Boolean"),
])  # fmt: skip
def test_an_argument_of_a_wrong_type_reaches_nobody(
    run: Any, given: tuple[ua.Variant, ...], place: int, words: str
) -> None:
    async def body(at: Called) -> None:
        at.port.answers["Recipe.Start"] = JOB
        result = await at.call("Recipe.Start", *given)
        status, _, state, _, kind, reason = said(result)
        assert (status, state, kind) == ("BadInvalidArgument", "refused", "invalidParameters")
        assert words in reason
        statuses = [each.name for each in result.InputArgumentResults]
        assert statuses == ["BadTypeMismatch" if number == place else "Good" for number in range(4)]
        assert result.InputArgumentDiagnosticInfos[place].AdditionalInfo == reason
        assert not at.port.asked

    run(body)


def test_too_few_and_too_many_arguments_reach_nobody(run: Any) -> None:
    async def body(at: Called) -> None:
        assert said(await at.call("Recipe.Start", *START[:3])) == ("BadArgumentsMissing",)
        assert said(await at.call("Recipe.Start", *START, text(""))) == ("BadTooManyArguments",)
        assert not at.port.asked

    run(body)


def test_a_method_is_called_at_its_own_machine_only(run: Any) -> None:
    async def body(at: Called) -> None:
        elsewhere = at.oven.session
        result = await at.call("Recipe.Start", *START, owner=Node(elsewhere, ua.NodeId(ua.ObjectIds.Server)))
        assert said(result) == ("BadMethodInvalid",)
        assert not at.port.asked

    run(body)


@pytest.mark.parametrize("value", [240.5, True, "auto", 7])
def test_a_parameter_takes_a_number_a_truth_or_a_text(run: Any, value: Any) -> None:
    async def body(at: Called) -> None:
        at.port.answers["Configuration.SetObjectParameter"] = JOB
        name = "Configuration.SetObjectParameter"
        result = await at.call(name, text("zone/1/top"), text("setpoint"), ua.Variant(value), text(""), text(""))
        assert result.StatusCode.name == "Good"
        assert at.port.asked[0][1]["value"] == value
        assert type(at.port.asked[0][1]["value"]) is type(value)

    run(body)


def test_a_recipe_is_written_as_json_and_what_is_none_is_refused(run: Any) -> None:
    async def body(at: Called) -> None:
        at.port.answers["Recipe.Create"] = {"job": "j1", "machine": "RO0001", "recipe": "A", "version": 1}
        draft = '{"name": "A", "settings": {"zone/1/top/setpoint": 150}}'
        status, job, state, answer, _, _ = said(await at.call("Recipe.Create", text(draft), text(""), text("")))
        assert (status, job, state, json.loads(answer)["version"]) == ("Good", "j1", "done", 1)
        assert at.port.asked[0][1]["recipe"]["settings"] == {"zone/1/top/setpoint": 150}
        assert "no JSON" in said(await at.call("Recipe.Create", text("{"), text(""), text("")))[-1]
        deep = text("[" * 100_000)
        assert "no JSON" in said(await at.call("Recipe.Create", deep, text(""), text("")))[-1]
        assert len(at.port.asked) == 1

    run(body)


def test_what_reads_answers_with_json(run: Any) -> None:
    async def body(at: Called) -> None:
        at.port.answers["Board.Find"] = {"boards": [], "cursor": None}
        given = (text("PCB0001"), text(""), text(""), text(""), text(""), count(10), text(""))
        status, answer, kind, reason = said(await at.call("Board.Find", *given))
        assert (status, json.loads(answer), kind, reason) == ("Good", {"boards": [], "cursor": None}, "", "")
        assert at.port.asked[0][1] == {"barcode": "PCB0001", "limit": 10, "machine": "RO0001"}

    run(body)


def test_what_takes_long_is_answered_with_its_job_and_goes_on(run: Any) -> None:
    async def body(at: Called) -> None:
        never, keys = asyncio.Event(), []
        at.methods.answers_within_s = 0.01

        async def slow(parameters: dict[str, Any], _: int | None) -> Any:
            keys.append(parameters["requestId"])
            await never.wait()

        at.port.answers["Alarm.ResetAll"] = slow
        at.port.answers["Command.List"] = lambda *_: {"jobs": [JOB | {"requestId": keys[0]}], "cursor": None}
        status, job, state, answer, _, _ = said(await at.call("Alarm.ResetAll", text(""), text("")))
        assert (status, job, state, answer) == ("GoodCompletesAsynchronously", JOB["id"], "running", "")
        assert at.port.asked[-1] == ("Command.List", {"machine": "RO0001", "limit": 50}, at.session)

    run(body)


def test_a_number_that_is_not_one_leaves_an_argument_out() -> None:
    argument = Argument("Limit", "limit", "number", False, "")
    assert argument.taken(ua.Variant(math.nan, ua.VariantType.Double)) is UNSET
    assert argument.taken(ua.Variant(0.0, ua.VariantType.Double)) == 0.0
