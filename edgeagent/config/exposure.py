"""What in the configuration would open the agent to a network without what that needs."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from edgeagent.config.places import is_loopback
from edgeagent.config.secrets import is_secret
from edgeagent.config.tables import Configuration, HttpTable, LinesTable, PushTable
from edgeagent.every_fault import STAND_IN
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
    for index, target in enumerate(configuration.openapps.push):
        if STAND_IN not in (target.url, target.name):
            for key, reason in _pushed(target):
                yield ("openapps", "push", index, key), reason


def _pushed(target: PushTable) -> Iterator[tuple[str, str]]:
    """What is wrong with the way to an MES: the key, and why."""
    try:
        url = urlsplit(target.url)
        is_place = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and not url.fragment
    except ValueError:
        is_place = False
    if not is_place or not target.url.isascii() or not target.url.isprintable() or " " in target.url:
        yield "url", "is no address; write it like https://mes.factory/events"
        return
    if url.username is not None or url.password is not None:
        yield "url", "who asks has no place in it; name the file of a token with token"
    if any(is_secret(name) for name, _ in parse_qsl(url.query, keep_blank_values=True)):
        yield "url", "secrets are never written in this file; name the file of a token with token"
    if url.scheme == "http":
        is_here = is_loopback(url.hostname or "")
        if not is_here and not target.in_the_clear:
            yield "url", "events go over the network in the clear; write https, or say in_the_clear = true"
        if not is_here and target.token is not None:
            yield "token", "a token never goes over the network in the clear; write the url with https"
        for key in ("ca", "certificate", "key"):
            if getattr(target, key) is not None:
                yield key, "is of TLS, which http does not speak; write the url with https"
    elif target.in_the_clear:
        yield "in_the_clear", "https is never in the clear; leave it out"
    if (target.certificate is None) != (target.key is None):
        there, missing = ("certificate", "key") if target.key is None else ("key", "certificate")
        yield there, f"needs {missing} beside it"
