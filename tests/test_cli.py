"""The commands as a user types them, in processes of their own."""

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from pymodbus.client import ModbusSerialClient

from edgeagent import cli
from edgeagent.config import Configuration
from edgeagent.store import Database
from edgeagent.tools.surroundings import look

EDGEAGENT = (sys.executable, "-P", "-m", "edgeagent")


def edgeagent(*arguments: str, timeout: float = 60, **more) -> subprocess.CompletedProcess:
    return subprocess.run([*EDGEAGENT, *arguments], capture_output=True, text=True,
                          timeout=timeout, check=False, **more)


async def made(store: Path) -> None:
    database = Database(store)
    database.open()
    database.close()


@pytest.fixture
def free_ports() -> list[str]:
    return ["--http-port", "0", "--tcp-port", "0", "--opcua-port", "0"]


def test_a_wrong_configuration_ends_with_78_and_every_fault_in_a_line(tmp_path):
    (tmp_path / "a.toml").write_text('[agent]\nstor = "x"\n[[machines]]\nid = 5\n')
    ended = edgeagent("check", "a.toml", cwd=tmp_path)
    assert ended.returncode == 78
    assert ended.stderr.splitlines() == [
        "a.toml:2: agent.stor: unknown key (did you mean store?)",
        "a.toml:3: machines[0]: missing key `sources`",
        "a.toml:4: machines[0].id: Expected `str`, got `int` (how the MES names the machine: letters, digits, . _ -)",
    ]  # fmt: skip


MACHINE = '[[machines]]\nid = "A"\n[[machines.sources]]\nkind = "modbus-tcp"\nmap = "reflow10"\nhost = "10.0.0.1"\n'
ANY_PORTS = "[openapps]\nhttp.port = 0\nlines.port = 0\n"


def test_check_tells_what_a_good_configuration_reads_and_where_its_store_is(tmp_path):
    (tmp_path / "a.toml").write_text(ANY_PORTS + MACHINE)
    ended = edgeagent("check", "a.toml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert "modbus-tcp 10.0.0.1:502 unit 1 speaks reflow10 1.0 (157 points" in ended.stdout
    assert f"store: {tmp_path}/edgeagent.sqlite3 can be written" in ended.stdout
    assert ended.stdout.endswith("a.toml can be used\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.toml"]


def test_check_tells_what_must_be_mended_around_a_good_configuration(tmp_path):
    (tmp_path / "file").write_text("")
    serial = ('[[lines]]\nid = "bus"\nport = "/dev/serial/by-id/none"\n[[machines]]\nid = "B"\n[[machines.sources]]\n'
              'kind = "modbus-rtu"\nmap = "reflow10"\nline = "bus"\n')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "a.toml").write_text(
            f'[agent]\nstore = "file/store"\n[openapps]\nhttp.port = {port}\nlines.enabled = false\n{MACHINE}{serial}')
        ended, as_json = (edgeagent("check", "a.toml", *more, cwd=tmp_path) for more in ((), ("--json",)))
    assert ended.returncode == as_json.returncode == 1
    told = json.loads(as_json.stdout)
    assert (told["usable"], told["ready"], told["faults"]) == (True, False, [])
    assert [each["what"] for each in told["surroundings"] if each["mend"]] == ["store", "openapps.http", "line bus"]
    for expected in (f"{tmp_path}/file cannot be written", f"port {port} on 127.0.0.1 cannot be listened at",
                     "choose another port", "/dev/serial/by-id/none is not there", "but 3 of the things around it"):
        assert expected in ended.stdout, ended.stdout


@pytest.mark.parametrize("closed", [(0,), (1,), (1, 2), (0, 1, 2)])
def test_a_command_without_standard_streams_does_its_work(tmp_path, closed):
    """A file that is opened next must never take their place: what is printed would go into it."""
    store = tmp_path / "s.db"
    asyncio.run(made(store))
    redirections = " ".join(f"{number}>&-" for number in closed)
    command = f'exec "{sys.executable}" -P -m edgeagent backup --store "{store}" "{tmp_path}/b.db" {redirections}'
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "b.db").read_bytes().startswith(b"SQLite format 3")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_check_tells_a_user_who_may_not_look_into_the_stores_folder():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "s.db").touch()
        os.setresuid(65534, 65534, 0)
        try:
            finding = next(look(Configuration(()), Path(folder, "s.db")))
        finally:
            os.setresuid(0, 0, 0)
    assert finding.text == f"{folder}/s.db: {folder} cannot be written by this user"
    assert finding.mend


def test_check_tells_the_faults_of_a_configuration_to_programs_too(tmp_path):
    (tmp_path / "a.toml").write_text(MACHINE + "prot = 5\n")
    ended = edgeagent("check", "a.toml", "--json", cwd=tmp_path)
    assert ended.returncode == 78
    told = json.loads(ended.stdout)
    assert (told["usable"], told["ready"]) == (False, False)
    assert told["faults"] == [{"file": "a.toml", "line": 7, "key": "machines[0].sources[0].prot",
                               "reason": "unknown key", "mend": "did you mean port?"}]


def commands() -> dict[str, argparse.ArgumentParser]:
    [choices] = [action.choices for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return choices


def test_the_help_names_every_command_once_in_80_columns_with_the_exit_codes():
    ended = edgeagent("--help")
    lines = ended.stdout.splitlines()
    assert ended.returncode == 0
    assert max(map(len, lines)) <= 80
    assert sorted(commands()) == sorted(line.split()[0] for line in lines if re.match(r"  \w", line))
    for group in ("run:", "look at a running agent:", "tools for the field:", "administer:"):
        assert group in lines
    codes = (cli.OK, cli.FAILED, cli.USAGE, cli.UNREACHABLE, cli.REFUSED, cli.BAD_CONFIGURATION)
    assert re.findall(r"(\d+) (?:well|failed|wrong|the agent)", " ".join(lines)) == [str(code) for code in codes]
    page = (Path(__file__).parents[1] / "docs" / "commands.md").read_text()
    assert all(f"`edgeagent {name}" in page for name in commands())
    assert all(f"| {code} |" in page for code in codes)


@pytest.mark.parametrize(("typed", "expected"), [
    (["bo"], {"board", "boards"}), (["boards", "--ver"], {"--verdict", "--verbose"}),
    (["boards", "--verdict", "p"], {"pass"}), (["check", "a"], {"agent.toml"}),
    (["call", "Board.Get"], {"Board.Get", "Board.GetTrace", "Board.GetInProcess"}),
    (["tail", "--topic", "Board.P"], {"Board.ProcessStarted", "Board.ProcessCompleted"}),
])  # fmt: skip
def test_bash_completes_commands_options_functions_topics_and_files(tmp_path, typed, expected):
    (tmp_path / "agent.toml").touch()
    (tmp_path / "completion").write_text(edgeagent("completion", "bash").stdout)
    words = " ".join(("edgeagent", *typed))
    asked = subprocess.run(["bash", "-c", f"""
        source completion
        complete -p edgeagent >&2
        COMP_WORDS=({words}); COMP_CWORD={len(typed)}; COMP_LINE="{words}"; COMP_POINT=${{#COMP_LINE}}
        function=$(complete -p edgeagent); function=${{function##*-F }}
        ${{function%% *}} edgeagent {typed[-1]} {["edgeagent", *typed][-2]}
        printf '%s ' "${{COMPREPLY[@]}}" """], cwd=tmp_path, capture_output=True, text=True, check=True)  # fmt: skip
    assert "-F " in asked.stderr
    assert set(asked.stdout.split()) == expected


def test_zsh_gets_a_completion_of_every_command():
    script = edgeagent("completion", "zsh").stdout
    assert script.startswith("#compdef edgeagent")
    assert all(f"    {name}:'" in script for name in commands())


def test_the_schema_of_the_configuration_is_written_to_standard_output():
    assert json.loads(edgeagent("schema").stdout)["$id"] == "urn:edgeagent:configuration"


def test_a_listener_beyond_loopback_is_refused_at_start(tmp_path):
    (tmp_path / "a.toml").write_text('[openapps.lines]\nhost = "192.168.1.5"\n[[machines]]\nid = "A"\n'
                                     '[[machines.sources]]\nkind = "modbus-tcp"\nmap = "reflow10"\nhost = "10.0.0.1"\n')
    ended = edgeagent("run", "a.toml", cwd=tmp_path)
    assert ended.returncode == 78
    assert ended.stderr.startswith("a.toml:2: openapps.lines.host: 192.168.1.5 may be reached from beyond")
    assert "--host" in edgeagent("simulate", "--host", "0.0.0.0").stderr


def test_a_used_port_is_told_in_one_sentence_with_what_to_do(free_ports):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for command in (["demo", *free_ports[:2], "--tcp-port", port], ["simulate", "--port", port]):
            ended = edgeagent(*command)
            assert ended.returncode == 1
            assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
            assert port in ended.stderr
            assert "choose another" in ended.stderr


def test_two_simulated_devices_share_a_serial_line_until_they_are_stopped(tmp_path):
    port = tmp_path / "tty-line"
    process = subprocess.Popen([*EDGEAGENT, "simulate", "--serial", port, "--baud", "115200", "--parity", "none",
                                "--map", "reflow10:3", "--map", "reflow10:4", "--boards", "1"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        told = process.stdout.readline()
        assert told == (f"simulated reflow10 as unit 3, reflow10 as unit 4 on {port} at 115200 8N1,"
                        " 10 times real time\n")  # fmt: skip
        client = ModbusSerialClient(str(port), baudrate=115200, timeout=5, retries=0)
        assert client.connect()
        for unit in (3, 4):
            assert client.read_holding_registers(16, count=1, device_id=unit).registers == [3]
        client.close()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
        assert not port.is_symlink()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("maps", "reason"), [
    (["reflow10", "reflow10"], "--map: unit 1 is reflow10 already (write --map NAME:UNIT)"),
    (["reflow10:256"], "--map: there is no unit 256"),
    (["reflow11:2"], "no map of this name"),
])  # fmt: skip
def test_units_that_cannot_be_are_refused(maps, reason):
    ended = edgeagent("simulate", "--port", "0", *(word for name in maps for word in ("--map", name)))
    assert ended.returncode == 78
    assert reason in ended.stderr


@pytest.mark.parametrize("wrong", [["--speed", "0"], ["--speed", "x"], ["--boards", "0"], ["--http-port", "70000"]])
def test_a_wrong_option_is_a_usage_error(wrong):
    ended = edgeagent("demo", *wrong)
    assert ended.returncode == 2
    assert "is not a number from" in ended.stderr


def test_a_wrong_fault_is_told(free_ports):
    ended = edgeagent("demo", *free_ports, "--fault", "heater-ded:zone/3/top")
    assert ended.returncode == 78
    assert "heater-dead" in ended.stderr


def test_the_demo_shows_a_board_and_ends_with_a_summary(free_ports):
    ended = edgeagent("demo", *free_ports, "--boards", "1", "--speed", "30")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    for expected in ("TCP lines", "http://127.0.0.1:", "Modbus TCP of the oven", "nearly warm", "Board.ProcessStarted",
                     "1 boards finished."):
        assert expected in ended.stdout, ended.stdout
    passed = re.search(r"✔ SIM000001 .* peak 24", ended.stdout)
    # At this speed a busy computer misses too much of a board to judge it: then it is told as unknown.
    assert passed or "? SIM000001 unknown" in ended.stdout, ended.stdout


def test_the_demo_prints_notifications_as_lines_and_ends_cleanly_at_ctrl_c(free_ports):
    process = subprocess.Popen([*EDGEAGENT, "demo", *free_ports, "--json", "--speed", "30"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        messages = [json.loads(process.stdout.readline()) for _ in range(20)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert errors == ""
    assert {message["jsonrpc"] for message in messages} == {"2.0"}
    assert "Status.MachineStatusChanged" in {message["method"] for message in messages}


def test_a_reader_of_the_lines_that_goes_away_ends_the_demo(free_ports):
    process = subprocess.Popen([*EDGEAGENT, "demo", *free_ports, "--json", "--speed", "30"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        process.stdout.close()
        process.wait(timeout=20)
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_second_agent_on_the_same_store_is_refused(tmp_path):
    text = ('[openapps.http]\nport = 0\n[openapps.lines]\nport = 0\n[[machines]]\nid = "A"\n[[machines.sources]]\n'
            'kind = "modbus-tcp"\nmap = "reflow10"\nhost = "127.0.0.1"\nport = 9\n')
    (tmp_path / "a.toml").write_text(text)
    first = subprocess.Popen([*EDGEAGENT, "run", "a.toml"], cwd=tmp_path, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert "HTTP" in first.stdout.readline()
        second = edgeagent("run", "a.toml", cwd=tmp_path)
        assert second.returncode == 1
        assert len(second.stderr.splitlines()) == 1, second.stderr
        assert "edgeagent.sqlite3" in second.stderr
        first.terminate()
        assert first.wait(20) == 0
        assert os.path.exists(tmp_path / "edgeagent.sqlite3")  # noqa: PTH110
    finally:
        first.kill()
        first.stdout.close()


def test_what_is_made_from_a_map_is_written_to_standard_output():
    header, page, schema = (edgeagent("firmware", *words) for words in
                            (("header", "reflow10"), ("page", "reflow10"), ("schema",)))
    assert header.stdout.startswith("/* Reflow oven with 10 heated")
    assert page.stdout.startswith("# Reflow oven with 10 heated")
    assert json.loads(schema.stdout)["$schema"].endswith("2020-12/schema")
    of_text = edgeagent("firmware", "header", "oxygen-luminox")
    assert (of_text.returncode, of_text.stdout) == (78, "")
    assert "oxygen-luminox: instrument: it speaks text" in of_text.stderr
    assert edgeagent("firmware", "page").returncode == 2
    assert edgeagent("firmware", "page", "reflow11").returncode == 78
