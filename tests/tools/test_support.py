"""The support file: what is in it, who may read it, and what must never be in it."""

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tarfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.model.tokens import digest, new_token
from edgeagent.model.users import Token, User
from edgeagent.store import Database
from edgeagent.store.users import change, users_file
from edgeagent.tools.redaction import LEFT_OUT, without_secrets
from edgeagent.tools.store_facts import facts
from firmware_iface import catalog
from tests.publish.test_metrics import agent, until

CONFIGURATION = """\
# The agent of line 3, broker mqtt://user:hunter2@broker
# password = "hunter2"
[[machines]]
id = "RO0001"                      # tunnel
[[machines.sources]]
kind = "modbus-tcp"
map = "reflow10"
host = "127.0.0.1"
port = 1
"""


async def support(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "edgeagent", "support", *arguments, cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        files = {each.name: each for each in archive.getmembers()}
        assert all(each.isfile() and each.mode == 0o600 for each in files.values())
        return {name.partition("/")[2]: archive.extractfile(each).read().decode() for name, each in files.items()}


def test_a_running_agents_file_holds_everything_and_is_for_its_owner_alone(tmp_path):
    async def main() -> None:
        async with agent(tmp_path) as (running, _):
            await until(lambda: running.units[0].status().connected)
            code, out, err = await support(tmp_path, "--config", "agent.toml", "--output", "a.tar.gz")
        assert (code, err) == (0, "")
        assert "production data" in out
        assert stat.S_IMODE((tmp_path / "a.tar.gz").stat().st_mode) == 0o600
        found = contents(tmp_path / "a.tar.gz")
        frames = [name for name in found if name.startswith("frames/")]
        assert {"README.txt", "configuration.toml", "maps/reflow10.toml", "versions.json", "metrics.txt", "logs.jsonl",
                "live.json", "store.json"} <= found.keys()
        assert len(frames) == 1
        assert " heard 00 01" in found[frames[0]]
        assert "edgeagent_machine_connected" in found["metrics.txt"]
        live = json.loads(found["live.json"])
        assert live["machines"][0]["status"]["machine"] == "RO0001"
        assert live["readiness"]["store"] is None
        store = json.loads(found["store.json"])
        assert store["quick_check"] == "ok"
        assert store["user_version"] >= 1
        assert store["open_in_process"] == str(os.getpid())
        assert "aiohttp" in json.loads(found["versions.json"])["packages"]
        assert "production data" in found["README.txt"]
        for name in found.keys() - {"README.txt"}:
            assert name in found["README.txt"]

    asyncio.run(main())


def test_a_running_agent_is_asked_though_its_configuration_cannot_be_used_any_more(tmp_path):
    async def main() -> None:
        async with agent(tmp_path):
            (tmp_path / "agent.toml").write_text('[agent]\nstore = "store.sqlite3"\n[[machines]]\nid = "?"\n')
            await support(tmp_path, "--config", "agent.toml", "--output", "a.tar.gz")
        assert {"configuration-faults.txt", "live.json", "metrics.txt"} <= contents(tmp_path / "a.tar.gz").keys()

    asyncio.run(main())


def test_an_agent_that_is_named_by_its_address_is_asked_with_a_token_of_an_administrator(tmp_path):
    async def main() -> None:
        boss, clerk = (new_token() for _ in range(2))
        async with agent(tmp_path) as (_, address):
            change(users_file(tmp_path / "store.sqlite3"), lambda _: (
                known("boss", "administrator", boss), known("clerk", "engineer", clerk)))
            for name, token in (("boss", boss), ("clerk", clerk)):
                (tmp_path / f"{name}.token").write_text(token)
                await support(tmp_path, "--config", "agent.toml", "--output", f"{name}.tar.gz", "--agent", address,
                              "--token-file", f"{name}.token")
            await support(tmp_path, "--config", "agent.toml", "--output", "nobody.tar.gz", "--agent", address)
        assert "live.json" in contents(tmp_path / "boss.tar.gz")
        missing = contents(tmp_path / "clerk.tar.gz")["live-missing.txt"]
        assert missing.startswith(f"{address}: answered 403: ")
        assert "needs the role administrator" in missing
        assert "answered 401" in contents(tmp_path / "nobody.tar.gz")["live-missing.txt"]
        assert "console" not in "".join(contents(tmp_path / "nobody.tar.gz")["live-missing.txt"])

    asyncio.run(main())


def known(name: str, role: str, token: str) -> User:
    now = datetime.now(UTC)
    return User(name=name, role=role, created=now,
                tokens=(Token(id=digest(token)[:8], sha256=digest(token), created=now),))  # fmt: skip


@pytest.mark.parametrize("address", ["foo", "ftp://127.0.0.1:8480", "http://127.0.0.1:99999", "http://[::1"])
def test_what_is_no_address_is_refused_before_anything_is_packed(tmp_path, address):
    code, _, err = asyncio.run(support(tmp_path, "--agent", address, "--output", "a.tar.gz"))
    assert code == 2
    assert f"{address!r} is not an address like http://127.0.0.1:8480" in err
    assert not (tmp_path / "a.tar.gz").exists()


def test_an_agent_that_is_down_costs_only_its_live_part(tmp_path):
    (tmp_path / "agent.toml").write_text(CONFIGURATION + "[openapps.http]\nport = 1\n")
    code, out, err = asyncio.run(support(tmp_path, "--config", "agent.toml", "--output", "a.tar.gz"))
    assert (code, err) == (0, "")
    assert "why nothing is here of the running agent" in out
    found = contents(tmp_path / "a.tar.gz")
    assert "http://127.0.0.1:1: " in found["live-missing.txt"]
    assert "there is no such file" in found["store.json"]
    assert "hunter2" not in "".join(found.values())
    assert '# tunnel' in found["configuration.toml"]
    assert not {"metrics.txt", "live.json"} & found.keys()


def test_a_configuration_that_cannot_be_used_is_packed_with_its_faults(tmp_path):
    (tmp_path / "agent.toml").write_text(CONFIGURATION + 'passwort = "x"\ntoken = "hunter3\n')
    code, _, _ = asyncio.run(support(tmp_path, "--config", "agent.toml", "--output", "a.tar.gz"))
    found = contents(tmp_path / "a.tar.gz")
    assert code == 0
    assert "agent.toml:11" in found["configuration-faults.txt"]
    assert "hunter" not in "".join(found.values())


def test_maps_of_the_same_name_in_two_folders_are_both_packed(tmp_path):
    shipped = catalog.builtin_text("reflow10")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "oven.toml").write_text(f"# of {folder}\n{shipped}")
    source = ('[[machines]]\nid = "{0}"\n[[machines.sources]]\nkind = "modbus-tcp"\nmap = "./{0}/oven.toml"\n'
              'host = "127.0.0.1"\n')
    (tmp_path / "agent.toml").write_text(
        "[openapps.http]\nport = 1\n" + source.format("a") + source.format("b") + "port = 503\n")
    asyncio.run(support(tmp_path, "--config", "agent.toml", "--output", "s.tar.gz"))
    maps = [text for name, text in contents(tmp_path / "s.tar.gz").items() if name.startswith("maps/")]
    assert {text.partition("\n")[0] for text in maps} == {"# of a", "# of b"}


def test_a_configuration_that_is_not_there_is_told_at_once(tmp_path):
    code, out, _ = asyncio.run(support(tmp_path, "--config", "none.toml", "--output", "a.tar.gz"))
    assert code == 0
    assert "could not be gathered: [Errno 2] No such file or directory: 'none.toml'" in out
    assert "none.toml: cannot be read" in contents(tmp_path / "a.tar.gz")["live-missing.txt"]


def test_the_agents_address_is_held_against_what_an_address_is(tmp_path):
    code, _, err = asyncio.run(support(tmp_path, "--agent", "https://x"))
    assert code == 2
    assert "'https://x' is not an address like" in err
    assert not list(tmp_path.iterdir())


def test_no_file_is_overwritten_and_none_is_left_of_a_failure(tmp_path):
    (tmp_path / "a.tar.gz").write_text("precious")
    code, _, err = asyncio.run(support(tmp_path, "--config", "none.toml", "--output", "a.tar.gz"))
    assert code == 1
    assert "a.tar.gz is there already" in err
    assert (tmp_path / "a.tar.gz").read_text() == "precious"


@pytest.mark.parametrize(("text", "shown"), [
    ('password = "a b" # mine\nport = 1', f'password = "{LEFT_OUT}" # mine\nport = 1'),
    ("# mqtt.password='x'", f'# mqtt.password="{LEFT_OUT}"'),
    ('# Password: hunter2', f'# Password: {LEFT_OUT}'),
    ('port = 1 # with Authorization: Bearer x', f'port = 1 # with Authorization: {LEFT_OUT}'),
    ('apikey = "x"\npwd = "y"', f'apikey = "{LEFT_OUT}"\npwd = "{LEFT_OUT}"'),
    ('user = { name = "n", token = "t" }', f'user = {{ name = "n", token = "{LEFT_OUT}" }}'),
    ('api_keys = [\n "a",\n "b",\n]\nx = 1', f'api_keys = "{LEFT_OUT}"\nx = 1'),
    ('"client secret" = """a\nb"""', f'"client secret" = "{LEFT_OUT}"'),
    ('url = "amqp://me:pw@host/x"', f'url = "amqp://{LEFT_OUT}@host/x"'),
    ('store = "a.sqlite3"   # default', 'store = "a.sqlite3"   # default'),
    ('[users.passwords]\nann = "x"', "# left out: it is not certain where ann ends\n"),
    ('token = "begins\nand ends"', "# left out: it is not certain where token ends\n"),
])  # fmt: skip
def test_values_of_secrets_are_left_out_and_nothing_else(text, shown):
    assert without_secrets(text) == shown


_KEYS = st.sampled_from(["password", "mqtt_password", "api_key", "Token", "clientSecret", "credentials"])


@given(_KEYS, st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_no_secret_gets_through_whatever_it_is_made_of(key, secret):
    text = f"a = 1\n{key} = {json.dumps(secret)} # kept\n[b]\nc = {{ {key} = {json.dumps(secret)}, d = 5 }}\n"
    shown = without_secrets(text)
    if not shown.startswith("# left out"):
        found = tomllib.loads(shown)
        assert found == {"a": 1, key: LEFT_OUT, "b": {"c": {key: LEFT_OUT, "d": 5}}}


@given(st.text())
def test_any_text_is_shown_or_left_out_and_never_raises(text):
    without_secrets(text)


def test_facts_of_a_store_are_read_beside_its_writer_and_bounded_in_time(tmp_path):
    async def main() -> None:
        database = Database(tmp_path / "store.sqlite3")
        database.open()
        await database.write(lambda c: c.executemany(
            "INSERT INTO events VALUES(?, 't', 'M', 0, ?)", ((n, b"x" * 50) for n in range(1, 20001))))
        told = facts(database.path, 20)
        assert told["sequences"] == [(1, 20000)]
        assert told["rows of events"] == 20000
        assert told["quick_check"] == "ok"
        assert told["bytes"].keys() >= {"store.sqlite3", "store.sqlite3-wal"}
        assert facts(database.path, -1)["quick_check"] == "not finished in time"
        await asyncio.to_thread(database.close)

    asyncio.run(main())


def test_what_is_no_store_is_told(tmp_path):
    (tmp_path / "store.sqlite3").write_text("this is not a database, whatever its name says, and it is long enough")
    assert "not a database" in json.dumps(facts(tmp_path / "store.sqlite3", 5))
    with sqlite3.connect(tmp_path / "other.sqlite3") as other:
        other.execute("CREATE TABLE a(b)")
    other.close()
    told = facts(tmp_path / "other.sqlite3", 5)
    assert told["meta"] == "cannot be told: no such table: meta"
    assert told["rows of a"] == 0
