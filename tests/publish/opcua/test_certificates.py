from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asyncua import Client
from cryptography import x509

from edgeagent.publish.opcua.certificates import (
    KEY_FILE,
    RENEWED_BEFORE,
    VALID,
    Own,
    Unreadable,
    application_uris,
    is_due,
    own_certificate,
)  # fmt: skip
from tests.publish.opcua.clients import Application, connected
from tests.publish.opcua.conftest import Run, Serve
from tests.publish.opcua.guarded import read, status

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
URI = "urn:test:edgeagent"


@pytest.fixture
def folder(tmp_path: Path, application: Application) -> Path:
    """With a key, which takes time to make, and no certificate."""
    key = tmp_path / KEY_FILE
    key.parent.mkdir()
    shutil.copy(application.folder / KEY_FILE, key)
    return tmp_path


def made(folder: Path, now: datetime = NOW, uri: str = URI, names: tuple[str, ...] = ("oven-7", "10.0.0.7")) -> Own:
    return own_certificate(folder, uri, names, now)


def test_it_names_the_application_and_its_hosts(folder: Path) -> None:
    certificate = made(folder).certificate
    assert application_uris(certificate) == (URI,)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "oven-7" in names.get_values_for_type(x509.DNSName)
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]
    assert certificate.not_valid_before_utc <= NOW < NOW + VALID <= certificate.not_valid_after_utc


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_the_key_is_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    first = made(tmp_path)
    file = tmp_path / KEY_FILE
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert first.key.key_size == 2048
    file.chmod(0o644)
    assert made(tmp_path).certificate == first.certificate
    assert file.stat().st_mode & 0o777 == 0o600


def test_it_stays_as_long_as_it_serves(folder: Path) -> None:
    first = made(folder)
    again = made(folder, NOW + timedelta(days=300))
    assert (first.is_new, again.is_new) == (True, False)
    assert again.certificate == first.certificate


@pytest.mark.parametrize("later", [VALID - RENEWED_BEFORE + timedelta(days=2), timedelta(days=-30)])
def test_it_is_renewed_before_it_ends_or_where_the_clock_was_wrong(folder: Path, later: timedelta) -> None:
    first = made(folder)
    assert not is_due(first.certificate, NOW)
    assert is_due(first.certificate, NOW + later)
    renewed = made(folder, NOW + later)
    assert renewed.is_new
    assert renewed.certificate.public_key() == first.certificate.public_key()
    assert not is_due(renewed.certificate, NOW + later)


def test_another_name_makes_another_certificate(folder: Path) -> None:
    first = made(folder)
    assert made(folder, uri="urn:test:other").certificate != first.certificate
    assert made(folder, names=("oven-8",)).is_new


def test_a_renewed_certificate_is_for_new_clients_and_ends_no_session(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire, before = await its.wire(), its.der
            names = ("127.0.0.1", "oven-7")
            its.server._use(own_certificate(Path(its.port.settings.folder), URI, names, datetime.now(UTC)))
            assert its.der != before
            endpoints = await Client(its.url).connect_and_get_server_endpoints()
            assert {each.ServerCertificate for each in endpoints} == {its.der}
            async with connected(its.server, its.application) as client:
                assert await client.get_node(its.temperature.nodeid).read_value() == 240.5
            assert status(await wire.ask(read(its.temperature))) == "Good"
            await wire.close()

    run(test())


@pytest.mark.parametrize("name", ["own/key.pem", "own/certificate.der"])
def test_what_cannot_be_read_is_not_replaced(folder: Path, name: str) -> None:
    made(folder)
    (folder / name).write_bytes(b"rubbish")
    with pytest.raises(Unreadable, match=r"this is no .* delete it"):
        made(folder)
    assert (folder / name).read_bytes() == b"rubbish"
