"""Generated clients: checked by the tools of their languages, and run against the agent over a line that breaks."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgeagent import __version__
from edgeagent.cli import main
from edgeagent.model.callers import ANYBODY, Caller
from edgeagent.model.functions.glossary import PARAMETERS
from edgeagent.tools import client
from edgeagent.tools.clients import LANGUAGES, contract, csharp, python, runtime, typescript
from edgeagent.tools.clients.contract import Type, type_of
from tests.publish.serving import Served, request, serving
from tests.publish.test_openapps import board_left

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
STRICT = {
    "strict": True, "noUncheckedIndexedAccess": True, "noImplicitReturns": True, "noUnusedLocals": True,
    "target": "es2022", "lib": ["es2022", "dom"], "module": "nodenext", "types": [],
}  # fmt: skip


def tool(name: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not on the PATH")
    return path


def run(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def ready_python(folder: Path) -> list[str]:
    shutil.copy(PROGRAMS / "follow.py", folder)
    return [sys.executable, "-P", "-c", "import sys; sys.path.insert(0, '.'); import follow"]


def ready_typescript(folder: Path) -> list[str]:
    """Check strictly, and make it ready to run."""
    tsc, node = tool("tsc"), tool("node")
    shutil.copy(PROGRAMS / "follow.ts", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": STRICT, "files": ["follow.ts"]}))
    run(tsc, "-p", ".", cwd=folder)
    asked = [node, "--experimental-websocket", "-e", "WebSocket"]
    if subprocess.run(asked, check=False, capture_output=True).returncode:
        pytest.skip("it is strictly typed, but this node has no WebSocket to run it")
    return [node, "--experimental-websocket", "follow.js"]


def ready_csharp(folder: Path) -> list[str]:
    """Compile with every warning as an error."""
    mcs, mono = tool("mcs"), tool("mono")
    shutil.copy(PROGRAMS / "Follow.cs", folder)
    run(mcs, "-warnaserror", "-warn:4", "-r:System.Net.Http", "-out:follow.exe", "agent.cs", "Follow.cs", cwd=folder)
    return [mono, "follow.exe"]


def write(what: str, folder: Path) -> None:
    ending = {"python": "py", "typescript": "ts", "csharp": "cs"}[what]
    (folder / f"agent.{ending}").write_text(client.write(what), encoding="utf-8")


def test_the_python_client_is_strictly_typed(tmp_path: Path) -> None:
    write("python", tmp_path)
    ready_python(tmp_path)
    run(tool("mypy"), "--strict", "--cache-dir", tmp_path / "cache", "agent.py", "follow.py", cwd=tmp_path)


class BreakingLine:
    """Passes bytes on to a port, and in them the port as the Host, until it is cut; then for the next who connects."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self._port: int = self._server.sockets[0].getsockname()[1]
        return self._port

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, back]
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(1 << 16):
                writer.write(piece.replace(b":%d" % self._port, b":%d" % self._to))
        except ConnectionError:
            pass
        writer.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def stop(self) -> None:
        self.cut()
        self._server.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("what", "prepare"), [("python", ready_python), ("typescript", ready_typescript), ("csharp", ready_csharp)]
)
def test_a_client_compiles_asks_is_refused_and_goes_on_where_the_line_broke(
    tmp_path: Path, what: str, prepare: Callable[[Path], list[str]]
) -> None:
    write(what, tmp_path)
    command = prepare(tmp_path)

    async def go() -> None:
        (tmp_path / "store").mkdir()
        async with serving(tmp_path / "store") as served:
            http, lines = BreakingLine(served.http_port), BreakingLine(served.lines_port)
            ports = [str(await http.start()), str(await lines.start())]
            program = await asyncio.create_subprocess_exec(
                *command, *ports, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
            try:
                await followed(served, program, (http, lines))
            finally:
                if program.returncode is None:
                    program.kill()
                    await program.wait()
                await http.stop()
                await lines.stop()

    asyncio.run(go())


async def followed(served: Served, program: asyncio.subprocess.Process, lines: tuple[BreakingLine, ...]) -> None:
    assert program.stdout

    async def said() -> str:
        assert program.stdout
        return (await asyncio.wait_for(program.stdout.readline(), 60)).decode().strip()

    served.happen(3)
    await board_left(served)
    assert await said() == "running SAC305-A"
    assert (await said()).lower() == "notfound -32006 false"
    assert (await said()).lower() == "status.machinestatuschanged true"
    assert [float(it) for it in (await said()).strip("[ ]").replace(",", " ").split()] == [175.0, 175.0]
    assert [await said() for _ in range(3)] == [f"{n} running" for n in (1, 2, 3)]
    for line in lines:
        line.cut()
    served.happen(3)
    assert [await said() for _ in range(3)] == [f"{n} running" for n in (5, 6, 7)]
    assert [await said() for _ in range(6)] == [f"mes {n}" for n in (1, 2, 3, 5, 6, 7)]
    for line in lines:
        line.cut()
    assert [await said() for _ in range(5)] == [f"mes {n}" for n in (2, 3, 5, 6, 7)]
    caller = Caller(ANYBODY, "viewer", "lines", "here")
    await served.dispatcher.answer(request("Event.DeleteConsumer", consumer="mes"), caller)
    assert await said() == "ended"
    assert await asyncio.wait_for(program.wait(), 30) == 0


def test_a_client_with_a_consumer_gets_again_what_it_did_not_acknowledge(tmp_path: Path) -> None:
    async def go() -> None:
        async with serving(tmp_path) as served:
            line = BreakingLine(served.lines_port)
            wire = runtime.Wire(tcp_port=await line.start())
            wanted = {"topics": ["*"], "consumer": "mes", "from": "beginning"}
            events = wire._events(wanted, retry_s=0.05)
            served.happen(3)
            assert [(await asyncio.to_thread(next, events)).sequence for _ in range(3)] == [1, 2, 3]
            line.cut()
            assert [(await asyncio.to_thread(next, events)).sequence for _ in range(3)] == [1, 2, 3]
            await asyncio.to_thread(events.close)
            await line.stop()

    asyncio.run(go())


def test_what_a_newer_agent_adds_is_left_out_or_told_as_another_event() -> None:
    @dataclass(frozen=True)
    class Known:
        at_centre: float | None = field(metadata={"wire": "atCentre"})
        kind: str | None = None

    assert runtime._decode(list[Known], [{"atCentre": 1.5, "new": 1}]) == [Known(1.5)]
    told = {"stream": "s", "time": "t", "clock": "trusted", "machine": None, "data": {"x": 1}, "new": 2}
    event = runtime._event({"method": "Board.Flew", **told})
    assert event == runtime.OtherEvent("Board.Flew", "s", "t", "trusted", None, {"x": 1})


def test_a_client_goes_on_after_an_event_a_gap_or_a_heartbeat() -> None:
    assert runtime._reached({"sequence": 7, "data": {}}) == 7
    assert runtime._reached({"data": {"ranges": [{"from": 1, "to": 4}, {"from": 8, "to": 9}]}}) == 9
    assert runtime._reached({"data": {"stream": "s", "lastSequence": 0}}) == 0
    assert runtime._reached({"data": {"values": []}}) is None
    assert runtime._reached({"data": {"stream": "s", "ranges": [], "lostAfter": 4}}) is None


def test_a_client_that_is_turned_away_for_now_tries_again(tmp_path: Path) -> None:
    async def go() -> None:
        async with serving(tmp_path, most=1) as served:
            served.happen()
            other = await served.connect()
            await other.call("Status.Get")
            wanted = {"topics": ["*"], "from": "beginning"}
            at_once = runtime.Wire(tcp_port=served.lines_port)._events(wanted, None)
            with pytest.raises(runtime.AgentError, match="tooMany"):
                await asyncio.to_thread(next, at_once)
            patient = asyncio.create_task(
                asyncio.to_thread(next, runtime.Wire(tcp_port=served.lines_port)._events(wanted, 0.05))
            )
            while served.delivery.notices.tally.refused["lines"] < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await other.close()
            assert (await patient).sequence == 1

    asyncio.run(go())


def test_a_line_that_is_not_kept_up_is_told(tmp_path: Path) -> None:
    async def go() -> None:
        async with serving(tmp_path) as served:
            line = BreakingLine(served.lines_port)
            wire = runtime.Wire(tcp_port=await line.start())
            events = wire._events({"topics": ["*"], "from": "beginning"}, None)
            served.happen()
            assert (await asyncio.to_thread(next, events)).sequence == 1
            line.cut()
            with pytest.raises(ConnectionError):
                await asyncio.to_thread(next, events)
            await line.stop()

    asyncio.run(go())


@pytest.mark.parametrize("what", LANGUAGES)
def test_a_client_says_where_it_comes_from_and_is_the_same_each_time(what: str) -> None:
    written = client.write(what)
    assert f"edgeagent {__version__}" in "\n".join(written.splitlines()[:3])
    assert written == client.write(what)


def test_the_reference_page_is_the_one_in_docs() -> None:
    written = client.write("markdown")
    page = (ROOT / "docs/openapps.md").read_text(encoding="utf-8")
    assert page == written, "run edgeagent client markdown --output docs/openapps.md"


def test_every_link_of_the_reference_page_leads_somewhere() -> None:
    lines = client.write("markdown").splitlines()
    places = [line.lstrip("# ").lower().replace(".", "").replace(" ", "-") for line in lines if line.startswith("#")]
    assert len(set(places)) == len(places)
    links = {part.partition(")")[0] for line in lines for part in line.split("](#")[1:]}
    assert links
    assert links <= set(places)


def test_a_client_is_written_from_a_running_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def go() -> str:
        async with serving(tmp_path) as served:
            url = f"http://127.0.0.1:{served.http_port}/rpc"
            return await asyncio.to_thread(client.write, "typescript", url)

    assert asyncio.run(go()) == client.write("typescript")
    assert main(["client", "python", "--from", "ftp://nowhere"]) == 1
    assert "write the address of an agent like http://" in capsys.readouterr().err
    assert main(["client", "python", "--from", "http://127.0.0.1:1/rpc"]) == 1
    assert "no OpenRPC document" in capsys.readouterr().err


def test_a_client_is_written_to_a_file_or_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["client", "csharp", "--output", str(tmp_path / "Agent.cs")]) == 0
    assert capsys.readouterr().out == ""
    assert main(["client", "csharp"]) == 0
    assert capsys.readouterr().out == (tmp_path / "Agent.cs").read_text(encoding="utf-8")
    assert main(["client", "openrpc"]) == 0
    assert json.loads(capsys.readouterr().out)["openrpc"] == "1.3.2"


def test_a_document_of_somebody_else_is_refused() -> None:
    with pytest.raises(ValueError, match="not the OpenRPC document of an edge agent"):
        contract.read({"openrpc": "1.3.2", "methods": []})
    bad = json.loads(client.write("openrpc"))
    bad["methods"][3]["name"] = 'x"); import os; ("'
    with pytest.raises(ValueError, match="is no name"):
        contract.read(bad)


@pytest.mark.parametrize("text", ['ends with "quote"', 'has """ inside', "ends */ early", "has\nlines", "has \\N back"])
def test_texts_of_a_document_break_no_client(text: str) -> None:
    described = json.loads(client.write("openrpc"))
    for method in described["methods"]:
        method["summary"] = text
        for parameter in method["params"]:
            parameter["description"] = text
    for schema in described["components"]["schemas"].values():
        schema["description"] = text
    read = contract.read(described)
    compile(python.write(read), "agent.py", "exec")
    comments = typescript.write(read)
    assert comments.count("/*") == comments.count("*/")
    lines = csharp.write(read).splitlines()
    assert not [line for line in lines if text[:8] in line and not line.lstrip().startswith("///")]


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "string"}, Type("text")),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, Type("number", is_nullable=True)),
        ({"enum": ["pass", "fail"]}, Type("words", words=("pass", "fail"))),
        ({"type": "array", "items": {"type": "integer"}}, Type("list", parts=(Type("integer"),))),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, Type("map", parts=(Type("boolean"),))),
        ({"type": "object"}, Type("map", parts=(Type("any"),))),
        ({}, Type("any")),
        (
            {"anyOf": [{"enum": ["now"]}, {"$ref": "#/components/schemas/Place"}]},
            Type("union", parts=(Type("words", words=("now",)), Type("record", "Place"))),
        ),
        (
            {"type": "array", "items": [{"type": "number"}, {"anyOf": [{"type": "number"}, {"type": "null"}]}]},
            Type("list", parts=(Type("number", is_nullable=True),)),
        ),
    ],
)
def test_types_are_read_from_schemas(schema: dict[str, object], wanted: Type) -> None:
    assert type_of(schema) == wanted


def test_names_that_a_language_keeps_for_itself_are_written_otherwise() -> None:
    described = json.loads(client.write("openrpc"))
    parameter = {"name": "class", "required": True, "schema": {"type": "string"}}
    described["methods"][4]["params"] = [parameter]
    text = {"type": "string"}
    described["components"]["schemas"]["Alarm"]["properties"] = {"alarm": text, "from": text}
    read = contract.read(described)
    assert "(self, class_: str)" in python.write(read)
    assert 'from_: str | None = field(default=None, metadata={"wire": "from"})' in python.write(read)
    written = csharp.write(read)
    assert "(string @class)" in written
    assert "class AlarmAnswer : IRecord" in written
    assert "class Alarm : IRecord" not in written


def test_no_parameter_is_explained_that_no_function_has() -> None:
    own = contract.read(json.loads(client.write("openrpc")))
    assert PARAMETERS.keys() <= {it.name for call in own.calls for it in call.parameters}
