"""`edgeagent install` and `uninstall`, as an administrator types them, on the tree of an image."""

import os
import pty
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edgeagent import config
from edgeagent.errors import EdgeAgentError
from edgeagent.tools import installation

UNIT = Path("etc/systemd/system/edgeagent.service")
IS_ROOT = os.geteuid() == 0
needs_sysusers = pytest.mark.skipif(IS_ROOT and not shutil.which("systemd-sysusers"), reason="systemd-sysusers missing")


def edgeagent(*words: str, **more) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-P", "-m", "edgeagent", *words], capture_output=True, text=True,
                          timeout=60, check=False, **more)  # fmt: skip


def tree(root: Path) -> set[str]:
    """Files, links and folders of ours in a tree."""
    return {str(path.relative_to(root)) for path in root.rglob("*edgeagent*")}


INSTALLED = {
    "etc/edgeagent", "etc/edgeagent/edgeagent.toml.example", str(UNIT), "etc/sysusers.d/edgeagent.conf",
    "etc/systemd/system/multi-user.target.wants/edgeagent.service", "etc/udev/rules.d/99-edgeagent-serial.rules",
    "var/lib/edgeagent",
}  # fmt: skip


BESIDE_THE_STORE = (
    "users.json", "users.json.lock", "tls/server.key", "edgeagent.sqlite3.audit.000000000001",
    "edgeagent.sqlite3.audit.torn-20261121T215300.000000Z", "edgeagent.sqlite3.audit.accept",
)  # fmt: skip


@needs_sysusers
def test_install_says_what_it_did_and_does_it_once(tmp_path):
    first = edgeagent("install", "--root", str(tmp_path), "--yes")
    assert first.returncode == 0, first.stderr
    assert tree(tmp_path) == INSTALLED
    assert f"done: write {tmp_path / UNIT}" in first.stdout
    assert "install -m 640 -g edgeagent" in first.stdout
    assert stat.S_IMODE((tmp_path / "etc/edgeagent").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "var/lib/edgeagent").stat().st_mode) == 0o700
    assert (tmp_path / "etc/systemd/system/multi-user.target.wants/edgeagent.service").resolve() == tmp_path / UNIT
    assert f"ExecStart={Path(sys.executable).parent}/edgeagent run" in (tmp_path / UNIT).read_text()
    if IS_ROOT:
        users = (tmp_path / "etc/passwd").read_text()
        number = next(line.split(":")[2] for line in users.splitlines() if line.startswith("edgeagent:"))
        assert (tmp_path / "var/lib/edgeagent").stat().st_uid == int(number)
        groups = (tmp_path / "etc/group").read_text().splitlines()
        assert [line.split(":")[3] for line in groups if line.startswith("dialout:")] == ["edgeagent"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = edgeagent("install", "--root", str(tmp_path))
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "Everything is as it should be; nothing to do.")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@needs_sysusers
def test_uninstall_keeps_configuration_and_store_until_they_are_purged(tmp_path):
    assert edgeagent("install", "--root", str(tmp_path), "--yes").returncode == 0
    (tmp_path / "etc/edgeagent/edgeagent.toml").write_text("mine")
    beside = {f"var/lib/edgeagent/{name}" for name in BESIDE_THE_STORE}
    for name in (*beside, "var/lib/edgeagent/edgeagent.sqlite3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("boards")
    (tmp_path / UNIT).write_text("an older one")
    assert f"done: write {tmp_path / UNIT}" in edgeagent("install", "--root", str(tmp_path), "--yes").stdout
    assert (tmp_path / "etc/edgeagent/edgeagent.toml").read_text() == "mine"
    removed = edgeagent("uninstall", "--root", str(tmp_path), "--yes")
    assert removed.returncode == 0, removed.stderr
    assert "Left behind: " in removed.stdout
    kept = {"etc/edgeagent", "etc/edgeagent/edgeagent.toml", "var/lib/edgeagent", "var/lib/edgeagent/edgeagent.sqlite3"}
    assert tree(tmp_path) == kept | {name for name in beside if "sqlite3" in name}
    assert all((tmp_path / name).is_file() for name in beside)
    assert edgeagent("uninstall", "--root", str(tmp_path), "--yes", "--purge").returncode == 0
    assert tree(tmp_path) == set()
    assert not (tmp_path / "var/lib/edgeagent").exists()
    assert not IS_ROOT or "edgeagent" not in (tmp_path / "etc/passwd").read_text()


def test_nothing_is_changed_where_nobody_can_be_asked(tmp_path):
    refused = edgeagent("install", "--root", str(tmp_path), stdin=subprocess.DEVNULL)
    assert refused.returncode == 1
    assert refused.stderr == "edgeagent: nobody is there to be asked: say --yes\n"
    assert "To be done:\n  write " in refused.stdout
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_tree_that_is_not_there_is_not_made(tmp_path, command):
    done = edgeagent(command, "--root", str(tmp_path / "imgae"), "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"edgeagent: {tmp_path / 'imgae'} is no folder: name the tree of an image\n"
    assert not any(tmp_path.iterdir())


@needs_sysusers
@pytest.mark.skipif(not IS_ROOT, reason="only root gives folders away")
def test_the_agent_may_read_its_configuration_in_a_tree_that_has_no_users_yet(tmp_path):
    assert edgeagent("install", "--root", str(tmp_path), "--yes").returncode == 0
    group = next(line.split(":")[2] for line in (tmp_path / "etc/group").read_text().splitlines()
                 if line.startswith("edgeagent:"))  # fmt: skip
    assert ((tmp_path / "etc/edgeagent").stat().st_uid, (tmp_path / "etc/edgeagent").stat().st_gid) == (0, int(group))


@needs_sysusers
@pytest.mark.parametrize(("answer", "is_done"), [("y\n", True), ("\n", False), (None, False)])
def test_on_a_terminal_it_asks(tmp_path, answer, is_done):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-P", "-m", "edgeagent", "install", "--root", str(tmp_path)],
                               stdin=theirs, stdout=theirs, stderr=theirs)  # fmt: skip
    os.close(theirs)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(ours, 10_000)
    if answer is None:
        process.send_signal(signal.SIGINT)
    else:
        os.write(ours, answer.encode())
    assert process.wait(30) == (0 if is_done else 1)
    os.close(ours)
    assert tree(tmp_path) == (INSTALLED if is_done else set())


def test_only_root_changes_this_computer(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EdgeAgentError, match="use sudo"):
        installation.Root(Path("/")).demand_rights()


def test_the_example_that_is_installed_can_be_used_once_it_names_the_machine(tmp_path):
    (tmp_path / "a.toml").write_text(installation.shipped("edgeagent.toml"))
    configuration, _ = config.load(tmp_path / "a.toml")
    assert configuration.agent.store == f"{installation.STORE}/edgeagent.sqlite3"


def test_the_unit_names_a_program_wherever_it_is():
    assert 'ExecStart="/srv/a 100%% \\"b\\"/edgeagent" run' in installation.unit(Path('/srv/a 100% "b"/edgeagent'))
    assert "\nProtectHome=read-only\n" in installation.unit(Path("/home/ada/venv/bin/edgeagent"))


def test_a_program_that_the_service_could_not_reach_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(installation, "_HIDDEN", ())
    (tmp_path / "open" / "closed").mkdir(parents=True)
    (tmp_path / "open").chmod(0o755)
    (tmp_path / "open" / "closed").chmod(0o700)
    assert "is closed to others" in installation.unreachable(tmp_path / "open" / "closed" / "edgeagent")
    assert installation.unreachable(Path("/usr/bin/env")) is None


def test_a_service_has_a_tmp_of_its_own():
    assert installation.unreachable(Path("/tmp/venv/bin/edgeagent")) == "a service sees no file of /tmp"


def test_a_missing_program_of_the_system_is_told_in_a_sentence():
    with pytest.raises(EdgeAgentError, match="is this a Linux with systemd"):
        installation.run("systemd-nothing")
    with pytest.raises(EdgeAgentError, match="false --really failed"):
        installation.run("false", "--really")
