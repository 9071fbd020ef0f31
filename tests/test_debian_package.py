"""The Debian package in a computer of its own: a minimal Debian, booted with its own systemd in a container."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("debootstrap", "systemd-nspawn", "dpkg-deb", "strip")
MISSING = [tool for tool in TOOLS if not shutil.which(tool)]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} missing"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a container"),
]


def said(*words: str, **more) -> str:
    """What a program says; it must end well."""
    ended = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False, **more)
    assert ended.returncode == 0, f"{words}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


class Computer:
    """A booted Debian; it shares the network with this computer, so that an oven on loopback is in its reach."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self._enter = ("nsenter", "-t", str(leader), "-m", "-u", "-i", "-p", "--")

    def run(self, *words: str) -> str:
        return said(*self._enter, *words)

    def apt(self, package: Path) -> None:
        """Install a package with its dependencies."""
        shutil.copy(package, self.root / "root" / package.name)
        self.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends",
                 f"/root/{package.name}")
        (self.root / "root" / package.name).unlink()

    def unit(self) -> dict[str, str]:
        """What systemd knows of the agent; it leaves out what it does not know."""
        lines = self.run("systemctl", "show", "edgeagent").splitlines()
        return defaultdict(str, (line.split("=", 1) for line in lines))

    def until(self, what, within_s: float = 120.0) -> dict[str, str]:
        """Wait until it holds of the unit."""
        deadline = time.monotonic() + within_s
        while not what(unit := self.unit()):
            told = {key: unit[key] for key in ("ActiveState", "SubState", "StatusText", "ExecMainStatus")}
            assert time.monotonic() < deadline, f"{told}\n{self.run('journalctl', '-u', 'edgeagent', '-n', '50')}"
            time.sleep(0.5)
        return unit

    def ours(self) -> set[str]:
        """Every file that has our name, but for what apt and the journal keep of everything."""
        kept = ("/proc", "/sys", "/run", "/var/log", "/var/cache", "/var/lib/apt")
        return {
            path for path in self.run("find", "/", "-xdev", "-name", "*edgeagent*").splitlines()
            if not path.startswith(kept)
        }  # fmt: skip


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The package, built as it is released; EDGEAGENT_DEB names one that is built already."""
    if built := os.environ.get("EDGEAGENT_DEB"):
        return Path(built)
    return Path(said(str(ROOT / ".ci/deb"), str(tmp_path_factory.mktemp("deb"))).splitlines()[-1])


@pytest.fixture(scope="module")
def newer(package, tmp_path_factory) -> Path:
    """The same package with a higher version."""
    folder = tmp_path_factory.mktemp("newer")
    said("dpkg-deb", "-R", str(package), str(folder / "tree"))
    control = folder / "tree" / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 999", control.read_text()))
    said("dpkg-deb", "--root-owner-group", "-Znone", "-b", str(folder / "tree"), str(folder / "edgeagent_999.deb"))
    return folder / "edgeagent_999.deb"


@pytest.fixture(scope="module")
def computer(tmp_path_factory):
    """Debian 12 with systemd, booted."""
    folder = tmp_path_factory.mktemp("computer")
    root = folder / "root"
    said("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv", "bookworm", str(root))
    with (folder / "console").open("wb") as console:
        container = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", str(root), "--register=no", "--keep-unit", "--boot", "--console=pipe"],
            stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)  # fmt: skip
    try:
        leader = _leader(container)
        booted = Computer(root, leader)
        deadline = time.monotonic() + 60
        while not re.search("running|degraded", _state(booted)):
            assert time.monotonic() < deadline, (folder / "console").read_text(errors="replace")
            time.sleep(0.5)
        yield booted
    finally:
        container.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            container.wait(30)
        container.kill()
        container.wait()
        shutil.rmtree(root)


def _leader(container: subprocess.Popen) -> int:
    """The container's first process."""
    children = Path(f"/proc/{container.pid}/task/{container.pid}/children")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
        time.sleep(0.1)
    raise AssertionError("the container does not boot")


def _state(computer: Computer) -> str:
    try:
        return subprocess.run([*computer._enter, "systemctl", "is-system-running"], capture_output=True, text=True,
                              timeout=30, check=False).stdout  # fmt: skip
    except subprocess.TimeoutExpired:
        return ""


@contextmanager
def oven():
    """A simulated oven on this computer, with boards; gives its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "edgeagent", "simulate", "--port", str(port), "--speed", "20", "--interval", "40"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        assert process.stdout.readline()
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def events(port: int) -> dict:
    """Everything in the agent's journal."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection, connection.makefile("rb") as lines:
        request = {"jsonrpc": "2.0", "id": 1, "method": "Event.Read", "params": {"from": "beginning", "limit": 1000}}
        connection.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(lines.readline())["result"]


def configure(computer: Computer, modbus: int, lines: int) -> None:
    example = (computer.root / "etc/edgeagent/edgeagent.toml.example").read_text()
    example = example.replace('host = "192.168.10.5"', f'host = "127.0.0.1"\nport = {modbus}')
    example = example.replace("# port = 8481", f"port = {lines}").replace("# port = 8480", f"port = {free_port()}")
    example += "[simulation]\nspeed = 20.0\norigin = 2026-11-21T12:00:00Z\n"
    (computer.root / "etc/edgeagent/edgeagent.toml").write_text(example)


def test_it_installs_runs_upgrades_and_is_removed_without_a_trace(computer, package, newer):
    assert computer.ours() == set()
    computer.apt(package)
    unit = computer.unit()
    assert unit["UnitFileState"] == "enabled"
    assert (unit["ActiveState"], unit["ConditionResult"]) == ("inactive", "no"), "nobody said which machine it is"
    assert computer.run("stat", "-c", "%a %U %G", "/etc/edgeagent", "/var/lib/edgeagent").splitlines() == [
        "750 root edgeagent", "700 edgeagent edgeagent"]
    for place in ("bash-completion/completions/edgeagent", "zsh/vendor-completions/_edgeagent"):
        assert re.search(r"(?m)^(#compdef|complete .*) edgeagent$", computer.run("cat", f"/usr/share/{place}"))
    lines = free_port()
    with oven() as modbus:
        configure(computer, modbus, lines)
        assert "can be used" in computer.run("edgeagent", "check", "/etc/edgeagent/edgeagent.toml")
        computer.run("systemctl", "start", "edgeagent")
        unit = computer.until(lambda unit: re.search("boards? inside", unit["StatusText"]))
        assert unit["StatusText"].startswith("1 machine: RO0001 running, ")
        held_by_the_sandbox(computer, int(unit["MainPID"]))
        opened_for_the_group_alone(computer)
        assert "server.pem" in computer.run("edgeagent", "keys", "init", "--folder", "/root/tls")
        while not [event for event in events(lines)["events"] if event["method"] == "Board.ProcessCompleted"]:
            time.sleep(1)
        before = events(lines)

        computer.apt(newer)
        after = computer.until(lambda unit: unit["ActiveState"] == "active" and unit["StatusText"].startswith("1 mach"))
        assert after["MainPID"] != unit["MainPID"]
        computer.until(lambda unit: "running" in unit["StatusText"])
        kept = events(lines)
        assert kept["stream"] == before["stream"]
        assert kept["events"][: len(before["events"])] == before["events"]

        computer.run("systemctl", "reload", "edgeagent")
        computer.until(lambda unit: unit["ActiveState"] == "active" and "running" in unit["StatusText"])
        assert computer.unit()["MainPID"] == after["MainPID"]

        computer.run("sh", "-c", f"kill -STOP {after['MainPID']}")
        computer.until(lambda unit: unit["NRestarts"] == "1" and unit["ActiveState"] == "active")
        assert "Watchdog timeout" in computer.run("journalctl", "-u", "edgeagent", "-o", "cat")
        assert events(lines)["stream"] == before["stream"]
    assert "Traceback" not in computer.run("journalctl", "-u", "edgeagent", "-o", "cat")

    (computer.root / "etc/edgeagent/edgeagent.toml").write_text("[agents]\n")
    with suppress(AssertionError):
        computer.run("systemctl", "restart", "edgeagent")
    unit = computer.until(lambda unit: unit["ActiveState"] == "failed")
    assert unit["ExecMainStatus"] == "78"
    assert "unknown key" in unit["StatusText"]

    configure(computer, 9, lines)
    computer.run("systemctl", "restart", "edgeagent")
    computer.run("apt-get", "remove", "-y", "edgeagent")
    assert computer.unit()["ActiveState"] == "inactive"
    left = computer.ours()
    assert {"/etc/edgeagent/edgeagent.toml", "/var/lib/edgeagent/edgeagent.sqlite3"} <= left
    assert not [path for path in left if path.startswith(("/opt", "/usr/bin", "/lib/systemd", "/usr/lib"))]
    computer.run("apt-get", "purge", "-y", "edgeagent")
    assert computer.ours() == set()
    assert "edgeagent" not in computer.run("cat", "/etc/passwd", "/etc/group")


def opened_for_the_group_alone(computer: Computer) -> None:
    """The console answers root and the members of the service's group, who may not look into the store's folder."""
    assert computer.run("stat", "-c", "%a %U %G", "/run/edgeagent", "/run/edgeagent/console").splitlines() == [
        "750 edgeagent edgeagent", "660 edgeagent edgeagent"]
    for somebody in ((), ("runuser", "-u", "daemon", "-g", "edgeagent", "--")):
        assert "RO0001 is under offline control" in computer.run(*somebody, "edgeagent", "remote", "status")
    with pytest.raises(AssertionError, match="cannot be read"):
        computer.run("runuser", "-u", "daemon", "--", "edgeagent", "remote", "status")


def held_by_the_sandbox(computer: Computer, main: int) -> None:
    """What the unit closes is closed for the running agent."""
    status = computer.run("cat", f"/proc/{main}/status")
    assert re.search(r"(?m)^NoNewPrivs:\t1$", status)
    assert re.search(r"(?m)^Seccomp:\t2$", status)
    assert re.search(r"(?m)^CapBnd:\t0+$", status)
    assert computer.run("stat", "-c", "%U", f"/proc/{main}").strip() == "edgeagent"
    mounts = computer.run("cat", f"/proc/{main}/mountinfo")
    assert re.search(r"(?m)^\S+ \S+ \S+ \S+ / ro[, ]", mounts)
    assert re.search(r"(?m)^\S+ \S+ \S+ \S+ /var/lib/edgeagent rw[, ]", mounts)
