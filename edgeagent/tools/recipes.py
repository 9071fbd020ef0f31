"""`edgeagent recipes`: what is kept and what runs, as files and the other way round, over the running agent."""

from __future__ import annotations

import json
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgeagent.errors import AgentRefused, EdgeAgentError
from edgeagent.tools import tables
from edgeagent.tools.asking import Address, address_of, ask
from edgeagent.tools.recipe_files import RecipeFile, draft_of, toml
from edgeagent.tools.recipe_tables import differences, listed, shown

if TYPE_CHECKING:
    from argparse import Namespace

_LOOK_S = 1.0
_ENDED = ("done", "refused", "failed", "stopped", "unknown")


def run(options: Namespace) -> bool:
    """Do what was typed; says whether it went well.

    Raises:
        ConfigError: a file is no recipe, or the machine cannot do it: every fault is told.
        AgentUnreachable, AgentRefused: as `ask`.
    """
    whole: bool = _DOES[options.what](options, address_of(options))
    return whole


def _list(options: Namespace, address: Address) -> bool:
    answer = ask(address, "Recipe.List", _of_machine(options))
    return _print(options, answer, listed(answer["recipes"], tables.width()))


def _history(options: Namespace, address: Address) -> bool:
    answer = ask(address, "Recipe.List", {"name": options.name, **_of_machine(options)})
    if not answer["recipes"]:
        raise AgentRefused(f"nobody keeps or runs a recipe {options.name}", "notFound", {})
    return _print(options, answer, listed(answer["recipes"], tables.width()))


def _show(options: Namespace, address: Address) -> bool:
    answer = _got(options, address, options.name, options.version)
    return _print(options, answer, shown(answer, _points(address, answer["machine"]), tables.width()))


def _export(options: Namespace, address: Address) -> bool:
    kept = _kept(options, address, options.name, options.version)
    is_json = options.file.suffix == ".json" if options.file else options.json
    if is_json:
        text = json.dumps(draft_of(kept), ensure_ascii=False, indent=1) + "\n"
    else:
        origin = f"Version {kept['version']} of {kept['machine']}, made by {kept['by']} at {kept['madeAt']}."
        text = toml(kept, _points(address, kept["machine"]), tables.printable(origin))
    if options.file is None:
        sys.stdout.write(text)
        return True
    _write(options.file, text)
    return True


def _write(path: Path, text: str) -> None:
    """Write a new file, whole or not at all; raises OSError."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise FileExistsError(f"{path} is there already and is not overwritten: name another file") from None
    try:
        with file:
            file.write(text)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _import(options: Namespace, address: Address) -> bool:
    file = RecipeFile(options.file)
    draft = msgspec.to_builtins(file.draft)
    checked = ask(address, "Recipe.Check", {"recipe": draft, **_of_machine(options)})
    if checked["faults"]:
        raise file.refuse(checked["faults"])
    if options.check:
        told = f"{options.file}: {checked['machine']} can do it; it would be version {checked['version']}"
        return _print(options, checked, (told,))
    kept = _kept_anew(address, {"recipe": draft, **_of_machine(options)}, options.based_on)
    return _print(options, kept, (f"{kept['recipe']} of {kept['machine']} is kept in version {kept['version']}",))


def _kept_anew(address: Address, wanted: dict[str, Any], based_on: int | None) -> Any:
    """Keep a recipe as a new one, or as the next version of the one that there is."""
    if based_on is not None:
        return ask(address, "Recipe.Update", wanted | {"basedOn": based_on, "requestId": secrets.token_hex(8)})
    try:
        return ask(address, "Recipe.Create", wanted | {"requestId": secrets.token_hex(8)})
    except AgentRefused as error:
        if error.kind != "busy":
            raise
    return ask(address, "Recipe.Update", wanted | {"requestId": secrets.token_hex(8)})


def _diff(options: Namespace, address: Address) -> bool:
    first, second = (_side(options, address, text) for text in (options.first, options.second))
    found = differences(first, second)
    return _print(options, [{"key": key, "first": a, "second": b} for key, a, b in found],
                  tables.table([("", options.first, options.second), *found], tables.width())
                  if found else ("no difference",))  # fmt: skip


def _side(options: Namespace, address: Address, text: str) -> dict[str, Any]:
    """A file, or NAME or NAME@VERSION of what is kept."""
    if text.endswith((".toml", ".json")):
        sided: dict[str, Any] = msgspec.to_builtins(RecipeFile(Path(text)).draft)
        return sided
    name, _, version = text.rpartition("@")
    if name and version.isdecimal():
        return draft_of(_kept(options, address, name, int(version)))
    return draft_of(_kept(options, address, text, None))


def _start(options: Namespace, address: Address) -> bool:
    wanted: dict[str, Any] = {"name": options.name, "requestId": secrets.token_hex(8), **_of_machine(options)}
    if options.version is not None:
        wanted["version"] = options.version
    job = ask(address, "Recipe.Start", wanted)
    told = 0
    while not options.no_wait:
        job = ask(address, "Command.Get", {"job": job["id"]})
        if not options.json:
            for step in job["steps"][told:]:
                _say(step["text"])
        told = len(job["steps"])
        if job["state"] in _ENDED:
            break
        time.sleep(_LOOK_S)
    reason = f": {job['reason']}" if job["reason"] else ""
    _print(options, job, (f"job {job['id']} is {job['state']}{reason}",))
    return bool(options.no_wait or job["state"] == "done")


def _delete(options: Namespace, address: Address) -> bool:
    if not options.yes and not _agreed(f"Delete recipe {tables.printable(options.name)} in all its versions?"):
        return False
    request = {"name": options.name, "requestId": secrets.token_hex(8), **_of_machine(options)}
    gone = ask(address, "Recipe.Delete", request)
    return _print(options, gone, (f"{gone['recipe']} of {gone['machine']} is deleted; its versions can still be read",))


def _got(options: Namespace, address: Address, name: str, version: int | None) -> dict[str, Any]:
    wanted = {"name": name, **_of_machine(options)} | ({} if version is None else {"version": version})
    answer: dict[str, Any] = ask(address, "Recipe.Get", wanted)
    return answer


def _kept(options: Namespace, address: Address, name: str, version: int | None) -> dict[str, Any]:
    kept: dict[str, Any] | None = _got(options, address, name, version)["kept"]
    if kept is None:
        raise AgentRefused(f"the machine runs {name}, but the agent keeps no such version of it", "notFound", {})
    return kept


def _points(address: Address, machine: str) -> dict[str, str]:
    """Path → unit and text of each point, for people."""
    objects = ask(address, "Configuration.GetObjects", {"machine": machine})["objects"]
    return {f"{it['object']}/{each['name']}": ", ".join(filter(None, (each["unit"], each["text"])))
            for it in objects for each in it["parameters"]}  # fmt: skip


def _agreed(question: str) -> bool:
    """Ask on standard error; raises EdgeAgentError where nobody is there."""
    if not sys.stdin.isatty():
        raise EdgeAgentError("nobody is there to be asked: say --yes")
    print(question, end=" [y/N] ", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _of_machine(options: Namespace) -> dict[str, str]:
    return {"machine": options.machine} if options.machine else {}


def _print(options: Namespace, answer: Any, lines: Any) -> bool:
    if options.json:
        sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        sys.stdout.buffer.flush()
    else:
        _say(*lines)
    return True


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


_DOES = {"list": _list, "show": _show, "history": _history, "export": _export, "import": _import, "diff": _diff,
         "start": _start, "delete": _delete}  # fmt: skip
