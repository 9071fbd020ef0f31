"""What in the configuration would open the agent to a network without what that needs."""

from __future__ import annotations

from collections.abc import Iterator

from edgeagent.config.places import is_loopback
from edgeagent.config.tables import Configuration, HttpTable, LinesTable
from firmware_iface.toml_lines import KeyPath


def listeners(configuration: Configuration) -> Iterator[tuple[KeyPath, HttpTable | LinesTable]]:
    """Every address that is listened at, and where it stands in the file."""
    for name, table in (("http", configuration.openapps.http), ("lines", configuration.openapps.lines)):
        if table.enabled:
            yield ("openapps", name), table


def beyond(configuration: Configuration) -> Iterator[KeyPath]:
    """Where the file names an address that other computers can reach."""
    for where, table in listeners(configuration):
        if not is_loopback(table.host):
            yield (*where, "host")
    if configuration.opcua is not None and not is_loopback(configuration.opcua.host):
        yield ("opcua", "host")


def role_of_anybody(table: HttpTable | LinesTable) -> str:
    """What who did not say who it is may at a listener: a role, or "none"."""
    return table.anonymous or "viewer" if is_loopback(table.host) else "none"


def exposed(configuration: Configuration) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with the listeners and their TLS: the key, and why."""
    for where, table in listeners(configuration):
        if not is_loopback(table.host):
            if not table.tls:
                yield (*where, "host"), (f"{table.host or 'an empty address'} may be reached from beyond this computer;"
                                         " say tls = true, or listen at 127.0.0.1")
            if table.anonymous == "viewer":
                yield (*where, "anonymous"), "beyond this computer everybody must say who it is; take it out"
        if table.tls and configuration.tls is None:
            yield (*where, "tls"), "TLS needs a table [tls] with certificate and key"
    if (opcua := configuration.opcua) and opcua.anonymous_reading and not is_loopback(opcua.host):
        yield ("opcua", "anonymous_reading"), "beyond this computer everybody must say who it is; take it out"
    tls = configuration.tls
    if tls is not None and tls.require_client_certificate and tls.client_ca is None:
        yield ("tls", "require_client_certificate"), "nobody can have such a certificate without client_ca"
