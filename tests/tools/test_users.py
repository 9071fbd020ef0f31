"""`edgeagent users` and `edgeagent keys`: what is typed, what is kept, and an agent that runs meanwhile."""

from __future__ import annotations

import asyncio
import json
import ssl
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeagent.agent import Agent
from edgeagent.cli import main, parser
from edgeagent.clock import Clock
from edgeagent.config import Configuration, HttpTable, LinesTable, MachineTable, ModbusTcpTable, OpenAppsTable, TlsTable
from edgeagent.errors import ConfigError
from edgeagent.listeners import secured
from edgeagent.model.tokens import digest
from edgeagent.tools.keeping_users import lifetime
from edgeagent.tools.users import UserCommands
from firmware_iface import catalog

MACHINE = MachineTable("RO0001", (ModbusTcpTable("reflow10", "127.0.0.1", 1),))
FILE = """\
[openapps.http]
host = "0.0.0.0"
port = {port}
tls = true
[openapps.lines]
enabled = false
[tls]
certificate = "tls/server.pem"
key = "file:tls/server.key"
[[machines]]
id = "RO0001"
[[machines.sources]]
kind = "modbus-tcp"
map = "reflow10"
host = "127.0.0.1"
port = 1
"""


@pytest.fixture
def users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Types a command on the users of a store; its exit code, what it printed, and its errors."""
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["users", *arguments, "--store", str(tmp_path / "edgeagent.sqlite3")])
        return code, *capsys.readouterr()

    return run


def kept(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "users.json").read_text())["users"]


def test_a_token_is_shown_once_alone_on_the_output_and_kept_as_its_hash(tmp_path: Path, users: Any) -> None:
    code, token, told = users("add", "mes", "--role", "operator", "--expires", "90d", "--label", "line 3")
    assert code == 0
    assert "mes may operator" in told
    (user,) = kept(tmp_path)
    assert user["tokens"][0]["sha256"] == digest(token.strip())
    assert token.strip() not in (tmp_path / "users.json").read_text()
    listed = users("list")[1]
    assert "mes   operator  token" in listed
    assert "line 3" in listed
    assert token.strip() not in listed
    assert "sha256" not in users("list", "--json")[1]


def test_a_token_is_replaced_without_a_moment_without_one(tmp_path: Path, users: Any) -> None:
    first = json.loads(users("add", "mes", "--role", "viewer", "--json")[1])
    second = json.loads(users("token", "mes", "--json", "--expires", "12w")[1])
    assert digest(second["token"]) in {token["sha256"] for token in kept(tmp_path)[0]["tokens"]}
    assert users("revoke", "mes", "--token", first["user"]["tokens"][0]["id"])[0] == 0
    assert [token["sha256"] for token in kept(tmp_path)[0]["tokens"]] == [digest(second["token"])]


def test_who_was_revoked_has_nothing_left_and_comes_back_with_a_new_token_only(tmp_path: Path, users: Any) -> None:
    users("add", "mes", "--role", "viewer")
    assert users("revoke", "mes")[1] == "mes is revoked\n"
    assert (kept(tmp_path)[0]["tokens"], kept(tmp_path)[0]["revoked"] is None) == ([], False)
    assert "was revoked" in users("token", "mes")[2]
    assert users("grant", "mes", "--function", "Status.Get", "--function", "Status.Get")[0] == 0
    assert (kept(tmp_path)[0]["role"], kept(tmp_path)[0]["functions"]) == (None, ["Status.Get"])
    assert users("token", "mes")[0] == 0


@pytest.mark.parametrize(("typed", "told"), [
    (["add", "mes", "--role", "viewer"], "there is a user mes already"), (["revoke", "mse"], "there is mes"),
    (["revoke", "mes", "--token", "0"], "has no token 0"), (["token", "nobody"], "there is no user nobody"),
    (["add", "b", "--function", "Status.Gett"], "did you mean Status.Get?"),
    (["add", "a b", "--role", "viewer"], "regex"),
    (["add", "loopback", "--role", "viewer"], "did not say who they are"),
    (["add", "b", "--role", "viewer", "--certificate", "none.pem"], "cannot be read"),
])  # fmt: skip
def test_what_does_not_fit_is_told_and_changes_nothing(
    tmp_path: Path, users: Any, typed: list[str], told: str
) -> None:
    users("add", "mes", "--role", "viewer")
    before = (tmp_path / "users.json").read_bytes()
    code, out, errors = users(*typed)
    assert (code, out) == (1, "")
    assert told in errors
    assert (tmp_path / "users.json").read_bytes() == before


@pytest.mark.parametrize("text", ["", "0d", "90", "1y", "-1d", "99999d", "1.5h"])
def test_a_time_that_cannot_be_meant_is_wrong_usage(text: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["users", "add", "mes", "--role", "viewer", f"--expires={text}"])
    assert ended.value.code == 2


def test_a_time_has_a_number_and_a_unit() -> None:
    assert [lifetime(text).total_seconds() for text in ("36h", "90d", "12w")] == [36 * 3600, 90 * 86400, 84 * 86400]


def test_keys_are_for_their_owner_alone_are_never_overwritten_and_fit_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["keys", "init", "--folder", str(tmp_path / "tls"), "--name", "oven1.factory", "--name", "10.1.2.3",
               "--client", "panel", "--json"]  # fmt: skip
    assert main(command) == 0
    made = json.loads(capsys.readouterr().out)
    assert sorted(Path(file).name for file in made) == [
        "ca.key", "ca.pem", "client.key", "client.pem", "server.key", "server.pem"]  # fmt: skip
    assert {stat.S_IMODE(Path(file).stat().st_mode) for file in made} == {0o600}
    before = {file: Path(file).read_bytes() for file in made}
    assert main(command) == 1
    assert "is there already; nothing is overwritten: name another folder with --folder" in capsys.readouterr().err
    assert {file: Path(file).read_bytes() for file in made} == before
    decode = ssl._ssl._test_decode_cert  # type: ignore[attr-defined]
    names = {value for _, value in decode(str(tmp_path / "tls/server.pem"))["subjectAltName"]}
    assert {"localhost", "127.0.0.1", "oven1.factory", "10.1.2.3"} <= names
    assert main(["keys", "init", "--folder", str(tmp_path / "x"), "--name", "ofen größe"]) == 1


def configuration(**table: Any) -> Configuration:
    outlets = OpenAppsTable(http=HttpTable(port=0, **table), lines=LinesTable(enabled=False))
    return Configuration((MACHINE,), openapps=outlets, tls=TlsTable("server.pem", "file:server.key"))


LOADED = """
import sys
import edgeagent.cli, edgeagent.service, edgeagent.tools.users, edgeagent.publish.transports.tls
assert edgeagent.cli.main(["users", "list", "--store", sys.argv[1] + "/store"]) == 0
assert not [name for name in sys.modules if name.partition(".")[0] in ("cryptography", "cffi")]
assert edgeagent.cli.main(["keys", "init", "--folder", sys.argv[1]]) == 0
assert "cryptography" in sys.modules
"""


def test_what_makes_keys_is_loaded_for_that_alone(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-P", "-c", LOADED, str(tmp_path)], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()


def test_beyond_this_computer_nothing_begins_without_users_and_keys_and_the_line_is_named(
    tmp_path: Path, users: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(FILE.format(port=8480))
    assert main(["check", str(file)]) == 78
    assert "agent.toml:2: openapps.http.host: other computers may come in here" in capsys.readouterr().err
    assert main(["run", str(file)]) == 78
    assert "edgeagent users add NAME" in capsys.readouterr().err
    users("add", "mes", "--role", "viewer")
    assert main(["check", str(file), "--json"]) == 78
    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert (fault["line"], fault["key"]) == (9, "tls.key")
    assert "No such file" in fault["reason"]
    main(["keys", "init", "--folder", str(tmp_path / "tls")])
    assert secured(configuration(), tmp_path / "edgeagent.sqlite3") is None
    (tmp_path / "users.json").write_text("damaged")
    (tmp_path / "tls/server.key").rename(tmp_path / "server.key")
    (tmp_path / "tls/server.pem").rename(tmp_path / "server.pem")
    opened = secured(configuration(host="0.0.0.0", tls=True), tmp_path / "edgeagent.sqlite3", file)
    assert opened, "a damaged file of users is no reason to watch nothing"


def test_a_key_may_be_a_credential_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["keys", "init", "--folder", str(tmp_path)])
    outlets = OpenAppsTable(http=HttpTable(tls=True))
    wanted = Configuration((MACHINE,), openapps=outlets,
                           tls=TlsTable(str(tmp_path / "server.pem"), "credential:server.key"))  # fmt: skip
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="LoadCredential"):
        secured(wanted, tmp_path / "store")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert secured(wanted, tmp_path / "store")


def test_an_agent_that_runs_heeds_each_command_and_tells_the_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "init", "--folder", str(tmp_path / "tls")]) == 0
    file = tmp_path / "agent.toml"
    file.write_text(FILE.format(port=0))
    def typed(*arguments: str) -> str:
        capsys.readouterr()
        assert UserCommands(parser().parse_args(["users", *arguments, "--config", str(file)])).run()
        return capsys.readouterr().out.strip()

    token = tmp_path / "token"
    token.write_text(typed("add", "mes", "--role", "viewer"))

    async def go() -> None:
        tls = TlsTable("tls/server.pem", "file:tls/server.key")
        outlets = OpenAppsTable(http=HttpTable("0.0.0.0", 0, tls=True), lines=LinesTable(enabled=False))
        maps = {"RO0001": (catalog.builtin("reflow10"),)}
        agent = Agent(Configuration((MACHINE,), openapps=outlets, tls=tls), maps, tmp_path / "edgeagent.sqlite3",
                      Clock(), None, file)  # fmt: skip
        await agent.start()
        try:
            port = agent.addresses["HTTP"].rpartition(":")[2].removesuffix("/rpc")
            place = ["--agent", f"https://localhost:{port}", "--ca", str(tmp_path / "tls/ca.pem")]
            shown = ["--token-file", str(token)]
            ask = lambda *more: asyncio.to_thread(main, ["status", *place, *more])  # noqa: E731
            assert [await ask(), await ask(*shown)] == [4, 0]
            assert await asyncio.to_thread(main, ["status", "--agent", place[1], *shown]) == 3
            typed("revoke", "mes")
            assert await ask(*shown) == 4
            typed("grant", "mes", "--role", "operator")
            token.write_text(typed("token", "mes"))
            assert await ask(*shown) == 0
            (tmp_path / "users.json").write_text("{")
            assert await ask(*shown) == 4
            assert "is damaged" in str(agent.health.ready()[1]["users"])
            assert agent.health.ready()[0]
        finally:
            await agent.stop()

    asyncio.run(go())
    (record,) = tmp_path.glob("edgeagent.sqlite3.audit.*")
    lines = record.read_text().splitlines()
    entries = [json.loads(line)["entry"] for line in lines]
    changes = [each["reason"] for each in entries if each["kind"] == "users" and "token" not in each["reason"]]
    assert changes == ["mes was added and may viewer", "mes was revoked", "mes may operator, before viewer",
                       "mes is allowed again"]  # fmt: skip
    refused = [each for each in entries if each["kind"] == "refusal"]
    assert refused[0]["transport"] == "http"
    assert sum(each.get("count", 1) for each in refused) == 3
