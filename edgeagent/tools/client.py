"""Writes what other programs use to speak with the agent: typed clients, the OpenRPC document, its reference page."""

from __future__ import annotations

import json
import sys
import urllib.request
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from edgeagent import __version__
from edgeagent.errors import EdgeAgentError
from edgeagent.model.functions import FUNCTIONS
from edgeagent.publish.openapps.openrpc import document
from edgeagent.tools.access import Access
from edgeagent.tools.clients import contract

_PATIENCE_S = 30.0


class NoContract(EdgeAgentError):
    """There is no agent at that address, or what answers is none."""


def write(what: str, url: str | None = None, access: Access | None = None) -> str:
    """Write a client, the document as JSON, or the page about it.

    Args:
        what: one of `clients.WRITTEN`.
        url: of an agent's HTTP outlet, whose document is taken; this version's own otherwise.
        access: what opens that agent.

    Raises:
        NoContract: the agent does not answer, or not with its document.
    """
    described = _discovered(url, access or Access()) if url else _own()
    if what == "openrpc":
        return json.dumps(described, indent=1, ensure_ascii=False) + "\n"
    try:
        if what == "markdown":
            from edgeagent.tools.clients import markdown  # noqa: PLC0415

            return markdown.write(described)
        written: str = import_module(f"edgeagent.tools.clients.{what}").write(contract.read(described))
    except ValueError as error:
        raise NoContract(f"{url}: {error}") from None
    return written


def put(text: str, output: Path | None) -> None:
    """Write to a file, or print."""
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def _own() -> dict[str, Any]:
    described: dict[str, Any] = json.loads(msgspec.json.encode(document(FUNCTIONS, __version__)))
    return described


def _discovered(url: str, access: Access) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise NoContract(f"{url}: write the address of an agent like http://127.0.0.1:8480/rpc")
    asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "rpc.discover"}).encode()
    request = urllib.request.Request(url, asked, {"Content-Type": "application/json", **access.header()})  # noqa: S310
    context = access.context() if url.startswith("https:") else None
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S, context=context) as answer:  # noqa: S310
            described: dict[str, Any] = json.load(answer)["result"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoContract(f"{url}: no OpenRPC document: {error}") from None
    return described
