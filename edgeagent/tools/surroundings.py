"""What a configuration needs of the computer it is on: a place for the store, free ports, serial ports, a clock."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgeagent.clock import Clock
from edgeagent.config import listeners
from edgeagent.errors import StoreError
from edgeagent.publish.push.access import faults
from edgeagent.store.connection import holder
from edgeagent.store.users import read, users_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeagent.config import Configuration

_LEAST_FREE_MB = 500
"""Of the store's disk: some weeks of events and records."""


class Finding(NamedTuple):
    """One thing that was looked at: what it is, how it stands, and what to do where the agent cannot run so."""

    what: str
    text: str
    mend: str = ""


def look(configuration: Configuration, store: Path, folder: Path = Path()) -> Iterator[Finding]:
    """Look at everything that the agent needs; nothing is changed, no device and no MES is asked.

    Args:
        store: the database file. folder: of the configuration.
    """
    owner = holder(store)
    yield _store(store, owner)
    yield _users(store)
    for where, table in listeners(configuration):
        if table.port:
            yield _listener(".".join(map(str, where)), table.host, table.port, owner)
    if (opcua := configuration.opcua) and opcua.port:
        yield _listener("opcua", opcua.host, opcua.port, owner)
    for line in configuration.lines:
        yield _serial_port(line.id, Path(line.port))
    yield from _pushes(configuration, folder)
    is_set = Clock().trusted
    yield Finding("clock", "is set by a time server" if is_set else
                  "is not known to be set by a time server; events say so until it is (timedatectl)")  # fmt: skip


def _pushes(configuration: Configuration, folder: Path) -> Iterator[Finding]:
    """Whether what push targets are opened with can be used by whoever asks."""
    targets = configuration.openapps.push
    wrong = set[int]()
    for number, key, reason, mend in faults(targets, folder):
        wrong.add(number)
        yield Finding(f"push {targets[number].name}", f"{key}: {reason}", mend)
    for number, target in enumerate(targets):
        if number not in wrong:
            yield Finding(f"push {target.name}", f"{target.url} can be told {', '.join(target.topics) or 'all events'}")


def _store(store: Path, owner: str) -> Finding:
    """Whether the store, and the nearest folder of it that there is, can be written by whoever asks."""
    store = store.absolute()
    if owner:
        return Finding("store", f"{store} is open in the running agent (process {owner})")
    # Whether a file is there raises where its folder is closed to whoever asks.
    folder = next(place for place in store.parents if os.access(place, os.F_OK))
    for place, is_right in ((folder, folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)),
                            (store, not os.access(store, os.F_OK) or (os.access(store, os.W_OK) and store.is_file()))):
        if not is_right:
            return Finding("store", f"{store}: {place} cannot be written by this user",
                           "choose another agent.store, or run this as the user of the agent")
    free_mb = shutil.disk_usage(folder).free >> 20
    mend = f"make room: {_LEAST_FREE_MB} MB are little for weeks of records" if free_mb < _LEAST_FREE_MB else ""
    return Finding("store", f"{store} can be written, {free_mb} MB are free", mend)


def _users(store: Path) -> Finding:
    """Whether the users can be read by whoever asks."""
    file = users_file(store)
    try:
        users = read(file)
    except StoreError as error:
        return Finding("users", str(error), "until then nobody is let in who must say who it is")
    count = sum(user.revoked is None for user in users)
    return Finding("users", f"{file}: {count or 'no'} user{'' if count == 1 else 's'}")


def _listener(what: str, host: str, port: int, owner: str) -> Finding:
    """Whether an address can be listened at."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if owner:
                return Finding(what, f"port {port} on {host} is in use, and the agent is running")
            return Finding(what, f"port {port} on {host} cannot be listened at: {error.strerror or error}",
                           "unless it is this agent that runs, end the program that has it, or choose another port")
    return Finding(what, f"port {port} on {host} is free")


def _serial_port(line: str, port: Path) -> Finding:
    what = f"line {line}"
    if not port.exists():
        return Finding(what, f"{port} is not there", "plug the adapter in; `edgeagent scan` lists the ports that are")
    if not os.access(port, os.R_OK | os.W_OK):
        return Finding(what, f"{port} is not for this user",
                       "run this as the user of the agent, who belongs to the group that has the port (dialout)")
    return Finding(what, f"{port} is there")
