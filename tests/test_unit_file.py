"""The unit that systemd gets, as systemd itself judges it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeagent.tools import installation
from tests.surroundings import of_the_service

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is missing")


def analyze(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def unit(tmp_path) -> Path:
    """The unit as `edgeagent install` writes it, for a program that is there."""
    program = tmp_path / "the agent" / "edgeagent"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "edgeagent.service").write_text(installation.unit(program))
    return tmp_path / "edgeagent.service"


def test_the_agent_reads_no_authorities_at_its_start():
    count = "import aiohttp.web, aiohttp.connector as c; print(len(c._SSL_CONTEXT_VERIFIED.get_ca_certs()))"
    told = subprocess.run([sys.executable, "-P", "-c", count], env=of_the_service(), capture_output=True, check=True)
    assert told.stdout.strip() == b"0"


@needs_systemd
def test_its_exposure_is_at_most_1_5(unit):
    judged = analyze("security", "--offline=yes", "--threshold=15", str(unit))
    assert judged.returncode == 0, judged.stdout + judged.stderr
    open_door = unit.with_name("open.service")
    open_door.write_text(unit.read_text().replace("ProtectSystem=strict", ""))
    assert analyze("security", "--offline=yes", "--threshold=15", str(open_door)).returncode


@needs_systemd
def test_systemd_finds_no_fault_in_it(unit):
    judged = analyze("verify", str(unit))
    about_it = [line for line in (judged.stdout + judged.stderr).splitlines() if "edgeagent" in line]
    assert not about_it
    unit.write_text(unit.read_text().replace("Restart=always", "Restart=sometimes"))
    assert "edgeagent.service" in analyze("verify", str(unit)).stderr


def test_a_bad_configuration_is_not_tried_again_and_everything_else_for_ever():
    text = installation.shipped("edgeagent.service")
    settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    assert settings["Type"] == "notify"
    assert settings["RestartPreventExitStatus"] == "78"
    assert (settings["Restart"], settings["StartLimitIntervalSec"]) == ("always", "0")
    assert settings["RestartSec"] == "1", "boards move on while it is away"
    assert settings["ConditionPathExists"] == f"{installation.CONFIGURATION}/edgeagent.toml"
