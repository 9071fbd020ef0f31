"""What systemd gives the agent: the lines of the unit, and nothing of a developer's shell."""

import os
import re
from pathlib import Path

from edgeagent.tools import installation

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")


def of_the_service() -> dict[str, str]:
    """The environment in which figures of the agent are taken."""
    unit = installation.unit(Path("/usr/bin/edgeagent"))
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | dict(
        re.findall(r"^Environment=(\w+)=(\S+)$", unit, re.M))
