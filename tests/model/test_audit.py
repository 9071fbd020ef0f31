from __future__ import annotations

import json
from hashlib import sha256

import msgspec

from edgeagent.model.audit import AuditEntry, bounded


def entry(who="mes", **more):
    return AuditEntry(time="2026-11-21T21:53:00.123Z", kind="command", who=who, **more)


def test_what_does_not_apply_is_not_written():
    assert msgspec.to_builtins(entry(request_id="r1")) == {
        "time": "2026-11-21T21:53:00.123Z", "kind": "command", "who": "mes", "requestId": "r1"}


def test_an_entry_that_fits_stays_as_it_is():
    whole = entry(values={"zone": 3, "list": [1.5, None, True]}, reason="because")
    assert bounded(whole) == whole


def test_long_values_are_cut_and_have_the_digest_of_the_whole():
    values = {"name": "x" * 5000, "a": 1}
    cut = bounded(entry(values=values, before=values, after=values, reason="y" * 5000, who="z" * 5000))
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    assert cut.values == {"cut": text[:1024], "bytes": len(text), "sha256": sha256(text.encode()).hexdigest()}
    assert (len(cut.reason), len(cut.who)) == (1024, 1024)
    assert len(msgspec.json.encode(cut)) < 16 << 10


def test_secrets_are_blanked_wherever_they_stand():
    shown = bounded(entry(values={"token": "abc", "users": [{"password": "abc", "name": "anna"}]}))
    assert shown.values == {"token": "…", "users": [{"password": "…", "name": "anna"}]}
