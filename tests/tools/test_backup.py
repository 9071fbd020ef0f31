"""`edgeagent backup` and `edgeagent restore` as people and scripts type them."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from edgeagent.cli import main
from edgeagent.store import Journal
from edgeagent.store.schema import MIGRATIONS
from tests.journeys.plant import plant
from tests.store.samples import board, left, with_store
from tests.store.test_standing import happen
from tests.surroundings import beside_the_tests

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import asyncio, sys
from edgeagent.store import Database
async def main():
    Database(sys.argv[1]).open()
    print("open", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.fixture
def store(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        await journal.settled(journal.append([left(board("board-1", codes=("PCB-1",)))]))

    with_store(tmp_path / "s.db", use)
    return tmp_path / "s.db"


def test_a_backup_says_what_is_in_it(store, tmp_path, capsys):
    stream = happen(store)[0]
    assert main(["backup", "--store", str(store), str(tmp_path / "b.db")]) == 0
    told = capsys.readouterr().out
    for words in (f"{tmp_path / 'b.db'}: backup of {store}",
                  f"layout {len(MIGRATIONS)}", f"1 to 1 (1) of stream {stream}", "boards  1"):
        assert words in told
    assert main(["backup", "--store", str(store), str(tmp_path / "b.db")]) == 1
    assert "or give --force" in capsys.readouterr().err
    assert main(["backup", "--store", str(store), str(tmp_path / "b.db"), "--force", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["backup"], told["stream"], told["boards"]) == (str(tmp_path / "b.db"), stream, 1)


def test_the_store_of_the_installed_service_is_found_without_being_named(store, tmp_path, capsys, monkeypatch):
    installed = tmp_path / "agent.toml"
    monkeypatch.setattr("edgeagent.tools.asking.INSTALLED", installed)
    assert main(["backup", str(tmp_path / "b.db")]) == 78
    assert "name the store with --config FILE or --store FILE" in capsys.readouterr().err
    installed.write_text('[agent]\nstore = "s.db"\n[[machines]]\nid = "M1"\n[[machines.sources]]\nkind = "modbus-tcp"\n'
                         'map = "reflow10"\nhost = "127.0.0.1"\n')
    happen(store)
    assert main(["backup", str(tmp_path / "b.db")]) == 0
    assert f"backup of {store}" in capsys.readouterr().out
    assert main(["restore", str(tmp_path / "b.db"), "--yes"]) == 0
    assert f"{store}: restored" in capsys.readouterr().out


def test_a_backup_of_a_store_with_damaged_rows_is_kept_and_fails(store, tmp_path, capsys):
    with_store(store, lambda database: database.write(lambda c: c.execute("UPDATE boards SET body = x'00'").rowcount))
    assert main(["backup", "--store", str(store), str(tmp_path / "b.db")]) == 1
    assert "damaged 1 rows of boards" in capsys.readouterr().out
    assert (tmp_path / "b.db").exists()


def test_without_an_agent_the_store_is_restored_at_once(store, tmp_path, capsys):
    backup = str(tmp_path / "b.db")
    before = happen(store, 2)
    assert main(["backup", "--store", str(store), backup]) == 0
    happen(store, 5)
    assert main(["restore", "--store", str(store), backup, "--yes"]) == 0
    told = capsys.readouterr().out
    assert "5 events newer than the backup are no longer told" in told
    assert f"{store}: restored" in told
    after = happen(store)
    assert after[0] != before[0]
    assert after[1] == 8


def test_nobody_to_ask_and_no_yes_changes_nothing(store, tmp_path):
    backup = str(tmp_path / "b.db")
    main(["backup", "--store", str(store), backup])
    before = store.read_bytes()
    done = run("restore", "--store", store, backup, stdin=subprocess.DEVNULL)
    assert (done.returncode, "say --yes" in done.stderr) == (1, True)
    assert store.read_bytes() == before
    assert not list(tmp_path.glob("s.db.restore*"))


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"\n", 1)])
def test_at_a_terminal_it_asks(store, tmp_path, answer, code):
    backup = str(tmp_path / "b.db")
    main(["backup", "--store", str(store), backup])
    stream = happen(store)[0]
    ours, theirs = pty.openpty()
    try:
        # Typed ahead, so that nothing has to wait for the question.
        termios.tcflush(theirs, termios.TCIOFLUSH)
        os.write(ours, answer)
        done = run("restore", "--store", store, backup, stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert "restore it? [y/N]" in done.stderr
    assert done.returncode == code
    assert (happen(store)[0] != stream) == (code == 0)


def test_a_process_that_would_only_end_is_not_told_to_begin_anew(store, tmp_path):
    backup = str(tmp_path / "b.db")
    main(["backup", "--store", str(store), backup])
    holder = subprocess.Popen([sys.executable, "-P", "-c", HOLD, store], stdout=subprocess.PIPE, cwd=ROOT,
                              env=beside_the_tests())
    try:
        assert holder.stdout.readline() == b"open\n"
        done = run("restore", "--store", store, backup, "--yes")
        assert done.returncode == 1
        assert f"process {holder.pid} has it open and does not begin anew when told: stop it" in done.stderr
        assert holder.poll() is None
        assert not list(tmp_path.glob("s.db.restore*"))
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()


def test_a_running_agent_is_backed_up_and_restored(tmp_path):
    asyncio.run(under_a_running_agent(tmp_path))


async def under_a_running_agent(folder):
    config, backup = folder / "agent.toml", folder / "b.db"
    async with plant(folder, 10.0) as the_plant:
        await the_plant.start_agent()
        stream, _ = await standing(the_plant)
        done = await asyncio.to_thread(run, "backup", "--config", config, backup, "--json")
        assert (done.returncode, json.loads(done.stdout)["stream"]) == (0, stream), done.stderr
        number = the_plant.agent.pid
        done = await asyncio.to_thread(run, "restore", "--config", config, backup, "--yes")
        assert done.returncode == 0, done.stderr
        assert "the state of the agent, RO0001" in done.stdout
        await the_plant.hear_addresses()
        assert the_plant.agent.returncode is None
        assert the_plant.agent.pid == number
        after, events = await standing(the_plant)
        assert after != stream
        told = [event["data"] for event in events if event["method"] == "Configuration.Changed"]
        (restored,) = [data for data in told if data["what"] == "store"]
        assert (restored["by"], restored["from"]) == ("restore", None)
        assert restored["to"].startswith("backup of 20")
        await the_plant.end_agent()
        await the_plant.start_agent()
        again, events = await standing(the_plant)
        assert again == after
        assert [event["data"]["what"] for event in events if event["method"] == "Configuration.Changed"] == ["store"]


async def standing(the_plant):
    client = await the_plant.client()
    try:
        answer = await client.call("Event.Read", **{"from": "beginning", "limit": 1000})
        return answer["stream"], answer["events"]
    finally:
        client.close()


def run(*arguments, stdin=subprocess.DEVNULL):
    return subprocess.run([sys.executable, "-P", "-m", "edgeagent", *map(str, arguments)], check=False, stdin=stdin,
                          text=True, capture_output=True, cwd=ROOT, timeout=60,
                          env=beside_the_tests())  # fmt: skip
