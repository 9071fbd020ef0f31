"""What systemd gives the agent: the lines of the unit, and nothing of a developer's shell."""

import os
import re
from pathlib import Path

import edgeagent
from edgeagent.tools import installation

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")


def of_the_service() -> dict[str, str]:
    """The environment in which figures of the agent are taken."""
    unit = installation.unit(Path("/usr/bin/edgeagent"))
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | dict(
        re.findall(r"^Environment=(\w+)=(\S+)$", unit, re.M))


def beside_the_tests() -> dict[str, str]:
    """The environment of a program of the tests that is to run the agent under test, which a checkout would hide."""
    under_test, checkout = Path(edgeagent.__file__).parents[1], Path(__file__).resolve().parents[1]
    return os.environ | {"PYTHONPATH": f"{under_test}{os.pathsep}{checkout}"}
