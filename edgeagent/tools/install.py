"""`edgeagent install` and `edgeagent uninstall`: they list what they will do, ask, do it, and say what they did."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from edgeagent.tools import installation as its
from edgeagent.tools.consent import agreed
from edgeagent.tools.installation import Root, Step

_RUNNING = Path("/run/systemd/system")
"""There where systemd is this computer's init."""


async def install(folder: Path, is_agreed: bool, stop: asyncio.Event) -> bool:
    """Install the service of the program that runs now.

    Args:
        folder: `/`, or the tree of an image.
        is_agreed: do not ask.

    Raises:
        EdgeAgentError, OSError: it cannot be done here, or a program of the system failed.
    """
    root = Root(folder)
    root.demand_rights()
    steps = [
        root.file(its.SYSUSERS, its.shipped("edgeagent.sysusers")),
        root.user(),
        root.owned_folder(its.CONFIGURATION, 0o750, "root"),
        root.owned_folder(its.STORE, 0o700, its.USER),
        root.file(its.EXAMPLE, its.shipped("edgeagent.toml")),
        root.file(its.UNIT, its.unit(its.executable(root))),
        root.link(its.LINK, "../edgeagent.service"),
        root.file(its.RULE, its.shipped("99-edgeagent-serial.rules")),
    ]
    if not await _carried_out(steps, _reload(root), is_agreed, stop):
        return False
    configuration = root.at(its.CONFIGURATION) / "edgeagent.toml"
    if not configuration.exists():
        print("Now copy the example, so that the agent may read it, say there which machine it is, and begin:\n"
              f"  install -m 640 -g edgeagent {configuration}.example {configuration}\n"
              f"  edgeagent check {configuration} && systemctl start edgeagent")
    elif root.is_this_computer:
        print(f"{configuration} is kept; `systemctl restart edgeagent` runs this version.")
    return True


async def uninstall(folder: Path, is_agreed: bool, is_purged: bool, stop: asyncio.Event) -> bool:
    """Remove the service; configuration, store and user stay unless purged. Arguments and errors as of `install`."""
    root = Root(folder)
    root.demand_rights()
    steps = [root.gone(place) for place in (its.LINK, its.UNIT, its.RULE, its.SYSUSERS, its.EXAMPLE)]
    if _is_live(root) and root.at(its.UNIT).exists():
        steps.insert(0, _command("systemctl", "disable", "--now", "edgeagent.service"))
    if not await _carried_out(steps, _reload(root), is_agreed, stop):
        return False
    owned = [root.gone(its.CONFIGURATION), root.gone(its.STORE), root.no_user()]
    if is_purged:
        return await _carried_out(owned, [], is_agreed, stop, "This cannot be undone. ")
    left = [step.text.removeprefix("remove ") for step in owned if not step.is_done()]
    if left:
        print(f"Left behind: {'; '.join(left)} (--purge removes that too).")
    return True


async def _carried_out(
    steps: Sequence[Step], after: Sequence[Step], is_agreed: bool, stop: asyncio.Event, warning: str = ""
) -> bool:
    """Do what is not done yet, once that is agreed to; says whether it was."""
    missing = [step for step in steps if not step.is_done()]
    if not missing:
        print("Everything is as it should be; nothing to do.")
        return True
    missing += after
    print("To be done:", *(f"  {step.text}" for step in missing), sep="\n")
    if not is_agreed and not await agreed(f"{warning}Do that?", stop):
        print("Nothing was changed.")
        return False
    for step in missing:
        step.work()
        print(f"done: {step.text}", flush=True)
    return True


def _is_live(root: Root) -> bool:
    return root.is_this_computer and _RUNNING.is_dir()


def _command(*command: str) -> Step:
    return Step(" ".join(command), lambda: False, lambda: its.run(*command))


def _reload(root: Root) -> list[Step]:
    """What makes systemd and udev read the changed files, where they run."""
    if not _is_live(root):
        return []
    return [_command("systemctl", "daemon-reload"), _command("udevadm", "control", "--reload")]
