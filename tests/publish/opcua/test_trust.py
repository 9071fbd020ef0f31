from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from edgeagent.publish.opcua import folders
from edgeagent.publish.opcua.port import Bounds
from edgeagent.publish.opcua.trust import MOST_BYTES, MOST_REJECTED, NotTrusted, TrustList, fingerprint
from tests.publish.opcua.clients import Application, Wire, connected, secured
from tests.publish.opcua.conftest import Run, Serve
from tests.publish.opcua.guarded import read, status
from tests.publish.opcua.test_sessions import until

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
URI = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:test:client")])

SERIAL = count(1)


@pytest.fixture(scope="module")
def key(application: Application) -> rsa.RSAPrivateKey:
    return application.own.key


def certificate(
    key: Any, names: x509.SubjectAlternativeName | None = URI, digest: Any = None, begins: datetime = NOW,
    subject: str = "client",
) -> bytes:  # fmt: skip
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(next(SERIAL)).not_valid_before(begins - timedelta(days=1))
        .not_valid_after(begins + timedelta(days=1))
    )  # fmt: skip
    if names:
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, digest or hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_an_empty_folder_trusts_nobody(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    trust, its = TrustList(tmp_path), certificate(key)
    with pytest.raises(NotTrusted, match="is not trusted"):
        trust.check(its, NOW)
    assert [known.fingerprint for known in trust.known(NOW)] == [fingerprint(its)]
    assert [known.state for known in trust.known(NOW)] == ["rejected"]


def test_a_rejected_certificate_is_trusted_and_rejected_again_by_its_fingerprint(
    tmp_path: Path, key: rsa.RSAPrivateKey
) -> None:
    trust, its = TrustList(tmp_path), certificate(key)
    with pytest.raises(NotTrusted):
        trust.check(its, NOW)
    trusted = trust.trust(fingerprint(its)[:8].upper(), NOW)
    assert (trusted.state, trusted.uris, trusted.problem) == ("trusted", ("urn:test:client",), "")
    assert trust.check(its, NOW).public_bytes(serialization.Encoding.DER) == its
    assert trust.reject(fingerprint(its)[:8], NOW).state == "rejected"
    with pytest.raises(NotTrusted):
        trust.check(its, NOW)


def test_files_that_somebody_put_there_count_under_any_name(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    trust, first, second = TrustList(tmp_path), certificate(key), certificate(key)
    (tmp_path / "trusted" / "mes.der").write_bytes(first)
    pem = x509.load_der_x509_certificate(second).public_bytes(serialization.Encoding.PEM)
    (tmp_path / "trusted" / "panel.crt").write_bytes(pem)
    (tmp_path / "trusted" / "notes.txt").write_text("call 4711")
    trust.check(first, NOW)
    trust.check(second, NOW)
    (tmp_path / "trusted" / "mes.der").unlink()
    with pytest.raises(NotTrusted):
        trust.check(first, NOW)


def test_whose_fingerprint_is_not_clear_is_not_trusted(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    trust = TrustList(tmp_path)
    for its in (certificate(key), certificate(key)):
        with pytest.raises(NotTrusted):
            trust.check(its, NOW)
    for beginning in ("", "zz", "12345678" * 8):
        with pytest.raises(LookupError, match="certificates begin with"):
            trust.trust(beginning, NOW)


def test_rejected_certificates_are_bounded_and_the_oldest_gives_way(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    trust = TrustList(tmp_path)
    first = certificate(key)
    for number in range(MOST_REJECTED + 10):
        its = first if number == 0 else certificate(key)
        with pytest.raises(NotTrusted):
            trust.check(its, NOW)
        file = tmp_path / "rejected" / f"{fingerprint(its)}.der"
        os.utime(file, ns=(number, number))
    kept = {known.fingerprint for known in trust.known(NOW)}
    assert len(kept) == MOST_REJECTED
    assert fingerprint(first) not in kept


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x30\x82", bytes(MOST_BYTES + 1)])
def test_what_is_no_certificate_is_refused_and_not_kept(tmp_path: Path, content: bytes) -> None:
    trust = TrustList(tmp_path)
    with pytest.raises(NotTrusted):
        trust.check(content, NOW)
    assert not trust.known(NOW)


def test_a_certificate_that_cannot_be_used_is_refused_though_it_is_trusted(
    tmp_path: Path, key: rsa.RSAPrivateKey
) -> None:
    trust = TrustList(tmp_path)
    cases = {
        "no RSA key": certificate(ec.generate_private_key(ec.SECP256R1())),
        "names no application": certificate(key, names=None),
        "was valid until": certificate(key, begins=NOW - timedelta(days=30)),
        "is valid from": certificate(key, begins=NOW + timedelta(days=30)),
    }
    for reason, its in cases.items():
        (tmp_path / "trusted" / f"{fingerprint(its)}.der").write_bytes(its)
        with pytest.raises(NotTrusted, match=reason):
            trust.check(its, NOW)
        with pytest.raises(LookupError, match=reason):
            trust.trust(trust.reject(fingerprint(its), NOW).fingerprint, NOW)


def test_an_unknown_client_is_turned_away_and_can_be_trusted_then(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(is_trusted=False) as its:
            for _ in range(3):
                wire = await Wire.to(its.url)
                await wire.greet()
                assert status(await wire.open(secured(its.application, its.der))) == "BadSecurityChecksFailed"
                assert await wire.is_ended()
                await wire.close()
            digest = fingerprint(its.application.own.der)
            assert its.port.turned == [("127.0.0.1", f"its certificate {digest[:16]} is not trusted")]
            its.server.iserver.trust.trust(digest, datetime.now(UTC))
            async with connected(its.server, its.application) as client:
                assert await client.get_node(its.temperature.nodeid).read_value() == 240.5

    run(test())


def test_who_is_not_trusted_any_more_is_out_within_seconds(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            trust = its.server.iserver.trust
            trust.reject(fingerprint(its.application.own.der), datetime.now(UTC))
            assert await wire.is_ended()
            await until(lambda: not its.server.iserver.sessions)
            await wire.close()

    run(test())


def test_a_certificate_is_not_enough_without_its_key(serve: Serve, run: Run, key: rsa.RSAPrivateKey) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await Wire.to(its.url)
            await wire.greet()
            policy = secured(its.application, its.der)
            other = rsa.generate_private_key(65537, 2048)
            policy.asymmetric_cryptography.Signer.client_pk = policy.asymmetric_cryptography.Signer.host_pk = other
            for name in vars(policy.asymmetric_cryptography.Signer):
                if isinstance(getattr(policy.asymmetric_cryptography.Signer, name), rsa.RSAPrivateKey):
                    setattr(policy.asymmetric_cryptography.Signer, name, other)
            assert isinstance(await wire.open(policy), ua.ErrorMessage)
            assert await wire.is_ended()
            assert not its.server.iserver.sessions
            await wire.close()

    run(test())


def test_wild_certificates_cost_little_and_leave_room(serve: Serve, run: Run, key: rsa.RSAPrivateKey) -> None:
    """Chains, rubbish and huge ones are turned away before anything is computed with them."""

    async def test() -> None:
        async with serve(bounds=Bounds(connections=16)) as its:
            good = certificate(key)
            endless = b"\x30\x84\xff\xff\xff\xff"
            for content in (b"rubbish", good * 3, bytes(30_000), good[:-20], endless, good[:4] + bytes(500)):
                wire = await Wire.to(its.url)
                await wire.greet()
                policy = secured(its.application, its.der)
                policy.host_certificate = content
                answer = await wire.open(policy)
                assert status(answer) == "BadSecurityChecksFailed", content[:10]
                await wire.close()
            own = await its.wire()
            assert status(await own.ask(read(its.temperature))) == "Good"
            await own.close()

    run(test())


def test_a_folder_that_is_gone_trusts_nobody(tmp_path: Path, application: Application) -> None:
    trust = TrustList(tmp_path)
    application.is_trusted_by(tmp_path)
    its = application.own.fingerprint
    assert trust.trusts(its)
    (tmp_path / "trusted").rename(tmp_path / "away")
    assert not trust.trusts(its)
    (tmp_path / "away").rename(tmp_path / "trusted")
    assert trust.trusts(its)


def test_clients_are_looked_after_while_the_folder_is_gone(serve: Serve, run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        async with serve() as its:
            wire = await its.wire()
            (tmp_path / "pki" / "trusted").rename(tmp_path / "away")
            assert await wire.is_ended()
            (tmp_path / "away").rename(tmp_path / "pki" / "trusted")
            another = await its.wire()
            TrustList(tmp_path / "pki").reject(its.application.own.fingerprint, datetime.now(UTC))
            assert await another.is_ended()
            await wire.close()
            await another.close()

    run(test())


def test_changes_that_bear_the_same_time_are_seen_all(
    tmp_path: Path, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_SETTLES_S", 0.0)
    trust, folder = TrustList(tmp_path), tmp_path / "trusted"
    application.is_trusted_by(tmp_path)
    changed = folder.stat().st_mtime_ns
    assert trust.trusts(application.own.fingerprint)
    (folder / "client.der").unlink()
    os.utime(folder, ns=(changed, changed))
    assert not trust.trusts(application.own.fingerprint)
