"""Where the agent listens: whether it may, with which TLS, and who comes in."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgeagent import config
from edgeagent.errors import ConfigError, StoreError
from edgeagent.publish.transports.admission import Admission
from edgeagent.publish.transports.http import HttpServer
from edgeagent.publish.transports.lines import LineServer
from edgeagent.publish.transports.listening import Places
from edgeagent.publish.transports.tls import TlsFault, TlsFiles, server_context
from edgeagent.publish.transports.websocket import WebSocketRoute
from edgeagent.store.users import read, users_file
from firmware_iface.map_reader import FileFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ssl import SSLContext

    from edgeagent.health import Health
    from edgeagent.publish.authentication import Authentication
    from edgeagent.publish.delivery import Delivery
    from edgeagent.publish.jsonrpc import Dispatcher
    from edgeagent.publish.observe.pages import View
    from firmware_iface.toml_lines import KeyPath


def secured(configuration: config.Configuration, store: Path, file: Path | None = None) -> SSLContext | None:
    """Make the TLS of the listeners; None where none speaks it.

    Args:
        file: of the configuration.

    Raises:
        ConfigError: its files cannot be used, or other computers could reach the agent and there is no user.
    """
    for where in config.beyond(configuration):
        if not _has_users(store):
            reason = "other computers may come in here, and there is no user who may"
            raise _refused(file, where, reason, "edgeagent users add NAME --role viewer")
    if not any(table.tls for _, table in config.listeners(configuration)):
        return None
    assert configuration.tls is not None, "the configuration was read without its checks"
    try:
        return server_context(_files(configuration.tls, file.parent if file else Path()))
    except TlsFault as fault:
        raise _refused(file, ("tls", fault.key), fault.reason, fault.mend) from None


def _has_users(store: Path) -> bool:
    """Whether there are users; a damaged file is no reason to watch no machine: it lets nobody in."""
    with suppress(StoreError):
        return bool(read(users_file(store)))
    return True


def _files(table: config.TlsTable, folder: Path) -> TlsFiles:
    found: dict[str, Path] = {}
    for key in ("certificate", "key", "client_ca"):
        if (named := getattr(table, key)) is not None:
            try:
                found[key] = config.file_of(named, folder)
            except ValueError as error:
                mend = "say LoadCredential= in the unit, or name a file"
                raise TlsFault(key, str(error), mend) from None
    return TlsFiles(**found, is_client_certificate_required=table.require_client_certificate)


def _refused(file: Path | None, where: KeyPath, reason: str, mend: str) -> ConfigError:
    if file is None:
        return ConfigError([FileFault("the configuration", None, ".".join(map(str, where)), reason, mend)])
    return ConfigError([config.located(file, where, reason, mend)])


class Listeners:
    """Every outlet of the agent.

    Args:
        context: of TLS, where a listener speaks it.

    Attributes:
        loads: transport → how many connections and subscriptions it has.
    """

    def __init__(
        self, table: config.OpenAppsTable, dispatcher: Dispatcher, delivery: Delivery, authentication: Authentication,
        context: SSLContext | None, health: Health,
    ) -> None:  # fmt: skip
        self._table = table
        self._dispatcher = dispatcher
        self._delivery = delivery
        self._authentication = authentication
        self._context = context
        self._health = health
        self._places = Places(table.connections)
        self._servers: list[HttpServer | LineServer] = []
        self.loads: dict[str, Callable[[], tuple[int, int]]] = {}

    async def start(self, pages: Mapping[str, View]) -> dict[str, str]:
        """Listen; return the name of each outlet and its address. Raises CannotListen."""
        addresses: dict[str, str] = {}
        if self._table.http.enabled:
            addresses |= await self._start_http(self._table.http, pages)
        if self._table.lines.enabled:
            addresses |= await self._start_lines(self._table.lines)
        return addresses

    async def stop(self) -> None:
        """End listening and every connection."""
        for server in reversed(self._servers):
            await server.stop()

    async def _start_http(self, table: config.HttpTable, pages: Mapping[str, View]) -> dict[str, str]:
        admission, patience_s = self._admission(table), self._table.patience_s
        route = WebSocketRoute(self._dispatcher, self._delivery, admission=admission)
        server = HttpServer(
            self._dispatcher, route, admission=admission, places=self._places, origins=table.origins,
            names=table.names, patience_s=patience_s, pages=pages, tally=self._delivery.notices.tally,
            context=self._context if table.tls else None)
        port = await server.start(table.host, table.port)
        self._servers.append(server)
        self.loads |= {"http": server.load, "websocket": route.load}
        self._health.add("HTTP", server.deaf, is_vital=True)
        secure = "s" if table.tls else ""
        return {"HTTP": f"http{secure}://{table.host}:{port}/rpc", "WebSocket": f"ws{secure}://{table.host}:{port}/rpc"}

    async def _start_lines(self, table: config.LinesTable) -> dict[str, str]:
        server = LineServer(
            self._dispatcher, self._delivery, admission=self._admission(table), places=self._places,
            context=self._context if table.tls else None)
        port = await server.start(table.host, table.port)
        self._servers.append(server)
        self.loads["lines"] = server.load
        self._health.add("TCP lines", server.deaf, is_vital=True)
        return {"TCP lines": f"{table.host}:{port}{' with TLS' if table.tls else ''}"}

    def _admission(self, table: config.HttpTable | config.LinesTable) -> Admission:
        return Admission(self._authentication, config.role_of_anybody(table))
