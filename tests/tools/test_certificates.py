"""`edgeagent opcua`: what is typed, and what becomes of the certificates in the folders."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edgeagent.cli import main
from edgeagent.publish.opcua.certificates import own_certificate
from edgeagent.publish.opcua.trust import NotTrusted, TrustList

CONFIGURATION = """\
[agent]
store = "edge.sqlite3"
[opcua]
folder = "certificates"
[[machines]]
id = "RO0001"
[[machines.sources]]
kind = "modbus-tcp"
map = "reflow10"
host = "127.0.0.1"
"""


class Pki:
    """A folder in which one client knocked; commands are typed on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder / "pki"
        self.capsys = capsys
        self.der = own_certificate(folder / "client", "urn:test:client", ("localhost",), datetime.now(UTC)).der
        self.list = TrustList(self.folder)
        self.knock()

    def knock(self) -> bool:
        try:
            self.list.check(self.der, datetime.now(UTC))
        except NotTrusted:
            return False
        return True

    def typed(self, *words: str) -> tuple[int, str, str]:
        code = main(["opcua", *words, *(() if "--config" in words else ("--store", str(self.folder.parent / "e.db")))])
        printed = self.capsys.readouterr()
        return code, printed.out, printed.err

    def found(self) -> list[dict[str, Any]]:
        code, out, _ = self.typed("list", "--json")
        assert code == 0
        return json.loads(out)["certificates"]  # type: ignore[no-any-return]


@pytest.fixture
def pki(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Pki:
    return Pki(tmp_path, capsys)


def test_a_client_that_was_turned_away_is_listed_trusted_by_the_beginning_of_its_fingerprint_and_rejected(
    pki: Pki,
) -> None:
    [known] = pki.found()
    assert (known["state"], known["uris"], known["problem"]) == ("rejected", ["urn:test:client"], None)
    assert not pki.knock()
    code, out, _ = pki.typed("trust", known["fingerprint"][:8])
    assert code == 0
    assert out.endswith("is trusted\n")
    assert pki.knock()
    assert [each["state"] for each in pki.found()] == ["trusted"]
    code, out, _ = pki.typed("reject", known["fingerprint"], "--json")
    assert (code, json.loads(out)["state"]) == (0, "rejected")
    assert not pki.knock()


def test_people_see_a_table(pki: Pki) -> None:
    _, out, _ = pki.typed("list")
    headline, row = out.splitlines()
    assert headline.split() == ["state", "fingerprint", "until", "client", "remark"]
    assert row.startswith("rejected ")


def test_what_is_not_there_is_told_in_a_sentence(pki: Pki, tmp_path: Path) -> None:
    for words in (("trust", "0123456789"), ("reject", pki.found()[0]["fingerprint"]), ("trust", "")):
        code, out, err = pki.typed(*words)
        assert (code, out) == (1, "")
        assert "certificates begin with" in err
    code, _, err = pki.typed("list", "--folder", str(tmp_path / "nowhere"))
    assert code == 1
    assert "there is no such folder" in err


def test_the_folder_is_the_configurations(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(CONFIGURATION)
    pki.folder.rename(tmp_path / "certificates")
    code, out, _ = pki.typed("list", "--config", str(tmp_path / "agent.toml"))
    assert code == 0
    assert "rejected" in out
