"""`edgeagent opcua`: whose certificates the OPC UA server trusts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeagent import config
from edgeagent.publish.opcua.trust import Known, TrustList, wall_time
from edgeagent.tools import stores, tables
from edgeagent.tools.asking import configuration_of
from edgeagent.tools.users import account

if TYPE_CHECKING:
    from argparse import Namespace


def run(options: Namespace) -> bool:
    """Do what the options say; says whether it went well.

    Raises:
        ConfigError: the configuration cannot be used. OSError: a folder cannot be written.
    """
    folder = folder_of(options)
    if not folder.is_dir():
        print(f"{folder}: there is no such folder; the agent makes it when it serves OPC UA", file=sys.stderr)
        return False
    known, now = TrustList(folder), wall_time()
    if options.what == "list":
        _show(known.known(now), options.json)
        return True
    change = known.trust if options.what == "trust" else known.reject
    try:
        changed = change(options.fingerprint, now, account())
    except LookupError as error:
        print(f"{folder}: {error.args[0]}", file=sys.stderr)
        return False
    if options.json:
        print(json.dumps(_told(changed)))
    else:
        print(f"{changed.subject or changed.fingerprint[:16]} is {changed.state}")
    return True


def folder_of(options: Namespace) -> Path:
    """Where the certificates are: as the options or the configuration say, else `pki` beside the store."""
    if options.folder is not None:
        return Path(options.folder)
    file = None if options.store is not None else configuration_of(options)
    if file is not None:
        configuration, _ = config.load(file)
        if configuration.opcua and configuration.opcua.folder is not None:
            return file.parent / configuration.opcua.folder
    return stores.named(options).parent / "pki"


def _show(found: list[Known], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"certificates": [_told(each) for each in found]}))
        return
    rows = [("state", "fingerprint", "until", "client", "remark")]
    for each in found:
        until = f"{each.until:%Y-%m-%d}" if each.until else "-"
        rows.append((each.state, each.fingerprint[:16], until, each.subject, each.problem))
    for line in tables.table(rows, tables.width(), whole=2):
        print(line)


def _told(one: Known) -> dict[str, Any]:
    return {
        "fingerprint": one.fingerprint, "state": one.state, "subject": one.subject, "uris": one.uris,
        "until": one.until.isoformat() if one.until else None, "problem": one.problem or None,
    }  # fmt: skip
