"""The commands that ask a running agent, as a user types them: real processes against a real server."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeagent.model.alarms import Alarm
from edgeagent.model.boards import BoardTrace
from tests.publish.serving import Served, serving
from tests.store.samples import NOON, board, left
from tests.tools.line import edgeagent

TRACE = BoardTrace("b1", [0.0, 1.5, 3.0], [25.0, None, 31.2], {f"zone/{n}/top": [100.0, 101.0, 99.5] for n in range(8)})


def url(served: Served) -> str:
    return f"http://127.0.0.1:{served.http_port}"


async def ask(served: Served, command: str, *arguments: object) -> tuple[int, str, str]:
    return await edgeagent(command, *arguments, "--agent", url(served))


async def filled(served: Served, count: int = 3) -> None:
    records = [board(f"b{n}", NOON + n * 60_000_000_000, (f"PCB{n:04}",), process="fail" if n == 2 else "pass")
               for n in range(1, count + 1)]
    await served.journal.settled(served.journal.append([
        left(record, TRACE if record.id == "b1" else None) for record in records]))


def test_status_tells_the_state_of_each_machine_and_its_alarms(tmp_path):
    async def main() -> None:
        async with serving(tmp_path, machines=("RO0001", "RO0002")) as served:
            alarm = Alarm("a1", "E100", "too hot", "fault", "zone/1/top", "2026-11-21T21:53:00Z", False)
            served.machine.standing = (alarm,)
            code, text, errors = await ask(served, "status")
            assert (code, errors) == (0, "")
            for expected in ("RO0001  running since 2026-11-21 ", "RO0002  running", "recipe   SAC305-A v3",
                             "lane 1   1 board, outlet free", "fault        E100  too hot", "alarms   none"):
                assert expected in text, text
            assert max(map(len, text.splitlines())) <= 80
            code, text, _ = await ask(served, "status", "--json")
            told = json.loads(text)
            assert code == 0
            assert [it["machine"] for it in told["status"]["machines"]] == ["RO0001", "RO0002"]
            assert [it["alarm"]["code"] for it in told["alarms"]] == ["E100"]
            assert told["software"]["agent"]

    asyncio.run(main())


def test_boards_are_listed_newest_first_and_found_by_what_is_known_of_them(tmp_path):
    async def main() -> None:
        async with serving(tmp_path) as served:
            await filled(served)
            _, text, _ = await ask(served, "boards")
            headline, *rows = text.splitlines()
            assert headline.startswith("entered, UTC")
            assert [row.split()[2:] for row in rows] == [
                ["b3", "pass", "PCB0003", "SAC305-A"], ["b2", "fail", "PCB0002", "SAC305-A"],
                ["b1", "pass", "PCB0001", "SAC305-A"]]
            for arguments, expected in (
                (("--verdict", "fail"), ["b2"]), (("--barcode", "PCB0001"), ["b1"]), (("--limit", "2"), ["b3", "b2"]),
                (("--recipe", "other"), []), (("--since", "2026-11-21T12:02:30Z"), ["b3"]),
                (("--until", "2026-11-21T13:01:30+01:00"), ["b1"]),
            ):  # fmt: skip
                code, text, errors = await ask(served, "boards", "--json", *arguments)
                assert (code, errors) == (0, "")
                assert [it["id"] for it in json.loads(text)["boards"]] == expected, arguments
            assert (await ask(served, "boards", "--recipe", "other"))[1] == "no board fits\n"

    asyncio.run(main())


def test_more_boards_than_a_page_holds_are_put_together(tmp_path):
    async def main() -> None:
        async with serving(tmp_path) as served:
            await filled(served, 405)
            _, text, _ = await ask(served, "boards", "--json", "--limit", "403")
            found = json.loads(text)
            assert [it["id"] for it in found["boards"]] == [f"b{n}" for n in range(405, 2, -1)]
            assert found["cursor"]
            assert json.loads((await ask(served, "boards", "--json", "--limit", "500"))[1])["cursor"] is None

    asyncio.run(main())


def test_a_board_is_shown_with_its_record_or_its_trace_in_80_columns(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    async def main() -> None:
        async with serving(tmp_path) as served:
            await filled(served)
            code, text, _ = await ask(served, "board", "b1")
            assert code == 0
            for expected in ("barcodes  PCB0001", "verdict   process pass, profile unknown", "conveyor", "peak"):
                assert expected in text, text
            _, trace, _ = await ask(served, "board", "b1", "--trace")
            assert max(map(len, [*text.splitlines(), *trace.splitlines()])) <= 80
            assert {f"zone/{n}/top" for n in range(8)} <= set(trace.split())
            assert trace.count("seconds") == 2
            assert trace.splitlines()[2].split()[:3] == ["1.5", "-", "101"]
            _, trace, _ = await ask(served, "board", "b1", "--trace", "--json")
            assert json.loads(trace)["estimated"] == [25.0, None, 31.2]
            assert json.loads((await ask(served, "board", "b1", "--json"))[1])["id"] == "b1"

    asyncio.run(main())


def test_a_function_is_called_with_parameters_of_the_command_line_or_of_standard_input(tmp_path):
    async def main() -> None:
        async with serving(tmp_path) as served:
            await filled(served)
            code, text, _ = await ask(served, "call", "Board.Get", '{"id": "b2"}')
            assert (code, json.loads(text)["id"]) == (0, "b2")
            assert text.startswith("{\n  ")
            piped = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "edgeagent", "call", "Board.Get", "-", "--json", "--agent", url(served),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
            out, _ = await piped.communicate(b'{"id": "b3"}')
            assert json.loads(out)["id"] == "b3"
            assert out.count(b"\n") == 1

    asyncio.run(main())


@pytest.mark.parametrize(("text", "told"), [
    ('{"id": x}', "the text is not JSON: Expecting value, line 1 column 8; write it like"),
    ("5", "neither an object nor an array"), ('{"id": NaN}', "NaN is no number there"),
])  # fmt: skip
def test_wrong_json_on_the_command_line_is_wrong_usage_and_names_the_place(text, told):
    code, _, errors = asyncio.run(edgeagent("call", "Board.Get", text))
    assert code == 2
    assert told in errors


@pytest.mark.parametrize("arguments", [
    ["boards", "--since", "yesterday"], ["tail", "--from", "0"], ["status", "--agent", "ftp://a:1"], ["nothing"],
    ["status", "--agent", "http://a:1/x"], ["boards", "--limit", "0"], ["status", "--agent", "a:b"], [],
    ["status", "--agent", "http://a:1", "--config", "b"], ["call"],
])  # fmt: skip
def test_what_cannot_be_meant_is_wrong_usage(arguments):
    code, _, errors = asyncio.run(edgeagent(*arguments))
    assert (code, errors.count("error:")) == (2, 1)


def test_a_refusal_is_told_with_its_kind_and_reason_and_has_an_exit_code_of_its_own(tmp_path):
    async def main() -> None:
        async with serving(tmp_path) as served:
            for arguments, told in (
                (("board", "none"), "the agent refused Board.Get (notFound): There is no record of a board 'none'"),
                (("call", "Board.Got"), "the agent refused Board.Got (methodNotFound): "),
                (("call", "Board.Get", '{"name": 1}'), "the agent refused Board.Get (invalidParameters): "),
                (("tail", "--from", "99"), "the agent refused Event.Subscribe (outOfRange): The next event will have"),
                (("tail", "--machine", "RO9"), "the agent refused Event.Subscribe (notFound): "),
            ):  # fmt: skip
                code, text, errors = await ask(served, *arguments)
                assert (code, text, errors.count("\n")) == (4, "", 1), errors
                assert errors.startswith(f"edgeagent: {told}")

    asyncio.run(main())


@pytest.mark.parametrize("command", [["status"], ["tail"]])
@pytest.mark.parametrize(("answer", "told"), [
    (None, "nobody listens at http://127.0.0.1:"),
    (b"", "does not answer (it ended the connection): look at the agent's log, or name another address with --agent"),
    (b"220 mail\r\n\r\n", "is not an edgeagent (what it says is not HTTP): name the agent's address with --agent URL"),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "is not an edgeagent (HTTP 404, no"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "is not an edgeagent (HTTP 200, no"),
])  # fmt: skip
def test_an_agent_that_is_not_there_is_told_in_one_sentence_with_the_address(command, answer, told):
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if answer is None:
            server.close()
            await server.wait_closed()
        code, text, errors = await edgeagent(*command, "--agent", f"http://127.0.0.1:{port}")
        assert (code, text, errors.count("\n")) == (3, "", 1), errors
        assert told in errors
        assert str(port) in errors
        server.close()

    asyncio.run(main())


def test_the_agent_is_found_by_its_configuration(tmp_path):
    file = tmp_path / "agent.toml"

    async def main() -> None:
        async with serving(tmp_path) as served:
            file.write_text(f"[openapps.http]\nport = {served.http_port}\n[elsewhere]\nwhat = 'is wrong'\n")
            code, text, _ = await edgeagent("status", "--config", file)
            assert code == 0
            assert "RO0001" in text

    asyncio.run(main())
    for wrong, told in (("port = 0", "port: 0 is any free port"), ("enabled = false", "enabled: the agent does"),
                        ("prot = 1", "prot: unknown key (did you mean port?)"), ("port =", "is not TOML")):
        file.write_text(f"[openapps.http]\n{wrong}\n")
        code, _, errors = asyncio.run(edgeagent("status", "--config", file))
        assert code == 78
        assert told in errors


@pytest.mark.parametrize("locale", [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"},
])  # fmt: skip
def test_any_locale_and_any_text_of_a_machine_will_do(tmp_path, monkeypatch, locale):
    for name, value in locale.items():
        monkeypatch.setenv(name, value)

    async def main() -> None:
        async with serving(tmp_path) as served:
            await served.journal.settled(served.journal.append([left(board("b1", codes=("板\x1b[2J",), recipe="Öl"))]))
            code, text, errors = await ask(served, "boards")
            assert (code, errors) == (0, "")
            assert "\\x1b[2J" in text
            assert ("板" in text and "Öl" in text) or ("\\u677f" in text and "\\xd6l" in text)
            told = json.loads((await ask(served, "boards", "--json"))[1])
            assert told["boards"][0]["barcodes"][0]["code"] == "板\x1b[2J"

    asyncio.run(main())


def test_what_looks_at_the_agent_loads_nothing_of_it():
    program = ("import sys; from edgeagent import cli; from edgeagent.tools import look, following, showing, tables;"
               " print(*sys.modules)")
    loaded = set(subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True,
                                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}).stdout.split())
    assert "edgeagent.tools.following" in loaded
    assert not loaded & {"asyncio", "msgspec", "aiohttp", "pymodbus", "sqlite3", "edgeagent.config", "firmware_iface"}
