"""What an installed service consists of: files, folders, a user; each knows whether it is there already."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import edgeagent
from edgeagent.errors import EdgeAgentError

USER = "edgeagent"
CONFIGURATION = "/etc/edgeagent"
STORE = "/var/lib/edgeagent"
UNIT = "/etc/systemd/system/edgeagent.service"
LINK = "/etc/systemd/system/multi-user.target.wants/edgeagent.service"
SYSUSERS = "/etc/sysusers.d/edgeagent.conf"
RULE = "/etc/udev/rules.d/99-edgeagent-serial.rules"
EXAMPLE = f"{CONFIGURATION}/edgeagent.toml.example"

_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_HIDDEN = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  the service has a /tmp of its own
_PACKAGED = Path("/var/lib/dpkg/info/edgeagent.list")


class Step(NamedTuple):
    """One change: what it is in words, whether it is done already, and its work."""

    text: str
    is_done: Callable[[], bool]
    work: Callable[[], None]


class Root:
    """The tree into which is installed: `/`, or that of an image.

    Args:
        folder: where it is now.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.is_this_computer = self.folder == Path("/")
        self.may_own = os.geteuid() == 0

    def at(self, place: str) -> Path:
        """Where a place of the tree is now."""
        return self.folder / place.lstrip("/")

    def demand_rights(self) -> None:
        """Refuse what would fail half-way.

        Raises:
            EdgeAgentError: there is no such tree, this computer is changed by its administrator only, or dpkg has
                installed the agent.
        """
        if not self.folder.is_dir():
            raise EdgeAgentError(f"{self.folder} is no folder: name the tree of an image")
        if self.is_this_computer and not self.may_own:
            raise EdgeAgentError("only root may change this computer's services: use sudo")
        if self.is_this_computer and _PACKAGED.exists() and sys.prefix == "/opt/edgeagent":
            raise EdgeAgentError("this agent came as a Debian package: use apt or dpkg")

    def owner(self, user: str, group: str) -> tuple[int, int] | None:
        """Numbers of a user and a group of the tree; None where it has not both; root is 0 in every tree."""
        numbers = ("0" if user == "root" else self._number("/etc/passwd", user), self._number("/etc/group", group))
        return None if None in numbers else (int(numbers[0] or 0), int(numbers[1] or 0))

    def _number(self, database: str, name: str) -> str | None:
        try:
            lines = self.at(database).read_text(encoding="utf-8").splitlines()
        except OSError:
            return None
        return next((line.split(":")[2] for line in lines if line.startswith(f"{name}:")), None)

    # Steps

    def file(self, place: str, text: str, mode: int = 0o644) -> Step:
        """Write a file; one that is there is replaced by a newer one."""
        path = self.at(place)

        def work() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(mode)

        return Step(f"write {path}", lambda: path.is_file() and path.read_text(encoding="utf-8") == text, work)

    def link(self, place: str, target: str) -> Step:
        """Make a symbolic link."""
        path = self.at(place)

        def work() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(target)

        return Step(f"link {path} to {target}", lambda: path.is_symlink() and str(path.readlink()) == target, work)

    def owned_folder(self, place: str, mode: int, user: str) -> Step:
        """Make a folder of a user, or correct its rights; its group is the service's."""
        path = self.at(place)

        def is_done() -> bool:
            if not path.is_dir() or stat.S_IMODE(path.stat().st_mode) != mode:
                return False
            owner = self.owner(user, USER)
            return not self.may_own or owner is None or owner == (path.stat().st_uid, path.stat().st_gid)

        def work() -> None:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(mode)
            if self.may_own and (owner := self.owner(user, USER)):
                os.chown(path, *owner)

        return Step(f"make {path} for {user}:{USER}, mode {mode:o}", is_done, work)

    def user(self) -> Step:
        """Make the service's user; an image that is not built by root makes it at its first start."""
        text = f"make user and group {USER}, in group dialout"
        return Step(text, lambda: not self.may_own or self.owner(USER, USER) is not None,
                    lambda: run("systemd-sysusers", f"--root={self.folder}", "edgeagent.conf"))

    def gone(self, place: str) -> Step:
        """Remove a file or link, or a folder with everything in it."""
        path = self.at(place)
        whole = " and everything in it" if path.is_dir() and not path.is_symlink() else ""
        return Step(f"remove {path}{whole}", lambda: not path.exists() and not path.is_symlink(),
                    lambda: shutil.rmtree(path) if whole else path.unlink())

    def no_user(self) -> Step:
        """Remove the service's user and group."""
        command = ("userdel", USER) if self.is_this_computer else ("userdel", "--root", str(self.folder), USER)
        return Step(f"remove user and group {USER}", lambda: not self.may_own or self.owner(USER, USER) is None,
                    lambda: run(*command))


def run(*command: str) -> None:
    """Run a program of the system; raises EdgeAgentError with what it says."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    except FileNotFoundError:
        raise EdgeAgentError(f"{command[0]} is missing: is this a Linux with systemd?") from None
    except subprocess.CalledProcessError as error:
        raise EdgeAgentError(f"{' '.join(command)} failed: {error.stderr.strip()}") from None


def shipped(name: str) -> str:
    """Text of a file that comes with the agent: from the installed package, or from the source folder."""
    package = Path(edgeagent.__file__).parent
    folder = package / "systemd"
    return ((folder if folder.is_dir() else package.parent / "systemd") / name).read_text(encoding="utf-8")


def executable(root: Root) -> Path:
    """The program that runs now, as it is named inside the tree.

    Raises:
        EdgeAgentError: there is none, or the service could not reach it.
    """
    path = Path(sysconfig.get_path("scripts")) / "edgeagent"
    if not path.is_file():
        raise EdgeAgentError(f"{path} is missing: install the agent with pip")
    if not root.is_this_computer:
        return Path("/") / path.relative_to(root.folder) if path.is_relative_to(root.folder) else path
    for needed in (path, Path(sys.executable).resolve()):
        if closed := unreachable(needed):
            raise EdgeAgentError(f"the service's user cannot reach {needed}: {closed}; "
                                 "make the environment in a folder as /opt/edgeagent")
    return path


def unreachable(path: Path) -> str | None:
    """Why a file cannot be read by a service that is nobody in particular; None where it can."""
    if any(path.is_relative_to(folder) for folder in _HIDDEN):
        return "a service sees no file of /tmp"
    closed = [folder for folder in path.parents if not folder.stat().st_mode & stat.S_IXOTH]
    return f"{closed[-1]} is closed to others" if closed else None


def unit(program: Path) -> str:
    """The unit that runs a program; homes are only hidden where the program is in none."""
    text = shipped("edgeagent.service")
    quoted = str(program)
    if not re.fullmatch(r"[\w./+-]+", quoted):
        for special, escaped in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
            quoted = quoted.replace(special, escaped)
        quoted = f'"{quoted}"'
    text = text.replace("/opt/edgeagent/bin/edgeagent", quoted)
    if any(part.is_relative_to(home) for part in (program, Path(sys.base_prefix)) for home in _HOMES):
        text = text.replace("ProtectHome=yes", "ProtectHome=read-only")
    return text
