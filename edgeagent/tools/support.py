"""Packs into one file what somebody needs to find out what is wrong with an agent; the agent need not run."""

from __future__ import annotations

import http.client
import io
import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import time
from argparse import Namespace
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import edgeagent
from edgeagent import config
from edgeagent.errors import ConfigError, EdgeAgentError
from edgeagent.tools import store_facts
from edgeagent.tools.access import CannotShow
from edgeagent.tools.asking import INSTALLED, Address, address_of
from edgeagent.tools.console import ask, console
from edgeagent.tools.redaction import without_secrets
from firmware_iface import catalog

_PATIENCE_S = 20.0
"""For the agent's answer, and for the store's."""
_MOST_LIVE = 64 << 20
_MOST_JOURNAL = 4 << 20

_READ_ME = """Support file of edgeagent {version}, made {when}.

It holds production data: machine names, recipes, barcodes, values, and what was said on the wires.
Hand it only to whoever may see these. Secrets of the configuration are left out.

{contents}
"""


class Support:
    """Gathers the parts of a support file; what cannot be had says why in its place.

    Args:
        options: with `config` and `agent`: the configuration, and where the agent is; each may be None.
    """

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._file = Path(options.config or INSTALLED)
        self._parts: dict[str, tuple[str, bytes]] = {}
        self._configuration: config.Configuration | None = None

    def write(self, path: Path) -> list[str]:
        """Gather everything and write it to a new file that only its owner may read; return what is in it, in words.

        Raises:
            OSError: there is such a file already, or it cannot be made.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise FileExistsError(f"{path} is there already: name another file with --output") from None
        try:
            with os.fdopen(descriptor, "wb") as out:
                self._gather()
                contents = [f"{name:<28} {text}" for name, (text, _) in self._parts.items()]
                when = time.strftime("%Y-%m-%d %H:%M:%S %z")
                read_me = _READ_ME.format(version=edgeagent.__version__, when=when, contents="\n".join(contents))
                with tarfile.open(fileobj=out, mode="w:gz") as archive:
                    folder = path.name.removesuffix(".tar.gz")
                    _add(archive, f"{folder}/README.txt", read_me.encode())
                    for name, (_, body) in self._parts.items():
                        _add(archive, f"{folder}/{name}", body)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return contents

    def _gather(self) -> None:
        for gather in (self._configured, self._versions, self._live, self._store, self._journal):
            try:
                gather()
            except Exception as error:  # noqa: BLE001  one part that fails must not cost the others
                name = f"failed/{gather.__name__.strip('_')}.txt"
                self._add(name, f"could not be gathered: {error}", repr(error))

    def _add(self, name: str, text: str, body: object) -> None:
        told = body if isinstance(body, str) else json.dumps(body, indent=1, ensure_ascii=False)
        self._parts[name] = (text, told.encode(errors="replace"))

    def _configured(self) -> None:
        self._add("configuration.toml", "the configuration without secrets", without_secrets(_text(self._file)))
        try:
            self._configuration, _ = config.load(self._file)
        except ConfigError as error:
            self._add("configuration-faults.txt", "why the configuration cannot be used", str(error))
            return
        for table in self._configuration.machines:
            for source in table.sources:
                path = config.map_file(self._file, source.map)
                text = _text(path) if path else catalog.builtin_text(source.map)
                self._add(f"maps/{_safe(source.map.removesuffix('.toml'))}.toml", f"the map {source.map}", text)

    def _versions(self) -> None:
        release = Path("/etc/os-release")
        told = {
            "edgeagent": edgeagent.__version__, "python": sys.version, "sqlite": sqlite3.sqlite_version,
            "system": platform.platform(), "machine": platform.machine(), "processors": os.cpu_count(),
            "os": release.read_text(encoding="utf-8").splitlines() if release.is_file() else None,
            "packages": dict(sorted((str(each.name), each.version) for each in metadata.distributions())),
        }  # fmt: skip
        self._add("versions.json", "versions of the agent, its packages and the system", told)

    def _live(self) -> None:
        """Ask the running agent: where no address is named, at its console first, which needs no token."""
        faults = []
        for way in (self._over_http,) if self._options.agent else (self._at_the_console, self._over_http):
            try:
                live = way()
                break
            except (OSError, ValueError, http.client.HTTPException, EdgeAgentError) as error:
                faults.append(str(error))
        else:
            self._add("live-missing.txt", "why nothing is here of the running agent", "\n".join(dict.fromkeys(faults)))
            return
        self._add("metrics.txt", "metrics as served now", live.pop("metrics"))
        self._add("logs.jsonl", "the agent's newest log lines", "\n".join(live.pop("logs")))
        for wire, lines in live.pop("frames").items():
            self._add(f"frames/{_safe(wire)}.txt", f"the last raw frames of {wire}", "\n".join(lines))
        self._add("live.json", "health, readiness, machines, values, boards, journal as they are now", live)

    def _at_the_console(self) -> dict[str, Any]:
        """The agent's own part; raises ConfigError, AgentUnreachable or AgentRefused."""
        return ask(console(config.load_store(self._file)), "Support.Get", {})

    def _over_http(self) -> dict[str, Any]:
        """The agent's own part; raises ConfigError, or what `_asked` raises with the address before it."""
        address = address_of(self._options)
        try:
            return _asked(address)
        except (OSError, ValueError, http.client.HTTPException, CannotShow) as error:
            raise ValueError(f"{address}: {error}") from error

    def _store(self) -> None:
        if self._configuration is None:
            return
        path = self._file.parent / self._configuration.agent.store
        self._add("store.json", "layout, sizes, counts and check of the store", store_facts.facts(path, _PATIENCE_S))

    def _journal(self) -> None:
        """What systemd kept of the agent's logs, where there is systemd."""
        journalctl = shutil.which("journalctl")
        if journalctl is None:
            return
        command = [journalctl, "-u", "edgeagent", "-n", "5000", "--no-pager", "-o", "short-iso"]
        ended = subprocess.run(command, capture_output=True, timeout=_PATIENCE_S, check=False)  # noqa: S603
        told = (ended.stdout or ended.stderr)[-_MOST_JOURNAL:].decode(errors="replace")
        self._add("journal.txt", "journalctl -u edgeagent", told)


def _asked(address: Address) -> dict[str, Any]:
    """The agent's own part; raises OSError, HTTPException, or ValueError where it is not one of ours."""
    connection = address.connection(_PATIENCE_S)
    try:
        connection.request("GET", "/support", headers=address.access.header())
        answer = connection.getresponse()
        body = answer.read(_MOST_LIVE)
        if answer.status != http.client.OK:
            raise ValueError(f"answered {answer.status}: {body[:300].decode(errors='replace')}")
        live = json.loads(body)
    finally:
        connection.close()
    if not isinstance(live, dict) or not {"metrics", "logs", "frames"} <= live.keys():
        raise ValueError("what answers there is no edgeagent")
    return live


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _safe(name: str) -> str:
    """A name for a file of what somebody else named."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "unnamed"


def _add(archive: tarfile.TarFile, name: str, body: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(body), 0o600, int(time.time())
    archive.addfile(entry, io.BytesIO(body))


def pack(options: Namespace, say: Callable[[str], None]) -> None:
    """Write a support file, and say what is in it; raises OSError."""
    path = options.output or Path(time.strftime("edgeagent-support-%Y%m%d-%H%M%S.tar.gz"))
    for line in Support(options).write(path):
        say(line)
    say(f"{path} holds production data (recipes, barcodes, values): hand it only to whoever may see these.")
