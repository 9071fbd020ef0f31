"""aiohttp's server without its client, its router and its files, which would take 2.6 MB that nobody asks for.

aiohttp's package imports everything that it has. Here it is a package that does so as soon as somebody asks it for a
name; until then only those of its modules are there that are imported by their own names.
"""

from __future__ import annotations

import re
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any


def _spare() -> None:
    """Put the package in place; where aiohttp is there already, or cannot be found so, nothing is spared."""
    spec = None if "aiohttp" in sys.modules else find_spec("aiohttp")
    if spec and spec.loader and spec.origin:
        sys.modules["aiohttp"] = _package(spec, spec.origin)


def _package(spec: ModuleSpec, origin: str) -> ModuleType:
    package = module_from_spec(spec)

    def asked(name: str) -> Any:
        if name.startswith("__") or find_spec(f"aiohttp.{name}"):
            raise AttributeError(name)  # a module is looked for next
        vars(package).pop("__getattr__", None)
        assert spec.loader is not None
        spec.loader.exec_module(package)
        return getattr(package, name)

    version = re.search(r'^__version__ = "(.*)"', Path(origin).read_text(encoding="utf-8"), re.MULTILINE)
    vars(package).update(__getattr__=asked, __version__=version[1] if version else "")
    return package


_spare()

from aiohttp.http import HttpVersion11, WSCloseCode, WSMessage, WSMsgType  # noqa: E402
from aiohttp.web_protocol import RequestHandler, RequestPayloadError  # noqa: E402
from aiohttp.web_request import BaseRequest  # noqa: E402
from aiohttp.web_response import Response, StreamResponse  # noqa: E402
from aiohttp.web_server import Server  # noqa: E402
from aiohttp.web_ws import WebSocketResponse  # noqa: E402

__all__ = [
    "BaseRequest",
    "HttpVersion11",
    "RequestHandler",
    "RequestPayloadError",
    "Response",
    "Server",
    "StreamResponse",
    "WSCloseCode",
    "WSMessage",
    "WSMsgType",
    "WebSocketResponse",
]
